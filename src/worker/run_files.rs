//! Run files that are created before their claim.
//!
//! A run file must exist, locked, before any row names its run; so a claim takes one from this
//! pool. It is filled while threads wait for runs, which keeps the creation of files out of the
//! time between two jobs of a slot.
//!
//! Ids rise: a run that begins later has a higher one, so the later of two runs of a job has the
//! higher id, and a program that keeps the highest `TENURE_RUN` that it has seen can refuse an
//! older one. A run file that was taken, not used and overtaken meanwhile is therefore dropped, and
//! its file gets another id.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use super::high_water;
use super::roster::Roster;
use crate::error::Result;
use crate::job::{Nonce, RunId, RunKey};
use crate::place::Place;
use crate::run::machine;
use crate::run::runfile;
use crate::run::{Header, RunFile};
use crate::store::{Store, job::ids};
use crate::sync::lock;

/// Most run ids that one flushed write reserves. Ids that are unused when the worker ends leave a
/// gap, nothing else.
const BLOCK_MAX: i64 = 256;
/// The first block; each is twice as large as the previous one, so that a short life leaves a small
/// gap.
const BLOCK_FIRST: i64 = 4;
/// Files of settled runs that are kept for reuse.
const RETIRED_MAX: usize = 16;
/// Files that are kept ready.
const SHELF_MAX: usize = 4;

/// A run file without a claim.
pub(super) struct ReadyRun {
    pub file: RunFile,
    nonce: Nonce,
}

impl ReadyRun {
    pub fn run(&self) -> RunId {
        self.file.run()
    }

    pub fn key(&self) -> RunKey {
        RunKey { run: self.run(), nonce: self.nonce }
    }
}

/// Reserved run ids that have not been assigned.
struct Ids {
    left: Range<i64>,
    /// Size of the next block.
    block: i64,
}

/// Run files without a claim, and files of settled runs that will be reused.
pub(super) struct RunFilePool {
    file_id: String,
    boot_id: String,
    pid_ns: u64,
    pid_ns_ends: bool,
    ids: Mutex<Ids>,
    /// By id, the lowest first.
    shelf: Mutex<VecDeque<ReadyRun>>,
    /// The highest id that has begun.
    begun: AtomicI64,
    /// Files of settled runs for reuse; `None` once the worker ends, when no run will use them.
    retired: Mutex<Option<Vec<PathBuf>>>,
}

impl RunFilePool {
    pub fn new(file_id: String, boot_id: String) -> Self {
        Self {
            file_id,
            boot_id,
            pid_ns: machine::pid_namespace(),
            pid_ns_ends: machine::NamespaceEnd::of_ours().is_proven(),
            ids: Mutex::new(Ids { left: 0..0, block: BLOCK_FIRST }),
            shelf: Mutex::default(),
            begun: AtomicI64::new(0),
            retired: Mutex::new(Some(Vec::new())),
        }
    }

    /// Takes one from the shelf, or creates a new one.
    pub fn take(&self, store: &Store, roster: &Roster) -> Result<ReadyRun> {
        loop {
            let waiting = lock(&self.shelf).pop_front();
            match waiting {
                None => return self.make(store, roster),
                Some(ready) if ready.run().0 > self.begun.load(Ordering::SeqCst) => return Ok(ready),
                Some(overtaken) => self.drop_overtaken(overtaken, store.place(), roster),
            }
        }
    }

    /// Takes up to `n`; at least one, or returns the error of the first.
    pub fn take_up_to(&self, n: usize, store: &Store, roster: &Roster) -> Result<Vec<ReadyRun>> {
        let mut taken = Vec::with_capacity(n);
        while taken.len() < n {
            match self.take(store, roster) {
                Ok(ready) => taken.push(ready),
                Err(error) if taken.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// Returns unused ones to the shelf.
    pub fn return_unused(&self, unused: impl IntoIterator<Item = ReadyRun>) {
        let mut shelf = lock(&self.shelf);
        for ready in unused {
            let at = shelf.partition_point(|other| other.run() < ready.run());
            shelf.insert(at, ready);
        }
    }

    /// A run has begun: no lower id is assigned after this.
    pub fn begun(&self, run: RunId) {
        self.begun.fetch_max(run.0, Ordering::SeqCst);
    }

    /// No row names it, and none will.
    fn drop_overtaken(&self, ready: ReadyRun, place: &Place, roster: &Roster) {
        let run = ready.run();
        drop(ready);
        if let Err(error) = self.retire(place, run) {
            log::warn!("run {run}: putting its run file away: {error} (recovery tries again)");
        }
        roster.disown(run);
    }

    /// Fills the shelf. A file that cannot be created now is created, or fails, when it is needed.
    pub fn fill(&self, store: &Store, roster: &Roster) {
        while lock(&self.shelf).len() < SHELF_MAX {
            match self.make(store, roster) {
                Ok(ready) => self.return_unused([ready]),
                Err(error) => {
                    log::debug!("making a run file ahead: {error}");
                    return;
                }
            }
        }
    }

    /// Keeps the file of a settled run for reuse, or removes it if there are enough.
    ///
    /// # Errors
    /// The system refuses it; recovery retries.
    pub fn retire(&self, place: &Place, run: RunId) -> Result<()> {
        let mut retired = lock(&self.retired);
        // Calls after a flush still arrive when the pool has been cleared.
        match retired.as_mut().filter(|retired| retired.len() < RETIRED_MAX) {
            Some(retired) => retired.push(runfile::retire(place, run)?),
            None => runfile::unlink(place, run)?,
        }
        Ok(())
    }

    /// Their files are gone with the directory; no row names them, and none will.
    pub fn forget(&self, roster: &Roster) {
        for ready in lock(&self.shelf).drain(..) {
            roster.disown(ready.run());
        }
    }

    /// Unlinks all files; from now on none is kept.
    pub fn clear(&self, store: &Store) {
        for retired in lock(&self.retired).take().into_iter().flatten() {
            let _found_and_unlinked_by_the_next_worker = std::fs::remove_file(retired);
        }
        for ready in lock(&self.shelf).drain(..) {
            let _found_and_unlinked_by_the_next_worker = runfile::unlink(store.place(), ready.run());
        }
    }

    fn make(&self, store: &Store, roster: &Roster) -> Result<ReadyRun> {
        self.create(false, store, roster)
    }

    /// Creates one for a question to another engine, which no row names.
    ///
    /// # Errors
    /// The system or the file refuses it.
    pub fn make_question(&self, store: &Store, roster: &Roster) -> Result<ReadyRun> {
        self.create(true, store, roster)
    }

    fn create(&self, asks: bool, store: &Store, roster: &Roster) -> Result<ReadyRun> {
        let run = self.next_id(store)?;
        let nonce = machine::nonce();
        let (file_id, boot_id) = (self.file_id.clone(), self.boot_id.clone());
        let header = Header { file_id, run, nonce, boot_id, pid_ns: self.pid_ns, pid_ns_ends: self.pid_ns_ends, asks };
        roster.own(run);
        match self.file(store.place(), &header) {
            Ok(file) => Ok(ReadyRun { file, nonce }),
            Err(error) => {
                roster.disown(run);
                Err(error)
            }
        }
    }

    fn file(&self, place: &Place, header: &Header) -> Result<RunFile> {
        let retired = lock(&self.retired).as_mut().and_then(Vec::pop);
        if let Some(retired) = retired {
            match RunFile::create_from(place, header, &retired) {
                Ok(Some(file)) => return Ok(file),
                // Its shim is about to close it: the next time.
                Ok(None) => match lock(&self.retired).as_mut() {
                    Some(all) => all.insert(0, retired),
                    None => drop(std::fs::remove_file(retired)),
                },
                Err(error) => log::warn!("{error}; making a new one"),
            }
        }
        RunFile::create(place, header)
    }

    fn next_id(&self, store: &Store) -> Result<RunId> {
        let mut ids = lock(&self.ids);
        if ids.left.is_empty() {
            let block = ids.block;
            ids.left = store.write(move |conn| ids::reserve_runs(conn, block))?;
            ids.block = (block * 2).min(BLOCK_MAX);
            high_water::note(store)?;
        }
        let id = ids.left.start;
        ids.left.start += 1;
        Ok(RunId(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Role};

    #[test]
    fn overtaken_files_are_not_given_out_and_the_rest_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
        let (pool, roster) = (RunFilePool::new("f".into(), "b".into()), Roster::default());
        let [a, b, c] = [(); 3].map(|()| pool.take(&store, &roster).unwrap());
        let (first, second, third) = (a.run(), b.run(), c.run());
        assert!(first < second && second < third);
        pool.return_unused([c, a]);
        pool.begun(second);
        assert_eq!(pool.take(&store, &roster).unwrap().run(), third);
        assert!(!roster.owns(first), "it was dropped");
        assert!(!store.place().run_file(first).exists(), "and its file put away");
        let next = pool.take(&store, &roster).unwrap();
        assert!(next.run() > third);
        drop((b, next));
    }
}
