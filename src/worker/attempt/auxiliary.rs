//! An auxiliary run: a supervised command around a job (a check, the preparation of a workspace, a
//! probe, a teardown), as a run of its own with a kind, a run file and a shim, and without a slot.
//! It gives the same guarantees as a job's run:
//!
//! ```text
//! begin      the run file exists and is locked, then a guarded row names the run; a run without a purpose is not started
//! launch     the spawner is given the lock; the shim enforces the timeout, also while no worker lives
//! watch      until the shim has reported all; a stop request is passed on to the shim
//! close      its tree is empty for certain; its row gets the result once, and all consequences are in that transaction
//! ```
//!
//! After a crash of the worker, the thread that needs the run reads the latest one of its kind. An
//! open one is resumed ([`Auxiliary::resume`]): its shim is waited for, or its records are used; if
//! no process saw its end, its tree is emptied, it ends as `lost`, and the caller runs it again. A
//! closed one has its result in its row, which is used and not asked for again.
//!
//! The auxiliary run of a job shares the waker of the job's run: a cancel of the job ends it. One
//! that belongs to no job ([`Auxiliary::without_owner`]) has a waker that carries no stop request.
//!
//! Deliberately absent: the consequences of an end, and when to retry; both are left to the caller.

use std::sync::Arc;

use super::empty::empty;
use super::halt::Halt;
use super::handle::Attempt;
use super::observe::{has_its_file, observe};
use super::record::record_of;
use crate::error::Result;
use crate::job::ending::Verdict;
use crate::job::limits::GRACE_MS_DEFAULT;
use crate::job::resource::After;
use crate::job::verdict::Progress;
use crate::job::{RunEnd, RunKey};
use crate::run::Launch;
use crate::run::record::Records;
use crate::run::runfile;
use crate::store::job::auxiliary::{self, Closed, Opening};
use crate::store::job::rows::Run;
use crate::worker::context::Context;
use crate::worker::run_waker::RunWaker;

/// An auxiliary run to start or to resume.
pub struct Auxiliary<'a> {
    ctx: &'a Arc<Context>,
    opening: Opening,
    waker: Arc<RunWaker>,
    grace_ms: u64,
}

/// Result of an auxiliary run.
pub enum Came {
    /// It is not needed any more, or another one is open. Nothing was started.
    NotBegun,
    /// It could not be prepared; the text says why. Nothing was started.
    NotMade(String),
    /// It has ended, its tree is gone, and its row is closed.
    Over(Box<Outcome>),
}

/// The result of a closed auxiliary run.
pub struct Outcome {
    pub end: RunEnd,
    pub closed: Closed,
    /// The consequence for its resource, if it is a step of a teardown.
    pub after: Option<After>,
}

impl<'a> Auxiliary<'a> {
    /// For a supervised run of a job: a stop request for that run stops this one.
    pub fn of_job(attempt: &Attempt<'a>, opening: Opening) -> Self {
        Self { ctx: attempt.ctx, opening, waker: Arc::clone(&attempt.waker), grace_ms: attempt.grace_ms }
    }

    /// For no job: no cancel reaches it, and neither does a worker that ends its runs.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub fn without_owner(ctx: &'a Arc<Context>, opening: Opening) -> Result<Self> {
        Ok(Self { ctx, opening, waker: Arc::new(RunWaker::without_stop_requests()?), grace_ms: GRACE_MS_DEFAULT })
    }

    /// Runs it: `make` returns what to launch; `decide` decides what its end means.
    ///
    /// # Errors
    /// [`Halt`]: the worker detaches; or the file or the system refused something. If the run was
    /// started, it is open, and the thread that checks next resumes it.
    pub fn run(
        &self,
        make: impl Fn(RunKey) -> Result<Launch, String>,
        decide: impl Fn(&RunEnd) -> Verdict,
    ) -> Result<Came, Halt> {
        loop {
            let came = self.run_once(&make, &decide)?;
            let Came::Over(over) = &came else { return Ok(came) };
            let RunEnd::NoMeans { errno, error } = &over.end else { return Ok(came) };
            // A shortage of tenure's resources says nothing about the command: it is retried until
            // it starts, or is not needed any more.
            self.ctx.lacks(*errno, error);
            if !self.ctx.waits_for_means(|| self.waker.cause().is_some()) {
                return Ok(came);
            }
        }
    }

    fn run_once(
        &self,
        make: impl Fn(RunKey) -> Result<Launch, String>,
        decide: impl Fn(&RunEnd) -> Verdict,
    ) -> Result<Came, Halt> {
        let ctx = self.ctx;
        if ctx.is_ending_runs() {
            return Err(Halt::Detached);
        }
        let ready = ctx.run_files.take(&ctx.store, &ctx.roster)?;
        let key = ready.key();
        let launch = match make(key) {
            Ok(launch) => launch,
            Err(why) => {
                ctx.run_files.return_unused([ready]);
                return Ok(Came::NotMade(why));
            }
        };
        match self.begin(key) {
            Ok(true) => ctx.run_files.begun(key.run),
            Ok(false) => {
                ctx.run_files.return_unused([ready]);
                return Ok(Came::NotBegun);
            }
            Err(error) => {
                ctx.run_files.return_unused([ready]);
                return Err(error.into());
            }
        }
        let attempt = self.attempt(key);
        self.close(&attempt, decide, || match attempt.launch(&launch, ready.file) {
            Err(Halt::Failed(error)) => {
                log::warn!("{} {}: {error}", self.opening.kind, key.run);
                Ok(Records::default())
            }
            watched => watched,
        })
    }

    /// Opens its row; false if it is not needed any more.
    fn begin(&self, key: RunKey) -> Result<bool> {
        let ctx = self.ctx;
        let (opening, instance, boot_id) = (self.opening.clone(), ctx.instance.clone(), ctx.boot_id.clone());
        let now_ms = ctx.now_ms();
        let (begun, _) = ctx.store.commit(move |conn| auxiliary::begin(conn, &opening, key, &instance, &boot_id, now_ms))?;
        Ok(begun)
    }

    /// Resumes an open run that an earlier worker started.
    ///
    /// # Errors
    /// As [`Auxiliary::run`].
    pub fn resume(&self, open: &Run, decide: impl Fn(&RunEnd) -> Verdict) -> Result<Came, Halt> {
        let attempt = self.attempt(open.key());
        self.close(&attempt, decide, || attempt.wait_until_over())
    }

    fn attempt(&self, key: RunKey) -> Attempt<'a> {
        Attempt::new(self.ctx, key, Arc::clone(&self.waker), self.grace_ms)
    }

    fn close(
        &self,
        attempt: &Attempt<'_>,
        decide: impl Fn(&RunEnd) -> Verdict,
        watch: impl FnOnce() -> Result<Records, Halt>,
    ) -> Result<Came, Halt> {
        let closed = watch().and_then(|records| close(attempt, records, decide));
        if let Err(Halt::Failed(_)) = closed {
            // It keeps its row, its run file and its lock: the thread that checks next resumes it.
            self.ctx.roster.disown(attempt.key.run);
        }
        closed
    }
}

/// Ensures that its tree is gone, closes its row, and retires its run file.
fn close(attempt: &Attempt<'_>, records: Records, decide: impl Fn(&RunEnd) -> Verdict) -> Result<Came, Halt> {
    let (ctx, run) = (attempt.ctx, attempt.key.run);
    let records = match records.progress() {
        Progress::Drained | Progress::Failed => records,
        _ => {
            attempt.wait_until_over()?;
            empty(ctx, attempt.key)?;
            observe(attempt)?.records
        }
    };
    let end = match records.progress() {
        Progress::Nothing => RunEnd::NeverStarted,
        _ => attempt.end_of(&records),
    };
    let (outcome, reason, error) = decide(&end);
    let closed = Closed {
        outcome,
        reason,
        exit: records.exited.as_ref().map(|exited| exited.exit),
        error,
        record: record_of(ctx, run, &records),
    };
    let (ended, ticket) = ctx.persist("closing an auxiliary run", || {
        let (closed, now_ms) = (closed.clone(), ctx.now_ms());
        ctx.store.commit(move |conn| auxiliary::end(conn, run, &closed, now_ms))
    })?;
    // If the run file is missing or belongs to another run, recovery handles it.
    let has_its_file = has_its_file(attempt)?;
    let then = Arc::clone(ctx);
    let forgotten = ended.forgotten;
    ctx.store.after_flush(ticket, move || {
        for old in forgotten {
            let _gone_already = std::fs::remove_file(then.place().log_file(old));
        }
        if has_its_file {
            let _recovery_tries_again = runfile::unlink(then.place(), run);
        }
        then.roster.disown(run);
    });
    Ok(Came::Over(Box::new(Outcome { end, closed, after: ended.after })))
}
