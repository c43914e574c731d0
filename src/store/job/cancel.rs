//! Cancels: a queued job ends immediately; for a running job the request is recorded, and its
//! worker stops the run.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::{JobId, Reason, RunId, State};
use crate::store::job::ended::{self, Aftermath, STEP_MAX, TaskStep};
use crate::store::job::read::existing;
use crate::store::job::rows;

/// Result of a cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It was queued, and has ended.
    Ended {
        /// Names of files in `secrets/` that no live job needs now.
        freed: Vec<String>,
        /// Number of jobs that were resolved or ended, including this one.
        touched: usize,
    },
    /// It is running; the stop request is recorded, and this run is to be stopped.
    Asked { run: RunId },
    /// There was nothing to cancel.
    AlreadyEnded,
}

/// Cancels a job: a queued job ends immediately; for a running one the stop request is recorded.
///
/// # Errors
/// [`Error::NotFound`].
pub(in crate::store) fn cancel(
    conn: &Connection,
    id: JobId,
    why: Option<&str>,
    now_ms: i64,
    task_step: TaskStep,
) -> Result<Cancelled> {
    let job = existing(conn, id)?;
    match (job.state, job.run_id) {
        (State::Queued, _) => {
            ask(conn, id, why, now_ms)?;
            let mut out = Aftermath::new(task_step);
            ended::end_queued(conn, id, Reason::Cancelled, "cancelled while it waited", now_ms, &mut out)?;
            Ok(Cancelled::Ended { touched: STEP_MAX - out.left().min(STEP_MAX), freed: out.freed })
        }
        (State::Running, Some(run)) => {
            ask(conn, id, why, now_ms)?;
            Ok(Cancelled::Asked { run })
        }
        (State::Running, None) => Err(Error::Refused(format!(
            "job {id} runs without a run, which should be impossible; a worker repairs it: tenure work"
        ))),
        _ => Ok(Cancelled::AlreadyEnded),
    }
}

/// Records the stop request. A second one for the same job is ignored.
pub(in crate::store) fn ask(conn: &Connection, id: JobId, why: Option<&str>, now_ms: i64) -> Result<()> {
    conn.prepare_cached(sql!("cancel.sql", "ask"))?.execute((id.0, why, now_ms))?;
    Ok(())
}

/// Returns the running jobs with an open cancel, each with its run.
pub fn open_cancels(conn: &Connection) -> Result<Vec<(JobId, Option<RunId>)>> {
    let mut open = conn.prepare_cached(sql!("cancel.sql", "open_cancels"))?;
    let rows = open.query_map([], |row| Ok((rows::id(row, 0)?, row.get::<_, Option<i64>>(1)?.map(RunId))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
