//! A job that is to be added: the command and everything that was asked for.

use super::argv::Argv;
use super::id::JobId;
use super::placement::Placement;
use super::policy::Policy;
use super::reason::Reason;
use super::state::State;

/// What the jobs that a new one waits for must have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// `--after`: done.
    Done,
    /// `--after-any`: ended in any way.
    Any,
    /// `--after-failed`: ended otherwise than done.
    Failed,
}

impl Need {
    pub const ALL: [Self; 3] = [Self::Done, Self::Any, Self::Failed];

    /// Whether a job that waits for another one in vain is not needed. Otherwise it lacks what it
    /// needs, and fails.
    pub fn is_needless(self, parent: Option<State>, reason: Option<Reason>) -> bool {
        self == Self::Failed || was_needless(parent, reason)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Any => "any",
            Self::Failed => "failed",
        }
    }
}

/// Whether a job has ended without having been needed: the one that it was to follow did not fail.
/// That is not a failure.
pub fn was_needless(state: Option<State>, reason: Option<Reason>) -> bool {
    (state, reason) == (Some(State::Cancelled), Some(Reason::Dependency))
}

/// A job to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    pub command: Argv,
    pub placement: Placement,
    pub policy: Policy,
    /// The lane is one that is made for this array, and lets so many run at once.
    pub lane_limit: Option<i64>,
    /// Not before this instant, in milliseconds UTC; 0 = at once.
    pub available_at: i64,
    /// Ends as `expired` when it has not started by then, in milliseconds UTC.
    pub expires_at: Option<i64>,
    pub array_index: Option<i64>,
    pub after: Vec<(JobId, Need)>,
    /// The task that it is a step of.
    pub task: Option<i64>,
    /// Its task is held, and so is it.
    pub task_hold: bool,
}

impl NewJob {
    /// A job with nothing but its command: queue `default`, one attempt, in `/`.
    pub fn new(command: Argv) -> Self {
        Self {
            command,
            placement: Placement::default(),
            policy: Policy::default(),
            lane_limit: None,
            available_at: 0,
            expires_at: None,
            array_index: None,
            after: Vec::new(),
            task: None,
            task_hold: false,
        }
    }
}
