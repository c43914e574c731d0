//! Cheap questions of the worker's loops, so that a round with nothing to do writes nothing.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::RunId;
use crate::store::job::claim::{self, Scope};
use crate::store::schedule::plan;

/// Whether [`crate::store::upkeep::due::process`] has something to do now.
pub fn has_due(conn: &Connection, now_ms: i64) -> Result<bool> {
    let mut needed = conn.prepare_cached(sql!("pending.sql", "is_due"))?;
    Ok(needed.query_row([now_ms], |row| row.get(0))?)
}

/// Whether a worker of this scope could start a job now: one is ready, or a round has something to
/// do that may make one ready. `plans`: it makes the jobs of schedules.
pub fn could_start(conn: &Connection, scope: &Scope, plans: bool, now_ms: i64) -> Result<bool> {
    Ok(claim::has_ready(conn, scope)? || has_due(conn, now_ms)? || plans && plan::is_due(conn, now_ms)?)
}

/// Returns since when all queues are paused, in milliseconds UTC; `None`: they are not.
pub fn all_paused_at(conn: &Connection) -> Result<Option<i64>> {
    Ok(conn.prepare_cached("SELECT min(at) FROM pause")?.query_row([], |row| row.get(0))?)
}

/// Whether a queue is paused by itself.
pub fn is_paused(conn: &Connection, queue: &str) -> Result<bool> {
    let mut paused = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM queue WHERE name = ?1 AND paused = 1)")?;
    Ok(paused.query_row([queue], |row| row.get(0))?)
}

/// Whether an end that affects many jobs is not resolved completely.
pub fn has_unresolved(conn: &Connection) -> Result<bool> {
    let mut needed = conn.prepare_cached(sql!("pending.sql", "has_unresolved"))?;
    Ok(needed.query_row([], |row| row.get(0))?)
}

/// Whether a queued job waits only for its time, or for a teardown of its earlier runs, so that it
/// continues without a request.
pub fn waits_for_time(conn: &Connection) -> Result<bool> {
    let mut waits = conn.prepare_cached(sql!("pending.sql", "waits_for_time"))?;
    Ok(waits.query_row([], |row| row.get(0))?)
}

/// Returns the running jobs of queues with a max-runtime, each with that, in milliseconds.
pub fn max_runtimes(conn: &Connection) -> Result<Vec<(RunId, u64)>> {
    let mut limited = conn.prepare_cached(sql!("pending.sql", "runtime_limits"))?;
    let rows = limited.query_map([], |row| Ok((RunId(row.get(0)?), row.get::<_, i64>(1)?)))?;
    rows.map(|row| row.map(|(run, ms)| (run, ms.unsigned_abs())).map_err(Into::into)).collect()
}
