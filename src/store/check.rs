//! The check of a job: a run of its own, beside the run that the job is still running under.
//!
//! After exit 0 the end of the job's own process is noted; then its check is opened and closed, as often as it has to be asked;
//! then the job's run is settled ([`super::settle`]). A crash between any two of these leaves rows from which the next worker
//! goes on.

use rusqlite::{Connection, params};

use super::settle::{RunRecord, kept};
use crate::error::Result;
use crate::job::{Exit, JobId, Nonce, Outcome, Reason, RunId};

/// Notes that the job's own process has ended with `exit_code` and that its check is to be asked. The job goes on running,
/// without a process of its own. False: the run no longer owns the job.
pub fn exited(conn: &Connection, job: JobId, run: RunId, record: &RunRecord, exit_code: i32) -> Result<bool> {
    let mut note = conn.prepare_cached(include_str!("settle_exited.sql"))?;
    let noted = note.execute(params![
        run.0,
        job.0,
        record.pid,
        record.started_at,
        record.exited_at,
        exit_code,
        record.leftovers,
        record.max_rss_bytes,
        record.user_ms,
        record.system_ms,
    ])?;
    if noted == 0 {
        return Ok(false);
    }
    // The result is the job's own word, and a check does not change it: it is kept from here on.
    conn.prepare_cached(
        "UPDATE job SET pid = NULL, result = coalesce(?3, result) WHERE id = ?1 AND state = 'running' AND run_id = ?2",
    )?
    .execute((job.0, run.0, record.result.as_deref().map(kept)))?;
    Ok(true)
}

/// Opens the run of a check. False: the run no longer owns the job, so there is nothing to check.
#[expect(clippy::too_many_arguments, reason = "a row has that many columns")]
pub fn begin_check(
    conn: &Connection,
    job: JobId,
    parent: RunId,
    check: RunId,
    nonce: Nonce,
    instance: &str,
    boot_id: &str,
    now_ms: i64,
) -> Result<bool> {
    let mut begin = conn.prepare_cached(include_str!("settle_check.sql"))?;
    Ok(begin.execute((check.0, job.0, parent.0, nonce.to_string(), instance, boot_id, now_ms))? > 0)
}

/// Closes the run of a check with its answer. The job is settled separately. False: it was closed before.
pub fn end_check(
    conn: &Connection,
    check: RunId,
    outcome: Outcome,
    reason: Option<Reason>,
    exit: Option<Exit>,
    error: Option<String>,
    now_ms: i64,
) -> Result<bool> {
    let (exit_code, signal) = match exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let mut end = conn.prepare_cached(include_str!("settle_check_end.sql"))?;
    let reason = reason.map(Reason::as_str);
    Ok(end.execute((check.0, now_ms, outcome.as_str(), reason, exit_code, signal, error))? > 0)
}
