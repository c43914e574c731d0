//! One worker per file.
//!
//! The kernel keeps the lock on `worker.lock` as long as the worker lives; nothing else says that there is a worker. What
//! stands in the file is for showing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde::{Deserialize, Serialize};

use super::options::Kind;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::run::machine;

/// Longest text that is read from the lock file, in bytes.
const HOLDER_BYTES_MAX: u64 = 4096;

/// Who holds the worker lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// The random name of this start.
    pub instance: String,
    /// When it took the lock, in milliseconds UTC.
    pub since_ms: i64,
    /// `work` or `run`.
    pub kind: String,
    pub slots: usize,
    /// Version of tenure.
    #[serde(default)]
    pub version: String,
    /// Inode of the pid namespace in which the pid means something; 0 where it is not known.
    #[serde(default)]
    pub pid_ns: u64,
    /// Name of the machine or container.
    #[serde(default)]
    pub host: String,
}

impl Holder {
    /// The worker of this file, or `None` where there is none. Asks the kernel, without blocking and without making anything.
    ///
    /// # Errors
    /// When the lock file can not be looked at.
    pub fn look(place: &Place) -> Result<Option<Self>> {
        let path = place.worker_lock();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(format!("looking at {}", path.display()), e)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Self::read(&mut file))),
            Err(TryLockError::Error(e)) => Err(Error::io(format!("probing {}", path.display()), e)),
        }
    }

    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let _unreadable_is_shown_as_unknown = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text);
        serde_json::from_str(&text).unwrap_or_else(|_| Self::unknown())
    }

    /// One that has not said who it is yet.
    pub fn unknown() -> Self {
        Self {
            pid: 0,
            instance: "unknown".into(),
            since_ms: 0,
            kind: "work".into(),
            slots: 0,
            version: String::new(),
            pid_ns: 0,
            host: String::new(),
        }
    }

    /// Whether its pid is that of a process here.
    pub fn is_here(&self) -> bool {
        self.pid != 0 && (self.pid_ns == 0 || self.pid_ns == machine::pid_namespace())
    }

    /// `pid 4711`, or where that pid means nothing here, whose it is.
    pub fn named(&self) -> String {
        if self.is_here() {
            return format!("pid {}", self.pid);
        }
        if self.pid == 0 {
            return "which has not said who it is".to_owned();
        }
        format!("pid {} of another container or pid namespace, host {}", self.pid, self.host)
    }
}

/// The held lock. Dropping it lets the next worker in.
#[derive(Debug)]
pub struct WorkerLock {
    file: File,
}

impl WorkerLock {
    /// Takes the lock, or says who has it.
    ///
    /// # Errors
    /// When the lock file can not be made or locked for another reason than being held.
    pub fn take(
        place: &Place,
        kind: Kind,
        slots: usize,
        instance: &str,
        now_ms: i64,
    ) -> Result<std::result::Result<Self, Holder>> {
        let path = place.worker_lock();
        let what = || format!("locking {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io(what(), e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(Holder::read(&mut file))),
            Err(TryLockError::Error(e)) => return Err(Error::io(what(), e)),
        }
        let holder = Holder {
            pid: std::process::id(),
            instance: instance.to_owned(),
            since_ms: now_ms,
            kind: kind.as_str().to_owned(),
            slots,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid_ns: machine::pid_namespace(),
            host: machine::host_name(),
        };
        let text = serde_json::to_string(&holder).map_err(|e| Error::Internal(e.to_string()))?;
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(|e| Error::io(what(), e))?;
        file.write_all(text.as_bytes()).map_err(|e| Error::io(what(), e))?;
        Ok(Ok(Self { file }))
    }

    /// Gives the lock up, although a copy of the descriptor might still be open elsewhere.
    pub fn release(self) {
        let _closing_releases_it_too = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_when_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        std::fs::create_dir(place.dir()).unwrap();
        assert_eq!(Holder::look(&place).unwrap(), None);
        let first = WorkerLock::take(&place, Kind::Work, 3, "a", 7).unwrap().unwrap();
        let holder = WorkerLock::take(&place, Kind::Work, 1, "b", 8).unwrap().unwrap_err();
        assert_eq!((holder.instance.as_str(), holder.slots, holder.since_ms), ("a", 3, 7));
        assert_eq!(Holder::look(&place).unwrap(), Some(holder));
        first.release();
        assert_eq!(Holder::look(&place).unwrap(), None);
        assert!(WorkerLock::take(&place, Kind::Run, 1, "b", 8).unwrap().is_ok());
    }
}
