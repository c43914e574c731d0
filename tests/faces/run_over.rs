//! A run that has ended while no worker lives is not called running by any command that is asked.

use std::process::Stdio;

use crate::support::{Nest, Signal, children, kill, kill_child, said, until};

/// How a run ends while no worker lives: what ends it, and what is said of it.
const ENDS: &[(&str, &str)] =
    &[("by itself", "exit code 3"), ("by a signal", "signal 9"), ("with its shim", "its end was not recorded")];

/// A job whose run is over, in a file without a worker.
fn over(nest: &Nest, how: &str) -> i64 {
    let worker = nest.work(&[]);
    let job = nest.sh(&[], "until [ -e go ]; do sleep 0.02; done; exit 3");
    let pid = nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let shim = nest.shim(run);
    let spawner = nest.parent_of(shim);
    worker.kill();
    match how {
        "by itself" => std::fs::write(nest.file("go"), "").unwrap(),
        "by a signal" => assert!(kill(pid, Signal::KILL)),
        _ => {
            // The job lives on for as long as its lock does, which it does not have: the spawner ends it.
            kill(shim, Signal::KILL);
        }
    }
    until("the processes to be gone", || (nest.of_runs().is_empty() && !crate::support::lives(spawner)).then_some(()));
    let _there_or_not = std::fs::remove_file(nest.file("go"));
    job
}

#[test]
fn each_command_says_that_a_run_is_over_without_a_worker() {
    for (how, words) in ENDS {
        let nest = Nest::new();
        let job = over(&nest, how);
        let id = job.to_string();
        let why = nest.ok(&["why", &id]);
        assert!(why.contains(words) && why.contains("no worker is running"), "{how}: {why}");
        assert!(!why.contains("it is running") && !why.contains("it continues"), "{how}: {why}");
        assert_eq!(crate::faces::obstacles::codes(&nest, job), ["run_over"], "{how}");
        assert!(nest.ok(&["show", &id]).contains(words), "{how}");
        let listed = nest.say(&["ls"]);
        assert!(listed.err.contains("1 running job has ended, and no worker has recorded that yet"), "{how}: {listed:?}");
        let status = nest.ok(&["status"]);
        assert!(status.contains("1 running job has ended") && !status.contains("runs without a worker"), "{how}: {status}");
        for verb in [["wait", &id, "--timeout", "2s"].as_slice(), &["logs", "-f", &id]] {
            let mut waiting = nest.tenure(verb).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let line = std::io::BufRead::lines(std::io::BufReader::new(waiting.stderr.take().unwrap())).next().unwrap().unwrap();
            assert!(line.contains(words) && line.contains("tenure work"), "{how}, {verb:?}: {line}");
            kill_child(&mut waiting);
        }
        let cancelled = said(nest.tenure(&["cancel", &id]).output().unwrap());
        assert!(cancelled.err.contains("left to stop") && cancelled.err.contains(words), "{how}: {cancelled:?}");
        nest.work_until_idle(&[]);
        let ended = nest.show(job);
        assert!(["done", "failed", "cancelled"].contains(&ended["state"].as_str().unwrap()), "{how}: {ended}");
    }
}

#[test]
fn runs_that_are_ended_without_a_worker_are_over() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let job = nest.sh(&[], "sleep 600");
    nest.until_pid(job);
    worker.kill();
    let ended = nest.say(&["work", "--end-runs"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(crate::faces::obstacles::codes(&nest, job), ["run_over"]);
}

#[test]
fn a_run_that_goes_on_without_a_worker_is_running() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let job = nest.sh(&[], "sleep 600");
    nest.until_pid(job);
    worker.kill();
    assert_eq!(crate::faces::obstacles::codes(&nest, job), ["running", "no_worker"]);
    assert!(!nest.say(&["ls"]).err.contains("ended"));
    nest.ok(&["cancel", &job.to_string()]);
    until("its end", || (crate::faces::obstacles::codes(&nest, job) == ["run_over"]).then_some(()));
}

/// The lock goes with the shim; what has escaped from a shim that was killed is still the job's.
#[test]
fn a_run_of_which_a_process_lives_is_not_said_to_be_over() {
    for escapes in ["setsid sleep 600 & sleep 600", "setsid env -i sleep 600 & sleep 600"] {
        let nest = Nest::new();
        let worker = nest.work(&[]);
        let job = nest.sh(&[], escapes);
        let pid = nest.until_pid(job);
        let shim = nest.shim(nest.show(job)["run_id"].as_i64().unwrap());
        let spawner = nest.parent_of(shim);
        let child = until("the child", || children(pid).first().copied());
        until("it to be a sleep", || {
            std::fs::read_to_string(format!("/proc/{child}/comm")).ok().filter(|comm| comm == "sleep\n").map(drop)
        });
        worker.kill();
        kill(spawner, Signal::KILL);
        kill(shim, Signal::KILL);
        until("them to be dead", || (!crate::support::lives(shim) && !crate::support::lives(spawner)).then_some(()));
        let id = job.to_string();
        for verb in [["why", &id], ["show", &id]] {
            let told = nest.ok(&verb);
            assert!(!told.contains("has ended"), "{escapes}, {verb:?}: {told}");
        }
        let cancelled = nest.say(&["cancel", &id]);
        assert!(!cancelled.err.contains("left to stop"), "{escapes}: {cancelled:?}");
        assert!(!nest.say(&["ls"]).err.contains("has ended"), "{escapes}");
        let _next = nest.work(&[]);
        nest.until_ended(job);
        until("all to be gone", || (!crate::support::lives(child) && !crate::support::lives(pid)).then_some(()));
    }
}
