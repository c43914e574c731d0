//! Errands: commands around jobs (a check, the making of a workspace), each a run of its own, with a kind.
//!
//! An errand of a job is opened only as long as the job's run (`parent`) owns the job, and one of a kind at a time. What it came to is
//! written once, with whatever follows from that in the same transaction; so a crash before leaves an open run, which is watched or
//! gone through again, and a crash after it an answer, which is used and not asked for again.

use rusqlite::{Connection, OptionalExtension, params};

use super::claim::Prepared;
use super::settle::RunRecord;
use super::workspace;
use crate::error::Result;
use crate::job::{Exit, JobId, Outcome, Reason, RunId, RunKind};

/// What an errand is, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub kind: RunKind,
    /// With the run of that job for which it is made. `None`: it belongs to no job.
    pub of: Option<(JobId, RunId)>,
    /// The workspace that it makes.
    pub workspace: Option<String>,
}

impl Opening {
    /// An errand of a job's run.
    pub fn of(kind: RunKind, job: JobId, parent: RunId) -> Self {
        Self { kind, of: Some((job, parent)), workspace: None }
    }
}

/// What an errand came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub exit: Option<Exit>,
    /// For a person.
    pub error: Option<String>,
    pub record: RunRecord,
}

/// Opens the run of an errand. False: what it is for does not need it any more, or such an errand is under way; nothing is to be
/// started then.
pub fn begin(conn: &Connection, opening: &Opening, run: Prepared, instance: &str, boot_id: &str, now_ms: i64) -> Result<bool> {
    if let Some(key) = &opening.workspace
        && !workspace::is_free_to_make(conn, key)?
    {
        return Ok(false);
    }
    let (job, parent) = opening.of.unzip();
    let mut begin = conn.prepare_cached(include_str!("errand_begin.sql"))?;
    let begun = begin.execute(params![
        run.run.0,
        job.map(|job| job.0),
        opening.kind.as_str(),
        parent.map(|parent| parent.0),
        opening.workspace,
        run.nonce.to_string(),
        instance,
        boot_id,
        now_ms,
    ])? > 0;
    if let Some(key) = opening.workspace.as_ref().filter(|_| begun) {
        workspace::begin_making(conn, key, job, run.run, now_ms)?;
    }
    Ok(begun)
}

/// Closes the run of an errand with what it came to. False: it was closed before.
pub fn end(conn: &Connection, run: RunId, closed: &Closed, now_ms: i64) -> Result<bool> {
    let (exit_code, signal) = match closed.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let record = &closed.record;
    let mut end = conn.prepare_cached(include_str!("errand_end.sql"))?;
    let ended = end.query_row(
        params![
            run.0,
            now_ms,
            closed.outcome.as_str(),
            closed.reason.map(Reason::as_str),
            exit_code,
            signal,
            closed.error,
            record.pid,
            record.started_at,
            record.exited_at,
            record.leftovers,
            record.max_rss_bytes,
            record.user_ms,
            record.system_ms,
        ],
        |row| row.get::<_, i64>(0),
    );
    Ok(ended.optional()?.is_some())
}
