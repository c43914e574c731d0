//! How a process forks, what a forked process is given, becomes, and how it exits.

use std::ffi::CString;
use std::io;

use rustix::process::{Rlimit, getpid};

use crate::run::spawner::title::Title;

/// What each shim is given besides its launch.
#[derive(Clone, Copy)]
pub struct Inherited {
    /// The limit of jobs; that of this process is raised.
    pub open_files: Rlimit,
    pub title: Option<Title>,
}

/// Forks by the system call alone; returns the pid of the child, or 0 in the child. The `fork` of
/// libc also prepares the child for threads, streams and modules, which writes to six pages: each
/// shim would keep its own copies of them, 24 kB.
///
/// # Safety
/// As for the `fork` of libc in a process with one thread. Besides, libc does not learn the thread
/// id of the child, so the child must not start a thread.
pub unsafe fn fork() -> io::Result<i32> {
    // SAFETY: without flags and a stack, `clone` is `fork`. On other machines the order of its
    // arguments or its answer may be another one.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    // SAFETY: the caller promises it.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
    let pid = unsafe { libc::fork() };
    i32::try_from(pid).ok().filter(|pid| *pid >= 0).ok_or_else(io::Error::last_os_error)
}

/// Names the process and makes it the reaper of every process that its children leave behind.
pub fn become_reaper(name: &str) -> io::Result<()> {
    rustix::thread::set_name(&CString::new(name)?)?;
    rustix::process::set_child_subreaper(Some(getpid()))?;
    Ok(())
}

/// Exits without running any exit handler: in a fork they belong to the parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
