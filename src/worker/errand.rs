//! An errand: any command around jobs, as a run of its own with a kind, a run file and a shim, and without a slot.
//!
//! The one mechanism by which checks are asked and whatever else a worker has to have done outside. It keeps the promises that a
//! job's run has:
//!
//! ```text
//! begin      the run file is there and locked, then a guarded row names the run: whose purpose is gone by then is not started
//! launch     the spawner is given the lock; the shim enforces the timeout, also while no worker lives
//! watch      until the shim has said all, the waker rings (a wish is passed on to the shim), or the worker lets go
//! conclude   its tree is empty for certain; its row says what it came to, once, and whatever follows is in that transaction
//! ```
//!
//! After the death of a worker the thread that needs the errand asks for its latest run. An open one is gone on with ([`Errand::go_on`]): its
//! shim is waited for, or its records are used; one that no process saw end has its tree emptied and comes to `lost`, and is for
//! the caller to run again. A closed one has its answer in its row, which is used and not asked for again.
//!
//! How to use it, by the example of the making of a workspace (kind `prepare`), on the monitor's thread of a job's run, which has
//! a `Watched` for that run:
//!
//! ```text
//! let errand = Errand::of_job(watched, Opening { workspace: Some(key), ..Opening::of(RunKind::Prepare, job, watched.run) });
//! let came = match open {                          // OpenRun::errand, where the run was adopted and its kind is `prepare`
//!     Some(run) if run.finished_at.is_none() => errand.go_on(&run, verdict)?,
//!     Some(run) => what `run.outcome` and `run.error` say,  // it was closed, and its worker died before it could go on
//!     None => errand.once(|run, nonce| launch::..(argv, env, cwd, timeout), verdict)?,
//! };
//! match came {
//!     Came::Left => return Ok(None),               // the worker lets go: the shim goes on, the next worker adopts it
//!     Came::NotBegun => ...                        // the job's run does not own its job any more, or one is under way
//!     Came::NotMade(why) => ...                    // the closure's error: nothing was started
//!     Came::Over(came_to) => came_to.closed.outcome, .closed.error, .end
//! }
//! ```
//!
//! The errand of a job shares the waker of the job's run: a cancel of the job ends it. One that belongs to no job
//! ([`Errand::without_owner`]) has a waker that no person's cancel rings.
//!
//! Deliberately absent: what an end means for whom (the caller's), and when to try again.

use std::sync::Arc;

use super::context::Context;
use super::monitor::{Watch, Watched, record_of};
use super::recover;
use super::run_waker::RunWaker;
use crate::error::Result;
use crate::job::ending::Verdict;
use crate::job::limits::GRACE_MS_DEFAULT;
use crate::job::resource::After;
use crate::job::verdict::Progress;
use crate::job::{Nonce, RunEnd, RunId};
use crate::run::Launch;
use crate::run::record::Records;
use crate::run::runfile;
use crate::store::errand::{self, Closed, Opening};
use crate::store::rows::Run;

/// A command around jobs that is to be run, or gone on with.
pub(super) struct Errand<'a> {
    ctx: &'a Arc<Context>,
    opening: Opening,
    waker: Arc<RunWaker>,
    grace_ms: u64,
}

/// How far it came.
pub(super) enum Came {
    /// The worker lets go of its runs: the errand is left to its shim, and the next worker goes on with it.
    Left,
    /// What it was for does not need it any more, or one like it is under way. Nothing was started.
    NotBegun,
    /// It could not be made, in words. Nothing was started.
    NotMade(String),
    /// It has ended, its tree is gone, and its row says so.
    Over(Box<CameTo>),
}

/// What an errand came to.
pub(super) struct CameTo {
    pub end: RunEnd,
    #[allow(dead_code, reason = "a check and a teardown read what is beside it")]
    pub closed: Closed,
    /// What it means for its resource, where it is a step of one.
    pub after: Option<After>,
}

impl<'a> Errand<'a> {
    /// An errand for the job's run under watch: a stop request for that run stops the errand.
    pub fn of_job(watched: &Watched<'a>, opening: Opening) -> Self {
        Self { ctx: watched.ctx, opening, waker: Arc::clone(&watched.waker), grace_ms: watched.grace_ms }
    }

    /// An errand that belongs to no job: no cancel reaches it, not that of a worker that is told to end its runs either.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub fn without_owner(ctx: &'a Arc<Context>, opening: Opening) -> Result<Self> {
        Ok(Self { ctx, opening, waker: Arc::new(RunWaker::without_stop_requests()?), grace_ms: GRACE_MS_DEFAULT })
    }

    /// Runs it: `make` is given the run's id and nonce and says what is to be launched; `judge` says what its end means.
    ///
    /// # Errors
    /// The file or the system refused something. The run, if it was begun, is open, and the thread that looks next goes on with it.
    pub fn once(
        &self,
        make: impl Fn(RunId, Nonce) -> Result<Launch, String>,
        judge: impl Fn(&RunEnd) -> Verdict,
    ) -> Result<Came> {
        loop {
            let came = self.try_once(&make, &judge)?;
            let Came::Over(over) = &came else { return Ok(came) };
            let RunEnd::NoMeans { errno, error } = &over.end else { return Ok(came) };
            // That it lacked something of ours tells nothing about it: it is tried again until it has it, or it is not needed any more.
            self.ctx.lacks(*errno, error);
            if !self.ctx.waits_for_means(|| self.waker.cause().is_some()) {
                return Ok(came);
            }
        }
    }

    fn try_once(
        &self,
        make: impl Fn(RunId, Nonce) -> Result<Launch, String>,
        judge: impl Fn(&RunEnd) -> Verdict,
    ) -> Result<Came> {
        let ctx = self.ctx;
        if ctx.is_ending_runs() {
            return Ok(Came::Left);
        }
        let ready = ctx.run_files.take(&ctx.store, &ctx.roster)?;
        let (run, prepared) = (ready.run(), ready.prepared());
        let launch = match make(run, ready.nonce) {
            Ok(launch) => launch,
            Err(why) => {
                ctx.run_files.put_back([ready]);
                return Ok(Came::NotMade(why));
            }
        };
        let (opening, instance, boot_id) = (self.opening.clone(), ctx.instance.clone(), ctx.boot_id.clone());
        let now_ms = ctx.now_ms();
        let begun = ctx.store.commit(move |conn| errand::begin(conn, &opening, prepared, &instance, &boot_id, now_ms));
        match begun {
            Ok((true, _)) => ctx.run_files.begun(run),
            Ok((false, _)) => {
                ctx.run_files.put_back([ready]);
                return Ok(Came::NotBegun);
            }
            Err(error) => {
                ctx.run_files.put_back([ready]);
                return Err(error);
            }
        }
        let watching = self.watch(run, ready.nonce);
        self.to_its_end(&watching, judge, || match watching.launch(&launch, ready.file) {
            Ok(watch) => Ok(watch),
            Err(error) => {
                log::warn!("{} {run}: {error}", self.opening.kind);
                Ok(Watch::Over(Records::default()))
            }
        })
    }

    /// Goes on with an open run of it that an earlier worker began.
    ///
    /// # Errors
    /// As [`Errand::once`].
    pub fn go_on(&self, open: &Run, judge: impl Fn(&RunEnd) -> Verdict) -> Result<Came> {
        let watching = self.watch(open.id, open.nonce);
        self.to_its_end(&watching, judge, || recover::wait_until_over(&watching))
    }

    fn watch(&self, run: RunId, nonce: Nonce) -> Watched<'a> {
        let watching = Watched::new(self.ctx, run, nonce, Arc::clone(&self.waker), self.grace_ms);
        self.ctx.roster.watch(run, Arc::clone(&self.waker));
        watching
    }

    fn to_its_end(
        &self,
        watching: &Watched<'_>,
        judge: impl Fn(&RunEnd) -> Verdict,
        watch: impl FnOnce() -> Result<Watch>,
    ) -> Result<Came> {
        let concluded = watch().and_then(|watch| match watch {
            Watch::Left => Ok(Came::Left),
            Watch::Over(records) => conclude(watching, records, judge),
        });
        if concluded.is_err() {
            // It keeps its row, its run file and its lock: the thread that looks next goes on from there.
            self.ctx.roster.disown(watching.run);
        }
        concluded
    }
}

/// Makes sure that its tree is gone, closes its row, and puts its run file away.
fn conclude(watching: &Watched<'_>, records: Records, judge: impl Fn(&RunEnd) -> Verdict) -> Result<Came> {
    let (ctx, run) = (watching.ctx, watching.run);
    let records = match records.progress() {
        Progress::Drained | Progress::Failed => records,
        _ => match recover::empty_and_look(watching)? {
            Some(records) => records,
            None => return Ok(Came::Left),
        },
    };
    let end = match records.progress() {
        Progress::Nothing => RunEnd::NeverStarted,
        _ => watching.end_of(&records),
    };
    let (outcome, reason, error) = judge(&end);
    let closed = Closed {
        outcome,
        reason,
        exit: records.exited.as_ref().map(|exited| exited.exit),
        error,
        record: record_of(ctx, run, &records),
    };
    let (ended, ticket) = ctx.persist("closing an errand", || {
        let (closed, now_ms) = (closed.clone(), ctx.now_ms());
        ctx.store.commit(move |conn| errand::end(conn, run, &closed, now_ms))
    })?;
    // Where the run file is missing or is another's, the reaper sees to whatever is there.
    let is_its_own = recover::has_its_file(watching)?;
    let then = Arc::clone(ctx);
    let forgotten = ended.forgotten;
    ctx.store.after_flush(ticket, move || {
        for old in forgotten {
            let _gone_already = std::fs::remove_file(then.place().log_file(old));
        }
        if is_its_own {
            let _the_reaper_tries_again = runfile::unlink(then.place(), run);
        }
        then.roster.disown(run);
    });
    Ok(Came::Over(Box::new(CameTo { end, closed, after: ended.after })))
}
