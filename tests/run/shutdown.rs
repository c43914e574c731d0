//! A shutdown signals everything at once, in any order: the run ends as `shutdown`, never as a signal of unknown origin.

use std::time::Duration;

use rustix::process::Signal;
use tenure::job::{Cause, Exit};
use tenure::run::stop::{self, Asked};

use crate::run::harness::Bench;
use crate::support::{children, kill, lives, until};

/// Kills each of these processes that is still there, with this pause in between.
fn kill_all(pids: &[i32], signal: Signal, pause: Duration) {
    for pid in pids {
        let _may_have_ended = rustix::process::kill_process(rustix::process::Pid::from_raw(*pid).unwrap(), signal);
        if !pause.is_zero() {
            // The time between two signals is what the test varies; it is not a wait for an event.
            std::thread::sleep(pause);
        }
    }
}

fn orders(of: &[i32]) -> Vec<Vec<i32>> {
    if of.len() < 2 {
        return vec![of.to_vec()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

#[test]
fn a_signal_to_everything_in_any_order_is_a_shutdown() {
    let bench = Bench::new();
    let mut cases = 0;
    // The members of each set are the shim, the job, and a process below the job.
    for places in orders(&[0, 1, 2]) {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            for pause_ms in [0, 0, 0, 2, 40] {
                let launch = bench.shell("while :; do sleep 600; done");
                let mut running = bench.start(&launch);
                let started = running.started();
                let child = until("the child", || children(started.pid).first().copied());
                let members = [started.shim_pid, started.pid, child];
                let order: Vec<i32> = places.iter().map(|place| members[usize::try_from(*place).unwrap()]).collect();
                kill_all(&order, signal, Duration::from_millis(pause_ms));
                let exited = running.finish().exited.unwrap();
                assert_eq!(exited.cause, Some(Cause::Shutdown), "{places:?} {signal:?} {pause_ms} ms: {exited:?}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 90);
}

#[test]
fn a_killed_job_whose_shim_is_told_to_end_was_shut_down() {
    let bench = Bench::new();
    for (signal, shim_first) in [(Signal::KILL, false), (Signal::KILL, true), (Signal::TERM, false), (Signal::TERM, true)] {
        let mut running = bench.start(&bench.command(&["sleep", "600"]));
        let started = running.started();
        let mut orders = [(started.pid, signal), (started.shim_pid, Signal::TERM)];
        if shim_first {
            orders.reverse();
        }
        orders.iter().for_each(|(pid, signal)| kill_all(&[*pid], *signal, Duration::ZERO));
        assert_eq!(running.finish().exited.unwrap().cause, Some(Cause::Shutdown), "{signal:?} {shim_first}");
    }
}

#[test]
fn a_job_that_ends_during_a_shutdown_counts_as_shut_down() {
    let bench = Bench::new();
    // Which of them was first cannot be told, so the result is not reported as known.
    for (script, exit) in [("exit 0", 0), ("exit 3", 3), ("exit 143", 143)] {
        let mut running = bench.start(&bench.shell(&format!("trap '{script}' TERM; while :; do sleep 0.01; done")));
        let started = running.started();
        until("the trap", || catches_term(started.pid).then_some(()));
        assert!(kill(started.shim_pid, Signal::STOP));
        assert!(kill(started.pid, Signal::TERM));
        until("the job to end", || (!lives(started.pid)).then_some(()));
        assert!(kill(started.shim_pid, Signal::TERM));
        assert!(kill(started.shim_pid, Signal::CONT));
        let exited = running.finish().exited.unwrap();
        assert_eq!((exited.exit, exited.cause), (Exit::Code(exit), Some(Cause::Shutdown)));
    }
}

#[test]
fn an_end_without_a_shutdown_keeps_its_own_reason() {
    let bench = Bench::new();
    for (script, exit) in [("kill -TERM $$", Exit::Signal(15)), ("kill -KILL $$", Exit::Signal(9)), ("exit 143", Exit::Code(143))]
    {
        let exited = bench.run(&bench.shell(script)).exited.unwrap();
        assert_eq!((exited.exit, exited.cause), (exit, None), "{script}");
    }
}

#[test]
fn a_grace_can_be_ended_at_once() {
    let bench = Bench::new();
    for cause in [None, Some(Cause::Cancel), Some(Cause::Shutdown)] {
        let mut launch = bench.shell("trap '' TERM; echo on; while :; do sleep 0.02; done");
        launch.grace_ms = 3_600_000;
        let mut running = bench.start(&launch);
        running.started();
        until("the trap", || (bench.log(launch.run) == "on\n").then_some(()));
        if let Some(cause) = cause {
            assert_eq!(stop::ask(&bench.place, running.key(), cause).unwrap(), Asked::Sent);
        }
        assert_eq!(stop::hasten(&bench.place, running.key()).unwrap(), Asked::Sent);
        let exited = running.finish().exited.unwrap();
        assert_eq!((exited.exit, exited.cause), (Exit::Signal(9), Some(cause.unwrap_or(Cause::Shutdown))));
    }
}

#[test]
fn a_grace_can_be_ended_after_the_first_process_has_ended() {
    let bench = Bench::new();
    let mut launch = bench.shell("(trap '' TERM; echo on; while :; do sleep 0.02; done) & wait");
    launch.grace_ms = 3_600_000;
    let mut running = bench.start(&launch);
    running.started();
    until("the trap", || (bench.log(launch.run) == "on\n").then_some(()));
    stop::ask(&bench.place, running.key(), Cause::Shutdown).unwrap();
    until("the first process to end", || bench.inspect(launch.run).0.exited);
    assert_eq!(stop::hasten(&bench.place, running.key()).unwrap(), Asked::Sent);
    assert!(running.finish().drained.is_some());
}

fn catches_term(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim);
    caught.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask >> 14 & 1 == 1)
}
