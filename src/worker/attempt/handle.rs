//! A supervised run.

use std::cell::Cell;
use std::sync::Arc;

use crate::error::Result;
use crate::job::{Cause, Exit, RunEnd, RunKey};
use crate::run::record::Records;
use crate::worker::context::Context;
use crate::worker::job_run::JobRun;
use crate::worker::run_waker::RunWaker;

/// How long the start of a job of a user may take, in milliseconds.
pub const START_MS: u64 = 60_000;

/// One supervised command: a run that a thread of this worker watches.
pub struct Attempt<'a> {
    pub ctx: &'a Arc<Context>,
    pub key: RunKey,
    /// Wakes the thread, and carries the stop request.
    pub waker: Arc<RunWaker>,
    pub grace_ms: u64,
    /// It is a job's own run, whose pid and start are recorded in the job's row.
    pub is_of_job: bool,
    /// The worker has ended the run, together with its shim, for this cause: there is no record of
    /// its end.
    pub forced: Cell<Option<Cause>>,
    /// It belongs to a user, who may keep it from starting without an end: by a directory of a file
    /// system of their own, or by a signal.
    pub is_of_user: bool,
}

impl<'a> Attempt<'a> {
    /// Returns the attempt of a job's own run, which can be asked to stop from now on.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub fn of_job(ctx: &'a Arc<Context>, job: &JobRun) -> Result<Self> {
        let waker = Arc::new(RunWaker::new()?);
        let is_of_user = job.row.owner.is_some();
        Ok(Self { is_of_job: true, is_of_user, ..Self::new(ctx, job.key, waker, job.policy.grace_ms()) })
    }

    /// Returns the attempt of a run that shares a waker: a stop request for one of them is one for
    /// both.
    pub fn new(ctx: &'a Arc<Context>, key: RunKey, waker: Arc<RunWaker>, grace_ms: u64) -> Self {
        ctx.roster.watch(key.run, Arc::clone(&waker));
        Self { ctx, key, waker, grace_ms, is_of_job: false, forced: Cell::new(None), is_of_user: false }
    }

    /// Returns the end according to the records, or to what this worker has done to the run.
    pub fn end_of(&self, records: &Records) -> RunEnd {
        if let Some(failed) = &records.failed {
            let (errno, error) = (failed.errno, failed.text.clone());
            return if failed.ours { RunEnd::NoMeans { errno, error } } else { RunEnd::NotExecuted { errno, error } };
        }
        match (&records.exited, self.forced.get()) {
            (Some(exited), _) => RunEnd::Ended {
                exit: exited.exit,
                cause: exited.cause,
                out_of_memory: records.drained.as_ref().is_some_and(|drained| drained.out_of_memory),
            },
            // Its own limits count from its start.
            (None, Some(Cause::Timeout)) if records.started.is_none() => RunEnd::TooLate {
                error: format!("did not start within {} s: its directory or its command does not answer", START_MS / 1_000),
            },
            (None, Some(cause)) => RunEnd::Ended { exit: Exit::Signal(libc::SIGKILL), cause: Some(cause), out_of_memory: false },
            (None, None) => RunEnd::Lost,
        }
    }
}
