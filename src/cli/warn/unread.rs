//! Detects unread standard input of a command whose job does not get it.
//!
//! It is not passed automatically: a script that calls `tenure run` in a loop over a list would
//! lose the rest of the list, and a pipe that no process closes would block the job forever.

use std::io::stdin;

use rustix::fs::{FileType, fstat, tell};
use rustix::io::ioctl_fionread;

use crate::cli::face;
use crate::job::JobId;
use crate::units::size_text;

/// The standard input of a `tenure run`.
pub struct Input {
    job: JobId,
    /// It is passed, or the person has been warned.
    done: bool,
}

impl Input {
    pub fn new(job: JobId, is_passed: bool) -> Self {
        Self { job, done: is_passed }
    }

    /// Warns once about unread input.
    pub fn check(&mut self) {
        let Some(bytes) = (if self.done { None } else { waiting() }) else { return };
        self.done = true;
        face::say(&format!(
            "job {} does not get this standard input, in which {} or more wait; pass it with --stdin -, or omit it with < /dev/null",
            self.job,
            size_text(bytes)
        ));
    }
}

/// Returns how many bytes can be read now; `None`: none, or unknown.
fn waiting() -> Option<u64> {
    let input = stdin();
    let stat = fstat(&input).ok()?;
    let bytes = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => u64::try_from(stat.st_size).ok()?.saturating_sub(tell(&input).ok()?),
        FileType::Fifo | FileType::Socket => ioctl_fionread(&input).ok()?,
        _ => 0,
    };
    (bytes > 0).then_some(bytes)
}
