//! How an external resource is torn down, and when that counts as done.
//!
//! A command that reports success does not prove it, nor does a failing probe: a resource is gone
//! if a probe exits with 1, or if a teardown has ended with 0 and no probe says that it exists. An
//! unknown state leads to a teardown.

use super::reason::{Exit, Outcome, Reason, RunKind, words};

words! {
    /// The state of a resource.
    ResourceState {
        /// Its owner lives.
        Held = "held",
        /// Its owner has ended, or a person requested it: it is torn down until it is gone.
        Releasing = "releasing",
        Released = "released",
    }
}

words! {
    /// How a resource is known to be gone.
    ReleasedBy {
        Teardown = "teardown",
        Probe = "probe",
        /// A person declared it.
        Force = "force",
    }
}

/// The next step of a releasing resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Probe first: it may be gone already.
    Probe,
    Teardown,
    /// Probe again: the teardown reported success.
    Confirm,
}

impl Step {
    /// Returns the first step of an attempt. `was_torn_down`: its teardown has reported success,
    /// and no probe has run since.
    pub fn first(was_torn_down: bool, has_probe: bool) -> Self {
        match (has_probe, was_torn_down) {
            (false, _) => Self::Teardown,
            (true, false) => Self::Probe,
            (true, true) => Self::Confirm,
        }
    }

    /// Returns the kind of the run for this step.
    pub fn kind(self) -> RunKind {
        match self {
            Self::Probe | Self::Confirm => RunKind::Probe,
            Self::Teardown => RunKind::Teardown,
        }
    }
}

/// How the run of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended<'a> {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub exit: Option<Exit>,
    pub error: Option<&'a str>,
}

impl Ended<'_> {
    /// Returns the exit code of a process that ended by itself.
    fn code(&self) -> Option<i32> {
        match (self.reason, self.exit) {
            (Some(Reason::Exit), Some(Exit::Code(code))) => Some(code),
            _ => None,
        }
    }

    /// Whether its result is unknown.
    fn is_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Lost | Outcome::Unstarted | Outcome::Cancelled | Outcome::Deferred)
    }

    fn words(&self) -> &str {
        self.error.unwrap_or("it did not say why")
    }
}

/// Consequence of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    Gone(ReleasedBy),
    Next(Step),
    /// This attempt has failed: the next one follows after a wait.
    Failed(String),
}

/// Decides what follows a step.
pub fn after(step: Step, has_probe: bool, ended: &Ended<'_>) -> After {
    match step {
        Step::Probe if ended.code() == Some(1) => After::Gone(ReleasedBy::Probe),
        Step::Probe => After::Next(Step::Teardown),
        Step::Teardown if ended.outcome != Outcome::Done => After::Failed(format!("teardown: {}", ended.words())),
        Step::Teardown if has_probe => After::Next(Step::Confirm),
        Step::Teardown => After::Gone(ReleasedBy::Teardown),
        Step::Confirm if ended.outcome == Outcome::Done => {
            After::Failed("the teardown ended with 0, and the probe says that it is still there".into())
        }
        Step::Confirm if ended.is_unknown() => After::Failed(format!("the teardown ended with 0; probe: {}", ended.words())),
        Step::Confirm => After::Gone(ReleasedBy::Teardown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: i32) -> Ended<'static> {
        let outcome = if code == 0 { Outcome::Done } else { Outcome::Failed };
        Ended { outcome, reason: Some(Reason::Exit), exit: Some(Exit::Code(code)), error: (code != 0).then_some("exit status") }
    }

    fn otherwise(outcome: Outcome, reason: Reason, exit: Option<Exit>) -> Ended<'static> {
        Ended { outcome, reason: Some(reason), exit, error: Some("why") }
    }

    #[test]
    fn a_try_begins_with_the_question_that_is_open() {
        assert_eq!(Step::first(false, false), Step::Teardown);
        assert_eq!(Step::first(true, false), Step::Teardown);
        assert_eq!(Step::first(false, true), Step::Probe);
        assert_eq!(Step::first(true, true), Step::Confirm);
    }

    #[test]
    fn only_exit_1_of_a_probe_means_gone_before_a_teardown() {
        assert_eq!(after(Step::Probe, true, &code(1)), After::Gone(ReleasedBy::Probe));
        let others = [
            code(0),
            code(7),
            code(127),
            otherwise(Outcome::Failed, Reason::Timeout, Some(Exit::Code(1))),
            otherwise(Outcome::Failed, Reason::Signal, Some(Exit::Signal(1))),
            otherwise(Outcome::Failed, Reason::Spawn, None),
            otherwise(Outcome::Lost, Reason::Lost, None),
        ];
        for ended in others {
            assert_eq!(after(Step::Probe, true, &ended), After::Next(Step::Teardown), "{ended:?}");
        }
    }

    #[test]
    fn a_teardown_counts_if_it_ended_with_0_and_no_probe_objects() {
        assert_eq!(after(Step::Teardown, false, &code(0)), After::Gone(ReleasedBy::Teardown));
        assert_eq!(after(Step::Teardown, true, &code(0)), After::Next(Step::Confirm));
        for ended in [code(1), code(75), otherwise(Outcome::Lost, Reason::Lost, None)] {
            assert!(matches!(after(Step::Teardown, false, &ended), After::Failed(why) if why.starts_with("teardown: ")));
        }
        for unclear in [code(1), code(7), otherwise(Outcome::Failed, Reason::Timeout, None)] {
            assert_eq!(after(Step::Confirm, true, &unclear), After::Gone(ReleasedBy::Teardown), "{unclear:?}");
        }
        assert!(matches!(after(Step::Confirm, true, &code(0)), After::Failed(why) if why.contains("still there")));
        assert!(matches!(after(Step::Confirm, true, &otherwise(Outcome::Lost, Reason::Lost, None)), After::Failed(_)));
    }
}
