//! Nothing of a run's tree outlives it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tenure::job::verdict::Progress;
use tenure::job::{Cause, Exit, RunKey};
use tenure::run::stop::{self, Asked};

use crate::run::harness::Bench;
use crate::support::{kill, lives, until};

/// A shell fragment that notes the pid of what it starts: far away, without environment and without open files.
const DAEMON: &str = "env -i setsid sh -c 'echo $$ >>pids; exec sleep 600 </dev/null >/dev/null 2>&1' &";

fn assert_all_gone(pids: &[i32]) {
    let alive: Vec<_> = pids.iter().filter(|pid| lives(**pid)).collect();
    assert!(alive.is_empty(), "still alive: {alive:?}");
}

#[test]
fn a_cancelled_tree_leaves_nothing() {
    let bench = Bench::new();
    let note = "sh -c 'echo \\$\\$ >>pids; exec sleep 600'";
    let mut launch = bench
        .shell(&format!("trap '' TERM; echo $$ >>pids; setsid sh -c \"env -i {note} & env -i setsid {note} &\" & sleep 600"));
    launch.grace_ms = 300;
    let mut running = bench.start(&launch);
    running.started();
    let pids = bench.pids("pids", 3);
    assert!(pids.iter().all(|pid| lives(*pid)));
    let asked = Instant::now();
    assert_eq!(stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap(), Asked::Sent);
    let records = running.finish();
    let took = asked.elapsed();
    assert_all_gone(&pids);
    assert_eq!(records.exited.map(|e| (e.exit, e.cause)), Some((Exit::Signal(9), Some(Cause::Cancel))));
    let drained = records.drained.unwrap();
    assert!(drained.killed >= 4 && drained.leftovers.is_empty(), "{drained:?}");
    assert!(took >= Duration::from_millis(290) && took < Duration::from_millis(1_300), "{took:?}");
}

/// The job's own process has gone over to the group of its child: a KILL for its own group reaches no process.
#[test]
fn the_grace_ends_for_a_job_outside_its_group() {
    let bench = Bench::new();
    let script = "$SIG{TERM} = 'IGNORE'; my $child = fork; if (!$child) { setpgrp(0, 0); sleep 600; exit } \
                  until (setpgrp(0, $child)) { select(undef, undef, undef, 0.01) } \
                  open(my $pids, '>', 'pids'); print $pids \"$$\\n$child\\n\"; close $pids; sleep 600 while 1";
    let mut launch = bench.shell("true");
    launch.argv = ["perl", "-e", script].map(|word| word.as_bytes().to_vec()).to_vec();
    launch.grace_ms = 200;
    let mut running = bench.start(&launch);
    running.started();
    let pids = bench.pids("pids", 2);
    assert_eq!(stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap(), Asked::Sent);
    let records = running.finish();
    assert_all_gone(&pids);
    assert_eq!(records.exited.map(|e| (e.exit, e.cause)), Some((Exit::Signal(9), Some(Cause::Cancel))));
}

#[test]
fn daemons_end_with_the_job_and_are_named() {
    let bench = Bench::new();
    let records = bench.run(&bench.shell(&format!(
        ": >pids; {} sleep 600 & while [ $(wc -l 2>/dev/null <pids) -lt 10 ]; do sleep 0.01; done; exit 7",
        DAEMON.repeat(10)
    )));
    assert_all_gone(&bench.pids("pids", 10));
    assert_eq!(records.exited.map(|e| (e.exit, e.cause)), Some((Exit::Code(7), None)));
    let drained = records.drained.unwrap();
    assert!(drained.killed >= 11, "{drained:?}");
    assert!(drained.leftovers.contains(" sleep") && drained.leftovers.contains(" more"), "{drained:?}");
}

#[test]
fn what_a_killed_shim_leaves_is_swept_before_the_lock_is_free() {
    let bench = Bench::new();
    let mut neighbour = bench.start(&bench.shell("sleep 600"));
    neighbour.started();
    let mut running = bench.start(&bench.shell(&format!("{} echo $$ >>pids; sleep 600", DAEMON.repeat(10))));
    let shim = running.started().shim_pid;
    let pids = bench.pids("pids", 11);
    assert!(kill(shim, Signal::KILL));
    // From the first instant at which the lock is free, nothing is left.
    until("the lock", || (!bench.inspect(running.run).1).then_some(()));
    assert_all_gone(&pids);
    let run = running.run;
    while running.next().is_some() {}
    assert_eq!(bench.inspect(run).0.progress(), Progress::Begun, "no process saw its end");
    let (pid, neighbour_run) = (neighbour.started_pid(), neighbour.run);
    assert!(lives(pid) && bench.inspect(neighbour_run).1, "the neighbour is not touched");
    stop::ask(&bench.place, RunKey { run: neighbour_run, nonce: neighbour.nonce }, Cause::Cancel).unwrap();
    neighbour.finish();
}

#[test]
fn what_forks_as_fast_as_it_is_killed_comes_to_an_end() {
    let bench = Bench::new();
    // Each link starts the next one and ends: nothing that is seen is alive any more when it is signalled.
    let script = "link() { link & }; for i in 1 2 3 4; do setsid sh -c 'link() { link & }; link' & done; link; sleep 0.2; exit 0";
    let records = bench.run(&bench.shell(script));
    assert_eq!(records.progress(), Progress::Drained);
    assert_eq!(records.exited.unwrap().exit, Exit::Code(0));
}

#[test]
fn a_tree_that_doubles_comes_to_an_end() {
    let bench = Bench::new();
    let script =
        "double() { [ $1 -eq 0 ] || { double $(($1 - 1)) & double $(($1 - 1)) & }; trap '' TERM; wait; sleep 600; }; double 7";
    let mut launch = bench.shell(script);
    (launch.timeout_ms, launch.grace_ms) = (Some(300), 50);
    let records = bench.run(&launch);
    assert_eq!(records.exited.unwrap().cause, Some(Cause::Timeout));
    assert!(records.drained.unwrap().killed >= 8);
}

#[test]
fn a_fork_bomb_at_its_limit_is_defused() {
    let bench = Bench::new();
    // The kernel does not limit root. Where the limit cannot be set there is no bomb: `ulimit -u` is not in every sh.
    let script = "ulimit -u 150 && [ \"$(ulimit -u)\" = 150 ] || exit 99; bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 600";
    let mut launch = bench.command(&["/bin/bash", "-c", script]);
    launch.user = rustix::process::geteuid().is_root().then(|| "nobody".to_owned());
    launch.cwd = b"/".to_vec();
    (launch.timeout_ms, launch.grace_ms) = (Some(1_000), 100);
    let records = bench.run(&launch);
    assert_eq!(records.exited.unwrap().cause, Some(Cause::Timeout));
    assert_eq!(records.progress(), Progress::Drained);
}

#[test]
fn orphans_are_reaped_while_the_job_runs() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("for i in 1 2 3 4 5; do (sh -c 'echo $$ >>pids' &); done; sleep 600"));
    running.started();
    for pid in bench.pids("pids", 5) {
        until("the orphan to be reaped", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    }
    stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap();
    running.finish();
}
