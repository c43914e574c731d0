//! One worker per file.
//!
//! The kernel holds two locks while the worker lives: one on `worker.lock`, and one on a byte of
//! the main file that SQLite does not use, which follows the file when it is renamed and stays when
//! the directory beside it is emptied. Only these locks show that there is a worker. The content of
//! `worker.lock` is for display.
//!
//! The locks belong to open file descriptions and can be queried without being taken, so that a
//! query never prevents a worker from starting.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::main_lock::MainLock;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::run::machine;
use crate::run::record_lock::{self, Bytes};
use crate::store::{engine::locks, make_beside};
use crate::sync::lock;

/// Longest text that is read from the lock file, in bytes.
const HOLDER_BYTES_MAX: u64 = 4096;
/// How long a `flock` on the lock file is retried, in milliseconds: a query holds it for an
/// instant, a worker of an earlier version permanently.
const FLOCK_MS: u64 = 2_000;

/// The kind of a worker that has not written its record yet.
const UNKNOWN: &str = "unknown";

/// The command that the worker is. A `run` yields to a `work`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `tenure work`
    Work,
    /// `tenure run`: for its own job only, until a `work` asks for the lock.
    Run,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Run => "run",
        }
    }
}

/// The holder of the worker lock.
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
    /// Inode of its pid namespace; 0 if unknown.
    #[serde(default)]
    pub pid_ns: u64,
    /// Name of the machine or container.
    #[serde(default)]
    pub host: String,
}

impl Holder {
    /// Returns the worker of this file, or `None` if there is none. Asks the kernel, without taking
    /// a lock or creating a file.
    ///
    /// # Errors
    /// The lock file cannot be read.
    pub fn read(place: &Place) -> Result<Option<Self>> {
        let path = place.worker_lock();
        match open_to_look(&path) {
            Ok(mut file) => {
                let held = record_lock::is_held(&file, record_lock::Kind::Shared, Bytes::ALL);
                if held.map_err(|e| Error::io(format!("asking for the lock of {}", path.display()), e))? {
                    return Ok(Some(Self::from_file(&mut file)));
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(format!("checking {}", path.display()), e)),
        }
        Ok(locks::has_worker(place).then(|| Self::of_the_main_file(place)))
    }

    fn from_file(file: &mut File) -> Self {
        let mut text = String::new();
        let _unreadable_is_shown_as_unknown = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text);
        serde_json::from_str(&text).unwrap_or_else(|_| Self::unknown())
    }

    /// A worker that has not written its record yet.
    pub fn unknown() -> Self {
        Self {
            pid: 0,
            instance: UNKNOWN.into(),
            since_ms: 0,
            kind: UNKNOWN.into(),
            slots: 0,
            version: String::new(),
            pid_ns: 0,
            host: String::new(),
        }
    }

    /// Whether its pid is valid in this pid namespace.
    pub fn is_here(&self) -> bool {
        self.pid != 0 && (self.pid_ns == 0 || self.pid_ns == machine::pid_namespace())
    }

    /// Returns `pid 4711`, or if that pid is of another namespace, which one.
    pub fn named(&self) -> String {
        if self.is_here() {
            return format!("pid {}", self.pid);
        }
        if self.pid == 0 {
            return "which has not identified itself".to_owned();
        }
        format!("pid {} of another container or pid namespace, host {}", self.pid, self.host)
    }

    /// A worker whose lock file was removed. It has the file open, as other processes may.
    fn of_the_main_file(place: &Place) -> Self {
        let me = std::process::id();
        let others = locks::openers(place).into_iter().map(|opener| opener.pid.cast_unsigned()).filter(|pid| *pid != me);
        Self { pid: others.min().unwrap_or(0), ..Self::unknown() }
    }
}

fn open_to_look(path: &std::path::Path) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// The held locks. Dropping them admits the next worker.
#[derive(Debug)]
pub struct WorkerLock {
    place: Place,
    holder: Holder,
    file: Mutex<File>,
    main: MainLock,
}

impl Drop for WorkerLock {
    fn drop(&mut self) {
        self.release();
    }
}

impl WorkerLock {
    /// Takes the locks, or returns their holder.
    ///
    /// # Errors
    /// The lock file cannot be created, or cannot be locked for another reason than being held.
    pub fn take(
        place: &Place,
        kind: Kind,
        slots: usize,
        instance: &str,
        now_ms: i64,
    ) -> Result<std::result::Result<Self, Holder>> {
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
        let mut file = match lock_file(place)? {
            Ok(file) => file,
            Err(holder) => return Ok(Err(holder)),
        };
        let Some(main) = MainLock::take(place)? else {
            return Ok(Err(Holder::of_the_main_file(place)));
        };
        if !flock(&file)? {
            main.free();
            return Ok(Err(Holder::from_file(&mut file)));
        }
        // From here on it is released when it is dropped.
        let lock = Self { place: place.clone(), holder, file: Mutex::new(file), main };
        write_holder(&mut crate::sync::lock(&lock.file), &lock.holder)?;
        Ok(Ok(lock))
    }

    /// Takes the lock on the lock file again if the file was removed or replaced, and creates the
    /// directory if needed. The lock on the main file has excluded other workers meanwhile. True if
    /// the lock file was restored.
    ///
    /// # Errors
    /// It cannot be created, or another process holds it for an instant; to be retried.
    pub fn keep(&self) -> Result<bool> {
        let mut held = lock(&self.file);
        // If the file itself was moved, nothing is created here.
        if is_at(&held, &self.place)? || !self.main.is_at(&self.place) {
            return Ok(false);
        }
        make_beside(&self.place)?;
        let mut file = match lock_file(&self.place)? {
            Ok(file) => file,
            Err(holder) => return Err(Error::Held(format!("pid {} holds {}", holder.pid, self.place.worker_lock().display()))),
        };
        let _one_that_looks_does_no_harm = file.try_lock();
        write_holder(&mut file, &self.holder)?;
        *held = file;
        Ok(true)
    }

    /// Releases the locks, although a copy of the descriptors might still be open elsewhere.
    pub fn release(&self) {
        let file = lock(&self.file);
        let _closing_frees_them_too = (record_lock::unlock(file.as_fd(), Bytes::ALL), file.unlock());
        self.main.free();
    }
}

/// Opens or creates the lock file, with the record lock on it.
fn lock_file(place: &Place) -> Result<std::result::Result<File, Holder>> {
    let path = place.worker_lock();
    let told = |e| Error::io(format!("locking {}", path.display()), e);
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    loop {
        let mut file = options.open(&path).map_err(told)?;
        if !record_lock::try_lock(&file, record_lock::Kind::Exclusive, Bytes::ALL).map_err(told)? {
            return Ok(Err(Holder::from_file(&mut file)));
        }
        // The previous holder may have removed its file meanwhile: the one that the name refers to
        // counts.
        if is_at(&file, place)? {
            return Ok(Ok(file));
        }
    }
}

/// Whether the name of the lock file refers to this one.
fn is_at(file: &File, place: &Place) -> Result<bool> {
    let path = place.worker_lock();
    let told = |e| Error::io(format!("checking {}", path.display()), e);
    match fs::symlink_metadata(&path) {
        Ok(found) => {
            let own = file.metadata().map_err(told)?;
            Ok((own.dev(), own.ino()) == (found.dev(), found.ino()))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(told(e)),
    }
}

/// For workers of an earlier version, which use no other lock.
fn flock(file: &File) -> Result<bool> {
    let until = Instant::now() + Duration::from_millis(FLOCK_MS);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            // A blocking request for the lock has no deadline.
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(e)) => return Err(Error::io("locking the lock file of the worker", e)),
        }
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> Result<()> {
    let text = serde_json::to_string(holder).map_err(|e| Error::Internal(e.to_string()))?;
    let written = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(text.as_bytes()));
    written.map_err(|e| Error::io("writing the lock file of the worker", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &tempfile::TempDir) -> Place {
        let place = Place::new(dir.path().join("q.db"));
        fs::create_dir(place.dir()).unwrap();
        let _empty = File::create(dir.path().join("q.db")).unwrap();
        place
    }

    #[test]
    fn the_second_learns_the_owner_and_gets_the_lock_later() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        assert_eq!(Holder::read(&place).unwrap(), None);
        let first = WorkerLock::take(&place, Kind::Work, 3, "a", 7).unwrap().unwrap();
        let holder = WorkerLock::take(&place, Kind::Work, 1, "b", 8).unwrap().unwrap_err();
        assert_eq!((holder.instance.as_str(), holder.slots, holder.since_ms), ("a", 3, 7));
        assert_eq!(Holder::read(&place).unwrap(), Some(holder));
        first.release();
        drop(first);
        assert_eq!(Holder::read(&place).unwrap(), None);
        assert!(WorkerLock::take(&place, Kind::Run, 1, "b", 8).unwrap().is_ok());
    }

    #[test]
    fn who_has_not_said_who_it_is_yet_is_not_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        let _lock = WorkerLock::take(&place, Kind::Work, 3, "a", 7).unwrap().unwrap();
        // Between the lock and the text; and halfway through the text.
        for text in ["", "{\"pid\": 47"] {
            fs::write(place.worker_lock(), text).unwrap();
            let holder = Holder::read(&place).unwrap().unwrap();
            assert_eq!((holder.kind.as_str(), holder.pid), ("unknown", 0), "{text:?}");
            assert!(holder.named().contains("has not identified itself"), "{text:?}");
        }
    }

    #[test]
    fn without_its_lock_file_the_owner_still_excludes_others() {
        for whole_directory in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let place = place(&dir);
            let first = WorkerLock::take(&place, Kind::Work, 3, "a", 7).unwrap().unwrap();
            match whole_directory {
                false => fs::remove_file(place.worker_lock()).unwrap(),
                true => fs::remove_dir_all(place.dir()).unwrap(),
            }
            assert!(Holder::read(&place).unwrap().is_some());
            fs::create_dir_all(place.dir()).unwrap();
            assert!(WorkerLock::take(&place, Kind::Work, 1, "b", 8).unwrap().is_err());
            assert!(first.keep().unwrap() && !first.keep().unwrap());
            assert_eq!(Holder::read(&place).unwrap().map(|holder| holder.instance).as_deref(), Some("a"));
            drop(first);
            assert!(WorkerLock::take(&place, Kind::Work, 1, "b", 8).unwrap().is_ok());
        }
    }

    #[test]
    fn a_look_keeps_no_worker_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        drop(WorkerLock::take(&place, Kind::Work, 1, "a", 7).unwrap().unwrap());
        let looking = File::open(place.worker_lock()).unwrap();
        looking.try_lock_shared().unwrap();
        let lets_go = thread::spawn(move || {
            // So that the lock is most likely held when it is queried; it must be acquired in any
            // case.
            thread::sleep(Duration::from_millis(50));
            drop(looking);
        });
        assert!(WorkerLock::take(&place, Kind::Work, 1, "b", 8).unwrap().is_ok());
        lets_go.join().unwrap();
    }
}
