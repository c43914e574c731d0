//! A monitor: one thread, one run, from its launch (or its adoption) to its settle.
//!
//! It waits for two things: its shim's records, and its waker. The shim judges how the run ended and enforces its deadlines; what the
//! monitor does meanwhile is in [`super::supervise`]. When a run is settled, the same transaction claims
//! the next job for the slot, so that a busy slot goes from one job to the next without another thread.

use std::sync::Arc;

use super::check;
use super::clock_steps::CLOCK_STEP_MS;
use super::context::Context;
use super::job_log;
use super::launch::{self, Start};
use super::pool::Seat;
use super::recover;
use super::run_files::Ready;
use super::run_waker::RunWaker;
pub(super) use super::settling::{Its, conclude};
use super::shortage;
pub(super) use super::supervise::{Watch, Watched, wait_for};
use super::workspace::{self, Entered};
use crate::error::{Error, Result};
use crate::job::verdict::Progress;
use crate::job::{Cause, Exit, Policy, RunEnd, RunId};
use crate::run::record::{MemoryBy, Records};
use crate::store::claim::Claim;
use crate::store::reap::{self, OpenRun};
use crate::store::settle::{self, RunRecord};
use crate::store::{Ticket, control};

/// Between two tries to open a result for which there was no descriptor, in milliseconds.
const RESULT_AGAIN_MS: u64 = 200;

/// What a monitor is given.
pub(super) enum Assignment {
    /// A job that was just claimed.
    Start { claim: Box<Claim>, ready: Ready, ticket: Ticket, slot: usize },
    /// A run that another worker claimed and that is alive, or whose end is recorded.
    Adopt { open: Box<OpenRun>, slot: usize },
}

/// Gives a run to a thread. Where the worker is ending it is left to the next one.
pub(super) fn give(ctx: &Arc<Context>, seat: Seat<'_>, assignment: Assignment) {
    let ((run, slot), then) = (assignment.identity(), Arc::clone(ctx));
    if seat.run(move || drive(&then, assignment)).is_err() {
        leave(ctx, run, slot);
    }
}

/// What is dropped leaves the roster, after its run file: else recovery would leave it alone for good.
fn leave(ctx: &Context, run: RunId, slot: usize) {
    ctx.roster.disown(run);
    ctx.slots.free(slot);
}

/// Works until no further job was claimed for this slot.
fn drive(ctx: &Arc<Context>, first: Assignment) {
    let mut next = Some(first);
    while let Some(assignment) = next.take() {
        let (run, slot) = assignment.identity();
        match one(ctx, assignment) {
            Ok(following) => next = following,
            Err(error) => {
                // The run keeps its row, its run file and its lock: the reaper goes on from there.
                log::error!("run {run}: {error}");
                note_stuck(ctx, run, &error);
                ctx.roster.disown(run);
            }
        }
        if next.is_none() {
            ctx.slots.free(slot);
            ctx.wake_claims();
        }
    }
}

/// What keeps a run from being settled stands in its row, for people who wonder why it does not end.
fn note_stuck(ctx: &Arc<Context>, run: RunId, error: &Error) {
    let Error::Stuck(why) = error else { return };
    if ctx.is_detaching() {
        return;
    }
    let why =
        format!("it cannot be settled: {why}\nend those processes as their user or as root; the worker looks again at each tick");
    if let Err(error) = ctx.store.commit(move |conn| reap::note_trouble(conn, run, Some(&why))) {
        log::warn!("run {run}: noting what keeps it: {error}");
    }
}

impl Assignment {
    /// No thread can be found for it.
    pub fn leave_to_recovery(self, ctx: &Context) {
        let (run, slot) = self.identity();
        drop(self);
        leave(ctx, run, slot);
    }

    /// The run, and its slot.
    pub fn identity(&self) -> (RunId, usize) {
        match self {
            Self::Start { claim, slot, .. } => (claim.run, *slot),
            Self::Adopt { open, slot } => (open.run.id, *slot),
        }
    }
}

/// A job that was claimed and for which there is no thread: as if it had not been claimed.
///
/// # Errors
/// The file does not take it; its run has a row and a run file, and the reaper goes on from there.
pub(super) fn put_back(ctx: &Arc<Context>, start: Assignment, error: &Error) -> Result<()> {
    let (run, slot) = start.identity();
    let Assignment::Start { claim, ready, .. } = start else { return Ok(()) };
    drop(ready);
    let put_back = conclude(ctx, &claim.job, run, no_means(error), RunRecord::default(), Its::File, slot);
    if put_back.is_err() {
        ctx.roster.disown(run);
    }
    ctx.slots.free(slot);
    put_back.map(drop)
}

/// Something was lacking before the run could be handed to the spawner.
fn no_means(error: &Error) -> RunEnd {
    let errno = shortage::want_of(error).unwrap_or_else(|| rustix::io::Errno::AGAIN.raw_os_error());
    RunEnd::NoMeans { errno, error: error.to_string() }
}

fn one(ctx: &Arc<Context>, assignment: Assignment) -> Result<Option<Assignment>> {
    match assignment {
        Assignment::Start { claim, ready, ticket, slot } => start(ctx, *claim, ready, ticket, slot),
        Assignment::Adopt { open, slot } => recover::watch(ctx, *open, slot),
    }
}

fn start(ctx: &Arc<Context>, claim: Claim, ready: Ready, ticket: Ticket, slot: usize) -> Result<Option<Assignment>> {
    let (job, run, nonce) = (&claim.job, claim.run, claim.nonce);
    let policy = match Policy::from_json(&job.policy) {
        Ok(policy) => policy,
        Err(error) => return conclude(ctx, job, run, RunEnd::Unrunnable { error }, RunRecord::default(), Its::File, slot),
    };
    let start = Start {
        job,
        policy: &policy,
        run,
        nonce,
        slot,
        previous_reason: claim.previous_reason,
        max_runtime_ms: claim.max_runtime_ms,
    };
    let unstarted = |end| conclude(ctx, job, run, end, RunRecord::default(), Its::File, slot);
    let mut launch = match launch::of_job(ctx, &start) {
        Ok(launch) => launch,
        Err(error) => return unstarted(RunEnd::Unrunnable { error }),
    };
    let waker = match RunWaker::new() {
        Ok(waker) => Arc::new(waker),
        Err(error) => {
            drop(ready);
            return unstarted(no_means(&error));
        }
    };
    ctx.roster.watch(run, Arc::clone(&waker));
    let watched = Watched { of_job: true, ..Watched::new(ctx, run, nonce, waker, policy.grace_ms()) };
    if let Some(wanted) = &policy.workspace {
        match workspace::enter_checked(&watched, &start, wanted, &launch)? {
            Entered::In(path) => match launch::of_job_in(ctx, &start, &path) {
                Ok(inside) => launch = inside,
                Err(error) => return unstarted(RunEnd::Unrunnable { error }),
            },
            Entered::Left => return Ok(None),
            Entered::Not(end) => return unstarted(end),
        }
    }
    // At most once must hold over a power cut as well: the claim is on the disk before anything of the job exists. The shim is made and makes ready
    // meanwhile.
    launch.waits_for_go = job.max_attempts == 1 && !ctx.store.is_flushed(ticket);
    let spawner = match ctx.spawner() {
        Ok(spawner) => spawner,
        Err(error) => {
            drop(ready);
            return unstarted(no_means(&error));
        }
    };
    let pipe = match spawner.launch(&launch, ready.file) {
        Ok(pipe) => pipe,
        // Nothing was sent, and our copy of the lock is closed.
        Err(error) if shortage::want_of(&error).is_some() => return unstarted(no_means(&error)),
        Err(error) => {
            log::warn!("run {run}: {error}");
            return recover::after_the_shim(&watched, job, &policy, slot);
        }
    };
    job_log::started(job, run);
    if launch.waits_for_go {
        let go = pipe.go();
        ctx.store.as_soon_as_flushed(ticket, move || go.say())?;
    }
    ctx.run_files.fill(&ctx.store, &ctx.roster);
    match watched.follow(pipe)? {
        Watch::Left => Ok(None),
        Watch::Over(records) if records.progress() == Progress::Drained || records.failed.is_some() => {
            end_of_job(&watched, job, &policy, &records, None, slot)
        }
        Watch::Over(records)
            if records.progress() == Progress::Nothing
                && let Some(errno) = spawner.take_complaint() =>
        {
            let error = "the spawner could not take the run: it has no descriptor or memory left".into();
            unstarted(RunEnd::NoMeans { errno, error })
        }
        Watch::Over(_) => recover::after_the_shim(&watched, job, &policy, slot),
    }
}

/// The job's own run has ended and its tree is gone: ask its check if there is one, then settle. `latest`: the latest errand of that run,
/// where an earlier worker began one.
pub(super) fn end_of_job(
    watched: &Watched<'_>,
    job: &crate::store::rows::Job,
    policy: &Policy,
    records: &Records,
    latest: Option<crate::store::rows::Run>,
    slot: usize,
) -> Result<Option<Assignment>> {
    let mut end = workspace::unless_it_was_gone(watched, policy, watched.end_of(records));
    let mut record = record_of(watched.ctx, watched.run, records);
    if let (RunEnd::Ended { exit: Exit::Code(0), cause: None, .. }, Some(command)) = (&end, &policy.check) {
        match check::ask(watched, job, policy, command, &record, latest, slot)? {
            Some((verdict, at)) => (end, record.checked_at) = (verdict, at),
            None => return Ok(None),
        }
    }
    conclude(watched.ctx, job, watched.run, end, record, Its::File, slot)
}

/// What the records say for the run's row.
pub(super) fn record_of(ctx: &Context, run: RunId, records: &Records) -> RunRecord {
    let usage = records.drained.as_ref().map(|drained| &drained.usage);
    RunRecord {
        pid: records.started.as_ref().map(|s| s.pid),
        started_at: started_at(records),
        exited_at: records.exited.as_ref().map(|e| e.at_ms),
        checked_at: None,
        max_rss_bytes: usage.and_then(|u| i64::try_from(u.max_rss_bytes).ok()),
        user_ms: usage.and_then(|u| i64::try_from(u.user_ms).ok()),
        system_ms: usage.and_then(|u| i64::try_from(u.system_ms).ok()),
        leftovers: records.drained.as_ref().map(|d| d.leftovers.clone()).filter(|text| !text.is_empty()),
        memory_by: records.drained.as_ref().and_then(|d| d.memory_by).map(MemoryBy::as_str),
        result: result_of(ctx, run),
    }
}

/// When the run started, by the clock as it is at its end: where the wall clock was set meanwhile, end and start are as far apart as the run
/// has lasted by the clock of the boot.
fn started_at(records: &Records) -> Option<i64> {
    let started = records.started.as_ref()?;
    let Some((exited, ran_ms)) = records.exited.as_ref().and_then(|exited| {
        let ran_ms = exited.boot_ms?.checked_sub(started.kept?.boot_ms)?;
        Some((exited, i64::try_from(ran_ms).ok()?))
    }) else {
        return Some(started.at_ms);
    };
    let apart_ms = exited.at_ms.saturating_sub(started.at_ms);
    let was_set = apart_ms.abs_diff(ran_ms) > CLOCK_STEP_MS;
    Some(if was_set { exited.at_ms.saturating_sub(ran_ms) } else { started.at_ms })
}

/// What the run wrote to `TENURE_RESULT`, as far as it is kept.
fn result_of(ctx: &Context, run: RunId) -> Option<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    // A character that is cut at the limit is left out and not replaced, so a little more than that is read.
    let most = crate::job::limits::RESULT_BYTES_MAX as u64 + 4;
    let mut bytes = Vec::new();
    // A job may have put anything there: a link is not followed, and a pipe is not waited for.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let path = ctx.place().result_file(run);
    let file = loop {
        match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(|e| Error::io("opening a result", e))
        {
            Ok(file) => break file,
            // What the run has said is not lost for want of a descriptor of ours.
            Err(error) if !ctx.is_detaching() && ctx.notes_want(&error) => ctx.pause(RESULT_AGAIN_MS),
            Err(_) => return None,
        }
    };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return None;
    }
    file.take(most).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then(|| settle::kept_result(&bytes))
}

/// A number in 0..1, for the jitter of a backoff.
pub(super) fn chance() -> f64 {
    f64::from(u32::from_le_bytes(crate::run::machine::nonce().0[..4].try_into().unwrap_or_default())) / f64::from(u32::MAX)
}

/// Stops every run that has a stop request; the bells pass it on.
pub(super) fn ring_cancels(ctx: &Context) -> Result<()> {
    for (_, run) in ctx.store.read(control::open_cancels)? {
        if let Some(run) = run {
            ctx.roster.request_stop(run, Cause::Cancel);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Exit;
    use crate::run::record::{Exited, Kept, Started};

    #[test]
    fn a_step_of_the_clock_changes_no_duration() {
        const RAN_MS: i64 = 5_000;
        let started_at = |step_ms: i64, with_boot: bool| {
            let kept = with_boot.then(|| Kept { boot_ms: 70_000, ..Kept::default() });
            let started = Started { pid: 1, shim_pid: 1, shim_start_ticks: 1, at_ms: 20_000_000, kept };
            let (at_ms, boot_ms) = (20_000_000 + RAN_MS + step_ms, Some(70_000 + RAN_MS.unsigned_abs()));
            let exited = Exited { exit: Exit::Code(0), cause: None, at_ms, boot_ms };
            let records = Records { started: Some(started), exited: Some(exited), ..Records::default() };
            (super::started_at(&records).unwrap(), at_ms)
        };
        for step_ms in [-10_800_000, -3_000, 3_000, 10_800_000] {
            let (started_at, exited_at) = started_at(step_ms, true);
            assert_eq!(exited_at - started_at, RAN_MS, "a step of {step_ms} ms");
        }
        for step_ms in [-1_000, 0, 1_000] {
            assert_eq!(started_at(step_ms, true).0, 20_000_000, "a clock that is steered");
        }
        assert_eq!(started_at(10_800_000, false).0, 20_000_000, "a record of an earlier version");
    }
}
