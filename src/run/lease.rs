//! The lock file of a lease: `leases/NONCE`, one for each holding.
//!
//! It is locked before any other process can know of it, and every process that the owner starts
//! inherits the descriptor: the lock is held while any process of that tree is alive, even if the
//! process that acquired the lease is not. A process that closed the descriptor still has
//! `TENURE_LEASE_NONCE=1` in its initial environment. Only if neither is found is the owner gone.
//!
//! Deliberately absent: rows, names, a time to live, any use of a recorded pid.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::job::Nonce;
use crate::owner;
use crate::place::Place;

use super::process::{Stat, all_pids, open_pidfd};
use super::runfile::is_locked;
use super::{holders, machine, marks, signal};

/// Longest text that is read from a lock file, in bytes.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// How often a lock file is created again because a reaper removed it before it was locked.
const TRIES_MAX: u32 = 100;
/// Scans of all processes that must find nothing, in a row: one scan can miss a process that is
/// just being started.
const SCANS: u32 = 2;

/// A lock file that this process has created and locked. Dropping it closes this copy of the lock,
/// and leaves the file.
#[derive(Debug)]
pub struct LockFile {
    nonce: Nonce,
    path: PathBuf,
    file: File,
}

impl LockFile {
    /// Creates and locks a file with a new nonce.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn make(place: &Place) -> Result<Self> {
        let dir = place.leases();
        let told = |e: io::Error| Error::io(format!("making a lock file in {}", dir.display()), e);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(told)?;
        owner::give_path(&dir, place.dir()).map_err(told)?;
        for _ in 0..TRIES_MAX {
            let nonce = machine::nonce();
            let path = place.lease_file(nonce);
            let flags = OFlags::NOFOLLOW.bits().cast_signed();
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).custom_flags(flags).open(&path);
            let file = file.map_err(told)?;
            owner::give_file(&file, place.dir()).map_err(told)?;
            // A reaper removes a file here that no process has locked: then another one is created.
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if file.metadata().map_err(told)?.nlink() > 0 => return Ok(Self { nonce, path, file }),
                Ok(()) | Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(told(error.into())),
            }
        }
        Err(Error::Busy(format!("lock files in {} are removed as fast as they are made", dir.display())))
    }

    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Records the owner in the file, for a reader that has the directory and not the rows.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn describe(&mut self, text: &str) -> Result<()> {
        let told = |e: io::Error| Error::io(format!("writing {}", self.path.display()), e);
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(told)?;
        self.file.write_all(text.as_bytes()).map_err(told)
    }

    /// Returns the environment variable by which a process that closed the descriptor is found.
    pub fn mark(&self) -> (String, String) {
        (mark_of(self.nonce), "1".to_owned())
    }

    /// Removes the file; the lock stays while a process has the descriptor.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("removing {}: {error} (the reaper tries again)", self.path.display());
        }
    }
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn mark_of(nonce: Nonce) -> String {
    format!("TENURE_LEASE_{nonce}")
}

/// What the kernel shows of an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// A process has the lock file open, and the lock is held.
    Locked,
    /// None has, but these processes were started under it.
    Marked(Vec<i32>),
    Gone,
}

/// Returns whether any process of an owner's tree is alive. A lock file that is gone has no holder.
///
/// # Errors
/// The system refuses the check.
pub fn life(place: &Place, nonce: Nonce) -> Result<Life> {
    let path = place.lease_file(nonce);
    let told = |e: io::Error| Error::io(format!("asking for the lock of {}", path.display()), e);
    match open(&path) {
        Ok(file) if is_locked(&file).map_err(told)? => return Ok(Life::Locked),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(told(error)),
    }
    for _ in 0..SCANS {
        let marked = marked(nonce)?;
        if !marked.is_empty() {
            return Ok(Life::Marked(marked));
        }
    }
    Ok(Life::Gone)
}

/// Returns `pid name` of every process that holds the lock or was started under it, as far as it
/// may be examined.
///
/// # Errors
/// `/proc` cannot be read.
pub fn owners(place: &Place, nonce: Nonce) -> Result<Vec<String>> {
    let mut pids = holders::writers_of(&place.lease_file(nonce));
    pids.extend(marked(nonce)?);
    pids.sort_unstable();
    pids.dedup();
    let name = |pid: i32| Some(format!("{pid} {}", Stat::of(pid).filter(|stat| !stat.is_dead())?.comm));
    Ok(pids.into_iter().filter_map(name).collect())
}

fn marked(nonce: Nonce) -> Result<Vec<i32>> {
    let entry = format!("{}=1", mark_of(nonce)).into_bytes();
    let mut pids = all_pids().map_err(|e| Error::io("reading /proc", e))?;
    pids.retain(|pid| marks::carries(*pid, &entry));
    Ok(pids)
}

/// Waits in a thread for the lock of an owner to be free. It ends by itself when the lock is free.
pub struct Waiter {
    free: Receiver<()>,
}

impl Waiter {
    /// # Errors
    /// No thread can be started.
    pub fn on(lock: PathBuf) -> Result<Self> {
        let (send, free) = bounded(1);
        let wait = move || {
            // Signals are for the main thread alone.
            let _as_it_was = signal::block_all();
            if let Ok(file) = open(&lock) {
                while let Err(Errno::INTR) = flock(&file, FlockOperation::LockShared) {}
            }
            let _caller_may_be_gone = send.send(());
        };
        thread::Builder::new().name("waiter".into()).spawn(wait).map_err(|e| Error::io("starting a thread", e))?;
        Ok(Self { free })
    }

    /// Returns true when the lock was free, or did not exist; from then on always.
    pub fn wait(&self, at_most: Duration) -> bool {
        !matches!(self.free.recv_timeout(at_most), Err(crossbeam_channel::RecvTimeoutError::Timeout))
    }
}

/// Waits until one of these processes has ended, but no longer than this.
pub fn wait_for_an_end(pids: &[i32], at_most: Duration) {
    let Ok(pidfds) = pids.iter().map(|pid| open_pidfd(*pid)).collect::<io::Result<Vec<_>>>() else { return };
    let mut fds: Vec<_> = pidfds.iter().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)).collect();
    let timeout = Timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: at_most.subsec_nanos().into() };
    // An interruption: the caller checks again in either case.
    let _ = poll(&mut fds, Some(&timeout));
}

/// Returns the records of the lock files whose lock is held.
///
/// # Errors
/// The directory cannot be read. A missing one has none.
pub fn held(place: &Place) -> Result<Vec<String>> {
    let mut held = Vec::new();
    for nonce in list(place)? {
        let Ok(file) = open(&place.lease_file(nonce)) else { continue };
        if is_locked(&file).unwrap_or(true) {
            let mut text = String::new();
            let _unreadable_is_told_by_the_parser = file.take(TEXT_BYTES_MAX).read_to_string(&mut text);
            held.push(text);
        }
    }
    Ok(held)
}

/// Removes the lock files that no process has locked and that `needed` does not name; returns their
/// number. `needed` is called once, while the locks are held: a process that acquires a lease locks
/// its file before it writes a row. The locks are shared, so that no concurrent query takes the
/// sweep for an owner; a process that wants such a file for itself is refused and creates another.
///
/// # Errors
/// The directory cannot be read, or `needed` fails.
pub fn sweep(place: &Place, needed: impl FnOnce() -> Result<Vec<Nonce>>) -> Result<usize> {
    let mut free = Vec::new();
    for nonce in list(place)? {
        let Ok(file) = open(&place.lease_file(nonce)) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            free.push((nonce, file));
        }
    }
    if free.is_empty() {
        return Ok(0);
    }
    let needed = needed()?;
    free.retain(|(nonce, _)| !needed.contains(nonce));
    for (nonce, _) in &free {
        let path = place.lease_file(*nonce);
        fs::remove_file(&path).map_err(|e| Error::io(format!("removing {}", path.display()), e))?;
    }
    Ok(free.len())
}

/// Removes the lock file of a lease that was released by force, so that no process takes its holder
/// for the owner.
pub fn forget(place: &Place, nonce: Nonce) {
    let _gone_already = fs::remove_file(place.lease_file(nonce));
}

fn list(place: &Place) -> Result<Vec<Nonce>> {
    let entries = match fs::read_dir(place.leases()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(format!("reading {}", place.leases().display()), error)),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Does not follow a link, and does not wait for a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &tempfile::TempDir) -> Place {
        Place::new(dir.path().join("q.db"))
    }

    /// Drops a lock file and waits for its lock to be free: a fork of another test has every
    /// descriptor of this process until it executes.
    fn let_go(place: &Place, lock: LockFile) -> Nonce {
        let nonce = lock.nonce();
        drop(lock);
        assert!(Waiter::on(place.lease_file(nonce)).unwrap().wait(Duration::from_secs(60)));
        nonce
    }

    #[test]
    fn a_holding_is_alive_as_long_as_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        let mut lock = LockFile::make(&place).unwrap();
        lock.describe("who").unwrap();
        let nonce = lock.nonce();
        assert_eq!(life(&place, nonce).unwrap(), Life::Locked);
        assert_eq!(held(&place).unwrap(), ["who"]);
        assert_eq!(sweep(&place, || panic!("nothing is free")).unwrap(), 0);
        let waiter = Waiter::on(place.lease_file(nonce)).unwrap();
        assert!(!waiter.wait(Duration::from_millis(1)));
        drop(lock);
        assert!(waiter.wait(Duration::from_secs(60)));
        assert_eq!(life(&place, nonce).unwrap(), Life::Gone);
    }

    #[test]
    fn an_unlocked_file_is_swept_unless_a_row_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        assert_eq!(sweep(&place, || Ok(vec![])).unwrap(), 0, "no directory, no files");
        let [one, other] = [(); 2].map(|()| let_go(&place, LockFile::make(&place).unwrap()));
        assert_eq!(sweep(&place, || Ok(vec![one])).unwrap(), 1);
        assert!(place.lease_file(one).exists() && !place.lease_file(other).exists());
    }

    #[test]
    fn a_sweep_is_not_taken_for_an_owner() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        let lock = LockFile::make(&place).unwrap();
        let nonce = lock.nonce();
        drop(lock);
        std::fs::write(place.lease_file(nonce), "").unwrap();
        let swept = sweep(&place, || {
            assert_eq!(life(&place, nonce)?, Life::Gone, "its owner is dead, and only the sweep looks at it");
            Ok(vec![nonce])
        });
        assert_eq!(swept.unwrap(), 0);
    }

    #[test]
    fn a_process_started_under_it_is_found_without_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        let lock = LockFile::make(&place).unwrap();
        let (name, value) = lock.mark();
        let mut child = std::process::Command::new("sleep").arg("60").env(name, value).spawn().unwrap();
        let nonce = let_go(&place, lock);
        let life = life(&place, nonce).unwrap();
        let owners = owners(&place, nonce).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(life, Life::Marked(vec![child.id().cast_signed()]));
        assert_eq!(owners, [format!("{} sleep", child.id())]);
    }
}
