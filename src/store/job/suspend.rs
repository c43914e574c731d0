//! Suspensions: a client asks that a running job is suspended or resumed, and its worker reports
//! what became of that.
//!
//! The row says what is wanted (`resume_at` NULL: suspended) and what is so (`suspended_at`). The
//! worker brings the run to what is wanted, and asks the shim again until it is so; each statement
//! here names the row and that it is open, so an old worker changes nothing.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::{JobId, RunId, State};
use crate::store::engine::text::maybe;
use crate::store::job::launched;
use crate::store::job::read::existing;
pub use crate::store::job::suspension::{Holder, Suspension, Wanted};
use crate::units::duration_text;

/// Asks that a running job is suspended. False: it was asked before.
///
/// # Errors
/// [`Error::Refused`] if it is not running, or is being cancelled; [`Error::NotFound`].
pub fn suspend(conn: &Connection, id: JobId, why: Option<&str>, now_ms: i64) -> Result<bool> {
    let job = existing(conn, id)?;
    match job.state {
        State::Running if job.cancel_open => Err(Error::Refused(format!("job {id} is being cancelled, so it is not suspended"))),
        State::Running => {
            if job.run_id.map_or(Ok(None), |run| launched::of_run(conn, run))?.is_some() {
                return Err(Error::Refused(format!(
                    "job {id} runs on another engine, where tenure cannot suspend it; tenure cancel {id} ends it"
                )));
            }
            if job.suspension.is_some_and(|suspension| !suspension.is_resuming) {
                return Ok(false);
            }
            conn.prepare_cached(sql!("suspend.sql", "ask"))?.execute((id.0, why, now_ms))?;
            Ok(true)
        }
        State::Queued => Err(Error::Refused(format!(
            "job {id} is queued, only a running job can be suspended; tenure hold {id} keeps it from starting"
        ))),
        _ => Err(has_ended(id)),
    }
}

/// Asks that a suspended job continues. False: it is not suspended.
///
/// # Errors
/// [`Error::Refused`] if it is not running; [`Error::NotFound`].
pub fn resume(conn: &Connection, id: JobId, now_ms: i64) -> Result<bool> {
    let job = existing(conn, id)?;
    match job.state {
        State::Running => Ok(conn.prepare_cached(sql!("suspend.sql", "ask_to_resume"))?.execute((id.0, now_ms))? > 0),
        State::Queued if job.user_hold => {
            Err(Error::Refused(format!("job {id} is held, not suspended; tenure release {id} lets it start")))
        }
        State::Queued => {
            Err(Error::Refused(format!("job {id} is queued, not suspended; tenure why {id} says what it waits for")))
        }
        _ => Err(has_ended(id)),
    }
}

fn has_ended(id: JobId) -> Error {
    Error::Refused(format!("job {id} has ended already"))
}

/// Returns what the client has said of why a job is suspended.
pub(in crate::store) fn why(conn: &Connection, id: i64) -> Result<Option<String>> {
    Ok(conn.prepare_cached("SELECT why FROM suspend WHERE id = ?1")?.query_row([id], |row| maybe(row, 0))?)
}

/// Returns what is wanted of the running jobs with an open suspension.
pub fn wanted(conn: &Connection) -> Result<Vec<(RunId, Wanted)>> {
    let mut open = conn.prepare_cached(sql!("suspend.sql", "wanted"))?;
    let rows = open.query_map([], |row| {
        let wanted = Wanted { id: row.get(1)?, is_suspended: row.get(2)? };
        Ok((RunId(row.get(0)?), wanted))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Counts the suspended jobs.
pub fn count(conn: &Connection) -> Result<i64> {
    Ok(conn.prepare_cached(sql!("suspend.sql", "count"))?.query_row([], |row| row.get(0))?)
}

/// Returns how long the ended suspensions of a job have lasted together, in milliseconds.
pub fn lasted_ms(conn: &Connection, id: JobId) -> Result<u64> {
    let ms: i64 = conn.prepare_cached(sql!("suspend.sql", "lasted"))?.query_row([id.0], |row| row.get(0))?;
    Ok(ms.unsigned_abs())
}

/// Records that the run is suspended. `running`: processes that could not be stopped.
pub fn is_suspended(conn: &Connection, id: i64, at_ms: i64, running: &str) -> Result<()> {
    let noted = conn.prepare_cached(sql!("suspend.sql", "is_suspended"))?.execute((id, at_ms))?;
    if noted > 0 {
        let detail = (!running.is_empty()).then(|| format!("still running: {running}"));
        event(conn, id, "suspended", detail.as_deref())?;
    }
    Ok(())
}

/// Records that the run continues: its suspension is over, unless it is to be suspended again.
/// `lasted_ms`: how long its limits stood still, if they did.
pub fn is_resumed(conn: &Connection, id: i64, lasted_ms: u64, now_ms: i64) -> Result<()> {
    let lasted = as_stored(lasted_ms);
    let was_suspended = conn.prepare_cached(sql!("suspend.sql", "close"))?.query_row((id, lasted, now_ms), |row| row.get(0));
    match was_suspended.optional()? {
        Some(true) => event(conn, id, "resumed", Some(&format!("after {}", duration_text(lasted_ms)))),
        Some(false) => Ok(()),
        None => {
            conn.prepare_cached(sql!("suspend.sql", "is_not_suspended"))?.execute((id, lasted))?;
            Ok(())
        }
    }
}

/// Closes the suspension of a run that ends. `lasted_ms`: how long its command was suspended;
/// `None`: not at all, but its check or its preparation may have been, or was to be.
pub(in crate::store) fn run_has_ended(conn: &Connection, run: RunId, lasted_ms: Option<u64>, now_ms: i64) -> Result<()> {
    conn.prepare_cached(sql!("suspend.sql", "run_has_ended"))?.execute((run.0, lasted_ms.map(as_stored), now_ms))?;
    Ok(())
}

/// Longest suspension that is recorded, in milliseconds: sums of such numbers fit into a row.
const LASTED_MS_MAX: u64 = 1 << 50;

fn as_stored(lasted_ms: u64) -> i64 {
    lasted_ms.min(LASTED_MS_MAX).cast_signed()
}

fn event(conn: &Connection, id: i64, kind: &str, detail: Option<&str>) -> Result<()> {
    conn.prepare_cached(sql!("suspend.sql", "event"))?.execute((id, kind, detail))?;
    Ok(())
}

#[cfg(test)]
#[path = "suspend_tests.rs"]
mod tests;
