//! Waits for children in two steps: first peek, then reap, so that a pid stays valid until it is
//! reaped.

use std::io;
use std::mem::MaybeUninit;

use rustix::process::{Pid, WaitOptions, waitpid};

use super::record::Usage;
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

/// Returns a child that was stopped by a signal, once for each stop.
pub fn stopped() -> Option<i32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` has room for the answer; on failure it stays zero.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), libc::WSTOPPED | libc::WNOHANG) };
    // SAFETY: zeroed at first, and then filled or left alone by the call.
    let pid = unsafe { info.assume_init().si_pid() };
    (result == 0 && pid > 0).then_some(pid)
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

/// What reaped children have used, they and all that they had reaped themselves.
///
/// Counted child by child: what the kernel adds up for a process covers its whole life, and a shim
/// may serve several runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    max_rss_kb: u64,
    user_us: u64,
    system_us: u64,
}

impl Used {
    /// Reaps a child that has ended, and adds what it has used.
    pub fn reap(&mut self, pid: i32) -> io::Result<()> {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: `usage` has room for the answer; the status is not asked for.
        let reaped = unsafe { libc::wait4(pid, std::ptr::null_mut(), libc::WNOHANG, usage.as_mut_ptr()) };
        if reaped < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed at first, and then filled or left alone by the call.
        let usage = unsafe { usage.assume_init() };
        let us = |time: libc::timeval| u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0);
        self.max_rss_kb = self.max_rss_kb.max(u64::try_from(usage.ru_maxrss).unwrap_or(0));
        self.user_us += us(usage.ru_utime);
        self.system_us += us(usage.ru_stime);
        Ok(())
    }
}

impl From<Used> for Usage {
    fn from(used: Used) -> Self {
        Self { max_rss_bytes: used.max_rss_kb * 1024, user_ms: used.user_us / 1000, system_ms: used.system_us / 1000 }
    }
}

/// Waits until a child has ended, and reaps it.
pub fn reap_when_ended(pid: i32) -> io::Result<()> {
    waitpid(Pid::from_raw(pid), WaitOptions::empty())?;
    Ok(())
}
