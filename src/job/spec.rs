//! A job to add: the command and its options.

use serde::{Deserialize, Serialize};

use super::argv::Argv;
use super::id::JobId;
use super::placement::Placement;
use super::policy::Policy;
use super::reason::Reason;
use super::state::State;

/// The required end of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Need {
    /// `--after`: done.
    Done,
    /// `--after-any`: ended in any way.
    Any,
    /// `--after-failed`: ended but not done.
    Failed,
}

impl Need {
    pub const ALL: [Self; 3] = [Self::Done, Self::Any, Self::Failed];

    /// Whether a job with a broken dependency is not needed. Otherwise it lacks what it needs, and
    /// fails.
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

/// Whether a job has ended without having been needed, because its parent did not fail. That is not
/// a failure.
pub fn was_needless(state: Option<State>, reason: Option<Reason>) -> bool {
    (state, reason) == (Some(State::Cancelled), Some(Reason::Dependency))
}

/// A job to be added. As JSON it is what a client hands to the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    pub command: Argv,
    pub placement: Placement,
    pub policy: Policy,
    /// The lane belongs to this array, with this limit.
    pub lane_limit: Option<i64>,
    /// Does not start before this instant, in milliseconds UTC; 0 = immediately.
    pub available_at: i64,
    /// Ends as `expired` when it has not started by then, in milliseconds UTC.
    pub expires_at: Option<i64>,
    pub array_index: Option<i64>,
    /// A number that the jobs of an array have in common, the rest of which is cancelled when one
    /// fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_group: Option<i64>,
    pub after: Vec<(JobId, Need)>,
    /// The task that it is a step of.
    pub task: Option<i64>,
    /// Its task is held, and so is the job.
    pub task_hold: bool,
    /// The user that it belongs to and runs as; `None`: the owner of the file. No client says it.
    #[serde(skip)]
    pub owner: Option<u32>,
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
            stop_group: None,
            after: Vec::new(),
            task: None,
            task_hold: false,
            owner: None,
        }
    }
}
