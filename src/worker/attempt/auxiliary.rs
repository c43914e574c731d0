//! An auxiliary run: a supervised command around a job (a check, the making of a workspace, a
//! probe, a teardown), as a run of its own with a kind, a run file and a shim, and without a slot.
//! It keeps the promises that a job's run has:
//!
//! ```text
//! begin      the run file is there and locked, then a guarded row names the run: whose purpose is gone by then is not started
//! launch     the spawner is given the lock; the shim enforces the timeout, also while no worker lives
//! watch      until the shim has said all; a stop request is passed on to the shim
//! close      its tree is empty for certain; its row says what it came to, once, and whatever follows is in that transaction
//! ```
//!
//! After the death of a worker the thread that needs the run asks for the latest one of its kind.
//! An open one is resumed ([`Auxiliary::resume`]): its shim is waited for, or its records are used;
//! one that no process saw end has its tree emptied and comes to `lost`, and is for the caller to
//! run again. A closed one has its answer in its row, which is used and not asked for again.
//!
//! The auxiliary run of a job shares the waker of the job's run: a cancel of the job ends it. One
//! that belongs to no job ([`Auxiliary::without_owner`]) has a waker that carries no stop request.
//!
//! Deliberately absent: what an end means for whom (the caller's), and when to try again.

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
use crate::store::auxiliary::{self, Closed, Opening};
use crate::store::rows::Run;
use crate::worker::context::Context;
use crate::worker::run_waker::RunWaker;

/// A command around jobs that is to be run, or resumed.
pub struct Auxiliary<'a> {
    ctx: &'a Arc<Context>,
    opening: Opening,
    waker: Arc<RunWaker>,
    grace_ms: u64,
}

/// How far it came.
pub enum Came {
    /// What it was for does not need it any more, or one like it is under way. Nothing was started.
    NotBegun,
    /// It could not be made, in words. Nothing was started.
    NotMade(String),
    /// It has ended, its tree is gone, and its row says so.
    Over(Box<Outcome>),
}

/// What an auxiliary run came to.
pub struct Outcome {
    pub end: RunEnd,
    pub closed: Closed,
    /// What it means for its resource, where it is a step of one.
    pub after: Option<After>,
}

impl<'a> Auxiliary<'a> {
    /// For the job's run under watch: a stop request for that run stops this one.
    pub fn of_job(attempt: &Attempt<'a>, opening: Opening) -> Self {
        Self { ctx: attempt.ctx, opening, waker: Arc::clone(&attempt.waker), grace_ms: attempt.grace_ms }
    }

    /// For no job: no cancel reaches it, not that of a worker that is told to end its runs either.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub fn without_owner(ctx: &'a Arc<Context>, opening: Opening) -> Result<Self> {
        Ok(Self { ctx, opening, waker: Arc::new(RunWaker::without_stop_requests()?), grace_ms: GRACE_MS_DEFAULT })
    }

    /// Runs it: `make` says what is to be launched as this run; `decide` says what its end means.
    ///
    /// # Errors
    /// [`Halt`]: the worker detaches; or the file or the system refused something. The run, if it
    /// was begun, is open, and the thread that looks next resumes it.
    pub fn run(
        &self,
        make: impl Fn(RunKey) -> Result<Launch, String>,
        decide: impl Fn(&RunEnd) -> Verdict,
    ) -> Result<Came, Halt> {
        loop {
            let came = self.run_once(&make, &decide)?;
            let Came::Over(over) = &came else { return Ok(came) };
            let RunEnd::NoMeans { errno, error } = &over.end else { return Ok(came) };
            // That it lacked something of ours tells nothing about it: it is tried again until it
            // has it, or it is not needed any more.
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
                ctx.run_files.put_back([ready]);
                return Ok(Came::NotMade(why));
            }
        };
        match self.begin(key) {
            Ok(true) => ctx.run_files.begun(key.run),
            Ok(false) => {
                ctx.run_files.put_back([ready]);
                return Ok(Came::NotBegun);
            }
            Err(error) => {
                ctx.run_files.put_back([ready]);
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

    /// Opens its row; false where it is not needed any more.
    fn begin(&self, key: RunKey) -> Result<bool> {
        let ctx = self.ctx;
        let (opening, instance, boot_id) = (self.opening.clone(), ctx.instance.clone(), ctx.boot_id.clone());
        let now_ms = ctx.now_ms();
        let (begun, _) = ctx.store.commit(move |conn| auxiliary::begin(conn, &opening, key, &instance, &boot_id, now_ms))?;
        Ok(begun)
    }

    /// Resumes an open run of it that an earlier worker began.
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
            // It keeps its row, its run file and its lock: the thread that looks next resumes it.
            self.ctx.roster.disown(attempt.key.run);
        }
        closed
    }
}

/// Makes sure that its tree is gone, closes its row, and puts its run file away.
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
    // Where the run file is missing or is another's, recovery sees to whatever is there.
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
