//! Asking a job's check, after its exit 0, whether it really succeeded.
//!
//! A check is an errand ([`super::errand`]) of the job's run, while the job stays `running`. 0 passes, 75 is asked again later,
//! anything else fails the job. A check that no process saw end is asked again; the job is not run again.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::errand::{Came, Errand};
use super::launch::{self, Start};
use super::monitor::{Watched, wait_for};
use super::workspace;
use crate::error::Result;
use crate::job::ending::{CheckAnswer, Verdict};
use crate::job::{Argv, Cause, Exit, Policy, RunEnd, RunKind, limits, retry};
use crate::store::check;
use crate::store::errand::Opening;
use crate::store::rows::{Job, Run};
use crate::store::settle::RunRecord;

/// Timeout of a check whose job has none, in milliseconds.
pub(super) const TIMEOUT_MS_DEFAULT: u64 = 3_600_000;

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
            return Ok(RunEnd::stopped_while_checked(cause).map(|end| (end, None)));
        }
        let came = match latest.take() {
            Some(check) if check.finished_at.is_some() => {
                Some((CheckAnswer::of_row(check.outcome, check.error.as_deref()), check.exited_at))
            }
            Some(check) => of_came(errand(watched, job).go_on(&check, judged)?),
            None => once(watched, job, policy, command, slot)?,
        };
        let Some((answer, at)) = came else { return Ok(None) };
        match answer {
            CheckAnswer::Yes => {
                return Ok(Some((RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false }, at)));
            }
            CheckAnswer::No(error) => return Ok(Some((RunEnd::CheckFailed { error }, at))),
            CheckAnswer::Cancelled => return Ok(RunEnd::stopped_while_checked(Cause::Cancel).map(|end| (end, at))),
            CheckAnswer::AskLater | CheckAnswer::Lost => {
                if !wait(watched, retry::backoff_ms(policy, asked, super::monitor::chance()))? {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some((RunEnd::CheckFailed { error: format!("the check gave no answer {} times", limits::CHECK_ASKS_MAX) }, None)))
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
fn once(
    watched: &Watched<'_>,
    job: &Job,
    policy: &Policy,
    command: &Argv,
    slot: usize,
) -> Result<Option<(CheckAnswer, Option<i64>)>> {
    let made = |run, nonce| {
        let start = Start { job, policy, run, nonce, slot, previous_reason: None, max_runtime_ms: None };
        let mut launch = launch::of_check(watched.ctx, &start, command, watched.run)?;
        if policy.workspace.is_some() {
            launch::inside(&mut launch, &job.cwd, &workspace::of_run(watched)?)?;
        }
        Ok(launch)
    };
    errand(watched, job).once(made, judged).map(of_came)
}

fn judged(end: &RunEnd) -> Verdict {
    CheckAnswer::of_end(end).verdict()
}

/// `None`: the worker lets go.
fn of_came(came: Came) -> Option<(CheckAnswer, Option<i64>)> {
    match came {
        Came::Left => None,
        Came::NotBegun => Some((CheckAnswer::Lost, None)),
        Came::NotMade(error) => Some((CheckAnswer::No(error), None)),
        Came::Over(came_to) => Some((CheckAnswer::of_end(&came_to.end), came_to.closed.record.exited_at)),
    }
}
