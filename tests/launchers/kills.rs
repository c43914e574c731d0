//! Workers that are killed at each step of a submission and after it: each job is submitted once, and its end is its own.

use crate::launchers::engine::{Engine, came};
use crate::support::strace::{has_strace, killed_at};
use crate::support::{Dice, Nest, Signal, Worker, each, kill, lives, seed, until};

/// An executable waits here until the file `go` is there.
const GATE: &str = ": > at-gate\nuntil [ -e go ]; do sleep 0.02; done\n";

fn at_gate(nest: &Nest) {
    until("the gate", || nest.file("engine/at-gate").exists().then_some(()));
}

fn open_gate(engine: &Engine<'_>) {
    engine.write("go", "");
}

/// Kills the worker, and with it its shims and all that they have started, as a power cut does.
fn kill_all(nest: &Nest, worker: Worker) {
    worker.kill();
    until("all processes to be gone", || {
        let alive = nest.processes();
        alive.iter().for_each(|pid| _ = kill(*pid, Signal::KILL));
        alive.iter().all(|pid| !lives(*pid)).then_some(())
    });
}

#[test]
fn a_submission_continues_when_its_worker_is_killed() {
    for gate in ["before-submit", "after-submit"] {
        let nest = Nest::new();
        let engine = Engine::new(&nest, "running");
        engine.write(gate, GATE);
        let worker = nest.work(&[]);
        let job = engine.add(&["--retries", "3"]);
        at_gate(&nest);
        worker.kill();
        let _next = nest.work(&["--tick", "20ms"]);
        nest.until_state(job, "running");
        open_gate(&engine);
        engine.says(job, "ended 0");
        assert_eq!(came(&nest.until_ended(job)).0, "done", "{gate}");
        engine.has_accepted(1);
    }
}

#[test]
fn a_submission_that_dies_with_its_worker_is_asked_for() {
    for (gate, accepted_before) in [("before-submit", 0), ("after-submit", 1)] {
        let nest = Nest::new();
        let engine = Engine::new(&nest, "ended 0");
        engine.write(gate, GATE);
        let worker = nest.work(&[]);
        let job = engine.add(&[]);
        at_gate(&nest);
        kill_all(&nest, worker);
        assert_eq!(engine.accepted().len(), accepted_before, "{gate}");
        open_gate(&engine);
        let _next = nest.work(&["--tick", "20ms"]);
        let ended = nest.until_ended(job);
        assert_eq!((came(&ended).0.as_str(), ended["attempts"].as_i64()), ("done", Some(1)), "{gate}: {ended}");
        engine.has_accepted(1);
    }
}

#[test]
fn runs_of_a_killed_worker_are_asked_for_by_the_next() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let worker = nest.work(&[]);
    let jobs = [(); 3].map(|()| engine.add(&[]));
    jobs.iter().for_each(|job| _ = engine.name(*job));
    nest.ok(&["cancel", &jobs[1].to_string()]);
    nest.until_ended(jobs[1]);
    kill_all(&nest, worker);
    engine.says(jobs[0], "ended 5");
    let _next = nest.work(&["--tick", "20ms"]);
    assert_eq!(nest.until_ended(jobs[0])["exit_code"], 5);
    // A cancel that no worker has passed on yet.
    nest.ok(&["cancel", &jobs[2].to_string()]);
    assert_eq!(came(&nest.until_ended(jobs[2])).0, "cancelled");
    engine.has_accepted(3);
}

#[test]
fn taking_a_run_back_is_repeated_after_a_kill() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "ended 0");
    engine.write("before-logs", GATE);
    let worker = nest.work(&[]);
    let job = engine.add(&["--check", "echo checked >> ledger; until [ -e checks-go ]; do sleep 0.02; done"]);
    at_gate(&nest);
    let name = engine.name(job);
    kill_all(&nest, worker);
    open_gate(&engine);
    let worker = nest.work(&["--tick", "20ms"]);
    until("its check", || nest.file("ledger").exists().then_some(()));
    // The engine may forget what has ended.
    engine.says(job, "gone");
    kill_all(&nest, worker);
    std::fs::write(nest.file("checks-go"), "").unwrap();
    let _next = nest.work(&["--tick", "20ms"]);
    assert_eq!(came(&nest.until_ended(job)).0, "done");
    assert_eq!(nest.log(job).matches(&format!("output of {name}")).count(), 1, "{}", nest.log(job));
    engine.has_accepted(1);
}

#[test]
fn each_job_is_submitted_once_under_many_kills() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "ended 0");
    let mut dice = Dice::new(seed());
    let jobs: Vec<i64> = (0..40).map(|_| engine.add(&[])).collect();
    for round in 0..12 {
        let worker = nest.work(&["--tick", "20ms"]);
        // A kill comes at any moment.
        std::thread::sleep(std::time::Duration::from_millis(dice.below(400)));
        if round % 2 == 0 { worker.kill() } else { kill_all(&nest, worker) }
    }
    let _worker = nest.work(&["--tick", "20ms"]);
    for job in &jobs {
        assert_eq!(came(&nest.until_ended(*job)).0, "done");
    }
    engine.has_accepted(jobs.len());
}

/// What a worker calls from a claim to the end of a run of an engine, and how many of those calls lie between two kills.
const CALLS: [(&str, usize); 6] =
    [("fdatasync", 1), ("sendmsg", 1), ("unlink", 1), ("rename", 1), ("openat", 5), ("pwrite64", 5)];
/// More calls of a kind than are made for a job.
const CALLS_MAX: usize = 400;

#[test]
fn a_worker_killed_at_any_call_submits_each_job_once() {
    if !has_strace() {
        return;
    }
    each(&CALLS, |(call, step)| {
        let nest = Nest::new();
        let engine = Engine::new(&nest, "ended 0");
        let mut jobs = Vec::new();
        for n in (1..CALLS_MAX).step_by(*step) {
            let mut worker = nest.work(&["--tick", "1h"]);
            until("it to serve", || (nest.status()["worker"]["phase"] == "serving").then_some(()));
            let tracer = killed_at(&worker, call, n, &nest);
            let job = engine.add(&[]);
            jobs.push(job);
            let is_over = || nest.show(job)["finished_at"].is_string();
            let was_killed = until("its end, or the end of its worker", || match worker.has_ended() {
                true => Some(true),
                false => is_over().then_some(false),
            });
            drop(tracer);
            worker.kill();
            if !was_killed {
                break;
            }
            let _next = nest.work(&["--tick", "20ms"]);
            assert_eq!(came(&nest.until_ended(job)).0, "done", "{call}-{n}");
            engine.has_accepted(jobs.len());
        }
        assert!(jobs.len() > 1 && jobs.len() < CALLS_MAX / step, "{call}: {}", jobs.len());
        println!("{call}: {} kills", jobs.len() - 1);
    });
}
