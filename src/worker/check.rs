//! Asking a job's check, after its exit 0, whether it really succeeded.
//!
//! A check is an errand ([`super::errand`]) of the job's run, while the job stays `running`. 0 passes, 75 is asked again later,
//! anything else fails the job. A check that no process saw end is asked again; the job is not run again.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::errand::{Came, Errand, Judged};
use super::launch::{self, Start};
use super::monitor::{Watched, wait_for};
use super::workspace;
use crate::error::Result;
use crate::job::{Argv, Cause, Exit, Outcome, Policy, Reason, RunEnd, RunKind, limits, retry};
use crate::store::check;
use crate::store::errand::Opening;
use crate::store::rows::{Job, Run};
use crate::store::settle::RunRecord;

/// Timeout of a check whose job has none, in milliseconds.
pub(super) const TIMEOUT_MS_DEFAULT: u64 = 3_600_000;

/// One answer of a check.
enum Answer {
    Yes,
    AskLater,
    No(String),
    Cancelled,
    /// No process saw it.
    Lost,
}

/// Asks until there is an answer: what the job's run comes to and when the check had ended, or `None` when the worker lets go of its runs. `latest`: the latest
/// errand of the job's run, where an earlier worker began one.
pub(super) fn ask(
    watched: &Watched<'_>,
    job: &Job,
    policy: &Policy,
    command: &Argv,
    record: &RunRecord,
    latest: Option<Run>,
    slot: usize,
) -> Result<Option<(RunEnd, Option<i64>)>> {
    let ctx = watched.ctx;
    let (id, run, recorded) = (job.id, watched.run, record.clone());
    ctx.persist("recording an exit", || {
        let recorded = recorded.clone();
        ctx.store.commit(move |conn| check::exited(conn, id, run, &recorded, 0))
    })?;
    let mut latest = latest.filter(|errand| errand.kind == RunKind::Check);
    for asked in 1..=limits::CHECK_ASKS_MAX {
        // An open check has a tree, which ends before the job does: the wish is passed on to it, and it is waited for.
        let is_open = latest.as_ref().is_some_and(|check| check.finished_at.is_none());
        if let Some(cause) = watched.waker.cause().filter(|_| !is_open) {
            return Ok(stopped(cause).map(|end| (end, None)));
        }
        let came = match latest.take() {
            Some(check) if check.finished_at.is_some() => Some((answered(&check), check.exited_at)),
            Some(check) => of_came(errand(watched, job).go_on(&check, judge)?),
            None => once(watched, job, policy, command, slot)?,
        };
        let Some((answer, at)) = came else { return Ok(None) };
        match answer {
            Answer::Yes => {
                return Ok(Some((RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false }, at)));
            }
            Answer::No(error) => return Ok(Some((RunEnd::CheckFailed { error }, at))),
            Answer::Cancelled => return Ok(stopped(Cause::Cancel).map(|end| (end, at))),
            Answer::AskLater | Answer::Lost => {
                if !wait(watched, retry::backoff_ms(policy, asked, super::monitor::chance()))? {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some((RunEnd::CheckFailed { error: format!("the check gave no answer {} times", limits::CHECK_ASKS_MAX) }, None)))
}

/// What a job comes to whose own process ended with 0, and whose check was stopped. It ends for the cause of the stop and for no other. `None`:
/// the machine or the worker goes down, and the next worker asks the check again.
fn stopped(cause: Cause) -> Option<RunEnd> {
    match cause {
        Cause::Shutdown | Cause::Sweep => None,
        cause => Some(RunEnd::Ended { exit: Exit::Code(0), cause: Some(cause), out_of_memory: false }),
    }
}

/// Waits for the time to ask again, or for a wish; false when the worker lets go.
fn wait(watched: &Watched<'_>, ms: u64) -> Result<bool> {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until && watched.waker.cause().is_none() && !watched.ctx.is_detaching() {
        wait_for(&mut [PollFd::new(&*watched.waker, PollFlags::IN)], Some(until))?;
    }
    Ok(!watched.ctx.is_detaching())
}

fn errand<'a>(watched: &Watched<'a>, job: &Job) -> Errand<'a> {
    Errand::of_job(watched, Opening::of(RunKind::Check, job.id, watched.run))
}

/// Starts the check once and waits for its answer.
fn once(watched: &Watched<'_>, job: &Job, policy: &Policy, command: &Argv, slot: usize) -> Result<Option<(Answer, Option<i64>)>> {
    let made = |run, nonce| {
        let start = Start { job, policy, run, nonce, slot, previous_reason: None, max_runtime_ms: None };
        let mut launch = launch::of_check(watched.ctx, &start, command, watched.run)?;
        if policy.workspace.is_some() {
            launch::inside(&mut launch, &job.cwd, &workspace::of_run(watched)?)?;
        }
        Ok(launch)
    };
    errand(watched, job).once(made, judge).map(of_came)
}

/// `None`: the worker lets go.
fn of_came(came: Came) -> Option<(Answer, Option<i64>)> {
    match came {
        Came::Left => None,
        Came::NotBegun => Some((Answer::Lost, None)),
        Came::NotMade(error) => Some((Answer::No(error), None)),
        Came::Over(came_to) => Some((answer(&came_to.end), came_to.closed.record.exited_at)),
    }
}

/// What a check has answered whose answer is written down: its worker died before it could settle the job.
fn answered(check: &Run) -> Answer {
    match check.outcome {
        Some(Outcome::Done) => Answer::Yes,
        Some(Outcome::Deferred) => Answer::AskLater,
        Some(Outcome::Failed) => Answer::No(check.error.clone().unwrap_or_else(|| "the check said no".into())),
        Some(Outcome::Cancelled) => Answer::Cancelled,
        Some(Outcome::Lost | Outcome::Unstarted) | None => Answer::Lost,
    }
}

/// What the row of a check says about its end.
fn judge(end: &RunEnd) -> Judged {
    match answer(end) {
        Answer::Yes => (Outcome::Done, Some(Reason::Exit), None),
        Answer::AskLater => (Outcome::Deferred, Some(Reason::Exit), None),
        Answer::No(error) => (Outcome::Failed, Some(Reason::Check), Some(error)),
        Answer::Cancelled => (Outcome::Cancelled, Some(Reason::Cancelled), None),
        Answer::Lost => (Outcome::Lost, Some(Reason::Lost), None),
    }
}

fn answer(end: &RunEnd) -> Answer {
    match end {
        RunEnd::Ended { cause: Some(Cause::Cancel), .. } => Answer::Cancelled,
        RunEnd::Ended { cause: Some(Cause::Timeout), .. } => Answer::No("the check ran past its timeout".into()),
        RunEnd::Ended { cause: Some(_), .. }
        | RunEnd::Lost
        | RunEnd::NeverStarted
        | RunEnd::NoMeans { .. }
        | RunEnd::Unprepared
        | RunEnd::Withdrawn => Answer::Lost,
        RunEnd::Ended { exit: Exit::Code(0), .. } => Answer::Yes,
        RunEnd::Ended { exit: Exit::Code(limits::NOT_NOW), .. } => Answer::AskLater,
        RunEnd::Ended { exit: Exit::Code(code), .. } => Answer::No(format!("the check ended with exit status {code}")),
        RunEnd::Ended { exit: Exit::Signal(signal), .. } => Answer::No(format!("the check was killed by signal {signal}")),
        RunEnd::NotExecuted { errno, .. } if crate::job::ending::is_want_of_resources(*errno) => Answer::Lost,
        RunEnd::NotExecuted { error, .. }
        | RunEnd::CheckFailed { error }
        | RunEnd::PrepareFailed { error }
        | RunEnd::TooLate { error }
        | RunEnd::Unrunnable { error } => Answer::No(format!("the check could not be asked: {error}")),
    }
}
