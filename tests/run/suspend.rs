//! A suspended run stands still as a whole, its limits with it, and continues where it was.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tenure::job::{Cause, Exit};
use tenure::run::stop::{self, Asked};
use tenure::run::{Record, Stand, Suspension};

use crate::run::harness::{Bench, Running};
use crate::support::{kill, lives, until, within};

/// Notes its pid and adds to a file of its own, without end.
const COUNTS: &str = "sh -c 'echo $$ >>pids; while :; do echo >>count.$$; done'";
/// The same, with neither the environment nor the session nor the output of the job, and with a parent that has ended.
const FAR: &str = "env -i setsid sh -c \"(sh -c 'trap \\\"\\\" TERM HUP; echo \\$\\$ >>pids; while :; do echo >>count.\\$\\$; done' </dev/null >/dev/null 2>&1 &)\"";

fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('-')
}

fn suspension(running: &mut Running<'_>, stand: Stand) -> Suspension {
    match running.wait_for(|record| matches!(record, Record::Suspension(one) if one.stand == stand)) {
        Record::Suspension(one) => one,
        _ => unreachable!(),
    }
}

fn suspend(running: &mut Running<'_>) -> Suspension {
    assert_eq!(stop::suspend(&running.bench.place, running.key()).unwrap(), Asked::Sent);
    suspension(running, Stand::Suspended)
}

fn resume(running: &mut Running<'_>) -> Suspension {
    assert_eq!(stop::resume(&running.bench.place, running.key()).unwrap(), Asked::Sent);
    suspension(running, Stand::Running)
}

fn cancel(running: Running<'_>) -> tenure::run::Records {
    assert_eq!(stop::ask(&running.bench.place, running.key(), Cause::Cancel).unwrap(), Asked::Sent);
    running.finish()
}

fn size(bench: &Bench, pid: i32) -> u64 {
    std::fs::metadata(bench.path(&format!("count.{pid}"))).map_or(0, |meta| meta.len())
}

fn grows(bench: &Bench, pid: i32) {
    let from = size(bench, pid);
    until(&format!("{pid} to continue"), || (size(bench, pid) > from).then_some(()));
}

fn stands(bench: &Bench, pids: &[i32]) {
    let before: Vec<u64> = pids.iter().map(|pid| size(bench, *pid)).collect();
    for pid in pids {
        assert_eq!(state(*pid), 'T', "{pid}");
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(before, pids.iter().map(|pid| size(bench, *pid)).collect::<Vec<_>>(), "none of {pids:?} continues");
}

#[test]
fn a_whole_tree_is_suspended_and_continued() {
    let bench = Bench::new();
    let mut launch = bench.shell(&format!("{COUNTS} & setsid {COUNTS} & {FAR}; {FAR}; {COUNTS} & wait"));
    launch.grace_ms = 200;
    let mut running = bench.start(&launch);
    let job = running.started().pid;
    let pids = bench.pids("pids", 5);
    for round in 1..=3 {
        pids.iter().for_each(|pid| grows(&bench, *pid));
        let suspended = suspend(&mut running);
        assert_eq!((suspended.running.as_str(), state(job)), ("", 'T'), "round {round}");
        stands(&bench, &pids);
        assert_eq!(bench.inspect(running.run).0.suspension, Some(suspended.clone()), "the file says what the pipe does");
        let resumed = resume(&mut running);
        assert!(resumed.last_ms >= 100 && resumed.total_ms >= suspended.total_ms + resumed.last_ms, "{resumed:?}");
    }
    pids.iter().for_each(|pid| grows(&bench, *pid));
    suspend(&mut running);
    let records = cancel(running);
    assert_eq!(records.exited.unwrap().cause, Some(Cause::Cancel));
    assert_eq!(records.suspension.unwrap().stand, Stand::Running, "a stop ends the suspension");
    assert!(pids.iter().all(|pid| !lives(*pid)));
}

#[test]
fn limits_stand_still_while_a_run_is_suspended() {
    for limit in ["timeout", "max-runtime", "silence"] {
        let bench = Bench::new();
        let mut launch = bench.shell("exec sleep 600");
        let (cause, ms) = match limit {
            "timeout" => (Cause::Timeout, &mut launch.timeout_ms),
            "max-runtime" => (Cause::Backstop, &mut launch.max_runtime_ms),
            _ => (Cause::Silence, &mut launch.idle_timeout_ms),
        };
        *ms = Some(1_200);
        let begun = Instant::now();
        let mut running = bench.start(&launch);
        let pid = running.started().pid;
        suspend(&mut running);
        assert!(within(Duration::from_millis(1_400), || (!lives(pid)).then_some(())).is_none(), "{limit}: it is suspended");
        let suspended_ms = resume(&mut running).total_ms;
        let records = running.finish();
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
        assert_eq!(records.exited.unwrap().cause, Some(cause), "{limit}");
        assert!(
            suspended_ms >= 1_400 && took_ms >= 1_200 + suspended_ms,
            "{limit}: {took_ms} ms, {suspended_ms} ms of them suspended"
        );
    }
}

#[test]
fn a_suspended_job_handles_term_when_it_is_stopped() {
    let bench = Bench::new();
    for cause in [Cause::Cancel, Cause::Shutdown, Cause::Timeout] {
        let script = "trap 'echo term; exit 9' TERM; echo begun; while :; do sleep 0.05; done";
        let mut running = bench.start(&bench.shell(script));
        running.started();
        until("its output", || bench.log(running.run).contains("begun").then_some(()));
        suspend(&mut running);
        let run = running.run;
        assert_eq!(stop::ask(&bench.place, running.key(), cause).unwrap(), Asked::Sent);
        let exited = running.finish().exited.unwrap();
        assert_eq!((exited.exit, exited.cause), (Exit::Code(9), Some(cause)));
        assert!(bench.log(run).contains("term"));
    }
}

#[test]
fn the_end_of_a_grace_kills_a_suspended_tree_at_once() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell(&format!("trap '' TERM; {FAR}; {COUNTS}")));
    running.started();
    let pids = bench.pids("pids", 2);
    suspend(&mut running);
    stop::hasten(&bench.place, running.key()).unwrap();
    assert_eq!(running.finish().exited.unwrap().exit, Exit::Signal(9));
    assert!(pids.iter().all(|pid| !lives(*pid)));
}

#[test]
fn what_was_stopped_before_a_suspension_stays_stopped_after_it() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell(&format!("{COUNTS} & {COUNTS} & wait")));
    running.started();
    let [stopped, counts] = bench.pids("pids", 2)[..] else { panic!() };
    kill(stopped, Signal::STOP);
    until("it to stop", || (state(stopped) == 'T').then_some(()));
    suspend(&mut running);
    stands(&bench, &[stopped, counts]);
    resume(&mut running);
    grows(&bench, counts);
    assert_eq!(state(stopped), 'T', "the job, or a person, has stopped it");
    cancel(running);
}

#[test]
fn what_is_continued_from_outside_is_stopped_again() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell(&format!("{COUNTS} & {COUNTS}")));
    let job = running.started().pid;
    let pids = bench.pids("pids", 2);
    suspend(&mut running);
    for pid in pids.iter().chain([&job]) {
        kill(*pid, Signal::CONT);
    }
    until("it to stand again", || pids.iter().chain([&job]).all(|pid| state(*pid) == 'T').then_some(()));
    stands(&bench, &pids);
    cancel(running);
}

/// A shell with job control would report a stopped child, and continue with its next command.
#[test]
fn a_shell_with_job_control_does_not_see_a_suspension() {
    let bench = Bench::new();
    let script = "set -m; echo begun; sleep 0.4; echo \"slept $?\"; sleep 600 & wait; echo over";
    let mut running = bench.start(&bench.command(&["/bin/bash", "-c", script]));
    running.started();
    until("its output", || bench.log(running.run).contains("begun").then_some(()));
    for _ in 0..10 {
        suspend(&mut running);
        resume(&mut running);
    }
    until("its sleep to end", || bench.log(running.run).contains("slept").then_some(()));
    assert!(bench.log(running.run).contains("slept 0"), "{}", bench.log(running.run));
    assert!(!bench.log(running.run).contains("over") && !bench.log(running.run).contains("topped"), "{}", bench.log(running.run));
    cancel(running);
}

#[test]
fn a_tree_that_forks_without_end_comes_to_rest() {
    let bench = Bench::new();
    // Each link starts the next one and ends, in sessions of their own.
    let link = "link() { echo >>links; n=$((n + 1)); if [ $n -lt 500 ]; then link & else sh ./link & fi; }; n=0; link";
    // (A function that calls itself in a shell of its own has a depth there too, which is limited.)
    std::fs::write(bench.path("link"), link).unwrap();
    let mut launch = bench.shell("for i in 1 2 3; do setsid sh ./link & done; wait; exec sleep 600");
    launch.grace_ms = 0;
    let mut running = bench.start(&launch);
    running.started();
    let links = || std::fs::metadata(bench.path("links")).map_or(0, |meta| meta.len());
    until("links", || (links() > 100).then_some(()));
    for _ in 0..5 {
        // On a machine with much to do it may take more than the first try, which says so.
        let mut seen = suspend(&mut running);
        while !seen.running.is_empty() {
            seen = suspension(&mut running, Stand::Suspended);
        }
        let stood = links();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(links(), stood, "the chain stands");
        resume(&mut running);
        until("the chain to continue", || (links() > stood).then_some(()));
    }
    cancel(running);
}

#[test]
fn a_suspended_run_dies_with_its_shim() {
    for kills_spawner in [false, true] {
        let mut bench = Bench::new();
        if kills_spawner {
            crate::run::harness::adopt_orphans();
        }
        let launch = bench.shell(&format!("{FAR}; {COUNTS}"));
        let mut running = bench.start(&launch);
        let started = running.started();
        let pids = bench.pids("pids", 2);
        let spawner = i32::try_from(bench.spawner().pid()).unwrap();
        suspend(&mut running);
        let (run, key) = (running.run, running.key());
        if kills_spawner {
            kill(spawner, Signal::KILL);
            stands(&bench, &pids);
            assert!(bench.inspect(run).1, "the run continues to be suspended under its shim");
        }
        kill(started.shim_pid, Signal::KILL);
        if kills_spawner {
            crate::run::harness::reap(started.shim_pid);
            // Without spawner and shim the worker ends what is left, by its marks.
            until("its job to end", || (!lives(started.pid)).then_some(()));
            until("nothing to be left", || tenure::run::tree::empty(&bench.place, key).unwrap().is_empty().then_some(()));
            crate::run::harness::reap(started.pid);
        } else {
            until("the lock", || (!bench.inspect(run).1).then_some(()));
        }
        assert!(pids.iter().all(|pid| !lives(*pid)), "the spawner was killed: {kills_spawner}");
        bench.drop_spawner();
    }
}

#[test]
fn a_request_after_the_end_of_the_job_changes_nothing() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("exit 3"));
    running.wait_for(|record| matches!(record, Record::Exited(_)));
    let _gone = stop::suspend(&bench.place, running.key()).unwrap();
    let records = running.finish();
    assert_eq!((records.exited.unwrap().exit, records.suspension), (Exit::Code(3), None));
}
