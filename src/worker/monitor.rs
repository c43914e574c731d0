//! A monitor: one thread, one run, from its launch (or its adoption) to its settle.
//!
//! It waits for two things: its shim's records, and its bell. The shim judges how the run ended and enforces its deadlines; what the
//! monitor does meanwhile is in [`super::supervise`]. When a run is settled, the same transaction claims
//! the next job for the slot, so that a busy slot goes from one job to the next without another thread.

use std::sync::Arc;

use super::check;
use super::launch::{self, Start};
use super::prepared::Ready;
use super::recover;
use super::roster::Bell;
use super::shared::Shared;
pub(super) use super::supervise::{Watch, Watched, wait_for};
use super::workspace::{self, Entered};
use crate::error::{Error, Result};
use crate::job::{Cause, Exit, JobId, Next, Policy, RunEnd, RunId};
use crate::run::record::{MemoryBy, Records};
use crate::store::claim::{self, Claim};
use crate::store::reap::{self, OpenRun};
use crate::store::settle::{self, RunRecord, Settle, Settled};
use crate::store::{Ticket, control, teardown};

/// A step of the wall clock, in milliseconds: what differs less is the work of a clock that is steered.
pub(super) const CLOCK_STEP_MS: u64 = 2_000;

/// What a monitor is given.
pub(super) enum Assignment {
    /// A job that was just claimed.
    Start { claim: Box<Claim>, ready: Ready, ticket: Ticket, slot: usize },
    /// A run that another worker claimed and that is alive, or whose end is recorded.
    Adopt { open: Box<OpenRun>, slot: usize },
}

/// Works until no further job was claimed for this slot.
pub(super) fn drive(shared: &Arc<Shared>, first: Assignment) {
    let mut next = Some(first);
    while let Some(assignment) = next.take() {
        let (run, slot) = assignment.identity();
        match one(shared, assignment) {
            Ok(following) => next = following,
            Err(error) => {
                // The run keeps its row, its run file and its lock: the reaper goes on from there.
                log::error!("run {run}: {error}");
                note_stuck(shared, run, &error);
                shared.roster.disown(run);
            }
        }
        if next.is_none() {
            shared.roster.free_slot(slot);
            shared.look();
        }
    }
}

/// What keeps a run from being settled stands in its row, for people who wonder why it does not end.
fn note_stuck(shared: &Arc<Shared>, run: RunId, error: &Error) {
    let Error::Stuck(why) = error else { return };
    if shared.is_leaving() {
        return;
    }
    let why = format!(
        "it can not be settled: {why}\nend those processes as their user or as root; the worker looks again at each tick"
    );
    if let Err(error) = shared.store.commit(move |conn| reap::note_trouble(conn, run, Some(&why))) {
        log::warn!("run {run}: noting what keeps it: {error}");
    }
}

impl Assignment {
    /// The run, and its slot.
    pub fn identity(&self) -> (RunId, usize) {
        match self {
            Self::Start { claim, slot, .. } => (claim.run, *slot),
            Self::Adopt { open, slot } => (open.run.id, *slot),
        }
    }
}

fn one(shared: &Arc<Shared>, assignment: Assignment) -> Result<Option<Assignment>> {
    match assignment {
        Assignment::Start { claim, ready, ticket, slot } => start(shared, *claim, ready, ticket, slot),
        Assignment::Adopt { open, slot } => recover::watch(shared, *open, slot),
    }
}

fn start(shared: &Arc<Shared>, claim: Claim, ready: Ready, ticket: Ticket, slot: usize) -> Result<Option<Assignment>> {
    let (job, run, nonce) = (&claim.job, claim.run, claim.nonce);
    let policy = match Policy::from_json(&job.policy) {
        Ok(policy) => policy,
        Err(error) => return conclude(shared, job.id, run, RunEnd::Unrunnable { error }, RunRecord::default(), Its::File, slot),
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
    let unstarted = |end| conclude(shared, job.id, run, end, RunRecord::default(), Its::File, slot);
    let mut launch = match launch::of_job(shared, &start) {
        Ok(launch) => launch,
        Err(error) => return unstarted(RunEnd::Unrunnable { error }),
    };
    let bell = Arc::new(Bell::new()?);
    shared.roster.watch(run, Arc::clone(&bell));
    let watched = Watched { of_job: true, ..Watched::new(shared, run, nonce, bell, policy.grace_ms()) };
    if let Some(wanted) = &policy.workspace {
        match workspace::enter_checked(&watched, &start, wanted, &launch)? {
            Entered::In(path) => match launch::of_job_in(shared, &start, &path) {
                Ok(inside) => launch = inside,
                Err(error) => return unstarted(RunEnd::Unrunnable { error }),
            },
            Entered::Left => return Ok(None),
            Entered::Not(end) => return unstarted(end),
        }
    }
    // At most once must hold over a power cut as well: the claim is on the disk before anything of the job exists. The shim is made and makes ready
    // meanwhile.
    launch.waits_for_go = job.max_attempts == 1 && !shared.store.is_flushed(ticket);
    let pipe = match shared.spawner().and_then(|spawner| spawner.launch(&launch, ready.file)) {
        Ok(pipe) => pipe,
        Err(error) => {
            log::warn!("run {run}: {error}");
            return recover::after_the_shim(&watched, job, &policy, slot);
        }
    };
    if launch.waits_for_go {
        let go = pipe.go();
        shared.store.as_soon_as_flushed(ticket, move || go.say())?;
    }
    shared.stock.fill(&shared.store, &shared.roster);
    match watched.follow(pipe)? {
        Watch::Left => Ok(None),
        Watch::Over(records) if records.progress() == crate::job::verdict::Progress::Drained || records.failed.is_some() => {
            end_of_job(&watched, job, &policy, &records, None, slot)
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
    let mut record = record_of(watched.shared, watched.run, records);
    if let (RunEnd::Ended { exit: Exit::Code(0), cause: None, .. }, Some(command)) = (&end, &policy.check) {
        match check::ask(watched, job, policy, command, &record, latest, slot)? {
            Some((verdict, at)) => (end, record.checked_at) = (verdict, at),
            None => return Ok(None),
        }
    }
    conclude(watched.shared, job.id, watched.run, end, record, Its::File, slot)
}

/// What the records say for the run's row.
pub(super) fn record_of(shared: &Shared, run: RunId, records: &Records) -> RunRecord {
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
        result: result_of(shared, run),
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
fn result_of(shared: &Shared, run: RunId) -> Option<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let most = crate::job::limits::RESULT_BYTES_MAX as u64;
    let mut bytes = Vec::new();
    // A job may have put anything there: a link is not followed, and a pipe is not waited for.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(shared.place().result_file(run)).ok()?;
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return None;
    }
    file.take(most).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// What goes with a run that is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Its {
    /// Its run file.
    File,
    /// The file of that name is another's: the reaper sees to whoever it stands for.
    Nothing,
}

/// Settles the run, and claims the next job for its slot in the same transaction. What follows a settle outside the file waits
/// for the flush, and is done by the winner alone.
pub(super) fn conclude(
    shared: &Arc<Shared>,
    job: JobId,
    run: RunId,
    end: RunEnd,
    record: RunRecord,
    goes: Its,
    slot: usize,
) -> Result<Option<Assignment>> {
    let settle = Settle { job, run, end, record, chance: chance() };
    let ready = next_ready(shared);
    let prepared = ready.as_ref().map(Ready::prepared);
    let done = shared.persist("settling a run", || {
        let (settle, prepared) = (settle.clone(), prepared);
        let (scope, instance, boot_id) = (shared.options.scope.clone(), shared.instance.clone(), shared.boot_id.clone());
        let now_ms = shared.now_ms();
        shared.commit_believing(move |conn| {
            let settled = settle::settle(conn, &settle, now_ms)?;
            let leaves = teardown::is_due(conn, now_ms)?;
            let next = match prepared {
                Some(prepared) => claim::claim_beside(conn, &scope, prepared, &instance, &boot_id, now_ms)?,
                None => None,
            };
            Ok((settled, leaves, next))
        })
    });
    let ((settled, leaves, next), ticket) = match done {
        Ok(done) => done,
        Err(error) => {
            shared.stock.put_back(ready);
            return Err(error);
        }
    };
    // A slot that goes on at once needs no look of the claim loop, unless there is a new time to wait for or something to tear down.
    if next.is_none()
        || leaves
        || matches!(&settled, Settled::Won { decision, .. } if matches!(decision.next, Next::Again { .. }))
    {
        shared.look();
    }
    follow_up(shared, job, run, settled, goes, ticket);
    match (next, ready) {
        (Some(claim), Some(ready)) => {
            shared.stock.begun(claim.run);
            Ok(Some(Assignment::Start { claim: Box::new(claim), ready, ticket, slot }))
        }
        (_, ready) => {
            shared.stock.put_back(ready);
            Ok(None)
        }
    }
}

/// A run file for the next job of this slot, where one may be claimed.
fn next_ready(shared: &Arc<Shared>) -> Option<Ready> {
    let may = shared.may_claim() && shared.roster.busy() <= shared.options.slots && shared.options.scope.only.is_none();
    if !may {
        return None;
    }
    shared.keep_home();
    shared.stock.take(&shared.store, &shared.roster).inspect_err(|error| log::warn!("making a run file: {error}")).ok()
}

fn follow_up(shared: &Arc<Shared>, job: JobId, run: RunId, settled: Settled, goes: Its, ticket: Ticket) {
    let freed = match settled {
        Settled::Won { decision, freed } => {
            log::debug!("job {job} run {run}: {} {:?}", decision.outcome, decision.next);
            freed
        }
        Settled::Late => {
            log::warn!("job {job} run {run}: it no longer owned its job; nothing was changed");
            Vec::new()
        }
    };
    let shared_then = Arc::clone(shared);
    shared.store.after_flush(ticket, move || {
        let place = shared_then.place();
        if goes == Its::File
            && let Err(error) = shared_then.stock.retire(place, run)
        {
            log::warn!("run {run}: removing its run file: {error} (the reaper tries again)");
        }
        let _most_runs_write_no_result = std::fs::remove_file(place.result_file(run));
        for token in &freed {
            super::sweep::remove_secret(place, token);
        }
        shared_then.roster.disown(run);
    });
}

/// A number in 0..1, for the jitter of a backoff.
pub(super) fn chance() -> f64 {
    f64::from(u32::from_le_bytes(crate::run::machine::nonce().0[..4].try_into().unwrap_or_default())) / f64::from(u32::MAX)
}

/// Stops every run that somebody wants to end; the bells pass it on.
pub(super) fn ring_cancels(shared: &Shared) -> Result<()> {
    for (_, run) in shared.store.read(control::open_cancels)? {
        if let Some(run) = run {
            shared.roster.ring(run, Cause::Cancel);
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
