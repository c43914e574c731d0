//! The worker may die at any instruction: running jobs continue, and the next worker adopts them.

use crate::support::{Nest, Signal, kill, lives, pid_in, until};

/// Runs until the file `go` is there, then writes and ends with 7.
const PATIENT: &str = "echo begin; while [ ! -e go ]; do sleep 0.1; done; echo end; exit 7";

#[test]
fn a_job_outlives_its_worker_and_the_next_one_takes_it_over() {
    let nest = Nest::new();
    let first = nest.work(&["--slots", "2"]);
    let id = nest.sh(&[], PATIENT);
    let pid = nest.until_pid(id);
    first.kill();
    assert!(lives(pid), "the job continues without a worker");
    let _second = nest.work(&["--slots", "2"]);
    until("the run to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    assert_eq!(nest.show(id)["pid"], pid, "the same run of the same job");
    std::fs::write(nest.file("go"), "").unwrap();
    let job = nest.until_ended(id);
    assert_eq!((job["state"].as_str(), job["exit_code"].as_i64()), (Some("failed"), Some(7)), "{job}");
    let runs = job["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{job}");
    assert!(runs[0]["max_rss_bytes"].as_i64().unwrap() > 0, "{job}");
    assert!(runs[0]["started_at"].is_string() && runs[0]["exited_at"].is_string(), "{job}");
    assert_eq!(nest.log(id), "begin\nend");
}

#[test]
fn a_job_that_ends_without_a_worker_is_settled_from_its_record() {
    let nest = Nest::new();
    let first = nest.work(&[]);
    let id = nest.sh(&["--retries", "3"], "echo once >>ledger; while [ ! -e go ]; do sleep 0.1; done; exit 0");
    let pid = nest.until_pid(id);
    let run = nest.show(id)["run_id"].as_i64().unwrap();
    first.kill();
    std::fs::write(nest.file("go"), "").unwrap();
    until("the job to end", || (!lives(pid)).then_some(()));
    until("its shim to say so", || {
        nest.record(run, "DRAINED", "killed").or_else(|| nest.run_file(run).contains("DRAINED").then(String::new))
    });
    assert_eq!(nest.state(id), "running", "no worker has settled it");
    let _second = nest.work(&[]);
    let job = nest.until_ended(id);
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["runs"].as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_to_string(nest.file("ledger")).unwrap(), "once\n");
    assert!(job["runs"][0]["max_rss_bytes"].as_i64().unwrap() > 0, "{job}");
}

#[test]
fn a_killed_shim_is_a_lost_run_and_an_empty_tree() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let id = nest.sh(&[], "setsid sleep 600 & env -i setsid sleep 600 >/dev/null 2>&1 & echo $! >inner; sleep 600");
    nest.until_pid(id);
    let inner = pid_in(&nest.file("inner"));
    let run = nest.show(id)["run_id"].as_i64().unwrap();
    kill(nest.shim(run), Signal::KILL);
    let job = nest.until_ended(id);
    assert_eq!((job["state"].as_str(), job["reason"].as_str()), (Some("failed"), Some("lost")), "{job}");
    assert!(job["exit_code"].is_null(), "an end that no process saw has no exit code: {job}");
    assert!(nest.of_runs().is_empty() && !lives(inner), "nothing of the tree is left");
}

#[test]
fn without_worker_and_shim_a_living_job_has_no_second_copy() {
    let nest = Nest::new();
    let first = nest.work(&[]);
    // The second attempt looks for the process of the first; one that only waits to be reaped is dead.
    let id = nest.sh(
        &["--retries", "1", "--backoff", "0s..0s"],
        "echo start >>ledger; if [ $TENURE_ATTEMPT = 1 ]; then setsid sleep 600 & echo $! >first; wait; fi; case $(cut -d' ' -f3 /proc/$(cat first)/stat 2>/dev/null) in ''|Z) ;; *) echo both >>ledger;; esac; exit 0",
    );
    nest.until_pid(id);
    let survivor = pid_in(&nest.file("first"));
    let run = nest.show(id)["run_id"].as_i64().unwrap();
    let shim = nest.shim(run);
    let spawner = nest.parent_of(shim);
    kill(spawner, Signal::STOP);
    first.kill();
    kill(spawner, Signal::KILL);
    kill(shim, Signal::KILL);
    until("the job's own process to go with its shim", || (!lives(shim)).then_some(()));
    assert!(lives(survivor), "its descendant lives on, with no process to look after it");
    let _second = nest.work(&[]);
    let job = nest.until_ended(id);
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["runs"][0]["outcome"], "lost", "{job}");
    assert_eq!(
        std::fs::read_to_string(nest.file("ledger")).unwrap(),
        "start\nstart\n",
        "the second started after the first was gone"
    );
    assert!(!lives(survivor));
}

#[test]
fn a_process_without_marks_is_found_by_its_log() {
    let nest = Nest::new();
    let first = nest.work(&[]);
    let id = nest.sh(&[], "env -i setsid sleep 600 & echo $! >inner; sleep 600");
    nest.until_pid(id);
    let inner = pid_in(&nest.file("inner"));
    let run = nest.show(id)["run_id"].as_i64().unwrap();
    let shim = nest.shim(run);
    let spawner = nest.parent_of(shim);
    // It has cleared its environment once it is what it was to become.
    until("sleep to run", || std::fs::read_to_string(format!("/proc/{inner}/comm")).is_ok_and(|c| c == "sleep\n").then_some(()));
    kill(spawner, Signal::STOP);
    first.kill();
    kill(spawner, Signal::KILL);
    kill(shim, Signal::KILL);
    until("the shim to go", || (!lives(shim)).then_some(()));
    assert!(lives(inner));
    let _second = nest.work(&[]);
    let job = nest.until_ended(id);
    assert_eq!(job["reason"], "lost", "{job}");
    assert!(!lives(inner));
}

#[test]
fn the_crash_test_of_doctor_passes_here_and_leaves_nothing() {
    let nest = Nest::new();
    nest.sh(&["--hold"], "true");
    let tmp = nest.file("tmp");
    std::fs::create_dir(&tmp).unwrap();
    let output = nest.tenure(&["doctor", "--crash-test", "--json"]).env("TMPDIR", &tmp).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    for name in ["adopt", "lost", "cancel"] {
        let check = checks.iter().find(|check| check["code"] == name).unwrap_or_else(|| panic!("no check {name}: {report}"));
        assert_eq!(check["ok"], true, "{check}");
    }
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0, "nothing of it is left");
}

#[test]
fn an_adopted_shim_outlives_the_end_of_another() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "2", "--tick", "100ms"]);
    let [lost, lives_on] = [0; 2].map(|_| nest.sh(&[], PATIENT));
    let shims = [lost, lives_on].map(|job| {
        nest.until_pid(job);
        nest.shim(nest.show(job)["run_id"].as_i64().unwrap())
    });
    kill(nest.parent_of(shims[0]), Signal::KILL);
    until("the shims to fall to the worker", || shims.iter().all(|shim| nest.parent_of(*shim) == worker.pid()).then_some(()));
    kill(shims[0], Signal::KILL);
    assert_eq!(nest.until_ended(lost)["reason"], "lost");
    assert!(lives(shims[1]));
    std::fs::write(nest.file("go"), "").unwrap();
    let job = nest.until_ended(lives_on);
    assert_eq!((&job["exit_code"], job["runs"].as_array().unwrap().len()), (&7.into(), 1), "{job}");
}

/// Each settle may claim the next job for its slot, in one transaction: more adopted runs than slots leave it nothing to claim.
#[test]
fn no_slot_claims_on_while_more_runs_were_adopted_than_slots() {
    let nest = Nest::new();
    let first = nest.work(&["--slots", "3"]);
    let adopted = [0, 1, 2].map(|n| nest.sh(&[], &format!("while [ ! -e go{n} ]; do sleep 0.1; done")));
    for job in adopted {
        nest.until_pid(job);
    }
    let run_ids = || nest.sql().query_row("SELECT max(id) FROM run", [], |row| row.get::<_, i64>(0)).unwrap();
    let last_of_first = run_ids();
    first.kill();
    let _second = nest.work(&["--slots", "1"]);
    until("the runs to be adopted", || (nest.counter("adopted_total") == 3).then_some(()));
    let waiting = [0; 2].map(|_| nest.sh(&[], "while [ ! -e go ]; do sleep 0.1; done"));
    for (n, job) in adopted.into_iter().enumerate().take(2) {
        std::fs::write(nest.file(&format!("go{n}")), "").unwrap();
        nest.until_ended(job);
        // What a settle claims is claimed when the end of its job can be seen.
        assert_eq!(run_ids(), last_of_first, "{} runs for one slot, and a job was claimed beside them", 2 - n);
    }
    std::fs::write(nest.file("go2"), "").unwrap();
    nest.until_ended(adopted[2]);
    nest.until_state(waiting[0], "running");
    assert_eq!(nest.state(waiting[1]), "queued", "one slot, one run");
    std::fs::write(nest.file("go"), "").unwrap();
    waiting.iter().for_each(|job| assert_eq!(nest.until_ended(*job)["state"], "done"));
}
