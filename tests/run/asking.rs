//! Stop requests: who hears them, and which cause counts.

use rustix::process::Signal;
use tenure::job::{Cause, Exit, Nonce, RunKey};
use tenure::run::runfile::RunFile;
use tenure::run::stop::{self, Asked};
use tenure::run::{Record, Started, machine};

use crate::run::harness::{Bench, header};
use crate::support::{kill, kill_child, lives, until};

#[test]
fn each_cause_arrives_as_it_was_sent() {
    let bench = Bench::new();
    for cause in [Cause::Cancel, Cause::Sweep, Cause::Shutdown] {
        let mut running = bench.start(&bench.shell("sleep 600"));
        running.started();
        assert_eq!(stop::ask(&bench.place, running.key(), cause).unwrap(), Asked::Sent);
        let (run, nonce) = (running.run, running.nonce);
        assert_eq!(running.finish().exited.map(|e| (e.exit, e.cause)), Some((Exit::Signal(15), Some(cause))));
        assert_eq!(stop::ask(&bench.place, RunKey { run, nonce }, cause).unwrap(), Asked::Gone);
    }
}

#[test]
fn a_bare_signal_to_the_shim_is_a_shutdown() {
    let bench = Bench::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut running = bench.start(&bench.shell("sleep 600"));
        assert!(kill(running.started().shim_pid, signal));
        assert_eq!(running.finish().exited.unwrap().cause, Some(Cause::Shutdown));
    }
}

#[test]
fn the_first_cause_counts() {
    let bench = Bench::new();
    let mut launch = bench.shell("trap '' TERM; echo on; while :; do sleep 0.02; done");
    (launch.grace_ms, launch.timeout_ms) = (500, Some(60_000));
    let mut running = bench.start(&launch);
    let shim = running.started().shim_pid;
    until("the trap", || (bench.log(launch.run) == "on\n").then_some(()));
    stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap();
    assert!(kill(shim, Signal::TERM));
    stop::ask(&bench.place, running.key(), Cause::Sweep).unwrap();
    // The kernel hands over TERM before a real-time signal; whichever the shim took first, it keeps.
    let cause = running.finish().exited.unwrap().cause.unwrap();
    assert!(matches!(cause, Cause::Cancel | Cause::Shutdown), "{cause}");
}

#[test]
fn a_cause_that_comes_after_the_end_does_not_count() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("sleep 0.2; exit 6"));
    let started = running.started();
    assert!(kill(started.shim_pid, Signal::STOP));
    until("the job to end", || (!lives(started.pid)).then_some(()));
    // The request wakes a shim that stands still.
    assert_eq!(stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap(), Asked::Sent);
    assert_eq!(running.finish().exited.map(|e| (e.exit, e.cause)), Some((Exit::Code(6), None)));
}

#[test]
fn a_stop_for_another_run_is_not_heard() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("sleep 600"));
    let shim = running.started().shim_pid;
    let mut other = running.nonce;
    other.0[0] ^= 1;
    assert_eq!(stop::ask(&bench.place, RunKey { run: running.run, nonce: other }, Cause::Cancel).unwrap(), Asked::NotOurs);
    for value in [other.signal_bits() << 8 | 1, running.nonce.signal_bits() << 8, running.nonce.signal_bits() << 8 | 99, 0] {
        let value = libc::sigval { sival_ptr: value as *mut libc::c_void };
        // SAFETY: the shim is alive, as its run has not ended; no memory is involved.
        assert_eq!(unsafe { libc::sigqueue(shim, libc::SIGRTMIN() + 5, value) }, 0);
    }
    // Had one of them been heard, it would have been first: the queue is in order.
    stop::ask(&bench.place, running.key(), Cause::Backstop).unwrap();
    assert_eq!(running.finish().exited.unwrap().cause, Some(Cause::Backstop));
}

/// A run file that names a process which never held it.
fn forged(bench: &Bench, pid: i32, ticks: u64) -> (RunFile, Nonce, tenure::job::RunId) {
    let launch = bench.command(&["true"]);
    let file = RunFile::create(&bench.place, &header(&launch)).unwrap();
    let started = Started { pid, shim_pid: pid, shim_start_ticks: ticks, at_ms: 0, kept: None };
    let path = bench.place.run_file(launch.run);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(Record::Started(started).to_line());
    std::fs::write(&path, bytes).unwrap();
    (file, launch.nonce, launch.run)
}

fn start_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// Processes that have a file where a shim has its run file: any file, the run file of another run, and that under the name of a shim.
fn others_with_a_file_at_3(bench: &Bench) -> Vec<std::process::Child> {
    crate::support::copy_program("/bin/sleep", bench.path("tenure-shim"));
    let launch = bench.command(&["true"]);
    drop(RunFile::create(&bench.place, &header(&launch)).unwrap());
    let file = bench.place.run_file(launch.run);
    let scripts = [
        "exec 3</dev/null; exec sleep 600".to_owned(),
        format!("exec 3<'{}'; exec sleep 600", file.display()),
        format!("exec 3<'{}'; exec ./tenure-shim 600", file.display()),
    ];
    let start = |script: String| {
        let started = std::process::Command::new("sh").args(["-c", &script]).current_dir(bench.path("")).spawn().unwrap();
        let has_it = || std::fs::read_link(format!("/proc/{}/fd/3", started.id())).is_ok();
        until("its file", || has_it().then_some(()));
        started
    };
    scripts.into_iter().map(start).collect()
}

#[test]
fn a_process_that_does_not_hold_the_run_file_is_never_signalled() {
    let bench = Bench::without_spawner();
    let mut bystander = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let pid = i32::try_from(bystander.id()).unwrap();
    for ticks in [start_ticks(bystander.id()), 1] {
        let (_locked, nonce, run) = forged(&bench, pid, ticks);
        assert_eq!(stop::ask(&bench.place, RunKey { run, nonce }, Cause::Cancel).unwrap(), Asked::NotOurs);
        assert_eq!(stop::kill_shim(&bench.place, RunKey { run, nonce }).unwrap(), Asked::NotOurs);
        assert!(stop::shim_pidfd(&bench.place, RunKey { run, nonce }).unwrap().is_none());
    }
    let others = others_with_a_file_at_3(&bench);
    for other in &others {
        let (_locked, nonce, run) = forged(&bench, i32::try_from(other.id()).unwrap(), start_ticks(other.id()));
        assert_eq!(stop::ask(&bench.place, RunKey { run, nonce }, Cause::Cancel).unwrap(), Asked::NotOurs);
        assert_eq!(stop::kill_shim(&bench.place, RunKey { run, nonce }).unwrap(), Asked::NotOurs);
        assert!(stop::shim_pidfd(&bench.place, RunKey { run, nonce }).unwrap().is_none());
    }
    for mut other in others {
        assert!(other.try_wait().unwrap().is_none(), "it lives");
        kill_child(&mut other);
    }
    let (locked, nonce, run) = forged(&bench, pid, start_ticks(bystander.id()));
    drop(locked);
    assert_eq!(stop::kill_shim(&bench.place, RunKey { run, nonce }).unwrap(), Asked::Gone, "the lock is free");
    assert!(bystander.try_wait().unwrap().is_none(), "it lives");
    kill_child(&mut bystander);
    let (_locked, nonce, run) = forged(&bench, pid, 1);
    assert!(matches!(stop::ask(&bench.place, RunKey { run, nonce }, Cause::Cancel).unwrap(), Asked::Gone | Asked::NotOurs));
}

#[test]
fn a_shim_that_hangs_before_its_first_record_can_be_ended() {
    let bench = Bench::without_spawner();
    let launch = bench.command(&["true"]);
    let _locked = RunFile::create(&bench.place, &header(&launch)).unwrap();
    crate::support::copy_program("/bin/sh", bench.path("tenure-shim"));
    let script =
        format!("exec 3<'{}'; exec ./tenure-shim -c 'while :; do sleep 0.1; done'", bench.place.run_file(launch.run).display());
    let mut shim = std::process::Command::new("sh").args(["-c", &script]).current_dir(bench.path("")).spawn().unwrap();
    until("the shim", || (stop::kill_shim(&bench.place, launch.key()).unwrap() == Asked::Sent).then_some(()));
    assert!(shim.wait().unwrap().code().is_none(), "killed");
    // A process that it has just forked looks like it until it executes its own program.
    until("no process to be found", || (stop::kill_shim(&bench.place, launch.key()).unwrap() == Asked::NoShimYet).then_some(()));
}

#[test]
fn without_a_shim_there_is_no_process_to_ask() {
    let bench = Bench::without_spawner();
    let launch = bench.command(&["true"]);
    let nonce = machine::nonce();
    assert_eq!(stop::ask(&bench.place, RunKey { run: launch.run, nonce }, Cause::Cancel).unwrap(), Asked::Gone, "no file");
    let file = RunFile::create(&bench.place, &header(&launch)).unwrap();
    assert_eq!(stop::ask(&bench.place, launch.key(), Cause::Cancel).unwrap(), Asked::NoShimYet);
    assert_eq!(stop::ask(&bench.place, RunKey { run: launch.run, nonce }, Cause::Cancel).unwrap(), Asked::NotOurs);
    drop(file);
    // A fork of this process for another test has the lock too until it executes its own program.
    until("the lock to be free", || (stop::ask(&bench.place, launch.key(), Cause::Cancel).unwrap() == Asked::Gone).then_some(()));
}

#[test]
fn the_end_of_an_adopted_run_can_be_waited_for() {
    use rustix::event::{PollFd, PollFlags, poll};
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("sleep 600"));
    running.started();
    let pidfd = stop::shim_pidfd(&bench.place, running.key()).unwrap().expect("it is alive");
    assert_eq!(stop::kill_shim(&bench.place, running.key()).unwrap(), Asked::Sent);
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
    while running.next().is_some() {}
    assert!(!bench.inspect(running.run).1);
}
