//! Consequences of the end of a check: whether its job has really succeeded.

use super::of_auxiliary::Verdict;
use super::run_end::{RunEnd, is_want_of_resources};
use crate::job::limits;
use crate::job::reason::{Cause, Exit, Outcome, Reason};

/// The answer of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckAnswer {
    Yes,
    /// Exit 75.
    AskLater,
    No(String),
    Cancelled,
    /// No process saw it.
    Lost,
}

impl CheckAnswer {
    /// Returns the answer of a check that ended like this.
    pub fn of_end(end: &RunEnd) -> Self {
        match end {
            RunEnd::Ended { cause: Some(Cause::Cancel), .. } => Self::Cancelled,
            RunEnd::Ended { cause: Some(Cause::Timeout), .. } => Self::No("the check ran past its timeout".into()),
            RunEnd::Ended { cause: Some(_), .. }
            | RunEnd::Lost
            | RunEnd::NeverStarted
            | RunEnd::NoMeans { .. }
            | RunEnd::Unprepared
            | RunEnd::Withdrawn => Self::Lost,
            RunEnd::Ended { exit: Exit::Code(0), .. } => Self::Yes,
            RunEnd::Ended { exit: Exit::Code(limits::NOT_NOW), .. } => Self::AskLater,
            RunEnd::Ended { exit: Exit::Code(code), .. } => Self::No(format!("the check ended with exit status {code}")),
            RunEnd::Ended { exit: Exit::Signal(signal), .. } => Self::No(format!("the check was killed by signal {signal}")),
            RunEnd::NotExecuted { errno, .. } if is_want_of_resources(*errno) => Self::Lost,
            RunEnd::NotExecuted { error, .. }
            | RunEnd::CheckFailed { error }
            | RunEnd::PrepareFailed { error }
            | RunEnd::TooLate { error }
            | RunEnd::Unrunnable { error } => Self::No(format!("the check could not be asked: {error}")),
        }
    }

    /// Returns the answer of a check whose row is closed: its worker died before it could settle
    /// the job.
    pub fn of_row(outcome: Option<Outcome>, error: Option<&str>) -> Self {
        match outcome {
            Some(Outcome::Done) => Self::Yes,
            Some(Outcome::Deferred) => Self::AskLater,
            Some(Outcome::Failed) => Self::No(error.unwrap_or("the check failed").to_owned()),
            Some(Outcome::Cancelled) => Self::Cancelled,
            Some(Outcome::Lost | Outcome::Unstarted) | None => Self::Lost,
        }
    }

    /// Returns the values for the row of the check.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Yes => (Outcome::Done, Some(Reason::Exit), None),
            Self::AskLater => (Outcome::Deferred, Some(Reason::Exit), None),
            Self::No(error) => (Outcome::Failed, Some(Reason::Check), Some(error)),
            Self::Cancelled => (Outcome::Cancelled, Some(Reason::Cancelled), None),
            Self::Lost => (Outcome::Lost, Some(Reason::Lost), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_answer_and_the_row_gives_the_same_one_back() {
        use CheckAnswer::{AskLater, Cancelled, Lost, No, Yes};
        let ended = |exit, cause| RunEnd::Ended { exit, cause, out_of_memory: false };
        let error = || String::from("why");
        let not_asked = || No("the check could not be asked: why".into());
        for (end, answer) in [
            (ended(Exit::Code(0), None), Yes),
            (ended(Exit::Code(75), None), AskLater),
            (ended(Exit::Code(3), None), No("the check ended with exit status 3".into())),
            (ended(Exit::Signal(9), None), No("the check was killed by signal 9".into())),
            (ended(Exit::Code(0), Some(Cause::Cancel)), Cancelled),
            (ended(Exit::Code(0), Some(Cause::Timeout)), No("the check ran past its timeout".into())),
            (ended(Exit::Code(0), Some(Cause::Shutdown)), Lost),
            (ended(Exit::Code(0), Some(Cause::Sweep)), Lost),
            (ended(Exit::Code(0), Some(Cause::Backstop)), Lost),
            (ended(Exit::Code(0), Some(Cause::Silence)), Lost),
            (RunEnd::NotExecuted { errno: 2, error: error() }, not_asked()),
            (RunEnd::NotExecuted { errno: 11, error: error() }, Lost),
            (RunEnd::NoMeans { errno: 24, error: error() }, Lost),
            (RunEnd::CheckFailed { error: error() }, not_asked()),
            (RunEnd::PrepareFailed { error: error() }, not_asked()),
            (RunEnd::TooLate { error: error() }, not_asked()),
            (RunEnd::Unrunnable { error: error() }, not_asked()),
            (RunEnd::NeverStarted, Lost),
            (RunEnd::Unprepared, Lost),
            (RunEnd::Withdrawn, Lost),
            (RunEnd::Lost, Lost),
        ] {
            assert_eq!(CheckAnswer::of_end(&end), answer, "{end:?}");
            let (outcome, _, words) = answer.clone().verdict();
            assert_eq!(CheckAnswer::of_row(Some(outcome), words.as_deref()), answer, "{end:?}");
        }
        assert_eq!(CheckAnswer::of_row(None, None), Lost, "an open one has not answered");
    }
}
