//! An overview of the file in numbers.

use super::Queue;
use crate::error::Result;
use crate::host::lock::Holder;
use crate::store::job::read;

/// How many jobs are in each state, and whether the file has a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Queued jobs, with those that are ready.
    pub queued: u64,
    /// Queued jobs that start in the next free slot.
    pub ready: u64,
    pub running: u64,
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// A worker holds the file: in this program, in another one, or `tenure work`.
    pub has_worker: bool,
}

impl Queue {
    /// Counts the jobs by state, and checks whether a worker lives.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn status(&self) -> Result<Status> {
        let counts = self.store.read(read::counts)?;
        let n = |n: i64| u64::try_from(n).unwrap_or(0);
        let held: i64 = counts.held.iter().map(|(_, n)| n).sum();
        Ok(Status {
            queued: n(counts.queued),
            ready: n(counts.queued - held),
            running: n(counts.running),
            done: n(counts.done),
            failed: n(counts.failed),
            cancelled: n(counts.cancelled),
            has_worker: Holder::read(self.store.place())?.is_some(),
        })
    }
}
