//! The check of a job: a run of its own, beside the run that the job is still in.
//!
//! After exit 0 the end of the job's own process is recorded; then its check is opened and closed
//! ([`crate::store::job::auxiliary`]), as often as it must be repeated; then the job's run is
//! settled ([`crate::store::job::settle`]). A crash between any two of these steps leaves rows from
//! which the next worker continues.

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::job::{JobId, RunId};
use crate::store::job::settle::{RunRecord, kept};

/// Records that the job's own process has ended with `exit_code` and that its check must run. The
/// job stays running, without a process of its own. False: the run no longer owns the job.
pub fn exited(conn: &Connection, job: JobId, run: RunId, record: &RunRecord, exit_code: i32) -> Result<bool> {
    let mut note = conn.prepare_cached(sql!("settle.sql", "exited"))?;
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
    // The result is the job's own, and a check does not change it: it is stored from here on.
    conn.prepare_cached(
        "UPDATE job SET pid = NULL, result = coalesce(?3, result) WHERE id = ?1 AND state = 'running' AND run_id = ?2",
    )?
    .execute((job.0, run.0, record.result.as_deref().map(kept)))?;
    Ok(true)
}
