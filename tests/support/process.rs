//! Signals, kills and looks at processes. A test signals only what it has started.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::LazyLock;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::support::until;

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

/// The children of a process, of all its threads, also those that only wait to be reaped.
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// The number of the process that has written it there.
pub fn pid_in(path: &Path) -> i32 {
    until(&format!("a pid in {}", path.display()), || std::fs::read_to_string(path).ok()?.trim().parse().ok())
}

/// Whether a process is a child of a test that is still to execute its program: it has this process's descriptors, and its command line.
pub fn is_fork_of_this(pid: i32) -> bool {
    static MINE: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read("/proc/self/cmdline").unwrap_or_default());
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == *MINE)
}

/// Whether a process has this file open, as far as this one may know.
pub fn has_open(pid: i32, file: &Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
    descriptors.is_ok_and(|all| all.flatten().any(|one| std::fs::read_link(one.path()).is_ok_and(|path| path == file)))
}

pub fn pids() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// That of this test, which its workers and their jobs inherit.
pub fn niceness() -> i32 {
    rustix::process::getpriority_process(None).expect("a niceness")
}

/// A shell that starts something in the background lets it ignore INT and QUIT, and `nohup` HUP; a worker leaves ignored what was ignored
/// when it began. The workers of these tests hear all three, however the tests were started.
pub fn heed_the_keyboard() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
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

/// Writes an executable file, with another process as well.
pub fn write_program(to: impl AsRef<OsStr>, text: &str) {
    let line = "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\"";
    let status = Command::new("sh").args(["-c", line]).arg(to).arg(text).status().unwrap();
    assert!(status.success(), "sh: {status}");
}
