//! Rows with counts: queues, lanes and the counters of the file.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use crate::error::Result;
use crate::job::{JobId, launcher};
use crate::store::engine::text::{maybe, text};

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
    /// The launcher that gives its jobs to another engine; `None`: they run on this machine.
    pub launcher: Option<String>,
    /// What that is told with each job, by name.
    pub launcher_options: BTreeMap<String, String>,
    pub running: i64,
    pub ready: i64,
    /// Queued and held by something.
    pub waiting: i64,
}

impl QueueRow {
    /// Reads the columns of `queues` in read.sql.
    pub(in crate::store) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: text(row, 0)?,
            slots: row.get(1)?,
            paused: row.get(2)?,
            max_runtime_ms: row.get::<_, Option<i64>>(3)?.and_then(|ms| u64::try_from(ms).ok()),
            pauses_on_failure: row.get(4)?,
            paused_by: row.get::<_, Option<i64>>(5)?.map(JobId),
            paused_at: row.get(6)?,
            launcher: maybe(row, 7)?,
            launcher_options: launcher::options(&text(row, 8)?),
            running: row.get(9)?,
            ready: row.get(10)?,
            waiting: row.get(11)?,
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

/// Every queue, by name, with its counts.
pub fn queues(conn: &Connection) -> Result<Vec<QueueRow>> {
    let mut queues = conn.prepare_cached(sql!("read.sql", "queues"))?;
    let rows = queues.query_map([], QueueRow::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Every lane, by key.
pub fn lanes(conn: &Connection) -> Result<Vec<LaneRow>> {
    let mut lanes = conn.prepare_cached(sql!("read.sql", "lanes"))?;
    let rows = lanes.query_map([], |row| {
        Ok(LaneRow {
            key: text(row, 0)?,
            max_running: row.get(1)?,
            running: row.get(2)?,
            waiting: row.get(3)?,
            of_array: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the counters of the worker and its reaper over the life of the file.
pub fn counters(conn: &Connection) -> Result<Vec<Counter>> {
    let mut counters = conn.prepare_cached("SELECT name, n, last_at, note FROM counter ORDER BY name")?;
    let rows = counters
        .query_map([], |row| Ok(Counter { name: text(row, 0)?, n: row.get(1)?, last_at: row.get(2)?, note: maybe(row, 3)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the number of queued and running jobs of a queue.
pub fn live(conn: &Connection, queue: &str) -> Result<u64> {
    let sql = "SELECT coalesce(sum(n), 0) FROM tally WHERE queue = ?1 AND state IN ('queued', 'running')";
    let n: i64 = conn.prepare_cached(sql)?.query_row([queue], |row| row.get(0))?;
    Ok(u64::try_from(n).unwrap_or(0))
}
