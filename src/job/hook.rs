//! Hooks: commands that tell of the end of a job.
//!
//! A job has hooks of its own, in its policy, and the rules of the configuration give one to each
//! job that they match. What is to run is decided in the transaction that ends the job, by
//! the trigger `job_end_has_hooks` of `schema.sql`. A hook runs until it exits with 0, so it runs
//! at least once, and is given up after so many failures.

use serde::{Deserialize, Serialize};

use super::argv::Argv;
use super::chore::backoff_ms;
use super::limits::HOOK_ATTEMPTS_MAX;
use super::reason::{Outcome, Reason, words};
use super::state::State;

words! {
    /// The end that a hook tells.
    HookEvent {
        /// The job failed, and is not tried again.
        OnFailure = "on_failure",
        /// The job is done.
        OnSuccess = "on_success",
        /// The job has ended in any way.
        OnEnd = "on_end",
    }
}

words! {
    /// How a hook has ended.
    HookOutcome {
        Done = "done",
        /// It failed too often.
        GivenUp = "given_up",
    }
}

impl HookEvent {
    /// Whether a job that ends in this state has this event.
    pub fn is_of(self, state: State) -> bool {
        match self {
            Self::OnFailure => state == State::Failed,
            Self::OnSuccess => state == State::Done,
            Self::OnEnd => state.is_terminal(),
        }
    }
}

/// The hooks of a job: at most one for each event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Argv>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Argv>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_end: Option<Argv>,
}

impl Hooks {
    pub fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// Returns the hooks that are there.
    pub fn each(&self) -> impl Iterator<Item = (HookEvent, &Argv)> {
        [(HookEvent::OnFailure, &self.on_failure), (HookEvent::OnSuccess, &self.on_success), (HookEvent::OnEnd, &self.on_end)]
            .into_iter()
            .filter_map(|(event, command)| Some((event, command.as_ref()?)))
    }
}

/// A rule of the configuration: a hook of each job that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRule {
    /// With the event it is unique.
    pub name: String,
    pub event: HookEvent,
    pub command: Argv,
    /// GLOB pattern of the queue; `None`: each.
    pub queue: Option<String>,
    /// GLOB pattern of the label; `None`: each, also none.
    pub label: Option<String>,
    /// Only ends with these reasons; empty: with any.
    pub reasons: Vec<Reason>,
}

/// What follows a run of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterHook {
    Done,
    /// It runs again after this wait, in milliseconds; the number of failures is this one.
    Again {
        wait_ms: u64,
        failures: u32,
    },
    GivenUp,
}

/// Decides what follows a run of a hook that had failed `failures` times before. A run that did not
/// start is not a failure of the hook.
pub fn after(outcome: Outcome, failures: u32) -> AfterHook {
    match outcome {
        Outcome::Done => AfterHook::Done,
        Outcome::Unstarted => AfterHook::Again { wait_ms: backoff_ms(failures.saturating_add(1)), failures },
        _ if failures.saturating_add(1) >= HOOK_ATTEMPTS_MAX => AfterHook::GivenUp,
        _ => AfterHook::Again { wait_ms: backoff_ms(failures + 1), failures: failures + 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_runs_until_it_is_done_or_has_failed_too_often() {
        for failures in [0, 1, HOOK_ATTEMPTS_MAX, u32::MAX] {
            assert_eq!(after(Outcome::Done, failures), AfterHook::Done);
        }
        for outcome in [Outcome::Failed, Outcome::Lost, Outcome::Cancelled, Outcome::Deferred] {
            assert_eq!(after(outcome, 0), AfterHook::Again { wait_ms: 1_000, failures: 1 });
            let last = HOOK_ATTEMPTS_MAX - 1;
            assert!(matches!(after(outcome, last - 1), AfterHook::Again { failures, .. } if failures == last));
            assert_eq!([last, u32::MAX].map(|failures| after(outcome, failures)), [AfterHook::GivenUp; 2]);
        }
        assert_eq!(after(Outcome::Unstarted, 3), AfterHook::Again { wait_ms: 8_000, failures: 3 });
    }

    #[test]
    fn each_end_has_its_events() {
        let of = |state| HookEvent::ALL.iter().copied().filter(|event| event.is_of(state)).collect::<Vec<_>>();
        assert_eq!(of(State::Done), [HookEvent::OnSuccess, HookEvent::OnEnd]);
        assert_eq!(of(State::Failed), [HookEvent::OnFailure, HookEvent::OnEnd]);
        assert_eq!(of(State::Cancelled), [HookEvent::OnEnd]);
        assert_eq!([of(State::Queued), of(State::Running)], [vec![], vec![]]);
    }
}
