//! What a person asks of jobs: cancel, retry, hold, release. Each for one job, and, for the command
//! line, for many.

use super::Queue;
use super::each::{BATCH_JOBS, each_with};
use super::secrets;
use crate::error::{Error, Result};
use crate::host::stop::{self, Direct};
use crate::job::JobId;
use crate::store::control;
use crate::store::retry::{self, Back};
use crate::store::{due, pending};

/// What a cancel came to.
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
    /// Cancels a job. A queued one ends at once; of a running one the whole process tree is
    /// stopped, whether a worker runs or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none with this number.
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

    /// Cancels jobs and tells what came of each when that is on the disk. The shims of running ones
    /// are still to be asked: [`Queue::stop_directly`].
    ///
    /// # Errors
    /// What `tell` returns as one, and what keeps the file from being written.
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

    /// Ends the rest of those who waited for what has ended, a step at a time: a worker would do it
    /// as well, but there may be none.
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

    /// Asks the shim of a running job to stop it, whatever the worker does.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn stop_directly(&self, id: JobId) -> Result<Direct> {
        stop::ask_directly(&self.store, id)
    }

    /// Puts an ended job back into the queue, with all its attempts.
    ///
    /// # Errors
    /// [`Error::Refused`] where it is not failed or cancelled, or something that it needs is gone;
    /// [`Error::NotFound`].
    pub fn retry(&self, id: JobId) -> Result<()> {
        self.retry_one(id, false).map(drop)
    }

    /// As [`Queue::retry`], and puts back those that failed because of it. Returns all that were
    /// put back.
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

    /// Puts jobs back and tells what was put back with each, itself included; nothing of one that
    /// [`Queue::why_no_retry`] tells about.
    ///
    /// # Errors
    /// What `tell` returns as one, and what keeps the file from being written.
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

    /// Puts back those below it, a transaction at a time.
    fn retry_dependants(&self, mut done: Back, now_ms: i64) -> Result<Vec<JobId>> {
        while !done.parents.is_empty() {
            let parents = std::mem::take(&mut done.parents);
            let next = self.store.write(move |conn| retry::go_on(conn, parents.clone(), now_ms))?;
            done.back.extend(next.back);
            done.parents = next.parents;
        }
        Ok(done.back)
    }

    /// Why a job was not put back.
    ///
    /// # Errors
    /// As [`Queue::retry`], where that is learned meanwhile.
    pub(crate) fn why_no_retry(&self, id: JobId) -> Result<Error> {
        self.store.read(move |conn| retry::why_not(conn, id))
    }

    /// Keeps a queued job from starting until [`Queue::release`].
    ///
    /// # Errors
    /// [`Error::Refused`] where it is not queued; [`Error::NotFound`].
    pub fn hold(&self, id: JobId) -> Result<()> {
        self.hold_one(id, true)
    }

    /// Lets a job start again that was held.
    ///
    /// # Errors
    /// As [`Queue::hold`].
    pub fn release(&self, id: JobId) -> Result<()> {
        self.hold_one(id, false)
    }

    fn hold_one(&self, id: JobId, held: bool) -> Result<()> {
        let mut came_to = Ok(());
        self.hold_each(&[id], held, |_, result| {
            came_to = result;
            Ok(())
        })?;
        came_to
    }

    /// Holds or releases jobs and tells what came of each.
    ///
    /// # Errors
    /// What `tell` returns as one, and what keeps the file from being written.
    pub(crate) fn hold_each(&self, ids: &[JobId], held: bool, tell: impl FnMut(JobId, Result<()>) -> Result<()>) -> Result<()> {
        let now_ms = self.now_ms();
        let verb = move |conn: &rusqlite::Connection, id| {
            if held { control::hold(conn, id) } else { control::release(conn, id, now_ms) }
        };
        each_with(&self.store, ids, verb, |()| 1, tell)?;
        self.wake();
        Ok(())
    }
}
