//! What a person requests of running jobs: suspend, resume.

use super::Queue;
use super::each::each_with;
use crate::error::Result;
use crate::job::JobId;
use crate::store::job::suspend;

impl Queue {
    /// Suspends a running job: its whole process tree is stopped, and its limits stand still, until
    /// [`Queue::resume`]. It keeps its slot, its lane and its leases. The worker does it; without
    /// one, the next worker.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) if it is not running or is being cancelled;
    /// [`Error::NotFound`](crate::Error::NotFound).
    pub fn suspend(&self, id: JobId) -> Result<()> {
        let mut came_to = Ok(());
        self.suspend_each(&[id], None, |_, result| {
            came_to = result.map(drop);
            Ok(())
        })?;
        came_to
    }

    /// Continues a suspended job. One that runs and is not suspended is left as it is.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) if it is not running;
    /// [`Error::NotFound`](crate::Error::NotFound).
    pub fn resume(&self, id: JobId) -> Result<()> {
        let mut came_to = Ok(());
        self.resume_each(&[id], |_, result| {
            came_to = result.map(drop);
            Ok(())
        })?;
        came_to
    }

    /// Suspends jobs and passes the result of each to `tell`: whether it was not asked before.
    ///
    /// # Errors
    /// An error of `tell`, or the file cannot be written.
    pub(crate) fn suspend_each(
        &self,
        ids: &[JobId],
        why: Option<String>,
        tell: impl FnMut(JobId, Result<bool>) -> Result<()>,
    ) -> Result<()> {
        let now_ms = self.now_ms();
        let verb = move |conn: &rusqlite::Connection, id| suspend::suspend(conn, id, why.as_deref(), now_ms);
        each_with(&self.store, ids, verb, |_| 1, tell)?;
        self.wake();
        Ok(())
    }

    /// Resumes jobs and passes the result of each to `tell`: whether it was suspended.
    ///
    /// # Errors
    /// An error of `tell`, or the file cannot be written.
    pub(crate) fn resume_each(&self, ids: &[JobId], tell: impl FnMut(JobId, Result<bool>) -> Result<()>) -> Result<()> {
        let now_ms = self.now_ms();
        each_with(&self.store, ids, move |conn: &rusqlite::Connection, id| suspend::resume(conn, id, now_ms), |_| 1, tell)?;
        self.wake();
        Ok(())
    }
}
