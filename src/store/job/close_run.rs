//! The end of a run's row, of a job's own run and of an auxiliary one alike.

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::job::{Exit, Outcome, Reason, RunId};

/// What is recorded of a run. Times are milliseconds UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunRecord {
    pub pid: Option<i32>,
    pub started_at: Option<i64>,
    pub exited_at: Option<i64>,
    /// When the check after the exit had ended: the end of the job. `None`: the exit is.
    pub checked_at: Option<i64>,
    pub max_rss_bytes: Option<i64>,
    pub user_ms: Option<i64>,
    pub system_ms: Option<i64>,
    /// Processes that outlived the job's own.
    pub leftovers: Option<String>,
    /// If it was ever suspended: how long the latest suspension lasted, in milliseconds.
    pub suspended_ms: Option<u64>,
    /// What enforced its memory limit, if it had one: `cgroup` or `rlimit`.
    pub memory_by: Option<&'static str>,
    /// Its `TENURE_RESULT`; at most 64 KiB are kept.
    pub result: Option<String>,
}

/// How a run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub exit: Option<Exit>,
    /// For a person.
    pub error: Option<String>,
    pub record: RunRecord,
}

/// How a run has ended, borrowed.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct End<'a> {
    pub(in crate::store) outcome: Outcome,
    pub(in crate::store) reason: Option<Reason>,
    pub(in crate::store) exit: Option<Exit>,
    pub(in crate::store) error: Option<&'a str>,
    pub(in crate::store) record: &'a RunRecord,
}

impl Closed {
    pub(in crate::store) fn end(&self) -> End<'_> {
        End { outcome: self.outcome, reason: self.reason, exit: self.exit, error: self.error.as_deref(), record: &self.record }
    }
}

/// Closes an open run. Returns false if it was closed before, and then changes nothing.
pub(in crate::store) fn close_run(conn: &Connection, run: RunId, end: End<'_>, now_ms: i64) -> Result<bool> {
    let (exit_code, signal) = match end.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let record = end.record;
    let changed = conn.prepare_cached(sql!("close_run.sql", "close"))?.execute(params![
        run.0,
        now_ms,
        end.outcome.as_str(),
        end.reason.map(Reason::as_str),
        exit_code,
        signal,
        end.error,
        record.pid,
        record.started_at,
        record.exited_at,
        record.leftovers,
        record.max_rss_bytes,
        record.user_ms,
        record.system_ms,
    ])?;
    Ok(changed > 0)
}
