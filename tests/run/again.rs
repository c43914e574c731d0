//! Shims that serve several runs: each run finds its shim as new, and no run is lost between two.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tenure::job::verdict::Progress;
use tenure::job::{Cause, Exit, RunKey};
use tenure::run::stop::{self, Asked};
use tenure::run::{Record, Records, Spawner, Started, tree};

use crate::run::harness::{Bench, adopt_orphans, header, idle_shims, program, reap};
use crate::support::frozen::Frozen;
use crate::support::{Dice, children, kill, lives, seed, until};

/// Runs a script to its end; returns its records and its shim.
pub(in crate::run) fn run(bench: &Bench, script: &str) -> (Records, Started) {
    let records = bench.run(&bench.shell(script));
    let started = records.started.expect("it has started");
    (records, started)
}

fn spawner(bench: &Bench) -> i32 {
    bench.spawner().pid().cast_signed()
}

/// Waits until a shim waits for its next run.
pub(in crate::run) fn until_idle(bench: &Bench, shim: i32) {
    until("the shim to wait for a run", || idle_shims(spawner(bench)).contains(&shim).then_some(()));
}

#[test]
fn runs_one_after_the_other_share_a_shim() {
    let bench = Bench::new();
    let (_, first) = run(&bench, "exit 0");
    for code in 0..20 {
        until_idle(&bench, first.shim_pid);
        let (records, started) = run(&bench, &format!("exit {code}"));
        assert_eq!((started.shim_pid, started.shim_start_ticks), (first.shim_pid, first.shim_start_ticks));
        assert_eq!(records.exited.unwrap().exit, Exit::Code(code));
    }
    assert_eq!(children(spawner(&bench)), [first.shim_pid]);
}

#[test]
fn between_two_runs_a_shim_holds_nothing() {
    let bench = Bench::new();
    let (_, first) = run(&bench, "echo on; exit 0");
    until_idle(&bench, first.shim_pid);
    let proc = |name: &str| format!("/proc/{}/{name}", first.shim_pid);
    let mut fds: Vec<i32> = fs::read_dir(proc("fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().unwrap())
        .collect();
    fds.sort_unstable();
    assert_eq!(fds, [0, 1, 2, 5], "null devices, and the socket of its spawner");
    assert_eq!(fs::read_to_string(proc("cmdline")).unwrap().trim_end_matches('\0'), "tenure-shim");
    assert_eq!(children(first.shim_pid), [0; 0]);
}

#[test]
fn each_run_is_charged_for_what_it_used() {
    let bench = Bench::new();
    let busy = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null";
    let (large, first) = run(&bench, busy);
    until_idle(&bench, first.shim_pid);
    let (small, second) = run(&bench, "exit 0");
    assert_eq!(first.shim_pid, second.shim_pid);
    let usage = |records: &Records| records.drained.as_ref().unwrap().usage;
    assert!(usage(&large).max_rss_bytes > 40_000_000 && usage(&large).user_ms > 10, "{:?}", usage(&large));
    assert!(usage(&small).max_rss_bytes < 20_000_000 && usage(&small).user_ms <= 10, "{:?}", usage(&small));
}

/// Waits until a shim is gone, and fails if it waits for another run instead.
pub(in crate::run) fn until_retired(bench: &Bench, shim: i32, what: &str) {
    until(&format!("the shim to be gone {what}"), || {
        assert!(!idle_shims(spawner(bench)).contains(&shim), "the shim waits for another run {what}");
        (!lives(shim)).then_some(())
    });
}

/// Each leaves something unusual: it ends its shim as well.
#[test]
fn a_shim_is_retired_on_any_doubt() {
    let bench = Bench::new();
    let mut runs = vec![
        ("a leftover", bench.shell("sleep 600 & exit 0")),
        ("a daemon", bench.shell("(setsid sleep 600 &); exit 0")),
        ("a timeout", bench.command(&["sleep", "600"])),
        ("a command that cannot be executed", bench.command(&["/no/such/command"])),
        ("a memory limit", bench.shell("exit 0")),
        ("a long environment", bench.shell("exit 0")),
        ("a signal to its shim", bench.shell("kill -TERM $PPID; kill -HUP $PPID; sleep 600")),
    ];
    runs[2].1.timeout_ms = Some(50);
    runs[4].1.memory_bytes = Some(1 << 30);
    runs[5].1.env.push((b"LONG".to_vec(), vec![b'x'; 100_000]));
    if rustix::process::geteuid().is_root() {
        let mut as_user = bench.shell("exit 0");
        as_user.user = Some("root".into());
        runs.push(("a user", as_user));
    }
    for (what, launch) in runs {
        let records = bench.run(&launch);
        assert!(records.progress() == Progress::Drained || records.failed.is_some(), "{what}: {records:?}");
        let shim = children(spawner(&bench));
        shim.into_iter().for_each(|shim| until_retired(&bench, shim, &format!("after {what}")));
    }
}

#[test]
fn a_signal_to_an_idle_shim_ends_it_alone() {
    let bench = Bench::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL] {
        let (_, first) = run(&bench, "exit 0");
        until_idle(&bench, first.shim_pid);
        assert!(kill(first.shim_pid, signal));
        until("it to be gone", || children(spawner(&bench)).is_empty().then_some(()));
        let (records, second) = run(&bench, "exit 4");
        assert_eq!(records.exited.map(|e| (e.exit, e.cause)), Some((Exit::Code(4), None)), "{signal:?}");
        assert_ne!(first.shim_pid, second.shim_pid, "{signal:?}");
        until_idle(&bench, second.shim_pid);
        assert!(kill(second.shim_pid, Signal::KILL));
        until("the other to be gone", || children(spawner(&bench)).is_empty().then_some(()));
    }
}

/// Sends a request to stop this run to a shim that is alive.
fn queue_stop(shim: i32, key: RunKey) {
    let value = libc::sigval { sival_ptr: (key.nonce.signal_bits() << 8 | 1) as *mut libc::c_void };
    // SAFETY: the shim has not been reaped, as its run has not ended; no memory is involved.
    assert_eq!(unsafe { libc::sigqueue(shim, libc::SIGRTMIN() + 5, value) }, 0);
}

#[test]
fn a_late_stop_request_does_not_reach_the_next_run() {
    let bench = Bench::new();
    let first = bench.start(&bench.shell("exit 0"));
    let ended: RunKey = first.key();
    let shim = first.finish().started.unwrap();
    until_idle(&bench, shim.shim_pid);
    assert_eq!(stop::ask(&bench.place, ended, Cause::Cancel).unwrap(), Asked::Gone);
    let mut next = bench.start(&bench.shell("sleep 600"));
    assert_eq!(next.started().shim_pid, shim.shim_pid);
    assert_eq!(stop::ask(&bench.place, ended, Cause::Cancel).unwrap(), Asked::Gone);
    // As one that was checked before the end, and sent after it.
    queue_stop(shim.shim_pid, ended);
    stop::ask(&bench.place, next.key(), Cause::Backstop).unwrap();
    assert_eq!(next.finish().exited.unwrap().cause, Some(Cause::Backstop), "the queue is in order");
}

/// Its spawner still holds the lock, and its shim is alive and has closed the run file.
#[test]
fn a_run_that_was_drained_has_no_shim_to_ask() {
    let bench = Bench::new();
    let launch = bench.shell("while [ ! -e go ]; do sleep 0.01; done");
    let mut running = bench.start(&launch);
    let started = running.started();
    let spawner = Frozen::new(spawner(&bench));
    fs::write(bench.path("go"), "").unwrap();
    running.wait_for(|record| matches!(record, Record::Drained(_)));
    until("the shim to have closed the run file", || {
        fs::symlink_metadata(format!("/proc/{}/fd/3", started.shim_pid)).is_err().then_some(())
    });
    assert!(lives(started.shim_pid) && bench.inspect(running.run).1);
    assert_eq!(stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap(), Asked::Gone);
    assert_eq!(stop::shim_pid(&bench.place, running.key()).unwrap(), Err(Asked::Gone));
    drop(spawner);
    let records = running.finish();
    until_idle(&bench, started.shim_pid);
    assert_eq!(tree::what_lives(&bench.place, launch.run, &header(&launch), &records).unwrap(), [""; 0]);
}

#[test]
fn idle_shims_end_with_their_spawner() {
    adopt_orphans();
    let bench = Bench::new();
    let (_, first) = run(&bench, "exit 0");
    until_idle(&bench, first.shim_pid);
    assert!(kill(spawner(&bench), Signal::KILL));
    until("the spawner to be dead", || bench.spawner().is_dead().then_some(()));
    reap(first.shim_pid);
}

#[test]
fn a_spawner_without_a_worker_retires_its_shims() {
    let mut bench = Bench::new();
    let (_, first) = run(&bench, "exit 0");
    until_idle(&bench, first.shim_pid);
    bench.drop_spawner();
    assert!(!lives(first.shim_pid));
}

#[test]
fn a_shim_with_a_run_ends_after_it_where_the_worker_is_gone() {
    let bench = Bench::without_spawner();
    let of_spawner = Spawner::start_program(program()).unwrap();
    let pid = of_spawner.pid().cast_signed();
    let launch = bench.shell("while [ ! -e go ]; do sleep 0.01; done");
    let pipe = of_spawner.launch(&launch, bench.create(&launch)).unwrap();
    let shim = until("STARTED", || bench.inspect(launch.run).0.started).shim_pid;
    drop((of_spawner, pipe));
    fs::write(bench.path("go"), "").unwrap();
    until("the shim to be gone", || {
        let is_locked = bench.inspect(launch.run).1;
        assert!(is_locked || !idle_shims(pid).contains(&shim), "it waits for a run that no worker can send");
        (!lives(shim)).then_some(())
    });
    reap(pid);
}

#[test]
fn a_shim_serves_a_limited_number_of_runs() {
    const RUNS_MAX: usize = 100;
    let bench = Bench::new();
    let (_, first) = run(&bench, "exit 0");
    for _ in 1..RUNS_MAX {
        until_idle(&bench, first.shim_pid);
        assert_eq!(run(&bench, "exit 0").1.shim_pid, first.shim_pid);
    }
    until_retired(&bench, first.shim_pid, "after its last run");
}

#[test]
fn a_shim_that_waits_too_long_is_retired() {
    let bench = Bench::new();
    let (_, first) = run(&bench, "exit 0");
    until_idle(&bench, first.shim_pid);
    until("the shim to be gone", || (!lives(first.shim_pid)).then_some(()));
    assert_eq!(run(&bench, "exit 5").0.exited.unwrap().exit, Exit::Code(5));
}

#[test]
fn a_launch_that_a_shim_cannot_receive_fails_by_our_fault() {
    let bench = Bench::new();
    let (_, first) = run(&bench, "exit 0");
    until_idle(&bench, first.shim_pid);
    // There is room for one of the two descriptors of a launch.
    let (pid, limit) = (Pid::from_raw(first.shim_pid), Rlimit { current: Some(4), maximum: Some(4) });
    prlimit(pid, Resource::Nofile, limit).unwrap();
    let launch = bench.shell("echo on");
    let failed = bench.run(&launch).failed.expect("it is recorded");
    assert!(failed.ours && failed.errno == libc::EMFILE, "{failed:?}");
    assert!(!bench.place.log_file(launch.run).exists());
    let (records, next) = run(&bench, "exit 6");
    assert_eq!(records.exited.unwrap().exit, Exit::Code(6));
    assert_ne!(next.shim_pid, first.shim_pid);
}

/// TERM that arrives with a launch ends the run like a shutdown, or ends the shim before it begins.
#[test]
fn a_shutdown_that_meets_a_launch_is_not_lost() {
    const RUNS: i64 = 300;
    let mut dice = Dice::new(seed());
    let bench = Bench::new();
    let (mut stopped, mut never) = (0, 0);
    for _ in 0..RUNS {
        let (_, first) = run(&bench, "exit 0");
        until_idle(&bench, first.shim_pid);
        let mut running = bench.start(&bench.command(&["sleep", "600"]));
        for _ in 0..dice.below(20_000) {
            std::hint::spin_loop();
        }
        assert!(kill(first.shim_pid, Signal::TERM), "it is not reaped before");
        while let Some(record) = running.next() {
            if matches!(record, Record::Started(started) if started.shim_pid != first.shim_pid) {
                stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap();
            }
        }
        let records = running.records;
        match records.started {
            None => never += 1,
            Some(started) if started.shim_pid == first.shim_pid => {
                assert_eq!(records.exited.unwrap().cause, Some(Cause::Shutdown));
                stopped += 1;
            }
            Some(_) => {}
        }
    }
    println!("{stopped} of {RUNS} were stopped, {never} never began");
    assert!(stopped > 0 && never > 0);
}

/// A stop request is followed by KILL if it is not heard: it must find the shim of its own run.
#[test]
fn a_shim_that_was_asked_too_late_serves_no_other_run() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("while [ ! -e go ]; do sleep 0.01; done"));
    let started = running.started();
    let shim = Frozen::new(started.shim_pid);
    fs::write(bench.path("go"), "").unwrap();
    until("the job to end", || tenure::run::trouble::is_dead(started.pid).then_some(()));
    queue_stop(started.shim_pid, running.key());
    drop(shim);
    assert_eq!(running.finish().exited.unwrap().cause, None, "it had ended before");
    until_retired(&bench, started.shim_pid, "after a request");
}

/// A launch that was given to a shim that dies at any instant either runs once or never began.
#[test]
fn no_launch_is_lost_with_an_idle_shim() {
    const RUNS: i64 = 300;
    let mut dice = Dice::new(seed());
    let bench = Bench::new();
    let (mut ran, mut never) = (0, 0);
    for _ in 0..RUNS {
        let launch = bench.shell("echo on");
        let victims = idle_shims(spawner(&bench));
        let signal = if dice.below(2) == 0 { Signal::KILL } else { Signal::TERM };
        let is_before = dice.below(2) == 0;
        let strike = || {
            for shim in &victims {
                let _it_may_be_gone = kill(*shim, signal);
            }
        };
        if is_before {
            strike();
        }
        let mut running = bench.start(&launch);
        if !is_before {
            for _ in 0..dice.below(2_000) {
                std::hint::spin_loop();
            }
            strike();
        }
        while running.next().is_some() {}
        let (records, locked) = bench.inspect(launch.run);
        if locked {
            running.is_locked_by_forks_only();
        }
        let log = fs::read_to_string(bench.place.log_file(launch.run)).unwrap_or_default();
        match records.progress() {
            Progress::Nothing => {
                assert_eq!(log, "");
                never += 1;
            }
            Progress::Drained => ran += 1,
            // A run that had begun when its shim was killed or signalled.
            _ => assert!(log == "on\n" || log.is_empty()),
        }
    }
    println!("{ran} of {RUNS} ran, {never} never began");
    assert!(ran > RUNS / 4, "{ran} of {RUNS} ran, {never} never began");
}
