//! A stop request is served in every state of the worker: while it drains, while its claim loop fails, and while it stands still.

use serde_json::json;

use crate::support::stopped::Stopped;
use crate::support::{Nest, Signal, kill, lives, until};

/// Notes TERM and ends by it.
const OBEDIENT: &str = "trap 'echo term >>term.$TENURE_JOB; exit 9' TERM; setsid sleep 600 </dev/null >/dev/null 2>&1 & echo begin; \
                        while :; do sleep 0.1; done";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Cancel,
    SqlCancel,
    TaskStop,
    Replace,
    MaxRuntimeSetLater,
    ShimStopped,
}

use Way::*;

const WAYS: [Way; 6] = [Cancel, SqlCancel, TaskStop, Replace, MaxRuntimeSetLater, ShimStopped];

struct Running {
    way: Way,
    job: i64,
    run: i64,
    pid: i32,
    shim: i32,
}

fn begin(nest: &Nest) -> Vec<Running> {
    let stage = json!(OBEDIENT);
    std::fs::write(nest.file("p.toml"), format!("[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\nshell = {stage}\n")).unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    let jobs = WAYS.map(|way| match way {
        TaskStop => {
            nest.ok(&["task", "start", "p"]);
            nest.sql().query_row("SELECT job_id FROM tasks", [], |row| row.get(0)).unwrap()
        }
        Replace => nest.sh(&["--unique", "k"], OBEDIENT),
        MaxRuntimeSetLater => nest.sh(&["--queue", "later"], OBEDIENT),
        ShimStopped => nest.sh(&["--timeout", "5s"], OBEDIENT),
        Cancel | SqlCancel => nest.sh(&[], OBEDIENT),
    });
    let running = WAYS.into_iter().zip(jobs).map(|(way, job)| {
        let pid = nest.until_pid(job);
        nest.until_log(job, "begin");
        let run = nest.show(job)["run_id"].as_i64().unwrap();
        Running { way, job, run, pid, shim: nest.shim(run) }
    });
    running.collect()
}

/// What the command said, where it was one.
fn ask(nest: &Nest, run: &Running) -> String {
    match run.way {
        Cancel => nest.say(&["cancel", &run.job.to_string()]).err,
        SqlCancel => {
            nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [run.job]).unwrap();
            String::new()
        }
        TaskStop => nest.say(&["task", "stop", "1"]).err,
        Replace => nest.say(&["add", "--unique", "k", "--replace", "--hold", "--", "true"]).err,
        MaxRuntimeSetLater => nest.say(&["queue", "set", "later", "--max-runtime", "1s"]).err,
        ShimStopped => {
            kill(run.shim, Signal::STOP);
            String::new()
        }
    }
}

fn check(nest: &Nest, run: &Running, who: &str) {
    let job = nest.until_ended(run.job);
    let expected = match run.way {
        MaxRuntimeSetLater | ShimStopped => ("failed", "timeout"),
        _ => ("cancelled", "cancelled"),
    };
    let end = (job["state"].as_str().unwrap(), job["reason"].as_str().unwrap());
    assert_eq!(end, expected, "{who}, {:?}: {job}", run.way);
    assert!(termed(nest, run), "{who}, {:?}: TERM comes first", run.way);
}

fn termed(nest: &Nest, run: &Running) -> bool {
    nest.file(&format!("term.{}", run.job)).exists()
}

#[test]
fn a_worker_that_drains_serves_every_stop_request() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "9", "--drain", "--tick", "200ms"]);
    let runs = begin(&nest);
    kill(worker.pid(), Signal::TERM);
    until("it to drain", || worker.said().contains("no more jobs are claimed").then_some(()));
    runs.iter().for_each(|run| drop(ask(&nest, run)));
    runs.iter().for_each(|run| check(&nest, run, "draining"));
    assert_eq!(worker.wait(), 0, "nothing is left to wait for");
    assert!(nest.of_runs().is_empty());
}

#[test]
fn a_worker_whose_claim_loop_fails_serves_every_stop_request() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "9", "--tick", "1h"]);
    let runs = begin(&nest);
    // What each round of the claim loop reads is not there.
    nest.owner().execute_batch("ALTER TABLE resource RENAME TO hidden").unwrap();
    until("claims to fail", || worker.said().contains("claiming").then_some(()));
    for run in runs.iter().filter(|run| run.way != TaskStop) {
        match run.way {
            // The commands of tenure need the whole schema.
            Cancel | Replace => {
                nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [run.job]).unwrap();
            }
            MaxRuntimeSetLater => {
                nest.owner().execute("UPDATE queue SET max_runtime_ms = 1000 WHERE name = 'later'", []).unwrap();
            }
            _ => drop(ask(&nest, run)),
        }
        until(&format!("{:?}: TERM", run.way), || termed(&nest, run).then_some(()));
        until(&format!("{:?}: its end", run.way), || (!lives(run.pid) && !lives(run.shim)).then_some(()));
        let cause = match run.way {
            MaxRuntimeSetLater => "backstop",
            ShimStopped => "timeout",
            _ => "cancel",
        };
        assert_eq!(nest.record(run.run, "EXITED", "cause").as_deref(), Some(cause), "{:?}", run.way);
    }
    // What has ended cannot be settled either, with such a file; the records say why each run was stopped.
    assert!(worker.said().contains("claiming fails"), "{}", worker.said());
}

#[test]
fn limits_of_queues_are_kept_while_cancels_cannot_be_read() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "2", "--tick", "1h"]);
    let job = nest.sh(&["--queue", "later"], OBEDIENT);
    let pid = nest.until_pid(job);
    nest.until_log(job, "begin");
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    nest.owner().execute_batch("ALTER TABLE cancel RENAME TO hidden").unwrap();
    until("cancels not to be read", || worker.said().contains("reading stop requests").then_some(()));
    nest.owner().execute("UPDATE queue SET max_runtime_ms = 1000 WHERE name = 'later'", []).unwrap();
    until("its end", || (!lives(pid)).then_some(()));
    until("its record", || nest.record(run, "EXITED", "cause").filter(|cause| cause == "backstop"));
}

#[test]
fn commands_stop_jobs_of_a_worker_that_stands_still() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "9", "--tick", "200ms"]);
    let runs = begin(&nest);
    let goes_on = Stopped::between_writes(&nest, worker.pid());
    for run in &runs {
        let said = ask(&nest, run);
        if matches!(run.way, Cancel | TaskStop) {
            assert!(said.contains("asked to stop") && said.contains("is stopped") && said.contains("kill -CONT"), "{said}");
        }
        if matches!(run.way, Cancel | TaskStop | Replace) {
            until(&format!("{:?}: the whole tree to end", run.way), || (!lives(run.pid)).then_some(()));
            assert_eq!(
                nest.sql().query_row("SELECT state FROM job WHERE id = ?1", [run.job], |row| row.get::<_, String>(0)).unwrap(),
                "running"
            );
        }
    }
    drop(goes_on);
    runs.iter().for_each(|run| check(&nest, run, "stopped for a while"));
}

/// Each cause that stops a job, in each thing that a job waits in or has done around it: it ends for that cause.
#[test]
fn what_stops_a_job_is_why_it_ends_in_every_step_of_it() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "12", "--tick", "200ms"]);
    nest.ok(&["queue", "set", "short", "--max-runtime", "1500ms"]);
    let long = "sleep 600";
    let steps: [(&str, &[&str], &str); 5] = [
        ("job", &[], long),
        ("check", &["--check", long], "exit 0"),
        ("wait for a check", &["--check", "exit 75", "--backoff", "1h..1h"], "exit 0"),
        ("prepare", &["--workspace", "w", "--prepare", long], "exit 0"),
        ("wait for another's prepare", &["--workspace", "w", "--prepare", long], "exit 0"),
    ];
    for cancelled in [true, false] {
        let queue = if cancelled { "default" } else { "short" };
        let jobs =
            steps.map(|(step, options, line)| (step, nest.sh(&[&["--queue", queue, "--grace", "1s"], options].concat(), line)));
        for (step, job) in jobs {
            if cancelled {
                nest.until_state(job, "running");
                if step.contains("check") {
                    until("the check", || {
                        let asked = "SELECT 1 FROM run WHERE job_id = ?1 AND kind = 'check'";
                        nest.sql().query_row(asked, [job], |_| Ok(())).ok()
                    });
                }
                nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [job]).unwrap();
            }
        }
        for (step, job) in jobs {
            let ended = nest.until_ended(job);
            let end = (ended["state"].as_str().unwrap(), ended["reason"].as_str().unwrap());
            let expected = if cancelled { ("cancelled", "cancelled") } else { ("failed", "timeout") };
            assert_eq!(end, expected, "{step}: {ended}");
        }
        let cancels: i64 = nest.sql().query_row("SELECT count(*) FROM cancel", [], |row| row.get(0)).unwrap();
        assert_eq!(cancels, 5, "and no client cancelled the others");
    }
    until("whole trees to be gone", || nest.of_runs().is_empty().then_some(()));
}

#[test]
fn what_is_cancelled_while_the_spawner_is_stopped_never_starts() {
    for then in [Signal::CONT, Signal::KILL] {
        let nest = Nest::new();
        let debug = [("RUST_LOG", std::ffi::OsStr::new("debug"))];
        let worker = nest.work_with(&["--tick", "100ms", "--slots", "4"], &debug);
        nest.until_state(nest.sh(&[], "true"), "done");
        let spawner = crate::life::left::spawner_of(&nest, worker.pid());
        kill(spawner, Signal::STOP);
        let jobs = [("0", "cli"), ("0", "sql"), ("2", "cli"), ("2", "sql")].map(|(retries, way)| {
            let job = nest.sh(&["--retries", retries, "--backoff", "0s..0s"], "echo $TENURE_JOB >>ledger");
            nest.until_state(job, "running");
            (job, way)
        });
        for (job, way) in jobs {
            match way {
                "cli" => drop(nest.ok(&["cancel", &job.to_string()])),
                _ => drop(nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [job]).unwrap()),
            }
        }
        let withdrawn = |said: &str| said.matches("is withdrawn").count();
        until("the worker to hear of it", || (withdrawn(&worker.said()) == jobs.len()).then_some(()));
        kill(spawner, then);
        for (job, way) in jobs {
            assert_eq!(nest.until_ended(job)["state"], "cancelled", "{then:?}, {way}: {}", nest.show(job));
        }
        assert!(!nest.file("ledger").exists(), "{then:?}: {:?}", std::fs::read_to_string(nest.file("ledger")));
        nest.until_state(nest.sh(&[], "true"), "done");
    }
}
