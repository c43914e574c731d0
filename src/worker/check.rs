//! Asking a job's check, after its exit 0, whether it really succeeded.
//!
//! A check is a run of its own, with a run file and a shim, while the job stays `running` under its own run. 0 passes, 75 is
//! asked again later, anything else fails the job. A check that nobody saw the end of is asked again; the job is not run again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::launch::{self, Start};
use super::monitor::{Watch, Watched, end_of, wait_for};
use super::recover;
use crate::error::Result;
use crate::job::verdict::Progress;
use crate::job::{Argv, Cause, Exit, Nonce, Outcome, Policy, Reason, RunEnd, RunId, limits, retry};
use crate::run::record::Records;
use crate::run::runfile;
use crate::store::check;
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
    /// Nobody saw it.
    Lost,
}

/// Asks until there is an answer: what the job's run comes to, or `None` when the worker lets go of its runs.
pub(super) fn ask(
    watched: &Watched<'_>,
    job: &Job,
    policy: &Policy,
    command: &Argv,
    record: &RunRecord,
    open: Option<Run>,
    slot: usize,
) -> Result<Option<RunEnd>> {
    let shared = watched.shared;
    let (id, run, recorded) = (job.id, watched.run, record.clone());
    shared.persist("recording an exit", || {
        let recorded = recorded.clone();
        shared.store.commit(move |conn| check::exited(conn, id, run, &recorded, 0))
    })?;
    let passed = RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false };
    let mut open = open;
    for asked in 1..=limits::CHECK_ASKS_MAX {
        if watched.bell.cause().is_some() {
            return Ok(Some(RunEnd::Ended { exit: Exit::Code(0), cause: Some(Cause::Cancel), out_of_memory: false }));
        }
        let answer = match open.take() {
            Some(check) => match answered(&check) {
                Some(answer) => Some(answer),
                None => taken_over(watched, &check)?,
            },
            None => once(watched, job, policy, command, slot)?,
        };
        match answer {
            None => return Ok(None),
            Some(Answer::Yes) => return Ok(Some(passed)),
            Some(Answer::No(error)) => return Ok(Some(RunEnd::CheckFailed { error })),
            Some(Answer::Cancelled) => {
                return Ok(Some(RunEnd::Ended { exit: Exit::Code(0), cause: Some(Cause::Cancel), out_of_memory: false }));
            }
            Some(Answer::AskLater | Answer::Lost) => {
                if !wait(watched, retry::backoff_ms(policy, asked, super::monitor::chance()))? {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some(RunEnd::CheckFailed { error: format!("the check gave no answer {} times", limits::CHECK_ASKS_MAX) }))
}

/// Waits for the time to ask again, or for a wish; false when the worker lets go.
fn wait(watched: &Watched<'_>, ms: u64) -> Result<bool> {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until && watched.bell.cause().is_none() && !watched.shared.is_leaving() {
        wait_for(&mut [PollFd::new(&*watched.bell, PollFlags::IN)], Some(until))?;
    }
    Ok(!watched.shared.is_leaving())
}

/// Starts the check once and waits for its answer.
fn once(watched: &Watched<'_>, job: &Job, policy: &Policy, command: &Argv, slot: usize) -> Result<Option<Answer>> {
    let shared = watched.shared;
    let ready = shared.stock.take(&shared.store, &shared.roster)?;
    let (check, nonce) = (ready.run(), ready.nonce);
    let start = Start { job, policy, run: check, nonce, slot, previous_reason: None, max_runtime_ms: None };
    let launch = match launch::of_check(shared, &start, command, watched.run) {
        Ok(launch) => launch,
        Err(error) => {
            shared.stock.put_back([ready]);
            return Ok(Some(Answer::No(error)));
        }
    };
    let (id, parent, instance, boot_id) = (job.id, watched.run, shared.instance.clone(), shared.boot_id.clone());
    let now_ms = shared.now_ms();
    let (begun, _) =
        shared.store.commit(move |conn| check::begin_check(conn, id, parent, check, nonce, &instance, &boot_id, now_ms))?;
    if !begun {
        shared.stock.put_back([ready]);
        return Ok(Some(Answer::Lost));
    }
    shared.roster.watch(check, Arc::clone(&watched.bell));
    let watching = of(watched, check, nonce);
    let records = match watching.launch(&launch, ready.file) {
        Ok(Watch::Left) => return Ok(None),
        Ok(Watch::Over(records)) => records,
        Err(error) => {
            log::warn!("check {check} of job {}: {error}", job.id);
            Records::default()
        }
    };
    conclude(&watching, records).map(Some)
}

/// What a check has answered whose answer is written down: its worker died before it could settle the job.
fn answered(check: &Run) -> Option<Answer> {
    check.finished_at?;
    Some(match check.outcome {
        Some(Outcome::Done) => Answer::Yes,
        Some(Outcome::Deferred) => Answer::AskLater,
        Some(Outcome::Failed) => Answer::No(check.error.clone().unwrap_or_else(|| "the check said no".into())),
        Some(Outcome::Cancelled) => Answer::Cancelled,
        Some(Outcome::Lost | Outcome::Unstarted) | None => Answer::Lost,
    })
}

/// A check that an earlier worker began.
fn taken_over(watched: &Watched<'_>, check: &Run) -> Result<Option<Answer>> {
    watched.shared.roster.watch(check.id, Arc::clone(&watched.bell));
    let watching = of(watched, check.id, check.nonce);
    match recover::wait_until_over(&watching)? {
        Watch::Left => Ok(None),
        Watch::Over(records) => conclude(&watching, records).map(Some),
    }
}

fn of<'a>(watched: &Watched<'a>, check: RunId, nonce: Nonce) -> Watched<'a> {
    Watched {
        shared: watched.shared,
        job: watched.job,
        run: check,
        nonce,
        bell: Arc::clone(&watched.bell),
        grace_ms: watched.grace_ms,
    }
}

/// Closes the check's own row and says what it answered.
fn conclude(watching: &Watched<'_>, records: Records) -> Result<Answer> {
    let shared = watching.shared;
    let records = match records.progress() {
        Progress::Drained | Progress::Failed => records,
        _ => recover::empty_and_look(watching)?,
    };
    let answer = answer(&end_of(&records));
    let (outcome, reason) = match &answer {
        Answer::Yes => (Outcome::Done, Some(Reason::Exit)),
        Answer::AskLater => (Outcome::Deferred, Some(Reason::Exit)),
        Answer::No(_) => (Outcome::Failed, Some(Reason::Check)),
        Answer::Cancelled => (Outcome::Cancelled, Some(Reason::Cancelled)),
        Answer::Lost => (Outcome::Lost, Some(Reason::Lost)),
    };
    let error = if let Answer::No(error) = &answer { Some(error.clone()) } else { None };
    let (check, exit) = (watching.run, records.exited.as_ref().map(|e| e.exit));
    let (_, ticket) = shared.persist("closing a check", || {
        let (error, now_ms) = (error.clone(), shared.now_ms());
        shared.store.commit(move |conn| check::end_check(conn, check, outcome, reason, exit, error.clone(), now_ms))
    })?;
    let then = Arc::clone(shared);
    shared.store.after_flush(ticket, move || {
        let _the_reaper_tries_again = runfile::unlink(then.place(), check);
        then.roster.disown(check);
    });
    Ok(answer)
}

fn answer(end: &RunEnd) -> Answer {
    match end {
        RunEnd::Ended { cause: Some(Cause::Cancel), .. } => Answer::Cancelled,
        RunEnd::Ended { cause: Some(Cause::Timeout), .. } => Answer::No("the check ran past its timeout".into()),
        RunEnd::Ended { cause: Some(_), .. } | RunEnd::Lost | RunEnd::NeverStarted | RunEnd::Unprepared | RunEnd::Withdrawn => {
            Answer::Lost
        }
        RunEnd::Ended { exit: Exit::Code(0), .. } => Answer::Yes,
        RunEnd::Ended { exit: Exit::Code(limits::NOT_NOW), .. } => Answer::AskLater,
        RunEnd::Ended { exit: Exit::Code(code), .. } => Answer::No(format!("the check ended with exit status {code}")),
        RunEnd::Ended { exit: Exit::Signal(signal), .. } => Answer::No(format!("the check was killed by signal {signal}")),
        RunEnd::NotExecuted { errno, .. } if crate::job::ending::is_want_of_resources(*errno) => Answer::Lost,
        RunEnd::NotExecuted { error, .. }
        | RunEnd::CheckFailed { error }
        | RunEnd::PrepareFailed { error }
        | RunEnd::Unrunnable { error } => Answer::No(format!("the check could not be asked: {error}")),
    }
}
