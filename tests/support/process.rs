//! Signals, kills and looks at processes. A test signals only what it has started.

use std::ffi::OsStr;
use std::process::{Child, Command, ExitStatus};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// Sends a signal to a process that this test found by what it started. Returns whether it was there.
pub fn kill(pid: i32, signal: Signal) -> bool {
    match kill_process(Pid::from_raw(pid).expect("a pid"), signal) {
        Ok(()) => true,
        Err(rustix::io::Errno::SRCH) => false,
        Err(error) => panic!("signal {signal:?} to {pid}: {error}"),
    }
}

/// `kill -9` to a child, and waits until it is gone.
pub fn kill_child(child: &mut Child) -> ExitStatus {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends")
}

/// A process that is killed when the test is over.
pub struct Started(pub Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

/// Whether a process is there and not only waiting to be reaped.
pub fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
}

pub fn pids() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// That of this test, which its workers and their jobs inherit.
pub fn niceness() -> i32 {
    rustix::process::getpriority_process(None).expect("a niceness")
}

/// A shell that starts something in the background lets it ignore INT and QUIT, and a worker leaves ignored what was ignored when it began.
/// The workers of these tests hear both, however the tests were started.
pub fn heed_the_keyboard() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: the default action is not a function, and nothing in a test handles these.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    });
}

/// Copies a program with another process: while this one has the copy open for writing, a child
/// that another test forks just then has it too, and executing the copy fails with ETXTBSY.
pub fn copy_program(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
    let status = Command::new("cp").arg("--preserve=mode").args([from.as_ref(), to.as_ref()]).status().unwrap();
    assert!(status.success(), "cp: {status}");
}
