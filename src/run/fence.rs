//! A fenced command belongs to its run even if it redirects its output, leaves its session and
//! clears its environment: it inherits a descriptor of the run's log, with a lock of its own kind
//! on it. Recovery checks that lock before it declares a run over ([`super::tree`]).
//!
//! The lock on the log that is inherited with the job's output is exclusive, so this is another
//! one: a shared record lock of the open file description (`F_OFD_SETLK`). Many commands of one run
//! may hold it at once.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::job::RunId;
use crate::place::Place;

use super::record_lock::{self, Bytes, Kind};

/// Opens the log of a run, to be inherited by a fenced command. The run is not over while that
/// command lives.
///
/// # Errors
/// There is no log, so no such run; or the system refuses it.
pub fn hold(place: &Place, run: RunId) -> Result<File> {
    let path = place.log_file(run);
    let told = |e: io::Error| Error::io(format!("opening the log of run {run}, {}", path.display()), e);
    let flags = (OFlags::NOFOLLOW | OFlags::APPEND).bits().cast_signed();
    let log = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path).map_err(told)?;
    if !record_lock::try_lock(&log, Kind::Shared, Bytes::ALL).map_err(told)? {
        return Err(told(io::ErrorKind::WouldBlock.into()));
    }
    Ok(log)
}

/// Whether a fence holds this log.
pub(super) fn is_held(log: impl AsFd) -> io::Result<bool> {
    record_lock::is_held(log, Kind::Exclusive, Bytes::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_held_as_long_as_one_of_many_fences_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        std::fs::create_dir_all(place.log_dir(RunId(7))).unwrap();
        assert!(hold(&place, RunId(7)).is_err(), "no log, no run");
        let output = File::create(place.log_file(RunId(7))).unwrap();
        output.lock().unwrap();
        let look = File::open(place.log_file(RunId(7))).unwrap();
        assert!(!is_held(&look).unwrap(), "the job's own lock is another kind");
        let (one, other) = (hold(&place, RunId(7)).unwrap(), hold(&place, RunId(7)).unwrap());
        drop(one);
        assert!(is_held(&look).unwrap());
        drop(other);
        assert!(!is_held(&look).unwrap());
    }
}
