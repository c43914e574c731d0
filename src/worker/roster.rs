//! The runs that this worker owns, and the waker of each that a thread watches.
//!
//! A run is in the roster from before its run file exists until after it is settled and its run file is gone, so that recovery,
//! which leaves out what is in the roster, never meets a run that one thread hands to another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::run_waker::RunWaker;
use crate::job::{Cause, RunId};

/// The runs of this worker.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// With a waker where a monitor watches the run.
    owned: Mutex<HashMap<RunId, Option<Arc<RunWaker>>>>,
}

impl Roster {
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Option<Arc<RunWaker>>>> {
        // A panic elsewhere leaves the map whole.
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on recovery leaves this run alone.
    pub fn own(&self, run: RunId) {
        self.lock().entry(run).or_insert(None);
    }

    /// Recovery may look at it again.
    pub fn disown(&self, run: RunId) {
        self.lock().remove(&run);
    }

    pub fn owns(&self, run: RunId) -> bool {
        self.lock().contains_key(&run)
    }

    /// A monitor watches it, and can be asked to stop it.
    pub fn watch(&self, run: RunId, waker: Arc<RunWaker>) {
        self.lock().insert(run, Some(waker));
    }

    /// Asks the monitor of a run to stop it; false where it has none.
    pub fn request_stop(&self, run: RunId, cause: Cause) -> bool {
        let waker = self.lock().get(&run).cloned().flatten();
        waker.inspect(|waker| waker.request_stop(cause)).is_some()
    }

    /// Since when the run of a monitor counts as running, in milliseconds since the boot.
    pub fn began_ms(&self, run: RunId) -> Option<u64> {
        self.lock().get(&run)?.as_ref().map(|waker| waker.began_ms())
    }

    /// Wakes every monitor.
    pub fn wake_all(&self) {
        let wakers: Vec<_> = self.lock().values().flatten().cloned().collect();
        wakers.iter().for_each(|waker| waker.wake());
    }

    /// Asks every monitor but those of these runs to stop its run.
    pub fn request_stop_of_all_but(&self, spared: &[RunId], cause: Cause) {
        let wakers: Vec<_> =
            self.lock().iter().filter(|(run, _)| !spared.contains(run)).filter_map(|(_, waker)| waker.clone()).collect();
        wakers.iter().for_each(|waker| waker.request_stop(cause));
    }
}
