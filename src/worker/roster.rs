//! The runs that this worker owns, with the waker of each that a thread watches.
//!
//! A run is in the roster from before its run file exists until it is settled and its run file is
//! gone, so that recovery, which skips the roster, never finds a run that one thread hands to
//! another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use super::run_waker::RunWaker;
use crate::job::{Cause, RunId};
use crate::store::job::suspend::Wanted;
use crate::sync::lock;

/// The runs of this worker.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// With a waker if a monitor watches the run.
    owned: Mutex<HashMap<RunId, Option<Arc<RunWaker>>>>,
}

impl Roster {
    /// From now on recovery skips this run.
    pub fn own(&self, run: RunId) {
        lock(&self.owned).entry(run).or_insert(None);
    }

    /// Like [`Roster::own`]; `false` if it was owned already.
    pub fn try_own(&self, run: RunId) -> bool {
        match lock(&self.owned).entry(run) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(None);
                true
            }
        }
    }

    /// Recovery may handle it again.
    pub fn disown(&self, run: RunId) {
        lock(&self.owned).remove(&run);
    }

    pub fn owns(&self, run: RunId) -> bool {
        lock(&self.owned).contains_key(&run)
    }

    /// A monitor watches it, and can be asked to stop it.
    pub fn watch(&self, run: RunId, waker: Arc<RunWaker>) {
        lock(&self.owned).insert(run, Some(waker));
    }

    /// Asks the monitor of a run to stop it; false if it has none.
    pub fn request_stop(&self, run: RunId, cause: Cause) -> bool {
        let waker = lock(&self.owned).get(&run).cloned().flatten();
        waker.inspect(|waker| waker.request_stop(cause)).is_some()
    }

    /// Asks the monitor of a run to suspend or to continue it; false if it has none.
    pub fn want(&self, run: RunId, wanted: Wanted) -> bool {
        let waker = lock(&self.owned).get(&run).cloned().flatten();
        waker.inspect(|waker| waker.want(wanted)).is_some()
    }

    /// Returns since when the run of a monitor counts as running, in milliseconds since the boot;
    /// the outer `None`: it has no monitor, the inner: it is suspended.
    pub fn began_ms(&self, run: RunId) -> Option<Option<u64>> {
        lock(&self.owned).get(&run)?.as_ref().map(|waker| waker.began_ms())
    }

    /// Wakes every monitor.
    pub fn wake_all(&self) {
        let wakers: Vec<_> = lock(&self.owned).values().flatten().cloned().collect();
        wakers.iter().for_each(|waker| waker.wake());
    }

    /// Asks every monitor but those of these runs to stop its run. Runs of other engines continue.
    pub fn request_stop_of_all_but(&self, spared: &[RunId], cause: Cause) {
        let wakers: Vec<_> = lock(&self.owned)
            .iter()
            .filter(|(run, _)| !spared.contains(run))
            .filter_map(|(_, waker)| waker.clone())
            .filter(|waker| !waker.is_launched())
            .collect();
        wakers.iter().for_each(|waker| waker.request_stop(cause));
    }
}
