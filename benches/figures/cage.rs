//! The figures run in a child of this program, whose temporary files are in one directory and whose
//! processes are all descendants of this one: however the child ends, nothing is left.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::processes::{children, family, has_ended};

/// Set in the child.
const INSIDE: &str = "TENURE_BENCH_INSIDE";
/// How long processes that were told to end may take, in seconds.
const ENDING_S: u64 = 10;

/// Runs `measure` in a child, which is this program again.
pub fn inside(measure: impl FnOnce() -> ExitCode) -> ExitCode {
    // Orphans come to the nearest such process: to the child while it lives, to its parent after it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("a subreaper");
    if std::env::var_os(INSIDE).is_some() {
        return measure();
    }
    let dir = tempfile::Builder::new().prefix("tenure-bench-").tempdir().expect("a temporary directory");
    let mut command = Command::new(std::env::current_exe().expect("its own path"));
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1").env("TMPDIR", dir.path());
    // A settings file or a variable of the user must not change what is measured.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TENURE_")) {
        command.env_remove(name);
    }
    let mut child = command.spawn().expect("this program runs");
    let pid = Pid::from_child(&child);
    let mut signals = signal_hook::iterator::Signals::new([1, 2, 15]).expect("handlers of signals");
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let _it_may_have_ended = rustix::process::kill_process(pid, Signal::KILL);
        }
    });
    let status = child.wait().expect("it ends");
    end_children();
    let removed = dir.close();
    if let Err(error) = &removed {
        eprintln!("the directory of the figures is left: {error}");
    }
    ExitCode::from(u8::from(!status.success() || removed.is_err()))
}

/// Fails if the figure has left a process, and ends that.
pub fn expect_no_children(figure: &str) {
    let begun = Instant::now();
    let me = std::process::id();
    loop {
        reap();
        let left = children(me);
        if left.is_empty() {
            return;
        }
        if begun.elapsed() > Duration::from_secs(ENDING_S) {
            let left: Vec<String> = left.iter().map(|pid| format!("{pid} {}", crate::processes::comm(*pid).trim())).collect();
            end_children();
            panic!("{figure} has left processes: {left:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reaps orphans that have ended. Only for a moment without a child that its starter waits for.
pub fn reap() {
    for pid in children(std::process::id()).into_iter().filter(|pid| has_ended(*pid)) {
        let _reaped = rustix::process::waitpid(Pid::from_raw(pid.cast_signed()), WaitOptions::NOHANG);
    }
}

/// Kills all descendants, also those that are started meanwhile.
pub fn end_children() {
    let begun = Instant::now();
    let me = std::process::id();
    while !children(me).is_empty() && begun.elapsed() < Duration::from_secs(ENDING_S) {
        for pid in family(me).into_iter().skip(1) {
            let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
            let _it_may_have_ended = rustix::process::kill_process(pid, Signal::KILL);
        }
        reap();
        std::thread::sleep(Duration::from_millis(5));
    }
}
