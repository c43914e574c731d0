//! Rows with counts: queues, lanes and the counters of the file.

use rusqlite::{Result, Row};

use crate::job::JobId;
use crate::store::engine::text::text;

/// A queue and its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    pub name: String,
    /// `None`: no limit of its own.
    pub slots: Option<i64>,
    pub paused: bool,
    /// A job that fails pauses it.
    pub pauses_on_failure: bool,
    /// The job that has paused it by failing.
    pub paused_by: Option<JobId>,
    /// When it did, in milliseconds UTC.
    pub paused_at: Option<i64>,
    pub max_runtime_ms: Option<u64>,
    pub running: i64,
    pub ready: i64,
    /// Queued and held by something.
    pub waiting: i64,
}

impl QueueRow {
    /// Reads the columns of `queues` in read.sql.
    pub(in crate::store) fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            name: text(row, 0)?,
            slots: row.get(1)?,
            paused: row.get(2)?,
            max_runtime_ms: row.get::<_, Option<i64>>(3)?.and_then(|ms| u64::try_from(ms).ok()),
            pauses_on_failure: row.get(4)?,
            paused_by: row.get::<_, Option<i64>>(5)?.map(JobId),
            paused_at: row.get(6)?,
            running: row.get(7)?,
            ready: row.get(8)?,
            waiting: row.get(9)?,
        })
    }
}

/// A lane and its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRow {
    pub key: String,
    pub max_running: i64,
    pub running: i64,
    /// Queued members that wait for nothing but the lane, up to 10,000.
    pub waiting: i64,
    /// It is the lane of one array with a limit of its own.
    pub of_array: bool,
}

/// A counter over the life of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    pub name: String,
    pub n: i64,
    pub last_at: Option<i64>,
    pub note: Option<String>,
}
