//! Waits for children in two steps: first peek, then reap, so that a pid stays valid until it is
//! reaped.

use std::io;
use std::mem::MaybeUninit;

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::job::Exit;

/// A child that has ended and was not reaped yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub pid: i32,
    pub exit: Exit,
}

/// The state of the children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    None,
    /// There are some, and none of them has ended.
    Alive,
    Ended(Ended),
}

/// Looks for a child that has ended, without reaping it.
pub fn peek() -> Children {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` has room for the answer; on failure it stays zero.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) };
    if result != 0 {
        // With these options ECHILD is the only error.
        return Children::None;
    }
    // SAFETY: zeroed at first, and then filled or left alone by the call.
    let info = unsafe { info.assume_init() };
    // SAFETY: these fields are valid after waitid; zero if no child has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    match (pid, info.si_code) {
        (0, _) => Children::Alive,
        (_, libc::CLD_EXITED) => Children::Ended(Ended { pid, exit: Exit::Code(status) }),
        (_, _) => Children::Ended(Ended { pid, exit: Exit::Signal(status) }),
    }
}

/// Waits until a child has ended, and returns its pid without reaping it. `None`: there is no
/// child.
pub fn next_dead() -> Option<i32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` has room for the answer; on failure it stays zero.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), libc::WEXITED | libc::WNOWAIT) };
    // SAFETY: zeroed at first, and then filled or left alone by the call.
    let pid = unsafe { info.assume_init().si_pid() };
    (result == 0 && pid > 0).then_some(pid)
}

/// Reaps a child that has ended.
pub fn reap(pid: i32) -> io::Result<()> {
    waitpid(Pid::from_raw(pid), WaitOptions::NOHANG)?;
    Ok(())
}

/// Waits until a child has ended, and reaps it.
pub fn reap_when_ended(pid: i32) -> io::Result<()> {
    waitpid(Pid::from_raw(pid), WaitOptions::empty())?;
    Ok(())
}
