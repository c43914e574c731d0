//! An overview of the file in numbers, and whether a worker of it has anything to do.

use super::Queue;
use crate::error::Result;
use crate::host::lock::Holder;
#[cfg(feature = "cli")]
use crate::host::sight::Sight;
use crate::store::job::read;
#[cfg(feature = "cli")]
use crate::store::{hook::delivery, job::claim::Scope, job::pending, resource, resource::teardown, upkeep::open_runs};

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

/// What the command line says of the file when a worker ends, or would.
#[cfg(feature = "cli")]
impl Queue {
    /// Counts the jobs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn counts(&self) -> Result<read::Counts> {
        self.store.read(read::counts)
    }

    /// Counts the resources whose owner has ended and that are not torn down yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn resources_left(&self) -> Result<i64> {
        Ok(self.store.read(resource::counts)?.releasing)
    }

    /// Whether that worker would end when idle, if it served these queues: due jobs and schedules
    /// of all queues count. `until_empty`: jobs that wait for their time count as well.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn is_idle(&self, worker: &Sight, queues: &[String], until_empty: bool) -> Result<bool> {
        let now_ms = self.now_ms();
        let served = worker.report.as_ref().map(|report| report.queues.clone()).unwrap_or_default();
        let claims = worker.report.as_ref().is_none_or(|report| report.held_back().next().is_none());
        let claimed = if queues.is_empty() { served } else { queues.to_vec() };
        let scope = Scope { queues: claimed, ..Scope::default() };
        self.store.read(|conn| {
            // Without a queue: all running jobs, as the worker may watch runs of an earlier one.
            let running = if queues.is_empty() { read::counts(conn)?.running } else { read::running_in(conn, queues)? };
            let works = running > 0
                || !open_runs::open_auxiliaries(conn)?.is_empty()
                || teardown::is_due(conn, now_ms)?
                || delivery::is_due(conn, now_ms)?;
            let could_start = claims && pending::could_start(conn, &scope, true, now_ms)?;
            Ok(!(works || could_start || until_empty && pending::waits_for_time(conn)?))
        })
    }
}
