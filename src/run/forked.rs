//! What a forked process is told, becomes, and how it ends.

use std::ffi::CString;
use std::io;

use rustix::process::{Rlimit, getpid};

use crate::run::spawner::title::Title;

/// What each shim is told beside its launch.
#[derive(Clone, Copy)]
pub struct Inherited {
    /// What jobs get; our own limit is raised.
    pub open_files: Rlimit,
    pub title: Option<Title>,
}

/// Names the process and makes it the parent of whatever its children leave behind.
pub fn become_reaper(name: &str) -> io::Result<()> {
    rustix::thread::set_name(&CString::new(name)?)?;
    rustix::process::set_child_subreaper(Some(getpid()))?;
    Ok(())
}

/// Without running any exit handler: in a fork they are not ours.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
