//! The resource limits (`ulimit`) under which tenure itself cannot work. Checked before anything is
//! begun: later they would be errors of something that was accepted already. Open files and
//! processes are handled in [`super::open_files`].

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::units::size_text;

/// Smallest stack of the first thread, in bytes.
const STACK_BYTES: u64 = 1 << 20;
/// Smallest address space: the program itself, SQLite, and what they allocate.
const ADDRESS_BYTES: u64 = 48 << 20;
/// Smallest data size: what the program allocates, and the stacks of a few threads.
const DATA_BYTES: u64 = 16 << 20;
/// Smallest address space of a worker: its threads reserve most of it without using it.
const WORKER_ADDRESS_BYTES: u64 = 1_280 << 20;
/// Smallest data size of a worker: the stacks of its threads and its caches.
const WORKER_DATA_BYTES: u64 = 64 << 20;
/// How much the file, its log and the files beside it must be able to grow, in bytes.
const WORKER_GROWTH_BYTES: u64 = 64 << 20;

/// Checks whether this process can do anything at all.
///
/// # Errors
/// Its stack, its address space or its data are too small, which would end it without a message, or
/// leave it hanging: the start of a thread panics then, and a panic needs memory.
pub fn check() -> Result<()> {
    at_least(getrlimit(Resource::Stack).current, STACK_BYTES, "the stack", "tenure needs", "ulimit -s, LimitSTACK=")?;
    at_least(getrlimit(Resource::Data).current, DATA_BYTES, "memory", "tenure needs", "ulimit -d, LimitDATA=")?;
    at_least(getrlimit(Resource::As).current, ADDRESS_BYTES, "memory", "tenure needs", "ulimit -v, LimitAS=")
}

/// Checks whether this process can be a worker of this file.
///
/// # Errors
/// A limit on file sizes or memory is so low that it could not record its work.
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
