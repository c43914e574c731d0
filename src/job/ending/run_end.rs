//! How a run ended.

use crate::job::reason::{Cause, Exit};

/// What is known of the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// Its process ended, and its parent recorded how.
    Ended {
        exit: Exit,
        /// Why the shim stopped it, if it did before the process had ended.
        cause: Option<Cause>,
        /// The kernel counted a memory kill against it.
        out_of_memory: bool,
    },
    /// It could not be executed.
    NotExecuted {
        errno: i32,
        /// In words, with the path.
        error: String,
    },
    /// It never started, for an unrelated reason (the worker died first).
    NeverStarted,
    /// It never started: tenure or the machine lacked a resource that a start needs (processes,
    /// descriptors, memory, space or inodes for the log). However often that happens, it says
    /// nothing against the job.
    NoMeans {
        errno: i32,
        /// In words, with what was tried.
        error: String,
    },
    /// No process saw its end.
    Lost,
    /// It ended with 0, and its check failed (or could not be run).
    CheckFailed { error: String },
    /// It never started: it was requeued while its workspace was being prepared, or while it waited
    /// for that.
    Unprepared,
    /// It never started, because of a stop request.
    Withdrawn,
    /// It never started: its workspace could not be prepared.
    PrepareFailed { error: String },
    /// It never started: the time limit of its queue expired before.
    TooLate { error: String },
    /// Its row cannot be run: a policy or a command that cannot be parsed, a missing secret.
    Unrunnable { error: String },
}

impl RunEnd {
    /// Returns the end of a run that gets a stop request while it waits for its workspace.
    pub fn stopped_before_start(cause: Cause) -> Self {
        match cause {
            Cause::Cancel => Self::Withdrawn,
            Cause::Backstop | Cause::Timeout | Cause::Silence => {
                Self::TooLate { error: "its workspace was not ready within the max-runtime of its queue".into() }
            }
            // The worker or the machine shuts down: that says nothing against the job.
            Cause::Shutdown | Cause::Sweep => Self::Unprepared,
        }
    }

    /// Returns the end of a job's run whose own process ended with 0, and whose check was stopped:
    /// it ends for the cause of the stop. `None`: the machine or the worker shuts down, and the
    /// next worker runs the check again.
    pub fn stopped_while_checked(cause: Cause) -> Option<Self> {
        match cause {
            Cause::Shutdown | Cause::Sweep => None,
            cause => Some(Self::Ended { exit: Exit::Code(0), cause: Some(cause), out_of_memory: false }),
        }
    }

    /// Whether its process ended with 0 and was not stopped.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Ended { exit: Exit::Code(0), cause: None, .. })
    }
}

/// EAGAIN, ENOMEM, EMFILE, ENFILE: a shortage of the machine, not the job's fault.
pub fn is_want_of_resources(errno: i32) -> bool {
    matches!(errno, 11 | 12 | 23 | 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_before_the_start_or_during_the_check_ends_the_job() {
        for cause in Cause::ALL {
            let before = RunEnd::stopped_before_start(*cause);
            let meanwhile = RunEnd::stopped_while_checked(*cause);
            match cause {
                Cause::Cancel => assert_eq!(before, RunEnd::Withdrawn),
                Cause::Timeout | Cause::Backstop | Cause::Silence => {
                    assert!(matches!(before, RunEnd::TooLate { .. }), "{cause}");
                }
                Cause::Shutdown | Cause::Sweep => {
                    assert_eq!((before, meanwhile), (RunEnd::Unprepared, None), "{cause}");
                    continue;
                }
            }
            let end = RunEnd::Ended { exit: Exit::Code(0), cause: Some(*cause), out_of_memory: false };
            assert!(!end.is_success(), "{cause}");
            assert_eq!(meanwhile, Some(end));
        }
    }
}
