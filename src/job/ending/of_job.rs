//! Consequences of the end of a job's own run for the job.
//!
//! One function, [`decide`], turns the records of a run and the facts of its job into the settle.
//! It is the same function whether the worker saw the end, found the record after a crash, or found
//! nothing.

use super::run_end::RunEnd;
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
    let assessment = assess(end);
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

fn assess(end: &RunEnd) -> Assessment {
    match end {
        RunEnd::NeverStarted | RunEnd::Unprepared => {
            Assessment { outcome: Outcome::Unstarted, reason: None, exit_code: None, signal: None, error: None }
        }
        RunEnd::NoMeans { error, .. } => Assessment::new(Outcome::Unstarted, Reason::Spawn, error),
        RunEnd::NotExecuted { errno: WANT_OF_ITS_USER, error } => Assessment::new(Outcome::Unstarted, Reason::Spawn, error),
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

/// Longest wait before a job is retried whose user lacked a resource, in milliseconds.
const WANT_WAIT_MS_MAX: u64 = 60_000;

/// EAGAIN of a job with another user: that user has reached the process limit. A job that its own
/// memory limit prevents from being executed is at fault itself.
const WANT_OF_ITS_USER: i32 = 11;

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
mod tests {
    use super::*;

    fn facts(policy: &Policy, attempts: u32, max_attempts: u32) -> Facts<'_> {
        Facts { attempts, max_attempts, deferrals: 0, failed_starts: 0, policy, cancel_open: false }
    }

    fn ended(exit: Exit, cause: Option<Cause>) -> RunEnd {
        RunEnd::Ended { exit, cause, out_of_memory: false }
    }

    #[test]
    fn only_exit_zero_without_a_cause_is_done() {
        let policy = Policy::default();
        let f = facts(&policy, 1, 1);
        for code in 0..=255 {
            let d = decide(&f, &ended(Exit::Code(code), None), 0, 0.0);
            assert_eq!(d.next == Next::Done, code == 0);
            for cause in Cause::ALL {
                assert_ne!(decide(&f, &ended(Exit::Code(code), Some(*cause)), 0, 0.0).next, Next::Done);
            }
        }
        for end in [RunEnd::Lost, RunEnd::NeverStarted, RunEnd::CheckFailed { error: "no".into() }, ended(Exit::Signal(9), None)]
        {
            assert_ne!(decide(&f, &end, 0, 0.0).next, Next::Done, "{end:?}");
        }
    }

    #[test]
    fn one_attempt_is_one_attempt_but_for_what_never_started() {
        let policy = Policy::default();
        let f = facts(&policy, 1, 1);
        assert_eq!(decide(&f, &RunEnd::Lost, 0, 0.0).next, Next::Failed(Reason::Lost));
        assert_eq!(decide(&f, &ended(Exit::Code(3), None), 0, 0.0).next, Next::Failed(Reason::Exit));
        assert_eq!(
            decide(&f, &RunEnd::NeverStarted, 7, 0.0).next,
            Next::Again { available_at: 0, attempts: 0, deferrals: 0, failed_starts: 1 }
        );
        let eagain = RunEnd::NotExecuted { errno: 11, error: "fork".into() };
        assert!(matches!(
            decide(&f, &eagain, 7, 0.0).next,
            Next::Again { attempts: 0, failed_starts: 0, available_at: 10_007, .. }
        ));
        let enoent = RunEnd::NotExecuted { errno: 2, error: "no such file".into() };
        assert_eq!(decide(&f, &enoent, 7, 0.0).next, Next::Failed(Reason::Spawn));
    }

    #[test]
    fn five_starts_that_came_to_nothing_end_as_spawn() {
        let policy = Policy::default();
        let f = Facts { failed_starts: 4, ..facts(&policy, 1, 1) };
        assert_eq!(decide(&f, &RunEnd::NeverStarted, 0, 0.0).next, Next::Failed(Reason::Spawn));
    }

    #[test]
    fn want_of_means_never_ends_a_job_and_burns_nothing() {
        let policy = Policy::default();
        for errno in [5, 11, 12, 23, 24, 28, 30, 105, 109, 122] {
            for failed_starts in [0, 4, 1_000] {
                let f = Facts { failed_starts, deferrals: 3, ..facts(&policy, 1, 1) };
                let end = RunEnd::NoMeans { errno, error: "words".into() };
                let d = decide(&f, &end, 7, 0.5);
                assert_eq!(d.next, Next::Again { available_at: 0, attempts: 0, deferrals: 3, failed_starts }, "{errno}");
                assert_eq!((d.outcome, d.error.as_deref()), (Outcome::Unstarted, Some("words")));
                let cancelled = Facts { cancel_open: true, ..f };
                assert_eq!(decide(&cancelled, &end, 7, 0.5).next, Next::Cancelled);
                if errno == WANT_OF_ITS_USER {
                    let of_its_user = RunEnd::NotExecuted { errno, error: "words".into() };
                    let next = decide(&f, &of_its_user, 7, 0.5).next;
                    assert!(
                        matches!(next, Next::Again { attempts: 0, deferrals: 3, failed_starts: u, .. } if u == failed_starts),
                        "{next:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn not_now_uses_no_attempt_and_has_a_limit() {
        let policy = Policy::default();
        let end = ended(Exit::Code(75), None);
        let d = decide(&facts(&policy, 1, 1), &end, 1_000, 0.0);
        assert_eq!(d.outcome, Outcome::Deferred);
        assert_eq!(d.next, Next::Again { available_at: 11_000, attempts: 0, deferrals: 1, failed_starts: 0 });
        let often = Facts { deferrals: 20, ..facts(&policy, 1, 5) };
        assert_eq!(decide(&often, &end, 0, 0.0).next, Next::Failed(Reason::Exit));
        let refused = Policy::from_json(r#"{"no_retry_on": [75]}"#).unwrap();
        assert_eq!(decide(&facts(&refused, 1, 5), &end, 0, 0.0).next, Next::Failed(Reason::Exit));
    }

    #[test]
    fn each_not_now_waits_longer_up_to_the_longest() {
        let policy = Policy::from_json(r#"{"backoff_ms": [100, 1000]}"#).unwrap();
        for end in [ended(Exit::Code(75), None), RunEnd::PrepareFailed { error: "no room".into() }] {
            let waits = [0, 1, 2, 3, 4, 5].map(|deferrals| {
                // Neither the attempts nor the failed starts count.
                let f = Facts { deferrals, failed_starts: 3, ..facts(&policy, 5, 9) };
                match decide(&f, &end, 7_000, 0.0).next {
                    Next::Again { available_at, .. } => available_at - 7_000,
                    other => panic!("{end:?} after {deferrals} deferrals: {other:?}"),
                }
            });
            assert_eq!(waits, [100, 200, 400, 800, 1000, 1000], "{end:?}");
        }
    }

    #[test]
    fn an_unprepared_workspace_is_not_now_and_uses_no_attempt() {
        let policy = Policy::default();
        let end = RunEnd::PrepareFailed { error: "no room".into() };
        let d = decide(&facts(&policy, 1, 1), &end, 1_000, 0.0);
        assert_eq!((d.outcome, d.reason, d.exit_code), (Outcome::Deferred, Some(Reason::Workspace), None));
        assert_eq!(d.error.as_deref(), Some("no room"));
        assert_eq!(d.next, Next::Again { available_at: 11_000, attempts: 0, deferrals: 1, failed_starts: 0 });
        let often = Facts { deferrals: 20, ..facts(&policy, 1, 5) };
        assert_eq!(decide(&often, &end, 0, 0.0).next, Next::Failed(Reason::Workspace));
        let refused = Policy::from_json(r#"{"no_retry_on": ["workspace"]}"#).unwrap();
        assert_eq!(decide(&facts(&refused, 1, 5), &end, 0, 0.0).next, Next::Failed(Reason::Workspace));
        assert_eq!(decide(&facts(&refused, 1, 5), &RunEnd::Withdrawn, 0, 0.0).next, Next::Cancelled);
    }

    #[test]
    fn a_worker_that_dies_during_a_prepare_costs_the_job_nothing() {
        let policy = Policy::default();
        let f = Facts { failed_starts: 4, deferrals: 3, ..facts(&policy, 1, 1) };
        let d = decide(&f, &RunEnd::Unprepared, 7, 0.0);
        assert_eq!((d.outcome, d.reason), (Outcome::Unstarted, None));
        assert_eq!(d.next, Next::Again { available_at: 0, attempts: 0, deferrals: 3, failed_starts: 4 });
        let cancelled = Facts { cancel_open: true, ..f };
        assert_eq!(decide(&cancelled, &RunEnd::Unprepared, 7, 0.0).next, Next::Cancelled);
    }

    #[test]
    fn no_way_back_to_the_queue_passes_an_open_cancel() {
        let policy = Policy::default();
        for end in [RunEnd::NeverStarted, RunEnd::Lost, ended(Exit::Code(75), None), ended(Exit::Code(1), None)] {
            let f = Facts { cancel_open: true, ..facts(&policy, 1, 3) };
            assert_eq!(decide(&f, &end, 0, 0.0).next, Next::Cancelled, "{end:?}");
        }
        let last = Facts { cancel_open: true, ..facts(&policy, 1, 1) };
        assert_eq!(decide(&last, &RunEnd::Lost, 0, 0.0).next, Next::Cancelled);
        assert_eq!(decide(&last, &ended(Exit::Code(1), None), 0, 0.0).next, Next::Failed(Reason::Exit));
        let f = Facts { cancel_open: true, ..facts(&policy, 1, 3) };
        assert_eq!(decide(&f, &ended(Exit::Code(0), None), 0, 0.0).next, Next::Done);
    }

    #[test]
    fn a_bare_signal_to_the_shim_is_a_loss_and_not_a_cancel() {
        let policy = Policy::default();
        let d = decide(&facts(&policy, 1, 2), &ended(Exit::Signal(15), Some(Cause::Shutdown)), 0, 0.0);
        assert_eq!((d.outcome, d.reason), (Outcome::Lost, Some(Reason::Shutdown)));
        assert!(matches!(d.next, Next::Again { attempts: 1, .. }));
    }
}
