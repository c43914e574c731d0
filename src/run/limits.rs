//! The limits of a process (`ulimit`) that tenure itself cannot work with. Asked before anything is
//! begun: what meets one in the middle is an error, and mostly of something that was promised
//! already. Open files and processes have rooms of their own ([`super::open_files`]).

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::units::size_text;

/// Least stack of the first thread, in bytes.
const STACK_BYTES: u64 = 1 << 20;
/// Least address space of a worker: its threads reserve most of that without using it.
const WORKER_ADDRESS_BYTES: u64 = 1_280 << 20;
/// Least memory of its own of a worker: the stacks of its threads and what it keeps of the file.
const WORKER_DATA_BYTES: u64 = 64 << 20;
/// How far the file, its log and the files beside it must be able to grow under a worker, in bytes.
const WORKER_GROWTH_BYTES: u64 = 64 << 20;

/// Whether this process can do anything at all.
///
/// # Errors
/// Its stack is too small, which would end it without a word.
pub fn check() -> Result<()> {
    at_least(getrlimit(Resource::Stack).current, STACK_BYTES, "the stack", "tenure needs", "ulimit -s, LimitSTACK=")
}

/// Whether this process can be a worker of this file.
///
/// # Errors
/// A limit on the size of files or on memory is so low that it could not write down what it does.
pub fn check_for_worker(place: &Place) -> Result<()> {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let size = WORKER_GROWTH_BYTES + bytes(place.db()).max(bytes(&place.wal()));
    at_least(getrlimit(Resource::Fsize).current, size, "the size of a file", "a worker needs", "ulimit -f, LimitFSIZE=")?;
    at_least(getrlimit(Resource::Data).current, WORKER_DATA_BYTES, "memory", "a worker needs", "ulimit -d, LimitDATA=")?;
    at_least(getrlimit(Resource::As).current, WORKER_ADDRESS_BYTES, "memory", "a worker needs", "ulimit -v, LimitAS=")
}

fn at_least(limit: Option<u64>, bytes: u64, on: &str, needs: &str, by: &str) -> Result<()> {
    match limit {
        Some(most) if most < bytes => Err(Error::Unfit(format!(
            "the limit on {on} of this process is {}, and {needs} {}; raise it or remove it ({by})",
            size_text(most),
            size_text(bytes)
        ))),
        _ => Ok(()),
    }
}
