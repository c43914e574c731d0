//! Runs a job's check, after its exit 0, to decide whether it really succeeded.
//!
//! A check is an auxiliary run of the job's run, while the job stays `running`. 0 passes, 75 is
//! repeated later, any other code fails the job. A check whose end no process saw is repeated; the
//! job is not run again.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::workspace;
use crate::error::Result;
use crate::job::ending::{CheckAnswer, Verdict};
use crate::job::{Argv, Cause, Exit, RunEnd, RunKind, limits, retry};
use crate::run::machine;
use crate::store::job::auxiliary::Opening;
use crate::store::job::check;
use crate::store::job::rows::Run;
use crate::worker::attempt::{Attempt, Auxiliary, Came, Command, Ending, Halt, wait_for};
use crate::worker::job_run::JobRun;

/// Confirms a success: runs the check of the job, if it has one, until there is an answer.
/// `latest`: the latest auxiliary run of the job's run, if an earlier worker started one.
///
/// # Errors
/// [`Halt`]: the worker detaches, and the next one runs the check.
pub fn confirm(attempt: &Attempt<'_>, job: &JobRun, mut ending: Ending, latest: Option<Run>) -> Result<Ending, Halt> {
    if let Some(command) = job.policy.check.as_ref().filter(|_| ending.end.is_success()) {
        record_exit(attempt, job, &ending)?;
        (ending.end, ending.record.checked_at) = ask(attempt, job, command, latest)?;
    }
    Ok(ending)
}

/// The job's own process has ended: that is shown while its check runs.
fn record_exit(attempt: &Attempt<'_>, job: &JobRun, ending: &Ending) -> Result<()> {
    let ctx = attempt.ctx;
    let (id, run) = (job.row.id, attempt.key.run);
    ctx.persist("recording an exit", || {
        let recorded = ending.record.clone();
        ctx.store.commit(move |conn| check::exited(conn, id, run, &recorded, 0))
    })?;
    Ok(())
}

/// Returns the end of the job's run, and when the check had ended.
fn ask(attempt: &Attempt<'_>, job: &JobRun, command: &Argv, latest: Option<Run>) -> Result<(RunEnd, Option<i64>), Halt> {
    let stopped = |cause| RunEnd::stopped_while_checked(cause).ok_or(Halt::Detached);
    let mut latest = latest.filter(|auxiliary| auxiliary.kind == RunKind::Check);
    for asked in 1..=limits::CHECK_ASKS_MAX {
        // An open check has a tree, which must end before the job does: the stop request is passed
        // to it, and it is waited for.
        let is_open = latest.as_ref().is_some_and(|check| check.finished_at.is_none());
        if let Some(cause) = attempt.waker.cause().filter(|_| !is_open) {
            return Ok((stopped(cause)?, None));
        }
        let (answer, at) = match latest.take() {
            Some(check) if check.finished_at.is_some() => {
                (CheckAnswer::of_row(check.outcome, check.error.as_deref()), check.exited_at)
            }
            Some(check) => of_came(auxiliary(attempt, job).resume(&check, verdict)?),
            None => once(attempt, job, command)?,
        };
        match answer {
            CheckAnswer::Yes => {
                return Ok((RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false }, at));
            }
            CheckAnswer::No(error) => return Ok((RunEnd::CheckFailed { error }, at)),
            CheckAnswer::Cancelled => return Ok((stopped(Cause::Cancel)?, at)),
            CheckAnswer::AskLater | CheckAnswer::Lost => {
                wait(attempt, retry::backoff_ms(&job.policy, asked, machine::chance()))?;
            }
        }
    }
    Ok((RunEnd::CheckFailed { error: format!("the check gave no answer {} times", limits::CHECK_ASKS_MAX) }, None))
}

/// Waits until the next repetition, or for a stop request.
fn wait(attempt: &Attempt<'_>, ms: u64) -> Result<(), Halt> {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until && attempt.waker.cause().is_none() && !attempt.ctx.is_detaching() {
        wait_for(&mut [PollFd::new(&*attempt.waker, PollFlags::IN)], Some(until))?;
    }
    if attempt.ctx.is_detaching() { Err(Halt::Detached) } else { Ok(()) }
}

fn auxiliary<'a>(attempt: &Attempt<'a>, job: &JobRun) -> Auxiliary<'a> {
    Auxiliary::of_job(attempt, Opening::of(RunKind::Check, job.row.id, attempt.key.run))
}

/// Runs the check once and waits for its answer.
fn once(attempt: &Attempt<'_>, job: &JobRun, argv: &Argv) -> Result<(CheckAnswer, Option<i64>), Halt> {
    let made = |key| {
        let command = Command::around(attempt.ctx, job, argv.clone())?;
        let directory = job.policy.workspace.as_ref().map(|_| workspace::of_run(attempt)).transpose()?;
        command.launch_check(key, directory.as_deref())
    };
    auxiliary(attempt, job).run(made, verdict).map(of_came)
}

fn verdict(end: &RunEnd) -> Verdict {
    CheckAnswer::of_end(end).verdict()
}

fn of_came(came: Came) -> (CheckAnswer, Option<i64>) {
    match came {
        Came::NotBegun => (CheckAnswer::Lost, None),
        Came::NotMade(error) => (CheckAnswer::No(error), None),
        Came::Over(over) => (CheckAnswer::of_end(&over.end), over.closed.record.exited_at),
    }
}
