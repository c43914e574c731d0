//! The order of queued jobs.

use super::Queue;
use crate::error::Result;
use crate::job::JobId;
use crate::store::job::reorder::{self, Moved, Position};

impl Queue {
    /// Moves a queued job to the front of its queue: before all that are ready now. If one of these
    /// has a higher priority, the job takes that.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) if it is not queued;
    /// [`Error::NotFound`](crate::Error::NotFound).
    pub fn move_first(&self, id: JobId) -> Result<()> {
        self.reorder(&[id], Position::First).map(drop)
    }

    /// Moves a queued job before another one of the same queue, whose priority it takes.
    ///
    /// # Errors
    /// As [`Queue::move_first`], also for the other job, or if it is in another queue.
    pub fn move_before(&self, id: JobId, other: JobId) -> Result<()> {
        self.reorder(&[id], Position::Before(other)).map(drop)
    }

    /// Moves a queued job after another one of the same queue, whose priority it takes.
    ///
    /// # Errors
    /// As [`Queue::move_before`].
    pub fn move_after(&self, id: JobId, other: JobId) -> Result<()> {
        self.reorder(&[id], Position::After(other)).map(drop)
    }

    /// Moves jobs so that they follow each other in this order, all or none.
    ///
    /// # Errors
    /// As [`Queue::move_before`].
    pub(crate) fn reorder(&self, ids: &[JobId], to: Position) -> Result<Vec<Moved>> {
        let ids = ids.to_vec();
        let moved = self.store.write(move |conn| {
            // What is put before a place comes last; what is put after one, first.
            let is_reversed = !matches!(to, Position::Before(_));
            let mut moved: Vec<Moved> = match is_reversed {
                true => ids.iter().rev().map(|id| reorder::reorder(conn, *id, to)).collect::<Result<_>>()?,
                false => ids.iter().map(|id| reorder::reorder(conn, *id, to)).collect::<Result<_>>()?,
            };
            if is_reversed {
                moved.reverse();
            }
            Ok(moved)
        })?;
        self.wake();
        Ok(moved)
    }
}
