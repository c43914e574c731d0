//! Where the rows are that should not exist: the healers' eyes. See [`crate::store::upkeep::heal`].
//!
//! Each question reads an index that is empty in a healthy file, the running rows, or the open runs.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::{JobId, Nonce, Outcome, Reason, RunId};
use crate::store::engine::text::text;
use crate::store::job::rows;

/// Most rows that one healer finds in one round; the next round goes on.
pub const HEALED_MAX: i64 = 1_000;

/// What the healers know of a job that is not whole.
pub(in crate::store) struct Sick {
    pub(in crate::store) id: JobId,
    pub(in crate::store) state: String,
    pub(in crate::store) run: Option<RunId>,
    /// Its row, as far as it says who owns it; for the event.
    pub(in crate::store) shown: String,
}

pub(in crate::store) struct RunEnded {
    pub(in crate::store) outcome: Outcome,
    pub(in crate::store) reason: Option<Reason>,
}

pub(in crate::store) fn impossible_jobs(conn: &Connection) -> Result<Vec<Sick>> {
    sick(conn, sql!("heal.sql", "jobs"))
}

pub(in crate::store) fn unreadable_jobs(conn: &Connection) -> Result<Vec<Sick>> {
    sick(conn, sql!("heal.sql", "unreadable"))
}

fn sick(conn: &Connection, sql: &str) -> Result<Vec<Sick>> {
    let mut found = conn.prepare_cached(sql)?;
    let rows = found.query_map([HEALED_MAX], to_sick)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn to_sick(row: &rusqlite::Row<'_>) -> rusqlite::Result<Sick> {
    let run = row.get::<_, Option<i64>>(2)?.map(RunId);
    Ok(Sick { id: rows::id(row, 0)?, state: text(row, 1)?, run, shown: text(row, 3)? })
}

/// Running rows whose run is missing, belongs to another job, or has ended; with how it ended.
pub(in crate::store) fn running_without_run(conn: &Connection) -> Result<Vec<(Sick, Option<RunEnded>)>> {
    let mut found = conn.prepare_cached(sql!("heal.sql", "running"))?;
    let rows = found.query_map([HEALED_MAX], |row| {
        let ended = rows::word(row, 4, Outcome::parse)?;
        let reason = rows::word(row, 5, Reason::parse)?;
        Ok((to_sick(row)?, ended.map(|outcome| RunEnded { outcome, reason })))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(in crate::store) fn runs_without_job(conn: &Connection) -> Result<Vec<(RunId, Nonce, JobId)>> {
    let mut found = conn.prepare_cached(sql!("heal.sql", "runs"))?;
    let rows = found.query_map([HEALED_MAX], |row| Ok((RunId(row.get(0)?), nonce(row, 1)?, rows::id(row, 2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(in crate::store) fn open_runs_of(conn: &Connection, job: JobId) -> Result<Vec<(RunId, Nonce)>> {
    let mut open = conn.prepare_cached("SELECT id, nonce FROM run WHERE job_id = ?1 AND finished_at IS NULL")?;
    let rows = open.query_map([job.0], |row| Ok((RunId(row.get(0)?), nonce(row, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(in crate::store) fn is_owned(conn: &Connection, id: JobId) -> Result<bool> {
    ask(conn, "SELECT coalesce(run_id, pid, started_at, finished_at, reason) IS NOT NULL FROM job WHERE id = ?1", id)
}

pub(in crate::store) fn is_not_whole_running(conn: &Connection, id: JobId) -> Result<bool> {
    ask(
        conn,
        "SELECT run_id IS NULL OR started_at IS NULL OR finished_at IS NOT NULL OR reason IS NOT NULL FROM job WHERE id = ?1",
        id,
    )
}

pub(in crate::store) fn is_not_whole_ended(conn: &Connection, id: JobId) -> Result<bool> {
    ask(
        conn,
        "SELECT reason IS NULL OR finished_at IS NULL OR pid IS NOT NULL
             OR (state = 'done' AND (reason IS NOT 'exit' OR exit_code IS NOT 0)) FROM job WHERE id = ?1",
        id,
    )
}

pub(in crate::store) fn has_negative_counts(conn: &Connection, id: JobId) -> Result<bool> {
    ask(conn, "SELECT attempts < 0 OR deferrals < 0 OR unstarts < 0 OR max_attempts < 1 FROM job WHERE id = ?1", id)
}

fn ask(conn: &Connection, sql: &str, id: JobId) -> Result<bool> {
    Ok(conn.prepare_cached(sql)?.query_row([id.0], |row| row.get(0)).optional()?.unwrap_or(false))
}

fn nonce(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Nonce> {
    Ok(text(row, at)?.parse().unwrap_or(Nonce([0; 16])))
}
