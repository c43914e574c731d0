//! What a forked process is given, becomes, and how it exits.

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
