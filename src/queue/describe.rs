//! The description of a job, and changes of a queued one.

use super::Queue;
use crate::error::{Error, Result};
use crate::host::{secrets, waker};
use crate::job::{JobId, NewJob};
use crate::store::job::control::Changed;
use crate::store::job::describe;

impl Queue {
    /// Returns the description of a job, as it could be added again.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] if another program wrote something that is not a
    /// job.
    pub(crate) fn description(&self, id: JobId) -> Result<NewJob> {
        self.store.read(move |conn| describe::of(conn, id))
    }

    /// Checks that a job can be changed.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not queued, with the remedy.
    pub(crate) fn refuse_unless_queued(&self, id: JobId) -> Result<()> {
        self.store.read(move |conn| describe::changeable(conn, id))
    }

    /// Gives queued jobs other descriptions, all or none: `wanted` makes it from the present one.
    /// Returns the jobs that have ended, because they have no attempt left.
    ///
    /// # Errors
    /// As `wanted`; [`Error::Refused`] if one is not queued, or another live job has its key.
    pub(crate) fn change_each(
        &self,
        ids: &[JobId],
        wanted: impl Fn(&NewJob) -> Result<NewJob, String> + Send + Sync + 'static,
    ) -> Result<Vec<JobId>> {
        let (ids, now_ms) = (ids.to_vec(), self.now_ms());
        let one = move |conn: &rusqlite::Connection, id: JobId| -> Result<(JobId, Changed)> {
            let was = describe::of(conn, id)?;
            let wanted = wanted(&was).map_err(Error::Invalid)?;
            Ok((id, describe::change(conn, id, &was, &wanted, now_ms)?))
        };
        let changed: Vec<(JobId, Changed)> = self.store.write(move |conn| ids.iter().map(|id| one(conn, *id)).collect())?;
        waker::send(self.store.place());
        changed.iter().for_each(|(_, change)| secrets::remove(self.store.place(), &change.freed));
        Ok(changed.into_iter().filter(|(_, change)| change.ended).map(|(id, _)| id).collect())
    }

    /// Gives a queued job this description, if `was` is still the present one. Returns whether it
    /// has ended, because it has no attempt left.
    ///
    /// # Errors
    /// As [`Queue::change_each`], and [`Error::Refused`] if it was changed meanwhile.
    pub(crate) fn change(&self, id: JobId, was: NewJob, wanted: NewJob) -> Result<bool> {
        let now_ms = self.now_ms();
        let changed = self.store.write(move |conn| describe::change(conn, id, &was, &wanted, now_ms))?;
        waker::send(self.store.place());
        secrets::remove(self.store.place(), &changed.freed);
        Ok(changed.ended)
    }
}
