//! Admits a job to its workspace, which is prepared first if needed.
//!
//! ```text
//! warm    a use is recorded, then one look whether the directory is there
//! miss    lead, or wait for the leader ─▶ .new-NONCE ─▶ prepare (an auxiliary run of the job's run, with the lease of the workspace)
//!           ─▶ its tree is empty ─▶ renamed into its place ─▶ row ─▶ auxiliary run closed, lease free ─▶ warm
//! ```
//!
//! Meanwhile the run has its file and its lock, and no record. After a crash at any instant: a job
//! that has not entered has certainly not started, and is requeued without using an attempt; the
//! prepare command continues under its shim, is adopted, and its result is used; a directory
//! without a row belongs to no run when the run is closed, and is swept.
//!
//! Deliberately absent: names and directories (`run::workspace`), and which may be removed
//! (`store::workspace`, `loops::workspaces`).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::prepare::{Made, Preparation};
use crate::error::{Error, Result};
use crate::host::lease;
use crate::job::workspace::inside;
use crate::job::{RunEnd, RunKind, Workspace};
use crate::run::workspace::is_there;
use crate::store::job::rows::Run;
use crate::store::{job::settle, workspace};
use crate::worker::attempt::{Attempt, Command, Halt, wait_for};
use crate::worker::job_run::JobRun;
use crate::worker::shortage;
use crate::worker::single_flight::{Flight, FlightEnd, Role};

/// How often it is prepared for one run: it may vanish immediately, and no process may see how a
/// prepare command ended.
const MAKES_MAX: u32 = 3;
/// Interval between two checks whether a process outside this worker has prepared it, in
/// milliseconds.
const LOOK_MS: u64 = 200;

/// Admits a job to its workspace, if it has one and could be run there: errors are found before
/// anything expensive is done. The directory belongs to the job while its run is open; that is
/// durable where it must be.
///
/// # Errors
/// [`Halt::Ended`]: it was not admitted, and its run ends like this.
pub fn enter(attempt: &Attempt<'_>, job: &JobRun, command: &Command<'_>) -> Result<Option<PathBuf>, Halt> {
    let Some(wanted) = &job.policy.workspace else { return Ok(None) };
    inside(&job.row.cwd).map_err(Halt::unrunnable)?;
    command.is_findable()?;
    get_in(attempt, job, wanted).map(Some)
}

fn get_in(attempt: &Attempt<'_>, job: &JobRun, wanted: &Workspace) -> Result<PathBuf, Halt> {
    let ctx = attempt.ctx;
    let mut last_error = format!("workspace {:?} was gone each time as soon as it had been made", wanted.key);
    let (mut makes, mut lead) = (0, None);
    loop {
        if let Some(end) = stopped(attempt) {
            return Err(end.into());
        }
        if ctx.is_detaching() {
            return Err(Halt::Detached);
        }
        match warm(attempt, job, wanted) {
            Ok(Some(path)) => return Ok(path),
            Ok(None) if makes == MAKES_MAX => return Err(failed(last_error)),
            Ok(None) => {}
            Err(error) if shortage::want_of(&error).is_some() => return Err(Halt::no_means(&error)),
            Err(error @ Error::Io { .. }) => return Err(failed(error.to_string())),
            Err(error) => return Err(error.into()),
        }
        let Some(leading) = lead.take() else {
            match ctx.single_flight.join(&wanted.key, &attempt.waker) {
                // Another preparation may have ended since the check: once more.
                Role::Leads(leads) => lead = Some(leads),
                Role::Waits(flight) => match wait_for_leader(attempt, &flight)? {
                    Some(FlightEnd::Failed { prepare_command, error }) if prepare_command == wanted.prepare_command() => {
                        return Err(failed(error));
                    }
                    _ => {}
                },
            }
            continue;
        };
        match make(attempt, job, wanted)? {
            Made::Ready => makes += 1,
            Made::Again(error) => (makes, last_error) = (makes + 1, error),
            Made::Failed(error) => {
                leading.fail(wanted.prepare_command(), error.clone());
                return Err(failed(error));
            }
            Made::Elsewhere => {
                drop(leading);
                if !poll_later(attempt, job)? {
                    // Its settle is too late, and changes nothing.
                    return Err(RunEnd::Unprepared.into());
                }
            }
            // The next check of the waker says why, also if a client has asked the shim before this
            // worker did.
            Made::Stopped => _ = ctx.pass_on_cancels()?,
        }
    }
}

fn failed(error: String) -> Halt {
    RunEnd::PrepareFailed { error }.into()
}

/// A stop request for the run.
fn stopped(attempt: &Attempt<'_>) -> Option<RunEnd> {
    attempt.waker.cause().map(RunEnd::stopped_before_start)
}

/// Returns the directory, if it exists and was prepared by the same command. The use is recorded
/// first, so that no process removes it meanwhile.
fn warm(attempt: &Attempt<'_>, job: &JobRun, wanted: &Workspace) -> Result<Option<PathBuf>> {
    let ctx = attempt.ctx;
    let (one, id, run, boot_id, now_ms) = (wanted.clone(), job.row.id, attempt.key.run, ctx.boot_id.clone(), ctx.now_ms());
    let (dir, ticket) = ctx.persist("entering a workspace", || {
        let (one, boot_id) = (one.clone(), boot_id.clone());
        ctx.store.commit(move |conn| workspace::enter(conn, &one, id, run, &boot_id, now_ms))
    })?;
    let Some(dir) = dir else { return Ok(None) };
    if is_there(ctx.place(), &dir)? {
        if job.row.max_attempts == 1 {
            // Without it the run has never started; that must be true after a power cut as well.
            ctx.store.flushed(ticket)?;
        }
        return Ok(Some(ctx.place().work().join(dir)));
    }
    log::info!("workspace {:?}: {dir} is gone; it is prepared again", wanted.key);
    let key = wanted.key.clone();
    ctx.store.commit(move |conn| workspace::forget(conn, &key, &dir, Some(run)))?;
    Ok(None)
}

/// `None`: it must be checked again, or the worker detaches.
fn wait_for_leader(attempt: &Attempt<'_>, flight: &Flight) -> Result<Option<FlightEnd>> {
    loop {
        // In this order: the waker keeps a wake-up between the two checks.
        let is_stopped = attempt.waker.cause().is_some();
        if let Some(end) = flight.ended() {
            return Ok(Some(end));
        }
        if is_stopped || attempt.ctx.is_detaching() {
            return Ok(None);
        }
        wait_for(&mut [PollFd::new(&*attempt.waker, PollFlags::IN)], None)?;
    }
}

/// Polls for a workspace that another process is preparing, after reclaiming the lease of a dead
/// holder. False: the run does not own its job any more.
fn poll_later(attempt: &Attempt<'_>, job: &JobRun) -> Result<bool> {
    let (store, id, run) = (&attempt.ctx.store, job.row.id, attempt.key.run);
    if !store.read(move |conn| settle::owns(conn, id, run))? {
        return Ok(false);
    }
    lease::reclaim(store)?;
    let until = Instant::now() + Duration::from_millis(LOOK_MS);
    wait_for(&mut [PollFd::new(&*attempt.waker, PollFlags::IN)], Some(until))?;
    Ok(true)
}

fn make(attempt: &Attempt<'_>, job: &JobRun, wanted: &Workspace) -> Result<Made, Halt> {
    match Preparation::of(attempt, job, wanted) {
        Ok(preparation) => preparation.make(),
        Err(error) => Ok(Made::Failed(error.to_string())),
    }
}

/// Ends a run that an earlier worker claimed and that has not started. If it had not entered its
/// workspace, its prepare command is handled first. `latest`: the latest auxiliary run of that run.
///
/// # Errors
/// [`Halt`]: the worker detaches again.
pub fn of_unstarted(attempt: &Attempt<'_>, job: &JobRun, latest: Option<&Run>) -> Result<RunEnd, Halt> {
    let Some(wanted) = job.policy.workspace.as_ref().filter(|_| has_not_entered(attempt)) else {
        return Ok(RunEnd::NeverStarted);
    };
    let unprepared = || stopped(attempt).unwrap_or(RunEnd::Unprepared);
    let Some(prepare) = latest.filter(|auxiliary| auxiliary.kind == RunKind::Prepare) else { return Ok(unprepared()) };
    let preparation = Preparation::of(attempt, job, wanted);
    let made = match (&preparation, prepare.outcome) {
        (Ok(preparation), None) => {
            // Each thread that needs the same one waits for this.
            let _lead = attempt.ctx.single_flight.join(&wanted.key, &attempt.waker);
            preparation.resume(prepare)?
        }
        (Ok(preparation), Some(outcome)) => {
            preparation.of_outcome(outcome, prepare.error.as_deref().unwrap_or("it was not done"))
        }
        (Err(error), _) => Made::Failed(error.to_string()),
    };
    Ok(match made {
        Made::Failed(error) => RunEnd::PrepareFailed { error },
        Made::Ready | Made::Again(_) | Made::Elsewhere | Made::Stopped => unprepared(),
    })
}

/// Whether a run with a workspace is known not to have started: it has not entered. (After a reboot
/// this is known only if the entering was flushed.)
pub fn is_known_unstarted(attempt: &Attempt<'_>, job: &JobRun, same_boot: bool) -> bool {
    job.policy.workspace.is_some() && (same_boot || job.row.max_attempts == 1) && has_not_entered(attempt)
}

fn has_not_entered(attempt: &Attempt<'_>) -> bool {
    let run = attempt.key.run;
    matches!(attempt.ctx.store.read(move |conn| workspace::entered(conn, run)), Ok(None))
}

/// A job that could not be executed because its workspace had vanished since it entered: not the
/// job's fault.
pub fn unless_it_was_gone(attempt: &Attempt<'_>, job: &JobRun, end: RunEnd) -> RunEnd {
    let (RunEnd::NotExecuted { errno, .. }, Some(wanted)) = (&end, &job.policy.workspace) else { return end };
    let is_gone = || of_run(attempt).is_ok_and(|path| !path.is_dir());
    if [Errno::NOENT, Errno::NOTDIR].map(Errno::raw_os_error).contains(errno) && is_gone() {
        let error = format!("workspace {:?} was removed before the job could start in it", wanted.key);
        return RunEnd::PrepareFailed { error };
    }
    end
}

/// Returns the directory that a run is in, for the check of its job.
///
/// # Errors
/// Text for its owner.
pub fn of_run(attempt: &Attempt<'_>) -> Result<PathBuf, String> {
    let run = attempt.key.run;
    let dir = attempt.ctx.store.read(move |conn| workspace::entered(conn, run)).map_err(|e| e.to_string())?;
    dir.map(|dir| attempt.ctx.place().work().join(dir)).ok_or_else(|| "its run is in no workspace".into())
}
