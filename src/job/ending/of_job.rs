//! Consequences of the end of a job's own run for the job.
//!
//! One function, [`decide`], turns the records of a run and the facts of its job into the settle.
//! It is the same function whether the worker saw the end, found the record after a crash, or found
//! nothing.

use super::run_end::{RunEnd, is_want_of_resources};
use crate::job::limits;
use crate::job::policy::{Policy, RetryOn};
use crate::job::reason::{Cause, Exit, Outcome, Reason};
use crate::job::retry::{backoff_ms, is_retried};

/// Facts of the job when one of its runs ends.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Runs that count, including the one that ended.
    pub attempts: u32,
    pub max_attempts: u32,
    pub deferrals: u32,
    /// How often in a row it was requeued without having started.
    pub failed_starts: u32,
    pub policy: &'a Policy,
    /// It belongs to another user than the owner of the file, who may make each start fail.
    pub is_of_user: bool,
    /// A client requested a cancel that is not completed yet.
    pub cancel_open: bool,
}

/// The next state of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Done,
    Failed(Reason),
    Cancelled,
    /// Back to `queued`.
    Again {
        /// Does not start before this instant, in milliseconds UTC.
        available_at: i64,
        attempts: u32,
        deferrals: u32,
        failed_starts: u32,
    },
}

/// The settle: what is recorded about the run, and the next state of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    /// For a person; `None` for `done`.
    pub error: Option<String>,
    pub next: Next,
}

/// Decides how an ended run settles its job. `now_ms` is milliseconds UTC, `chance` is in 0..1.
pub fn decide(facts: &Facts<'_>, end: &RunEnd, now_ms: i64, chance: f64) -> Decision {
    let assessment = assess(facts, end);
    let next = match end {
        // The worker died during an auxiliary run: that says nothing against the job, however often
        // it happens.
        RunEnd::Unprepared | RunEnd::NoMeans { .. } if !facts.cancel_open => Next::Again {
            available_at: 0,
            attempts: facts.attempts.saturating_sub(1),
            deferrals: facts.deferrals,
            failed_starts: facts.failed_starts,
        },
        _ => next_move(facts, &assessment, now_ms, chance),
    };
    Decision {
        outcome: assessment.outcome,
        reason: assessment.reason,
        exit_code: assessment.exit_code,
        signal: assessment.signal,
        error: assessment.error,
        next,
    }
}

struct Assessment {
    outcome: Outcome,
    reason: Option<Reason>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    error: Option<String>,
}

impl Assessment {
    fn new(outcome: Outcome, reason: Reason, error: impl Into<String>) -> Self {
        Self { outcome, reason: Some(reason), exit_code: None, signal: None, error: Some(error.into()) }
    }
}

fn assess(facts: &Facts<'_>, end: &RunEnd) -> Assessment {
    match end {
        RunEnd::NeverStarted | RunEnd::Unprepared => {
            Assessment { outcome: Outcome::Unstarted, reason: None, exit_code: None, signal: None, error: None }
        }
        RunEnd::NoMeans { error, .. } => Assessment::new(Outcome::Unstarted, Reason::Spawn, error),
        RunEnd::NotExecuted { errno, error } if is_want_of_its_user(facts, *errno) => {
            Assessment::new(Outcome::Unstarted, Reason::Spawn, error)
        }
        RunEnd::NotExecuted { error, .. } | RunEnd::Unrunnable { error } => {
            Assessment::new(Outcome::Failed, Reason::Spawn, error)
        }
        RunEnd::Lost => Assessment::new(Outcome::Lost, Reason::Lost, "no process saw how it ended"),
        RunEnd::Withdrawn => Assessment::new(Outcome::Cancelled, Reason::Cancelled, "cancelled before it started"),
        RunEnd::PrepareFailed { error } => Assessment::new(Outcome::Deferred, Reason::Workspace, error),
        RunEnd::TooLate { error } => Assessment::new(Outcome::Failed, Reason::Timeout, error),
        RunEnd::CheckFailed { error } => {
            Assessment { exit_code: Some(0), ..Assessment::new(Outcome::Failed, Reason::Check, error) }
        }
        RunEnd::Ended { exit, cause, out_of_memory } => assess_exit(*exit, *cause, *out_of_memory),
    }
}

fn assess_exit(exit: Exit, cause: Option<Cause>, out_of_memory: bool) -> Assessment {
    let (exit_code, signal) = match exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal(number) => (None, Some(number)),
    };
    let (outcome, reason, error) = match (cause, exit) {
        (Some(Cause::Cancel), _) => (Outcome::Cancelled, Reason::Cancelled, Some("cancelled".to_owned())),
        (Some(Cause::Timeout), _) => (Outcome::Failed, Reason::Timeout, Some("ran past its timeout".to_owned())),
        (Some(Cause::Backstop), _) => {
            (Outcome::Failed, Reason::Timeout, Some("ran past the max-runtime of its queue".to_owned()))
        }
        (Some(Cause::Silence), _) => (Outcome::Failed, Reason::Output, Some("was silent past its idle-timeout".to_owned())),
        (Some(Cause::Shutdown | Cause::Sweep), _) => (
            Outcome::Lost,
            Reason::Shutdown,
            Some("ended by a shutdown, by tenure work --end-runs, or by a signal to its shim".to_owned()),
        ),
        (None, Exit::Signal(number)) if out_of_memory => {
            (Outcome::Failed, Reason::Memory, Some(format!("killed by the kernel for lack of memory (signal {number})")))
        }
        // A shell reports that about the command that it ran.
        (None, Exit::Code(code @ 137)) if out_of_memory => {
            (Outcome::Failed, Reason::Memory, Some(format!("killed by the kernel for lack of memory (exit status {code})")))
        }
        (None, Exit::Code(0)) => (Outcome::Done, Reason::Exit, None),
        (None, Exit::Code(limits::NOT_NOW)) => (Outcome::Deferred, Reason::Exit, Some("exit status 75: not now".to_owned())),
        (None, Exit::Code(_)) => (Outcome::Failed, Reason::Exit, Some(exit.in_words())),
        (None, Exit::Signal(_)) => (Outcome::Failed, Reason::Signal, Some(exit.in_words())),
    };
    Assessment { outcome, reason: Some(reason), exit_code, signal, error }
}

/// Longest wait before a job is retried whose user lacked a resource, in milliseconds; and the
/// shortest one, if root has not said how long.
const WANT_WAIT_MS_MAX: u64 = 60_000;
const WANT_WAIT_MS_MIN: u64 = 10_000;

/// EAGAIN of a job with another user: that user has reached the process limit. A job that its own
/// memory limit prevents from being executed is at fault itself.
const WANT_OF_ITS_USER: i32 = 11;
const ENOMEM: i32 = 12;

/// Whether the user of a job, and not the job, kept it from being executed. A path of a user's job
/// may answer with any errno, and a shortage of the machine looks the same: both are waited for,
/// and counted.
fn is_want_of_its_user(facts: &Facts<'_>, errno: i32) -> bool {
    let is_of_job = errno == ENOMEM && facts.policy.memory_bytes.is_some();
    errno == WANT_OF_ITS_USER || (facts.is_of_user && is_want_of_resources(errno) && !is_of_job)
}

fn next_move(facts: &Facts<'_>, assessment: &Assessment, now_ms: i64, chance: f64) -> Next {
    let reason = assessment.reason;
    match assessment.outcome {
        Outcome::Done => Next::Done,
        Outcome::Cancelled => Next::Cancelled,
        // Every path back to the queue first checks for a stop request. A run that was lost during
        // a stop request has ended, and its tree is gone: the request is fulfilled.
        Outcome::Unstarted | Outcome::Deferred | Outcome::Lost if facts.cancel_open => Next::Cancelled,
        Outcome::Unstarted => requeue(facts, reason, now_ms, chance),
        Outcome::Deferred if is_deferrable(facts, assessment) => Next::Again {
            available_at: after(now_ms, backoff_ms(facts.policy, facts.deferrals + 1, chance)),
            attempts: facts.attempts.saturating_sub(1),
            deferrals: facts.deferrals + 1,
            failed_starts: 0,
        },
        Outcome::Deferred | Outcome::Failed | Outcome::Lost => try_again(facts, assessment, now_ms, chance),
    }
}

/// Exit 75, and a workspace that could not be prepared, count as "not now" until that limit is
/// reached; then the job has failed permanently.
fn is_deferrable(facts: &Facts<'_>, assessment: &Assessment) -> bool {
    facts.deferrals < facts.policy.max_deferrals() && !is_taken_out(facts.policy, assessment)
}

/// `--no-retry-on 75` makes 75 an ordinary failure, and `--no-retry-on workspace` a workspace that
/// could not be prepared.
fn is_taken_out(policy: &Policy, assessment: &Assessment) -> bool {
    policy.no_retry_on.iter().any(|on| match on {
        RetryOn::Code(code) => assessment.exit_code == Some(*code),
        RetryOn::Reason(reason) => *reason == Reason::Workspace && assessment.reason == Some(Reason::Workspace),
    })
}

fn requeue(facts: &Facts<'_>, reason: Option<Reason>, now_ms: i64, chance: f64) -> Next {
    if facts.is_of_user {
        return requeue_of_user(facts, reason, now_ms, chance);
    }
    if reason.is_some() {
        // The user of the job, not tenure, has no process or memory left: that ends no job, and
        // others are claimed meanwhile.
        let wait_ms = backoff_ms(facts.policy, 1, chance).min(WANT_WAIT_MS_MAX);
        return Next::Again {
            available_at: after(now_ms, wait_ms),
            attempts: facts.attempts.saturating_sub(1),
            deferrals: facts.deferrals,
            failed_starts: facts.failed_starts,
        };
    }
    let failed_starts = facts.failed_starts + 1;
    if failed_starts >= limits::FAILED_STARTS_MAX {
        return Next::Failed(Reason::Spawn);
    }
    // A crash of the worker is not a reason to wait.
    Next::Again { available_at: 0, attempts: facts.attempts.saturating_sub(1), deferrals: facts.deferrals, failed_starts }
}

/// A start that comes to nothing leaves a row and a log, and the user may be the cause: each waits,
/// and there is an end to them.
fn requeue_of_user(facts: &Facts<'_>, reason: Option<Reason>, now_ms: i64, chance: f64) -> Next {
    let failed_starts = facts.failed_starts.saturating_add(1);
    if failed_starts >= limits::FAILED_STARTS_OF_USER_MAX {
        return Next::Failed(Reason::Spawn);
    }
    let wait_ms = backoff_ms(facts.policy, failed_starts, chance).clamp(WANT_WAIT_MS_MIN, WANT_WAIT_MS_MAX);
    Next::Again {
        // A crash of the worker is not a reason to wait.
        available_at: if reason.is_some() { after(now_ms, wait_ms) } else { 0 },
        attempts: facts.attempts.saturating_sub(1),
        deferrals: facts.deferrals,
        failed_starts,
    }
}

fn try_again(facts: &Facts<'_>, assessment: &Assessment, now_ms: i64, chance: f64) -> Next {
    let reason = assessment.reason.unwrap_or(Reason::Lost);
    let exhausted = assessment.outcome == Outcome::Deferred;
    if exhausted || facts.attempts >= facts.max_attempts || !is_retried(facts.policy, reason, assessment.exit_code) {
        return Next::Failed(reason);
    }
    if facts.cancel_open {
        return Next::Cancelled;
    }
    Next::Again {
        available_at: after(now_ms, backoff_ms(facts.policy, facts.attempts, chance)),
        attempts: facts.attempts,
        deferrals: facts.deferrals,
        failed_starts: 0,
    }
}

fn after(now_ms: i64, wait_ms: u64) -> i64 {
    now_ms.saturating_add_unsigned(wait_ms)
}

#[cfg(test)]
#[path = "of_job_tests.rs"]
mod tests;
