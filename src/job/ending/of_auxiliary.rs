//! Consequences of the end of an auxiliary run: the preparation of a workspace, a probe, a
//! teardown.

use super::run_end::{RunEnd, is_want_of_resources};
use crate::job::reason::{Cause, Exit, Outcome, Reason};

/// The row of an auxiliary run after its end: the outcome, the reason, and a text for a person.
pub type Verdict = (Outcome, Option<Reason>, Option<String>);

/// Assesses an auxiliary run for which exit 0 is success and everything else is not.
pub fn verdict(end: &RunEnd) -> Verdict {
    let failed = |reason, error: String| (Outcome::Failed, Some(reason), Some(error));
    match end {
        RunEnd::Ended { cause: Some(Cause::Cancel), .. } => {
            (Outcome::Cancelled, Some(Reason::Cancelled), Some("cancelled".into()))
        }
        RunEnd::Ended { cause: Some(Cause::Timeout), .. } => failed(Reason::Timeout, "ran past its timeout".into()),
        // A stop request for the job's run: it says nothing against the workspace.
        RunEnd::Ended { cause: Some(Cause::Backstop), .. } => {
            (Outcome::Lost, Some(Reason::Timeout), Some("its job ran past the max-runtime of its queue".into()))
        }
        RunEnd::Ended { cause: Some(Cause::Silence), .. } => failed(Reason::Output, "was silent past its idle-timeout".into()),
        RunEnd::Ended { cause: Some(cause), .. } => {
            (Outcome::Lost, Some(Reason::Shutdown), Some(format!("was stopped from outside ({cause})")))
        }
        RunEnd::Ended { exit: Exit::Code(0), .. } => (Outcome::Done, Some(Reason::Exit), None),
        RunEnd::Ended { exit: Exit::Code(code), .. } => failed(Reason::Exit, format!("exit status {code}")),
        RunEnd::Ended { exit: Exit::Signal(signal), .. } => failed(Reason::Signal, format!("killed by signal {signal}")),
        RunEnd::NoMeans { error, .. } => (Outcome::Unstarted, Some(Reason::Spawn), Some(error.clone())),
        RunEnd::NotExecuted { errno, error } if is_want_of_resources(*errno) => {
            (Outcome::Unstarted, Some(Reason::Spawn), Some(error.clone()))
        }
        RunEnd::NotExecuted { error, .. }
        | RunEnd::CheckFailed { error }
        | RunEnd::PrepareFailed { error }
        | RunEnd::TooLate { error }
        | RunEnd::Unrunnable { error } => failed(Reason::Spawn, error.clone()),
        RunEnd::NeverStarted | RunEnd::Unprepared | RunEnd::Withdrawn => {
            (Outcome::Unstarted, None, Some("was not started".into()))
        }
        RunEnd::Lost => (Outcome::Lost, Some(Reason::Lost), Some("no process saw how it ended".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_outcome_and_all_but_success_say_why() {
        use Outcome::{Cancelled, Done, Failed, Lost, Unstarted};
        let ended = |exit, cause| RunEnd::Ended { exit, cause, out_of_memory: false };
        let error = || String::from("why");
        for (end, outcome, reason) in [
            (ended(Exit::Code(0), None), Done, Some(Reason::Exit)),
            (ended(Exit::Code(0), Some(Cause::Timeout)), Failed, Some(Reason::Timeout)),
            (ended(Exit::Code(0), Some(Cause::Shutdown)), Lost, Some(Reason::Shutdown)),
            (ended(Exit::Code(0), Some(Cause::Sweep)), Lost, Some(Reason::Shutdown)),
            (ended(Exit::Code(0), Some(Cause::Cancel)), Cancelled, Some(Reason::Cancelled)),
            (ended(Exit::Code(0), Some(Cause::Backstop)), Lost, Some(Reason::Timeout)),
            (ended(Exit::Code(0), Some(Cause::Silence)), Failed, Some(Reason::Output)),
            (ended(Exit::Code(75), None), Failed, Some(Reason::Exit)),
            (ended(Exit::Signal(9), None), Failed, Some(Reason::Signal)),
            (RunEnd::NotExecuted { errno: 2, error: error() }, Failed, Some(Reason::Spawn)),
            (RunEnd::NotExecuted { errno: 11, error: error() }, Unstarted, Some(Reason::Spawn)),
            (RunEnd::NoMeans { errno: 24, error: error() }, Unstarted, Some(Reason::Spawn)),
            (RunEnd::CheckFailed { error: error() }, Failed, Some(Reason::Spawn)),
            (RunEnd::PrepareFailed { error: error() }, Failed, Some(Reason::Spawn)),
            (RunEnd::TooLate { error: error() }, Failed, Some(Reason::Spawn)),
            (RunEnd::Unrunnable { error: error() }, Failed, Some(Reason::Spawn)),
            (RunEnd::NeverStarted, Unstarted, None),
            (RunEnd::Unprepared, Unstarted, None),
            (RunEnd::Withdrawn, Unstarted, None),
            (RunEnd::Lost, Lost, Some(Reason::Lost)),
        ] {
            let (is, why, words) = verdict(&end);
            assert_eq!((is, why), (outcome, reason), "{end:?}");
            assert_eq!(words.is_none(), outcome == Done, "{end:?}");
        }
    }
}
