//! Holds: why a queued job does not start.
//!
//! Each fact has its own column; the hold is the first of them. `schema.sql` derives the column
//! `hold` by the same expression, and a test compares both over all combinations.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first reason why a queued job does not start, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// Held by a person.
    User,
    /// Held by the task it belongs to.
    Task,
    /// Waits for other jobs.
    Dependency,
    /// Waits until the resources of its earlier runs are torn down.
    Resource,
    /// Waits for its time.
    Time,
    /// Takes more slots than its queue or the worker has.
    Slots,
    /// Waits for its turn in a pool, or for free units.
    Pool,
    /// Waits for a place in its lane.
    Lane,
}

/// The facts about a queued job that determine its hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    pub user_hold: bool,
    pub task_hold: bool,
    /// Dependencies that are unmet or broken.
    pub unmet: u32,
    /// Resources of its earlier runs that are not released yet.
    pub unreleased: u32,
    /// Does not start before this instant, in milliseconds UTC.
    pub available_at: i64,
    /// The latest instant of this job that the worker has seen pass, in milliseconds UTC.
    pub due_seen: i64,
    pub too_wide: bool,
    pub uses_pools: bool,
    /// Its pools admit it to the head of its queue.
    pub pool_pass: bool,
    pub in_lane: bool,
    /// The lane admits it to the head of its queue.
    pub lane_pass: bool,
}

impl Hold {
    pub const ALL: [Self; 8] =
        [Self::User, Self::Task, Self::Dependency, Self::Resource, Self::Time, Self::Slots, Self::Pool, Self::Lane];

    /// Returns the hold of a queued job; `None`: it is ready.
    pub fn of(waiting: &Waiting) -> Option<Self> {
        if waiting.user_hold {
            Some(Self::User)
        } else if waiting.task_hold {
            Some(Self::Task)
        } else if waiting.unmet > 0 {
            Some(Self::Dependency)
        } else if waiting.unreleased > 0 {
            Some(Self::Resource)
        } else if waiting.available_at > waiting.due_seen {
            Some(Self::Time)
        } else if waiting.too_wide {
            Some(Self::Slots)
        } else if waiting.uses_pools && !waiting.pool_pass {
            Some(Self::Pool)
        } else if waiting.in_lane && !waiting.lane_pass {
            Some(Self::Lane)
        } else {
            None
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Task => "task",
            Self::Dependency => "dependency",
            Self::Resource => "resource",
            Self::Time => "time",
            Self::Slots => "slots",
            Self::Pool => "pool",
            Self::Lane => "lane",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hold| hold.as_str() == text)
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
