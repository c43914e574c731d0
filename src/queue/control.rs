//! What a person requests of jobs: cancel, retry, hold, release. Each for one job, and, for the
//! command line, for many.

use super::Queue;
use super::each::{BATCH_JOBS, each_with};
use crate::error::{Error, Result};
use crate::host::secrets;
use crate::host::stop::{self, Direct};
use crate::job::JobId;
use crate::store::job::control;
use crate::store::job::retry::{self, Back};
use crate::store::{job::pending, upkeep::due};

/// Result of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// It was queued, and has ended.
    Ended,
    /// It was running, and its process tree is being stopped.
    Asked,
    /// It had ended before.
    AlreadyEnded,
}

impl Queue {
    /// Cancels a job. A queued job ends immediately; the whole process tree of a running one is
    /// stopped, with or without a worker.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no job has this number.
    pub fn cancel(&self, id: JobId) -> Result<Cancelled> {
        self.row(id)?;
        let mut came_to = Cancelled::AlreadyEnded;
        self.cancel_each(&[id], None, |_, cancelled| {
            came_to = match cancelled? {
                control::Cancelled::Ended { .. } => Cancelled::Ended,
                control::Cancelled::Asked { .. } => Cancelled::Asked,
                control::Cancelled::AlreadyEnded => Cancelled::AlreadyEnded,
            };
            Ok(())
        })?;
        if came_to == Cancelled::Asked {
            self.stop_directly(id)?;
        }
        Ok(came_to)
    }

    /// Cancels jobs and passes the result of each to `tell` when it is durable. The shims of
    /// running jobs are still to be asked: [`Queue::stop_directly`].
    ///
    /// # Errors
    /// An error of `tell`, or the file cannot be written.
    pub(crate) fn cancel_each(
        &self,
        ids: &[JobId],
        why: Option<String>,
        mut tell: impl FnMut(JobId, Result<control::Cancelled>) -> Result<()>,
    ) -> Result<()> {
        let now_ms = self.now_ms();
        let verb = move |conn: &rusqlite::Connection, id| control::cancel(conn, id, why.as_deref(), now_ms);
        let touched = |cancelled: &control::Cancelled| match cancelled {
            control::Cancelled::Ended { touched, .. } => (*touched).max(1),
            control::Cancelled::Asked { .. } | control::Cancelled::AlreadyEnded => 1,
        };
        each_with(&self.store, ids, verb, touched, |id, result| {
            match &result {
                Ok(control::Cancelled::Ended { freed, .. }) => secrets::remove(self.store.place(), freed),
                Ok(control::Cancelled::Asked { .. }) => self.wake(),
                _ => {}
            }
            tell(id, result)
        })?;
        self.end_dependants(now_ms)?;
        self.wake();
        Ok(())
    }

    /// Ends the remaining dependants of ended jobs, step by step: a worker would do it as well, but
    /// there may be none.
    fn end_dependants(&self, now_ms: i64) -> Result<()> {
        while self.store.read(pending::has_unresolved)? {
            let done = self.store.write(move |conn| due::continue_ends(conn, now_ms, BATCH_JOBS))?;
            secrets::remove(self.store.place(), &done.freed);
            if !done.more {
                break;
            }
        }
        Ok(())
    }

    /// Asks the shim of a running job to stop it, independently of the worker.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn stop_directly(&self, id: JobId) -> Result<Direct> {
        stop::ask_directly(&self.store, id)
    }

    /// Requeues an ended job, with all its attempts.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not failed or cancelled, or something that it needs is gone;
    /// [`Error::NotFound`].
    pub fn retry(&self, id: JobId) -> Result<()> {
        self.retry_one(id, false).map(drop)
    }

    /// Like [`Queue::retry`], and also requeues the jobs that failed because of it. Returns all
    /// requeued jobs.
    ///
    /// # Errors
    /// As [`Queue::retry`].
    pub fn retry_with_dependants(&self, id: JobId) -> Result<Vec<JobId>> {
        self.retry_one(id, true)
    }

    fn retry_one(&self, id: JobId, with_dependants: bool) -> Result<Vec<JobId>> {
        let mut came_to = Ok(Vec::new());
        self.retry_each(&[id], with_dependants, |_, back| {
            came_to = match back {
                Ok(back) if back.is_empty() => Err(self.why_no_retry(id)?),
                other => other,
            };
            Ok(())
        })?;
        came_to
    }

    /// Requeues jobs and passes to `tell` what was requeued with each, including itself; nothing
    /// for a job that [`Queue::why_no_retry`] explains.
    ///
    /// # Errors
    /// An error of `tell`, or the file cannot be written.
    pub(crate) fn retry_each(
        &self,
        ids: &[JobId],
        with_dependants: bool,
        mut tell: impl FnMut(JobId, Result<Vec<JobId>>) -> Result<()>,
    ) -> Result<()> {
        let now_ms = self.now_ms();
        let verb = move |conn: &rusqlite::Connection, id| retry::retry_step(conn, id, with_dependants, now_ms);
        let touched = |done: &Back| done.back.len().max(1);
        each_with(&self.store, ids, verb, touched, |id, result| match result {
            Ok(done) => {
                let back = self.retry_dependants(done, now_ms)?;
                tell(id, Ok(back))
            }
            Err(error) => tell(id, Err(error)),
        })?;
        self.wake();
        Ok(())
    }

    /// Returns the jobs that ended because of this one, at most so many.
    ///
    /// # Errors
    /// The file cannot be read.
    #[cfg(feature = "cli")]
    pub(crate) fn dependants(&self, id: JobId, most: usize) -> Result<Vec<JobId>> {
        self.store.read(|conn| retry::dependants(conn, id, most))
    }

    /// Requeues the jobs below it, one transaction at a time.
    fn retry_dependants(&self, mut done: Back, now_ms: i64) -> Result<Vec<JobId>> {
        while !done.parents.is_empty() {
            let parents = std::mem::take(&mut done.parents);
            let next = self.store.write(move |conn| retry::requeue_dependants(conn, parents.clone(), now_ms))?;
            done.back.extend(next.back);
            done.parents = next.parents;
        }
        Ok(done.back)
    }

    /// Explains why a job was not requeued.
    ///
    /// # Errors
    /// As [`Queue::retry`].
    pub(crate) fn why_no_retry(&self, id: JobId) -> Result<Error> {
        self.store.read(move |conn| retry::why_not(conn, id))
    }

    /// Keeps a queued job from starting until [`Queue::release`].
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not queued; [`Error::NotFound`].
    pub fn hold(&self, id: JobId) -> Result<()> {
        self.hold_one(id, true)
    }

    /// Releases a held job.
    ///
    /// # Errors
    /// As [`Queue::hold`].
    pub fn release(&self, id: JobId) -> Result<()> {
        self.hold_one(id, false)
    }

    fn hold_one(&self, id: JobId, held: bool) -> Result<()> {
        let mut came_to = Ok(());
        self.hold_each(&[id], held, |_, result| {
            came_to = result.map(drop);
            Ok(())
        })?;
        came_to
    }

    /// Holds or releases jobs and passes the result of each to `tell`: whether it has changed.
    ///
    /// # Errors
    /// An error of `tell`, or the file cannot be written.
    pub(crate) fn hold_each(&self, ids: &[JobId], held: bool, tell: impl FnMut(JobId, Result<bool>) -> Result<()>) -> Result<()> {
        let verb = move |conn: &rusqlite::Connection, id| match held {
            true => control::hold(conn, id),
            false => control::release(conn, id),
        };
        each_with(&self.store, ids, verb, |_| 1, tell)?;
        self.wake();
        Ok(())
    }
}
