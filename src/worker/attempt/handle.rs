//! A supervised run.

use std::cell::Cell;
use std::sync::Arc;

use crate::error::Result;
use crate::job::{Cause, Exit, RunEnd, RunKey};
use crate::run::record::Records;
use crate::worker::context::Context;
use crate::worker::run_waker::RunWaker;

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
}

impl<'a> Attempt<'a> {
    /// Returns the attempt of a job's own run, which can be asked to stop from now on.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub fn of_job(ctx: &'a Arc<Context>, key: RunKey, grace_ms: u64) -> Result<Self> {
        let waker = Arc::new(RunWaker::new()?);
        Ok(Self { is_of_job: true, ..Self::new(ctx, key, waker, grace_ms) })
    }

    /// Returns the attempt of a run that shares a waker: a stop request for one of them is one for
    /// both.
    pub fn new(ctx: &'a Arc<Context>, key: RunKey, waker: Arc<RunWaker>, grace_ms: u64) -> Self {
        ctx.roster.watch(key.run, Arc::clone(&waker));
        Self { ctx, key, waker, grace_ms, is_of_job: false, forced: Cell::new(None) }
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
            (None, Some(cause)) => RunEnd::Ended { exit: Exit::Signal(libc::SIGKILL), cause: Some(cause), out_of_memory: false },
            (None, None) => RunEnd::Lost,
        }
    }
}
