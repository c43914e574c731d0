//! Going on with a run that no monitor of this worker started: after a restart, or after its shim died.
//!
//! What to do is decided by `job::verdict`, from what is observed here; what is done is to wait, to empty a tree, and to settle
//! from what is recorded. Nothing is killed and nothing is given up on one look alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::context::Context;
use super::job_log;
use super::monitor::{Assignment, Its, Watch, Watched, conclude, end_of_job, wait_for};
use super::run_waker::RunWaker;
use super::supervise::Supervisor;
use super::workspace;
use crate::error::{Error, Result};
use crate::job::verdict::{Claimed, Progress, RunFile, Verdict, of_claim};
use crate::job::{Nonce, Outcome, Policy, Reason, RunEnd, RunId};
use crate::run::record::Records;
use crate::run::runfile::{self, Look};
use crate::run::stop;
use crate::run::tree::{self, Emptied};
use crate::store::errand::{self, Closed};
use crate::store::reap::{self, OpenRun};
use crate::store::rows::{Job, Run};
use crate::store::settle::RunRecord;

/// Between two looks at a lock whose holder cannot be waited for, in milliseconds: first, and longest.
const LOOK_FIRST_MS: u64 = 2;
const LOOK_MOST_MS: u64 = 1_000;
/// Looks whether the lock of an ended run is free before that is left to the next tick, and the time between two of them in milliseconds. As long is
/// the first pause between two rounds in which a tree is emptied.
const ROUNDS_MAX: usize = 200;
const ROUND_MS: u64 = 10;
/// How long a tree is emptied before it is told as a problem, and the longest time between two rounds, in milliseconds.
const EMPTYING_MS: u64 = 3_000;
const ROUND_MS_MOST: u64 = 200;

/// What was seen of a run.
struct Seen {
    file: RunFile,
    records: Records,
}

fn look(watched: &Watched<'_>) -> Result<Seen> {
    let ctx = watched.ctx;
    Ok(match runfile::look(ctx.place(), watched.run)? {
        Look::Missing => Seen { file: RunFile::Missing, records: Records::default() },
        Look::Unreadable(_) => Seen { file: RunFile::Foreign, records: Records::default() },
        Look::Found { header, .. } if header.nonce != watched.nonce || header.file_id != ctx.file_id => {
            Seen { file: RunFile::Foreign, records: Records::default() }
        }
        Look::Found { records, locked, .. } => Seen { file: RunFile::Own { locked, progress: records.progress() }, records },
    })
}

/// The monitor of an adopted run.
pub(super) fn watch(ctx: &Arc<Context>, open: OpenRun, slot: usize) -> Result<Option<Assignment>> {
    let job = &open.job;
    let waker = Arc::new(RunWaker::new()?);
    ctx.roster.watch(open.run.id, Arc::clone(&waker));
    if open.open_cancel {
        waker.request_stop(crate::job::Cause::Cancel);
    }
    let policy = match Policy::from_json(&job.policy) {
        Ok(policy) => policy,
        Err(error) => {
            log::warn!("job {}: {error}; going on without it", job.id);
            Policy::default()
        }
    };
    let watched = Watched { of_job: true, ..Watched::new(ctx, open.run.id, open.run.nonce, waker, policy.grace_ms()) };
    let same_boot = open.run.boot_id == ctx.boot_id;
    go_on(&watched, job, &policy, open.errand, same_boot, slot)
}

/// A run of this worker whose shim ended without having said everything.
pub(super) fn after_the_shim(watched: &Watched<'_>, job: &Job, policy: &Policy, slot: usize) -> Result<Option<Assignment>> {
    go_on(watched, job, policy, None, true, slot)
}

fn go_on(
    watched: &Watched<'_>,
    job: &Job,
    policy: &Policy,
    latest: Option<Run>,
    same_boot: bool,
    slot: usize,
) -> Result<Option<Assignment>> {
    let ctx = watched.ctx;
    let mut seen = look(watched)?;
    if of_claim(Claimed { same_boot, file: seen.file }) == Verdict::Adopt {
        count("adopted_total", watched, job);
        job_log::adopted(job, watched.run);
        match wait_until_over(watched)? {
            Watch::Left => return Ok(None),
            Watch::Over(_) => seen = look(watched)?,
        }
    }
    // The second look: nothing is killed and nothing is given up on one alone.
    let again = look(watched)?;
    if again.file != seen.file {
        seen = look(watched)?;
    }
    let verdict = of_claim(Claimed { same_boot, file: seen.file });
    log::info!("job {} run {}: {verdict:?} ({:?})", job.id, watched.run, seen.file);
    match verdict {
        Verdict::Adopt => Err(Error::Held(format!("run {} is held again; looking at the next tick", watched.run))),
        Verdict::PutBack => put_back(watched, job, policy, latest.as_ref(), Its::File, slot),
        // Not known by its run file, which records nothing, but by what it had not come to.
        Verdict::Lose { empty_tree }
            if !records_anything(seen.file) && workspace::is_known_unstarted(watched, job, policy, same_boot) =>
        {
            if empty_tree {
                empty(watched)?;
            }
            let goes = if seen.file == RunFile::Foreign { Its::Nothing } else { Its::File };
            put_back(watched, job, policy, latest.as_ref(), goes, slot)
        }
        Verdict::Lose { empty_tree } => {
            if empty_tree {
                empty(watched)?;
            }
            if let Some(errand) = latest.filter(|errand| same_boot && errand.finished_at.is_none()) {
                end_errand(ctx, &errand)?;
            }
            // The worker itself may have ended it with its shim, and knows why.
            let end = watched.end_of(&Records { failed: None, exited: None, ..seen.records.clone() });
            if end == RunEnd::Lost {
                count("lost_total", watched, job);
            }
            let record = super::monitor::record_of(ctx, watched.run, &seen.records);
            let goes = if seen.file == RunFile::Foreign { Its::Nothing } else { Its::File };
            conclude(ctx, job, watched.run, end, record, goes, slot)
        }
        Verdict::GoOn { empty_tree } => {
            if empty_tree {
                empty(watched)?;
            }
            end_of_job(watched, job, policy, &seen.records, latest, slot)
        }
    }
}

fn records_anything(file: RunFile) -> bool {
    matches!(file, RunFile::Own { progress, .. } if progress != Progress::Nothing)
}

/// It has not started. What an errand of it comes to is seen to first.
fn put_back(
    watched: &Watched<'_>,
    job: &Job,
    policy: &Policy,
    latest: Option<&crate::store::rows::Run>,
    goes: Its,
    slot: usize,
) -> Result<Option<Assignment>> {
    let Some(end) = workspace::of_unstarted(watched, job, policy, latest)? else { return Ok(None) };
    count("put_back_total", watched, job);
    conclude(watched.ctx, job, watched.run, end, RunRecord::default(), goes, slot)
}

fn count(name: &'static str, watched: &Watched<'_>, job: &Job) {
    let ctx = watched.ctx;
    let (note, now_ms, run, instance) =
        (format!("job {} run {}", job.id, watched.run), ctx.now_ms(), watched.run, ctx.instance.clone());
    let counted = ctx.store.commit(move |conn| {
        if name == "adopted_total" {
            reap::adopted(conn, run, &instance)?;
        }
        reap::count(conn, name, 1, Some(&note), now_ms)
    });
    if let Err(error) = counted {
        log::warn!("counting {name}: {error}");
    }
}

/// What was begun for a run that is lost (its check) has a tree of its own, which ends before the job does: its answer is not needed.
fn end_errand(ctx: &Context, errand: &Run) -> Result<()> {
    end_tree(ctx, errand.id, errand.nonce)?;
    let closed = Closed {
        outcome: Outcome::Lost,
        reason: Some(Reason::Lost),
        exit: None,
        error: Some("the run that it was begun for is lost".into()),
        record: RunRecord::default(),
    };
    let (id, now_ms) = (errand.id, ctx.now_ms());
    ctx.store.commit(move |conn| errand::end(conn, id, &closed, now_ms))?;
    Ok(())
}

/// Waits until no process holds the run's lock any more, passing wishes on.
pub(super) fn wait_until_over(watched: &Watched<'_>) -> Result<Watch> {
    let ctx = watched.ctx;
    let mut supervisor = Supervisor::of_adopted();
    let mut wait_ms = LOOK_FIRST_MS;
    loop {
        let seen = look(watched)?;
        if !matches!(seen.file, RunFile::Own { locked: true, .. }) {
            return Ok(Watch::Over(supervisor.seen_in(seen.records)));
        }
        if ctx.is_detaching() {
            return Ok(Watch::Left);
        }
        supervisor.act(watched, &seen.records);
        // The shim's pidfd says when to look; the lock says what is so. Where the shim is gone and its spawner is still
        // sweeping, there is nothing to wait for but time.
        let shim = stop::shim_pidfd(ctx.place(), watched.run, watched.nonce)?;
        wait_ms = if shim.is_some() { LOOK_MOST_MS } else { (wait_ms * 2).min(LOOK_MOST_MS) };
        let mut until = Instant::now() + Duration::from_millis(wait_ms);
        if let Some(next) = supervisor.next_act() {
            until = until.min(next);
        }
        match &shim {
            Some(shim) => {
                wait_for(&mut [PollFd::new(shim, PollFlags::IN), PollFd::new(&*watched.waker, PollFlags::IN)], Some(until))?
            }
            None => wait_for(&mut [PollFd::new(&*watched.waker, PollFlags::IN)], Some(until))?,
        }
        if shim.is_some() {
            // It ended, or a wish came: the lock is free a moment later.
            wait_ms = LOOK_FIRST_MS;
        }
    }
}

/// Empties what may be left of a run's tree, and looks again at what is recorded. `None`: the worker lets go of its runs.
pub(super) fn empty_and_look(watched: &Watched<'_>) -> Result<Option<Records>> {
    if let Watch::Left = wait_until_over(watched)? {
        return Ok(None);
    }
    empty(watched)?;
    Ok(Some(look(watched)?.records))
}

/// Whether the file of the run's name is its own.
pub(super) fn has_its_file(watched: &Watched<'_>) -> Result<bool> {
    Ok(matches!(look(watched)?.file, RunFile::Own { .. }))
}

/// Ends everything that carries a mark of the run or may write its log, until two rounds in a row find nothing.
///
/// # Errors
/// When something is left that may not be signalled or does not end: the run stays as it is, and is told as a problem.
pub(super) fn empty(watched: &Watched<'_>) -> Result<()> {
    empty_tree(watched.ctx, watched.run, watched.nonce)
}

/// Ends a run that is not needed: its shim first, so that nothing of its tree is started any more, then what is left.
///
/// # Errors
/// As [`empty`]; or its lock is still held, by a shim that is only about to start or a spawner that sweeps: to be tried again.
pub(super) fn end_tree(ctx: &Context, run: RunId, nonce: Nonce) -> Result<()> {
    stop::kill_shim(ctx.place(), run, nonce)?;
    empty_tree(ctx, run, nonce)?;
    for _ in 0..ROUNDS_MAX {
        match runfile::look(ctx.place(), run)? {
            Look::Found { locked: true, .. } if !ctx.is_detaching() => ctx.pause(ROUND_MS),
            Look::Found { locked: true, .. } => break,
            _ => return Ok(()),
        }
    }
    Err(Error::Held(format!("run {run}: its lock is still held; trying again at the next tick")))
}

fn what_is_there(emptied: &Emptied, fallen: &[String]) -> String {
    let of_the_run = [&emptied.left[..], &emptied.killed, fallen].concat();
    match () {
        () if !of_the_run.is_empty() => of_the_run.join(", "),
        () if emptied.log_locked => {
            "in another pid namespace, of another user, or started faster than they are found; with its log open".to_owned()
        }
        () if emptied.shim_is_dying => "its shim, which is being killed".to_owned(),
        () => format!("perhaps, as nothing that may be read of them says so or otherwise: {}", emptied.not_known.join(", ")),
    }
}

fn out_of_sight(run: RunId) -> String {
    format!(
        "processes of run {run} may live in another pid namespace (a container), where they cannot be seen from here; \
         it stays running until that is gone, or until a person says so (tenure doctor --gone {run})"
    )
}

/// As [`empty`], for a run without a row.
pub(super) fn empty_tree(ctx: &Context, run: RunId, nonce: Nonce) -> Result<()> {
    let (mut clean, mut pause_ms) = (0, ROUND_MS);
    let mut last = String::new();
    let until = Instant::now() + Duration::from_millis(EMPTYING_MS);
    while clean > 0 || Instant::now() < until {
        let emptied = tree::empty(ctx.place(), run, nonce)?;
        // What lost its reaper together with this run has fallen to us. First the shim is dead, then it falls, then it is looked for.
        let fallen = ctx.orphans.as_ref().filter(|_| !emptied.shim_is_dying).map(|ours| ours.sweep(nonce)).unwrap_or_default();
        if emptied.out_of_sight && emptied.killed.is_empty() && !emptied.log_locked {
            return Err(Error::Stuck(out_of_sight(run)));
        }
        if emptied.is_empty() && fallen.is_empty() {
            clean += 1;
            if clean == 2 {
                return Ok(());
            }
            continue;
        }
        clean = 0;
        last = what_is_there(&emptied, &fallen);
        if ctx.is_detaching() {
            break;
        }
        ctx.pause(pause_ms);
        pause_ms = (pause_ms * 2).min(ROUND_MS_MOST);
    }
    Err(Error::Stuck(format!("processes of run {run} are still there ({last}); it stays running until they are gone")))
}
