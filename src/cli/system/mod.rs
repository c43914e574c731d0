//! `--system` of a user who is not root: the same verbs, asked of the system worker.
//!
//! The client resolves selectors to numbers and prints; the worker decides (`queue::people`). What
//! is not in the list here is refused before anything is sent, and again by the worker.
//!
//! Deliberately absent: opening the file, and any path of the worker.

pub mod add;
pub mod change;
pub mod list;
pub mod logs;
mod pick;
pub mod show;
pub mod wait;

use crate::cli::face::Face;
use crate::config::Source;
use crate::error::{Error, Result};
use crate::queue::people::System;

/// Returns the system worker.
///
/// # Errors
/// Another file is named.
pub fn of(face: &Face) -> Result<System> {
    match face.settings.db.source {
        Source::Flag(_) => {
            Err(Error::Invalid("--system and --db contradict each other: the system worker has its own file; omit one".into()))
        }
        _ => Ok(System::at(&face.settings.people.socket.value)),
    }
}

/// Refuses a verb.
pub fn refuse() -> Result<u8> {
    Err(Error::Invalid(
        "only add, ls, status, show, logs, wait, why, history, cancel, retry, hold, release and rm go to the system worker; \
         omit --system for a file of your own, or ask root"
            .into(),
    ))
}

/// The error for an option that the system worker does not know.
fn not_here<T>(option: &str) -> Result<T> {
    Err(Error::Invalid(format!("{option} is not for the system worker; omit it")))
}
