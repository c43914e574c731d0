//! Who in this worker watches which run, and which slots are taken.
//!
//! A run stands here from before its run file exists until after it is settled and unlinked, so that the reaper, which leaves
//! out what stands here, never meets a run that is between two hands.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::error::{Error, Result};
use crate::job::{Cause, RunId};
use crate::run::machine::boottime_ms;

/// Wakes a monitor out of its wait, with the cause for which its run is to be stopped.
#[derive(Debug)]
pub struct Bell {
    fd: OwnedFd,
    cause: AtomicU8,
    /// Since when the run counts as running, in milliseconds since the boot: its process was started, or, before that, the monitor began.
    began_ms: AtomicU64,
    /// It only wakes: no stop request ends what it is for.
    deaf: bool,
}

impl Bell {
    pub fn new() -> Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| Error::io("making an eventfd", e))?;
        Ok(Self { fd, cause: AtomicU8::new(0), began_ms: AtomicU64::new(boottime_ms()), deaf: false })
    }

    /// A bell for work that no stop request ends: it wakes, and never has a cause.
    pub fn deaf() -> Result<Self> {
        Ok(Self { deaf: true, ..Self::new()? })
    }

    /// Asks the monitor to stop its run. The first cause stands.
    pub fn ring(&self, cause: Cause) {
        if !self.deaf {
            let _first = self.cause.compare_exchange(0, cause.code(), Ordering::SeqCst, Ordering::SeqCst);
        }
        self.nudge();
    }

    /// The run's process was started then, in milliseconds since the boot.
    pub fn began(&self, at_ms: u64) {
        self.began_ms.store(at_ms, Ordering::SeqCst);
    }

    /// Wakes the monitor without a cause, so that it looks around.
    pub fn nudge(&self) {
        let _full_counter_rings_as_well = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// Why the run is to be stopped, if it is. Silences the bell.
    pub fn cause(&self) -> Option<Cause> {
        let _already_silent = rustix::io::read(&self.fd, &mut [0u8; 8]);
        Cause::from_code(self.cause.load(Ordering::SeqCst))
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The runs of this worker.
#[derive(Debug, Default)]
pub struct Roster {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Runs that stand here; with a bell where a monitor watches them.
    owned: HashMap<RunId, Option<Arc<Bell>>>,
    /// Numbers of the slots that are taken, from 1.
    taken: BTreeSet<usize>,
}

impl Roster {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves sets and maps whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the reaper leaves this run alone.
    pub fn own(&self, run: RunId) {
        self.lock().owned.entry(run).or_insert(None);
    }

    /// The reaper may look at it again.
    pub fn disown(&self, run: RunId) {
        self.lock().owned.remove(&run);
    }

    pub fn owns(&self, run: RunId) -> bool {
        self.lock().owned.contains_key(&run)
    }

    /// A monitor watches it and can be rung.
    pub fn watch(&self, run: RunId, bell: Arc<Bell>) {
        self.lock().owned.insert(run, Some(bell));
    }

    /// Rings the monitor of a run; false where it has none.
    pub fn ring(&self, run: RunId, cause: Cause) -> bool {
        let bell = self.lock().owned.get(&run).cloned().flatten();
        bell.inspect(|bell| bell.ring(cause)).is_some()
    }

    /// Since when the run of a monitor counts as running, in milliseconds since the boot.
    pub fn began_ms(&self, run: RunId) -> Option<u64> {
        self.lock().owned.get(&run)?.as_ref().map(|bell| bell.began_ms.load(Ordering::SeqCst))
    }

    /// Wakes every monitor.
    pub fn nudge_all(&self) {
        let bells: Vec<_> = self.lock().owned.values().flatten().cloned().collect();
        bells.iter().for_each(|bell| bell.nudge());
    }

    /// Rings every monitor but those of these runs.
    pub fn ring_all_but(&self, spared: &[RunId], cause: Cause) {
        let is_rung = |run: &RunId| !spared.contains(run);
        let bells: Vec<_> =
            self.lock().owned.iter().filter(|(run, _)| is_rung(run)).filter_map(|(_, bell)| bell.clone()).collect();
        bells.iter().for_each(|bell| bell.ring(cause));
    }

    /// Takes the lowest free slot. An adopted run takes one even when all are taken: it runs already.
    pub fn take_slot(&self) -> usize {
        let mut inner = self.lock();
        let slot = (1..).find(|n| !inner.taken.contains(n)).unwrap_or(usize::MAX);
        inner.taken.insert(slot);
        slot
    }

    pub fn free_slot(&self, slot: usize) {
        self.lock().taken.remove(&slot);
    }

    pub fn busy(&self) -> usize {
        self.lock().taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_keeps_its_first_cause() {
        let bell = Bell::new().unwrap();
        assert_eq!(bell.cause(), None);
        bell.ring(Cause::Cancel);
        bell.ring(Cause::Shutdown);
        assert_eq!(bell.cause(), Some(Cause::Cancel));
        assert_eq!(bell.cause(), Some(Cause::Cancel));
    }

    #[test]
    fn a_deaf_bell_has_never_a_cause() {
        let bell = Bell::deaf().unwrap();
        bell.ring(Cause::Cancel);
        assert_eq!(bell.cause(), None);
    }

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let roster = Roster::default();
        assert_eq!([roster.take_slot(), roster.take_slot(), roster.take_slot()], [1, 2, 3]);
        roster.free_slot(2);
        assert_eq!((roster.busy(), roster.take_slot()), (2, 2));
    }
}
