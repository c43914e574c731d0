//! A suspended job stands still through every death of worker and spawner, and continues, or ends, as it is asked to.

use std::time::Duration;

use serde_json::Value;
use tenure::job::RunId;
use tenure::place::Place;
use tenure::run::Suspension;
use tenure::run::runfile::{Inspection, inspect};

use crate::support::{Dice, Nest, Signal, kill, lives, seed, until, within};

/// Adds to a file, and so does a child in a session of its own without environment and output.
const COUNTS: &str = "trap 'echo term >>term; exit 9' TERM; \
                      env -i setsid sh -c 'echo $$ >far; while :; do echo >>counts; done' </dev/null >/dev/null 2>&1 & \
                      echo begin; while :; do echo >>counts; done";

struct Job {
    id: i64,
    run: i64,
    pids: Vec<i32>,
}

fn begin(nest: &Nest, options: &[&str]) -> Job {
    let id = nest.sh(options, COUNTS);
    let pid = nest.until_pid(id);
    nest.until_log(id, "begin");
    let far = crate::support::pid_in(&nest.file("far"));
    Job { id, run: nest.show(id)["run_id"].as_i64().unwrap(), pids: vec![pid, far] }
}

fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('-')
}

impl Job {
    fn arg(&self) -> String {
        self.id.to_string()
    }

    fn are_stopped(&self) -> bool {
        self.pids.iter().all(|pid| state(*pid) == 'T')
    }

    fn record(&self, nest: &Nest) -> Option<Suspension> {
        match inspect(&Place::new(nest.db()), RunId(self.run)).unwrap() {
            Inspection::Found { records, .. } => records.suspension,
            _ => None,
        }
    }

    fn suspension(&self, nest: &Nest) -> Value {
        nest.show(self.id)["suspension"].clone()
    }

    fn until_suspended(&self, nest: &Nest) {
        until("the row to say that it is suspended", || (self.suspension(nest)["state"] == "suspended").then_some(()));
        assert!(self.are_stopped(), "and the kernel says the same");
    }

    fn until_running(&self, nest: &Nest) {
        until("the row to say that it runs", || self.suspension(nest).is_null().then_some(()));
        assert!(!self.pids.iter().any(|pid| state(*pid) == 'T'), "and the kernel says the same");
        let size = || std::fs::metadata(nest.file("counts")).map_or(0, |meta| meta.len());
        let before = size();
        until("it to continue", || (size() > before).then_some(()));
    }

    fn are_gone(&self, nest: &Nest) {
        assert!(!self.pids.iter().any(|pid| lives(*pid)));
        assert!(nest.of_runs().is_empty());
    }
}

#[test]
fn a_suspended_job_is_shown_as_that_everywhere() {
    let nest = Nest::new();
    let _worker = nest.work(&["--tick", "200ms"]);
    let job = begin(&nest, &[]);
    let said = nest.say(&["suspend", &job.arg(), "--why", "the demo"]);
    assert_eq!((said.code, said.err.contains("is being suspended; tenure resume")), (0, true), "{said:?}");
    job.until_suspended(&nest);
    assert!(nest.ok(&["ls"]).contains("running (suspended)"));
    assert!(nest.ok(&["show", &job.arg()]).contains("since "));
    let why = nest.ok(&["why", &job.arg()]);
    assert!(why.contains("is suspended since") && why.contains("the demo") && why.contains("tenure resume"), "{why}");
    let status = nest.status();
    assert_eq!((&status["counts"]["suspended"], &status["counts"]["running"]), (&1.into(), &1.into()));
    let shown = nest.show(job.id);
    assert_eq!((&shown["state"], shown["stopped"].is_null()), (&"running".into(), true), "a script sees a running job: {shown}");
    let at: i64 = nest.sql().query_row("SELECT suspended_at FROM jobs WHERE id = ?1", [job.id], |row| row.get(0)).unwrap();
    assert!(at > 0);
    assert!(nest.say(&["suspend", &job.arg()]).err.contains("was suspended already"));
    nest.ok(&["resume", &job.arg()]);
    job.until_running(&nest);
    assert!(nest.say(&["resume", &job.arg()]).err.contains("is not suspended"));
    assert!(nest.show(job.id)["suspended_ms"].as_i64().unwrap() > 0);
    let history = nest.ok(&["history", &job.arg()]);
    let order = ["suspend_asked", "suspended", "resume_asked", "resumed"].map(|kind| history.find(kind).expect(kind));
    assert!(order.is_sorted() && history.contains("the demo") && history.contains("after "), "{history}");
    nest.ok(&["cancel", &job.arg()]);
    assert_eq!(nest.until_ended(job.id)["state"], "cancelled");
}

#[test]
fn plain_sql_suspends_and_resumes() {
    let nest = Nest::new();
    let _worker = nest.work(&["--tick", "200ms"]);
    let job = begin(&nest, &[]);
    let sql = nest.sql();
    sql.execute("INSERT INTO suspend (job_id, why) VALUES (?1, 'sql')", [job.id]).unwrap();
    job.until_suspended(&nest);
    let resume = "UPDATE suspend SET resume_at = 1 WHERE job_id = ?1 AND closed_at IS NULL";
    assert_eq!(sql.execute(resume, [job.id]).unwrap(), 1);
    job.until_running(&nest);
    assert_eq!(sql.execute(resume, [job.id]).unwrap(), 0);
    let queued = nest.sh(&["--hold"], "true");
    let error = sql.execute("INSERT INTO suspend (job_id) VALUES (?1)", [queued]).unwrap_err().to_string();
    assert!(error.contains("user_hold = 1"), "{error}");
}

#[test]
fn what_cannot_be_suspended_is_refused_with_the_remedy() {
    let nest = Nest::new();
    let queued = nest.sh(&[], "true").to_string();
    for (args, words) in [(["suspend", &queued], "tenure hold"), (["resume", &queued], "tenure why")] {
        let said = nest.say(&args);
        assert_eq!((said.code, said.err.contains(words)), (6, true), "{args:?}: {said:?}");
    }
    nest.work_until_idle(&[]);
    for verb in ["suspend", "resume"] {
        let said = nest.say(&[verb, &queued]);
        assert_eq!((said.code, said.err.contains("has ended already")), (6, true), "{said:?}");
        assert_eq!(nest.say(&[verb, "99"]).code, 3);
        assert_eq!(nest.say(&[verb, "--queue", "none"]).code, 3);
    }
}

#[test]
fn the_next_worker_does_what_was_asked_without_one() {
    let nest = Nest::new();
    let worker = nest.work(&["--tick", "200ms"]);
    let job = begin(&nest, &[]);
    worker.kill();
    let said = nest.say(&["suspend", &job.arg()]);
    assert!(said.err.contains("there is no worker"), "{said:?}");
    assert_eq!((job.suspension(&nest)["state"].as_str(), job.are_stopped()), (Some("suspending"), false));
    let worker = nest.work(&["--tick", "200ms"]);
    job.until_suspended(&nest);
    worker.kill();
    assert!(job.are_stopped());
    // One that comes and goes leaves it as it is.
    let worker = nest.work(&["--tick", "200ms"]);
    until("it to be adopted", || (nest.counter("adopted_total") >= 2).then_some(()));
    job.until_suspended(&nest);
    worker.kill();
    nest.ok(&["resume", &job.arg()]);
    assert_eq!((job.suspension(&nest)["state"].as_str(), job.are_stopped()), (Some("resuming"), true));
    let worker = nest.work(&["--tick", "200ms"]);
    job.until_running(&nest);
    worker.kill();
    let _worker = nest.work(&[]);
    nest.ok(&["cancel", &job.arg()]);
    nest.until_ended(job.id);
    job.are_gone(&nest);
}

#[test]
fn kills_at_any_instant_leave_row_and_kernel_in_agreement() {
    let mut dice = Dice::new(seed());
    let nest = Nest::new();
    let mut worker = nest.work(&["--tick", "100ms"]);
    let job = begin(&nest, &[]);
    let spawner = nest.parent_of(nest.shim(job.run));
    for round in 0..8 {
        let suspends = dice.below(2) == 0;
        nest.ok(&[if suspends { "suspend" } else { "resume" }, &job.arg()]);
        std::thread::sleep(Duration::from_micros(dice.below(30_000)));
        if dice.below(3) > 0 {
            worker.kill();
            worker = nest.work(&["--tick", "100ms"]);
        }
        if round == 4 {
            kill(spawner, Signal::KILL);
        }
        if suspends { job.until_suspended(&nest) } else { job.until_running(&nest) }
    }
    nest.ok(&["suspend", &job.arg()]);
    job.until_suspended(&nest);
    kill(nest.shim(job.run), Signal::KILL);
    let ended = nest.until_ended(job.id);
    assert_eq!(ended["reason"], "lost", "no process saw its end: {ended}");
    job.are_gone(&nest);
    let open = "SELECT count(*) FROM suspend WHERE closed_at IS NULL";
    until("the suspension to be closed", || {
        (nest.sql().query_row(open, [], |row| row.get::<_, i64>(0)).unwrap() == 0).then_some(())
    });
}

#[test]
fn limits_stand_still_for_every_worker() {
    let ways: [(&str, &[&str], &str); 4] = [
        ("timeout", &["--timeout", "3s"], "timeout"),
        ("idle timeout", &["--idle-timeout", "3s"], "output"),
        ("max-runtime", &["--queue", "short"], "timeout"),
        ("max-runtime set later", &["--queue", "later"], "timeout"),
    ];
    let nest = Nest::new();
    nest.ok(&["queue", "set", "short", "--max-runtime", "3s"]);
    let jobs = ways.map(|(_, options, _)| nest.sh(&[&["--grace", "1s"], options].concat(), "echo begin; exec sleep 600"));
    let all: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let worker = nest.work(&["--slots", "8", "--tick", "200ms"]);
    let sql = nest.sql();
    // By SQL, as a command for each would take some of their time.
    for job in jobs {
        until("it to run", || sql.execute("INSERT INTO suspend (job_id) VALUES (?1)", [job]).ok());
    }
    let word = |job: i64| nest.show(job)["suspension"]["state"].as_str().map(str::to_owned);
    jobs.iter().for_each(|job| until("it to be suspended", || (word(*job).as_deref() == Some("suspended")).then_some(())));
    let pids = jobs.map(|job| nest.until_pid(job));
    nest.ok(&["queue", "set", "later", "--max-runtime", "3s"]);
    worker.kill();
    let _worker = nest.work(&["--slots", "8", "--tick", "200ms"]);
    // Longer than each limit, and the second that a worker leaves to the shim.
    assert!(within(Duration::from_millis(4_500), || pids.iter().any(|pid| !lives(*pid)).then_some(())).is_none());
    let runs = jobs.map(|job| nest.show(job)["run_id"].as_i64().unwrap());
    nest.ok(&["resume", &all.join(",")]);
    // Of one half the shim is stopped: then the worker keeps the limit, and knows the suspension from the run file.
    for (run, job) in runs.into_iter().zip(jobs).take(2) {
        until("it to continue", || word(job).is_none().then_some(()));
        if let Some(shim) = nest.record(run, "STARTED", "shim").and_then(|pid| pid.parse().ok()) {
            kill(shim, Signal::STOP);
        }
    }
    for ((what, _, reason), job) in ways.iter().zip(jobs) {
        let ended = nest.until_ended(job);
        assert_eq!(ended["reason"], *reason, "{what}: {ended}");
        let suspended_ms = ended["suspended_ms"].as_i64().unwrap();
        let time = |key: &str| ended[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let ran_ms = time("finished_at") - time("started_at") - suspended_ms;
        assert!(suspended_ms >= 4_500 && ran_ms >= 2_900, "{what}: suspended for {suspended_ms} ms, ran for {ran_ms} ms");
    }
}

#[test]
fn a_suspended_job_ends_when_it_is_told_to() {
    for way in ["cancel", "cancel after adoption", "without a worker", "on-term end", "drain", "killed"] {
        let nest = Nest::new();
        let mut args = vec!["--tick", "200ms"];
        match way {
            "on-term end" => args.extend(["--on-term", "end"]),
            "drain" => args.push("--drain"),
            _ => {}
        }
        let mut worker = Some(nest.work(&args));
        let job = begin(&nest, &["--grace", "20s"]);
        nest.ok(&["suspend", &job.arg()]);
        job.until_suspended(&nest);
        if way.contains("adoption") || way.contains("without") {
            worker.take().unwrap().kill();
        }
        match way {
            "cancel" => drop(nest.ok(&["cancel", &job.arg()])),
            "cancel after adoption" => {
                worker = Some(nest.work(&args));
                nest.ok(&["cancel", &job.arg()]);
            }
            "without a worker" => {
                nest.ok(&["cancel", &job.arg()]);
                until("its tree to end", || job.pids.iter().all(|pid| !lives(*pid)).then_some(()));
                worker = Some(nest.work(&args));
            }
            "killed" => assert!(kill(job.pids[0], Signal::KILL)),
            _ => {
                let pid = worker.as_ref().unwrap().pid();
                kill(pid, Signal::TERM);
                if way == "drain" {
                    until("it to drain", || worker.as_ref()?.said().contains("waiting for 1 job").then_some(()));
                    assert!(job.are_stopped(), "a drain waits for it");
                    kill(pid, Signal::TERM);
                }
                assert_eq!(worker.take().unwrap().wait(), 0);
                if nest.state(job.id) == "running" {
                    worker = Some(nest.work(&[]));
                }
            }
        }
        let ended = nest.until_ended(job.id);
        let expected = match way {
            "on-term end" => "shutdown",
            "killed" => "signal",
            _ => "cancelled",
        };
        assert_eq!(ended["reason"], expected, "{way}: {ended}");
        assert_eq!(nest.file("term").exists(), way != "killed", "{way}: it handles TERM, as it is continued for that");
        job.are_gone(&nest);
        assert!(ended["suspension"].is_null(), "{way}");
        let closed = "SELECT count(*) FROM suspend WHERE closed_at IS NOT NULL AND suspended_ms > 0";
        assert_eq!(nest.sql().query_row(closed, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "{way}");
        drop(worker);
    }
}

#[test]
fn a_suspended_job_keeps_its_slot_its_lane_and_its_lease() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "2", "--tick", "100ms"]);
    let line = format!("exec '{}' lease run gpu -- sh -c 'echo begin; sleep 600'", env!("CARGO_BIN_EXE_tenure"));
    let job = nest.sh(&["--lane", "l"], &line);
    nest.until_log(job, "begin");
    nest.ok(&["suspend", &job.to_string()]);
    until("it to be suspended", || (nest.show(job)["suspension"]["state"] == "suspended").then_some(()));
    let in_lane = nest.sh(&["--lane", "l"], "true");
    let beside = nest.sh(&[], "exec sleep 600");
    nest.until_pid(beside);
    let waits = nest.sh(&[], "true");
    let stays = |job: i64| within(Duration::from_millis(400), || (nest.state(job) != "queued").then_some(())).is_none();
    assert!(stays(in_lane) && stays(waits), "both places are taken");
    assert_eq!(nest.json(&["lease", "ls", "--json"])["leases"][0]["name"], "gpu");
    assert_ne!(nest.say(&["lease", "run", "gpu", "--wait", "100ms", "--", "true"]).code, 0, "its lease is held");
    nest.ok(&["cancel", &job.to_string()]);
    nest.until_state(in_lane, "done");
    nest.until_state(waits, "done");
    drop(worker);
}

#[test]
fn the_commands_around_a_job_are_suspended_with_it() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "4", "--tick", "200ms"]);
    let long = "echo >began.$TENURE_JOB; until [ -e go ]; do sleep 0.05; done";
    let check = nest.sh(&["--check", long, "--timeout", "8s"], "exit 0");
    let prepare = nest.sh(&["--workspace", "w", "--prepare", &format!("cd '{}'; {long}", nest.path().display())], "exit 0");
    for job in [check, prepare] {
        until("the command to run", || nest.file(&format!("began.{job}")).exists().then_some(()));
        nest.ok(&["suspend", &job.to_string()]);
        until("it to be suspended", || (nest.show(job)["suspension"]["state"] == "suspended").then_some(()));
    }
    std::fs::write(nest.file("go"), "").unwrap();
    // Longer than the timeout of the check.
    assert!(within(Duration::from_millis(8_500), || (nest.state(check) != "running").then_some(())).is_none());
    assert_eq!(nest.state(prepare), "running");
    for job in [check, prepare] {
        nest.ok(&["resume", &job.to_string()]);
        assert_eq!(nest.until_ended(job)["state"], "done");
    }
}

#[test]
fn a_job_without_a_process_is_suspended_once_it_has_one() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "4", "--tick", "200ms"]);
    let first = nest.sh(&["--workspace", "w", "--prepare", "until [ -e '../../../go' ]; do sleep 0.05; done"], "exit 0");
    nest.until_state(first, "running");
    let waits = nest.sh(&["--workspace", "w", "--prepare", "until [ -e '../../../go' ]; do sleep 0.05; done"], "exec sleep 600");
    nest.until_state(waits, "running");
    nest.ok(&["suspend", &waits.to_string()]);
    assert_eq!(nest.show(waits)["suspension"]["state"], "suspending");
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_state(first, "done");
    let pid = nest.until_pid(waits);
    until("it to be suspended", || (state(pid) == 'T').then_some(()));
    nest.ok(&["resume", &waits.to_string()]);
    until("it to run", || (state(pid) != 'T').then_some(()));
}

#[test]
fn a_job_that_is_stopped_from_outside_is_shown_as_that() {
    let nest = Nest::new();
    let worker = nest.work(&["--tick", "200ms"]);
    let job = begin(&nest, &[]);
    kill(job.pids[1], Signal::STOP);
    until("one to stop", || (state(job.pids[1]) == 'T').then_some(()));
    let why = nest.ok(&["why", &job.arg()]);
    assert!(why.contains("1 of its 2 processes") && why.contains(&format!("kill -CONT {}", job.pids[1])), "{why}");
    assert!(!nest.ok(&["ls"]).contains("stopped"), "a part of it continues");
    kill(job.pids[0], Signal::STOP);
    until("all to stop", || job.are_stopped().then_some(()));
    for has_worker in [true, false] {
        assert!(nest.ok(&["ls"]).contains("running (stopped)"), "{has_worker}");
        let shown = nest.show(job.id);
        assert_eq!((&shown["state"], &shown["stopped"], shown["suspension"].is_null()), (&"running".into(), &true.into(), true));
        let why = nest.ok(&["why", &job.arg()]);
        assert!(why.contains("all its processes are stopped") && why.contains("kill -CONT"), "{why}");
        if has_worker {
            let rows = nest.sql().query_row("SELECT count(*) FROM suspend", [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(rows, 0);
        }
    }
    for pid in &job.pids {
        kill(*pid, Signal::CONT);
    }
    until("ls to show that it runs", || (!nest.ok(&["ls"]).contains("stopped")).then_some(()));
    assert!(job.record(&nest).is_none(), "nothing was suspended");
    nest.ok(&["cancel", &job.arg()]);
    nest.until_ended(job.id);
    drop(worker);
}
