//! A job's life.
//!
//! ```text
//! add ──▶ queued ──claim──▶ running ──settle──▶ done
//!            ▲                 │  │
//!            │    again        │  ├────────────▶ failed
//!            └─────────────────┘  └────────────▶ cancelled
//!       queued ──cancel──▶ cancelled     failed, cancelled ──retry by a person──▶ queued
//! ```
//!
//! `schema.sql` has the same list of moves (view `legal_move`); a test compares every pair of
//! states.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waiting; owns nothing.
    Queued,
    /// Owned by the run named in its row.
    Running,
    /// Its command ended with 0, and its check, if it has one, passed.
    Done,
    /// It ended otherwise; the reason says how.
    Failed,
    /// A person or a client ended it.
    Cancelled,
}

/// Moves of a job. The names are those of the events in its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Move {
    Claimed,
    Done,
    Failed,
    Cancelled,
    Requeued,
    Retried,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended: the row does not change any more, except by a person's retry.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Returns the state after the move, or `None` if it is not legal.
    pub fn step(self, happens: Move) -> Option<Self> {
        match (self, happens) {
            (Self::Queued, Move::Claimed) => Some(Self::Running),
            (Self::Queued | Self::Running, Move::Cancelled) => Some(Self::Cancelled),
            (Self::Queued | Self::Running, Move::Failed) => Some(Self::Failed),
            (Self::Running, Move::Done) => Some(Self::Done),
            (Self::Running, Move::Requeued) => Some(Self::Queued),
            (Self::Failed | Self::Cancelled, Move::Retried) => Some(Self::Queued),
            _ => None,
        }
    }
}

impl Move {
    pub const ALL: [Self; 6] = [Self::Claimed, Self::Done, Self::Failed, Self::Cancelled, Self::Requeued, Self::Retried];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Requeued => "requeued",
            Self::Retried => "retried",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("there is no state {text:?}; the states are queued, running, done, failed and cancelled"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_moves_an_ended_job_and_a_done_one_stays() {
        for state in State::ALL.into_iter().filter(|s| s.is_terminal()) {
            for happens in Move::ALL {
                let after = state.step(happens);
                assert_eq!(after.is_some(), happens == Move::Retried && state != State::Done, "{state} {happens:?}");
            }
        }
    }
}
