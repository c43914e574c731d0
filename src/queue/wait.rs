//! Waits for jobs to end, and watches one change.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Queue;
use super::changes::Changes;
use super::info::JobInfo;
use crate::error::{Error, Result};
use crate::job::JobId;
use crate::store::job::rows::Job;
use crate::store::{Store, job::read};

/// Up to this number of jobs, all are read at each change.
const FEW_JOBS: usize = 100;
/// Interval at which all are read again, in milliseconds: no event reports a job that was pruned
/// meanwhile.
const ALL_READ_MS: u64 = 10_000;
/// Most events that are read at a time.
const EVENTS_MAX: usize = 20_000;

impl Queue {
    /// Waits until a job has ended, and returns it. Without a worker that may take forever.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no job has this number, or it is pruned meanwhile.
    pub fn wait(&self, id: JobId) -> Result<JobInfo> {
        let ended = self.wait_until(&[id], None)?;
        ended
            .and_then(|mut jobs| jobs.pop())
            .ok_or_else(|| Error::Internal("a wait without a limit has come to its limit".into()))
    }

    /// Like [`Queue::wait`], but no longer than this: `None` if the job has not ended by then.
    ///
    /// # Errors
    /// As [`Queue::wait`].
    pub fn wait_timeout(&self, id: JobId, timeout: Duration) -> Result<Option<JobInfo>> {
        Ok(self.wait_until(&[id], Instant::now().checked_add(timeout))?.and_then(|mut jobs| jobs.pop()))
    }

    /// Waits until all these jobs have ended, and returns them in the order in which that was
    /// observed.
    ///
    /// # Errors
    /// As [`Queue::wait`].
    pub fn wait_all(&self, ids: &[JobId]) -> Result<Vec<JobInfo>> {
        let ended = self.wait_until(ids, None)?;
        ended.ok_or_else(|| Error::Internal("a wait without a limit has come to its limit".into()))
    }

    fn wait_until(&self, ids: &[JobId], until: Option<Instant>) -> Result<Option<Vec<JobInfo>>> {
        let (mut waiting, mut changes, mut ended) = (Waiting::new(ids.iter().copied()), Changes::default(), Vec::new());
        loop {
            if changes.poll(&self.store)? {
                changes.stir();
                let moved = waiting.poll(&self.store)?;
                ended.extend(moved.into_iter().filter(|job| job.shown_state().is_terminal()).map(JobInfo::of));
            }
            if waiting.left().is_empty() {
                // What is returned must still be true after a power cut.
                self.store.flush_now()?;
                return Ok(Some(ended));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(None);
            }
            changes.rest(until);
        }
    }

    /// Watches a job: yields it as it is now, then after each change, and for the last time when it
    /// has ended.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no job has this number.
    pub fn watch(&self, id: JobId) -> Result<Watch> {
        self.row(id)?;
        Ok(Watch { queue: self.clone(), id, changes: Changes::default(), last: None })
    }
}

/// Jobs that a caller waits for.
pub(crate) struct Waiting {
    left: BTreeSet<JobId>,
    /// The position up to which everything was read, and when all remaining jobs were read last.
    read: Option<(read::Seen, Instant)>,
}

impl Waiting {
    pub fn new(ids: impl IntoIterator<Item = JobId>) -> Self {
        Self { left: ids.into_iter().collect(), read: None }
    }

    /// The jobs that are not known to have ended.
    pub fn left(&self) -> &BTreeSet<JobId> {
        &self.left
    }

    /// Reads the jobs that may have changed since the last poll. A job that has ended is not read
    /// again.
    ///
    /// # Errors
    /// The file cannot be read, or one of them was pruned.
    pub fn poll(&mut self, store: &Store) -> Result<Vec<Job>> {
        let (left, before) = (&self.left, self.read);
        let (jobs, read) = store.read(|conn| {
            let often_enough = |at: Instant| at.elapsed() < Duration::from_millis(ALL_READ_MS);
            let (ids, read) = match before {
                Some((seen, at)) if left.len() > FEW_JOBS && often_enough(at) => match read::told_of(conn, seen, EVENTS_MAX)? {
                    (told, last) if told.len() < EVENTS_MAX => {
                        (told.into_iter().filter(|id| left.contains(id)).collect::<BTreeSet<_>>(), (last, at))
                    }
                    _ => (left.clone(), (read::seen(conn)?, Instant::now())),
                },
                // At first, from time to time, and when so much has happened that reading all is
                // not more work.
                _ => (left.clone(), (read::seen(conn)?, Instant::now())),
            };
            let jobs: Result<Vec<Job>> = ids.into_iter().map(|id| existing(conn, id)).collect();
            Ok((jobs?, read))
        })?;
        self.read = Some(read);
        for job in jobs.iter().filter(|job| job.shown_state().is_terminal()) {
            self.left.remove(&job.id);
        }
        Ok(jobs)
    }
}

fn existing(conn: &rusqlite::Connection, id: JobId) -> Result<Job> {
    read::job(conn, id)?.ok_or_else(|| Error::NotFound(format!("job {id} is gone: it was pruned while it was waited for")))
}

/// A watched job, see [`Queue::watch`]. An iterator that waits.
pub struct Watch {
    queue: Queue,
    id: JobId,
    changes: Changes,
    last: Option<JobInfo>,
}

impl Iterator for Watch {
    type Item = Result<JobInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.last.as_ref().is_some_and(JobInfo::has_ended) {
            return None;
        }
        loop {
            match self.poll() {
                Ok(Some(info)) => {
                    self.last = Some(info.clone());
                    return Some(Ok(info));
                }
                Ok(None) => self.changes.rest(None),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Watch {
    /// Returns the job if it has changed.
    fn poll(&mut self) -> Result<Option<JobInfo>> {
        if !self.changes.poll(&self.queue.store)? {
            return Ok(None);
        }
        self.changes.stir();
        let info = self.queue.job(self.id)?;
        if info.has_ended() {
            self.queue.store.flush_now()?;
        }
        Ok(Some(info).filter(|info| self.last.as_ref() != Some(info)))
    }
}
