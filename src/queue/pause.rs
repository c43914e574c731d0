//! The pause of all queues.

use super::Queue;
use crate::error::Result;
use crate::store::job::control;
#[cfg(feature = "cli")]
use crate::store::job::pending;

impl Queue {
    /// Keeps all jobs from starting, in every queue, also in those that are made later, until
    /// [`Queue::resume_all`]. Running jobs continue. False: they were paused already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn pause_all(&self) -> Result<bool> {
        let now_ms = self.now_ms();
        self.store.write(move |conn| control::pause_all(conn, true, now_ms))
    }

    /// Ends the pause of all queues; one that was paused by itself still is. False: there was none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn resume_all(&self) -> Result<bool> {
        let now_ms = self.now_ms();
        let changed = self.store.write(move |conn| control::pause_all(conn, false, now_ms))?;
        self.wake();
        Ok(changed)
    }

    /// Returns since when all queues are paused, in milliseconds UTC.
    ///
    /// # Errors
    /// The file cannot be read.
    #[cfg(feature = "cli")]
    pub(crate) fn all_paused_since_ms(&self) -> Result<Option<i64>> {
        self.store.read(pending::all_paused_at)
    }
}
