//! The life of a job's run: from its claim, or from its adoption, to its settled row.
//!
//! One thread of the pool drives it (the monitor of the run), and then takes the next job for the
//! same slot, which was claimed in the transaction that settled the previous one: a busy slot
//! passes from one job to the next without another thread.
//!
//! ```text
//! claimed ─▶ its workspace ─▶ its own run ─▶ its check ─▶ settled, and the next job is claimed
//! adopted ─────────────────▶ its own run ─▶ its check ─▶ settled, and the next job is claimed
//! ```
//!
//! A job of a queue with a launcher has no slot of this machine, and no thread while another engine
//! runs it:
//!
//! ```text
//! claimed, adopted ─▶ submitted ─▶ (the engine has it) ─▶ ended there ─▶ its check ─▶ settled
//! ```

use std::sync::Arc;

use super::attempt::{self, Attempt, Command, Ending, Halt, Known, Over};
use super::claimer::Claimed;
use super::context::Context;
use super::job_run::JobRun;
use super::pool::Seat;
use super::settle::settle;
use super::slots::Slot;
use super::steps;
use crate::error::{Error, Result};
use crate::job::{Cause, Outcome, Reason, RunEnd, RunId, RunKey};
use crate::run::RunFile;
use crate::run::record::Records;
use crate::store::Ticket;
use crate::store::job::auxiliary::{self, Closed};
use crate::store::job::launched::Launched;
use crate::store::job::rows::Run;
use crate::store::job::settle::RunRecord;
use crate::store::job::suspend::{Suspension, Wanted};
use crate::store::upkeep::open_runs::{self, OpenRun};

/// Hands a claimed job to a thread.
pub(super) fn start(ctx: &Arc<Context>, seat: Seat<'_>, claimed: Claimed, slot: Slot) {
    let run = claimed.claim.run;
    give(ctx, seat, run, move |ctx| drive(ctx, slot, run, |ctx, slot| run_job(ctx, slot, claimed)));
}

/// Hands a run that no thread of this worker watches to a thread: it is alive, or its end is
/// recorded, or neither.
pub(super) fn adopt(ctx: &Arc<Context>, seat: Seat<'_>, open: OpenRun, slot: Slot) {
    let run = open.run.id;
    give(ctx, seat, run, move |ctx| drive(ctx, slot, run, |ctx, slot| resume_job(ctx, slot, &open)));
}

/// Requeues a claimed job for which there is no thread, as if it had not been claimed.
///
/// # Errors
/// The file refuses it; its run has a row and a run file, and is left to recovery.
pub(super) fn requeue(ctx: &Arc<Context>, claimed: Claimed, slot: &Slot, error: &Error) -> Result<()> {
    let Claimed { claim, file, .. } = claimed;
    drop(file);
    let job = JobRun::of_claim(claim, slot.number());
    // No next job is claimed during a shortage.
    let settled = finish(ctx, &job, slot, Err(Halt::no_means(error)));
    if settled.is_err() {
        ctx.roster.disown(job.key.run);
    }
    settled.map(drop)
}

/// Hands a run that has ended at another engine to a thread.
pub(super) fn end_launched(ctx: &Arc<Context>, seat: Seat<'_>, open: OpenRun, ended: EndedThere, slot: Slot) {
    let run = open.run.id;
    give(ctx, seat, run, move |ctx| drive(ctx, slot, run, |ctx, slot| settle_launched(ctx, slot, &open, ended)));
}

/// How a run has ended at another engine.
pub(super) struct EndedThere {
    pub end: RunEnd,
    pub record: RunRecord,
}

fn settle_launched(ctx: &Arc<Context>, slot: &Slot, open: &OpenRun, ended: EndedThere) -> Result<Option<Claimed>> {
    let job = JobRun::of_open(open, slot.number());
    finish(ctx, &job, slot, conclude_launched(ctx, &job, open, ended))
}

fn conclude_launched(ctx: &Arc<Context>, job: &JobRun, open: &OpenRun, ended: EndedThere) -> Result<Ending, Halt> {
    let attempt = Attempt { is_of_job: false, ..Attempt::of_job(ctx, job)? };
    if open.open_cancel {
        attempt.waker.request_stop(Cause::Cancel);
    }
    if let Some(launched) = &job.launched {
        steps::fetch::rest(&attempt, job, launched)?;
    }
    let result = attempt::result_of(ctx, job.key.run);
    let EndedThere { end, record } = ended;
    let ending = Ending { end, record: RunRecord { result, ..record }, has_its_file: false };
    steps::check::confirm(&attempt, job, ending, open.auxiliary.clone())
}

/// If the worker is ending, the run is left to the next one. It leaves the roster after its run
/// file is dropped: otherwise recovery would skip it permanently.
fn give(ctx: &Arc<Context>, seat: Seat<'_>, run: RunId, work: impl FnOnce(&Arc<Context>) + Send + 'static) {
    let then = Arc::clone(ctx);
    if seat.run(move || work(&then)).is_err() {
        ctx.roster.disown(run);
    }
}

/// Works until no further job was claimed for this slot.
fn drive(ctx: &Arc<Context>, mut slot: Slot, run: RunId, first: impl FnOnce(&Arc<Context>, &Slot) -> Result<Option<Claimed>>) {
    let mut next = or_leave(ctx, run, first(ctx, &slot));
    while let Some(claimed) = next {
        let run = claimed.claim.run;
        if slot.narrow(claimed.claim.job.slots) {
            ctx.wake_claims();
        }
        next = or_leave(ctx, run, run_job(ctx, &slot, claimed));
    }
    drop(slot);
    ctx.wake_claims();
}

/// After an error the run keeps its row, its run file and its lock, and recovery checks it at the
/// next tick.
fn or_leave(ctx: &Arc<Context>, run: RunId, done: Result<Option<Claimed>>) -> Option<Claimed> {
    done.unwrap_or_else(|error| {
        log::error!("run {run}: {error}");
        note_stuck(ctx, run, &error);
        ctx.roster.disown(run);
        None
    })
}

/// Records in its row why a run cannot be settled, for people who wonder why it does not end.
fn note_stuck(ctx: &Arc<Context>, run: RunId, error: &Error) {
    let Error::Stuck(why) = error else { return };
    if ctx.is_detaching() {
        return;
    }
    let why =
        format!("it cannot be settled: {why}\nend those processes as their user or as root; the worker looks again at each tick");
    if let Err(error) = ctx.store.commit(move |conn| open_runs::note_trouble(conn, run, Some(&why))) {
        log::warn!("run {run}: noting what keeps it: {error}");
    }
}

/// Runs a claimed job to its end. Returns the next job of the slot.
fn run_job(ctx: &Arc<Context>, slot: &Slot, claimed: Claimed) -> Result<Option<Claimed>> {
    let Claimed { claim, file, ticket } = claimed;
    let job = JobRun::of_claim(claim, slot.number());
    let came = match &job.launched {
        None => attempt_job(ctx, &job, file, ticket),
        Some(launched) => submit_job(ctx, &job, launched, file, ticket),
    };
    finish(ctx, &job, slot, came)
}

/// Gives a claimed job to another engine.
fn submit_job(ctx: &Arc<Context>, job: &JobRun, launched: &Launched, file: RunFile, ticket: Ticket) -> Result<Ending, Halt> {
    let launch = attempt::submission_of(ctx, job, launched).map_err(Halt::unrunnable)?;
    let attempt = Attempt { is_of_job: false, ..Attempt::of_job(ctx, job).map_err(|error| Halt::no_means(&error))? };
    let over = attempt::run(&attempt, job, launch, file, ticket)?;
    steps::submit::conclude(&attempt, job, launched, over)
}

fn attempt_job(ctx: &Arc<Context>, job: &JobRun, file: RunFile, ticket: Ticket) -> Result<Ending, Halt> {
    let command = Command::of_job(ctx, job).map_err(Halt::unrunnable)?;
    let attempt = Attempt::of_job(ctx, job).map_err(|error| Halt::no_means(&error))?;
    let directory = steps::workspace::enter(&attempt, job, &command)?;
    let launch = command.launch(directory.as_deref()).map_err(Halt::unrunnable)?;
    let over = attempt::run(&attempt, job, launch, file, ticket)?;
    conclude(&attempt, job, over, None, true)
}

/// Resumes a job whose run an earlier worker claimed.
fn resume_job(ctx: &Arc<Context>, slot: &Slot, open: &OpenRun) -> Result<Option<Claimed>> {
    let job = JobRun::of_open(open, slot.number());
    finish(ctx, &job, slot, resume_attempt(ctx, &job, open))
}

fn resume_attempt(ctx: &Arc<Context>, job: &JobRun, open: &OpenRun) -> Result<Ending, Halt> {
    let attempt = Attempt { is_of_job: job.launched.is_none(), ..Attempt::of_job(ctx, job)? };
    if open.open_cancel {
        attempt.waker.request_stop(Cause::Cancel);
    }
    if let Some(launched) = &job.launched {
        let known = Known { same_boot: open.run.boot_id == ctx.boot_id, unstarted: false };
        let over = attempt::resume(&attempt, job, known)?;
        return steps::submit::conclude(&attempt, job, launched, over);
    }
    // Also without a row: a run that stands still for no reason that the file knows continues.
    let wanted = open.job.suspension.map_or(Wanted { id: 0, is_suspended: false }, Suspension::wanted);
    attempt.waker.want_at_first(wanted);
    let same_boot = open.run.boot_id == ctx.boot_id;
    let unstarted = steps::workspace::is_known_unstarted(&attempt, job, same_boot);
    let over = attempt::resume(&attempt, job, Known { same_boot, unstarted })?;
    conclude(&attempt, job, over, open.auxiliary.clone(), same_boot)
}

/// Combines the end of the job's own run with its auxiliary runs. `latest`: the latest of those, if
/// an earlier worker started one.
fn conclude(attempt: &Attempt<'_>, job: &JobRun, over: Over, latest: Option<Run>, same_boot: bool) -> Result<Ending, Halt> {
    match over {
        Over::Recorded(records) => {
            let ending = Ending::recorded(attempt, &records);
            let end = steps::workspace::unless_it_was_gone(attempt, job, ending.end);
            steps::check::confirm(attempt, job, Ending { end, ..ending }, latest)
        }
        Over::Unstarted { has_its_file } => {
            let end = steps::workspace::of_unstarted(attempt, job, latest.as_ref())?;
            attempt::count("put_back_total", attempt, job);
            Ok(Ending { has_its_file, ..Ending::unrecorded(end) })
        }
        Over::Lost { records, has_its_file } => {
            if let Some(auxiliary) = latest.filter(|auxiliary| same_boot && auxiliary.finished_at.is_none()) {
                end_auxiliary(attempt.ctx, &auxiliary)?;
            }
            // The worker itself may have ended it with its shim, and knows why.
            let end = attempt.end_of(&Records { failed: None, exited: None, ..records.clone() });
            if end == RunEnd::Lost {
                attempt::count("lost_total", attempt, job);
            }
            Ok(Ending { end, has_its_file, ..Ending::recorded(attempt, &records) })
        }
    }
}

/// The check of a lost run has its own tree, which must end before the job does: its answer is not
/// needed.
fn end_auxiliary(ctx: &Context, auxiliary: &Run) -> Result<()> {
    let RunKey { run, .. } = auxiliary.key();
    attempt::end_tree(ctx, auxiliary.key())?;
    let closed = Closed {
        outcome: Outcome::Lost,
        reason: Some(Reason::Lost),
        exit: None,
        error: Some("the run that it was begun for is lost".into()),
        record: RunRecord::default(),
    };
    let now_ms = ctx.now_ms();
    ctx.store.commit(move |conn| auxiliary::end(conn, run, &closed, now_ms))?;
    Ok(())
}

/// Settles the end of a job; if the worker detaches, the next one does.
fn finish(ctx: &Arc<Context>, job: &JobRun, slot: &Slot, came: Result<Ending, Halt>) -> Result<Option<Claimed>> {
    match came {
        Ok(ending) => settle(ctx, job, slot, ending),
        Err(Halt::Ended(end)) => settle(ctx, job, slot, Ending::unrecorded(end)),
        Err(Halt::Detached | Halt::Launched) => Ok(None),
        Err(Halt::Failed(error)) => Err(error),
    }
}
