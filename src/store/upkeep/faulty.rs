//! Finds rows that break a rule of the guards. See [`crate::store::upkeep::repair`].
//!
//! Each query reads an index that is normally empty, the running rows, or the open runs.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::{JobId, Nonce, Outcome, Reason, RunId};
use crate::store::engine::text::text;
use crate::store::job::rows;

/// Most rows that one question finds in one round; the next round continues.
pub const REPAIRED_MAX: i64 = 1_000;

/// A job that breaks a rule.
pub(in crate::store) struct Faulty {
    pub(in crate::store) id: JobId,
    pub(in crate::store) run: Option<RunId>,
    /// The rule that the row breaks: the column `fault`, if it names one.
    pub(in crate::store) rule: String,
    /// Its row, as far as it says who owns it; for the event.
    pub(in crate::store) shown: String,
}

pub(in crate::store) struct RunEnded {
    pub(in crate::store) outcome: Outcome,
    pub(in crate::store) reason: Option<Reason>,
}

pub(in crate::store) fn faulty_jobs(conn: &Connection) -> Result<Vec<Faulty>> {
    faulty(conn, sql!("repair.sql", "jobs"))
}

pub(in crate::store) fn unreadable_jobs(conn: &Connection) -> Result<Vec<Faulty>> {
    faulty(conn, sql!("repair.sql", "unreadable"))
}

fn faulty(conn: &Connection, sql: &str) -> Result<Vec<Faulty>> {
    let mut found = conn.prepare_cached(sql)?;
    let rows = found.query_map([REPAIRED_MAX], to_faulty)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn to_faulty(row: &rusqlite::Row<'_>) -> rusqlite::Result<Faulty> {
    let run = row.get::<_, Option<i64>>(1)?.map(RunId);
    Ok(Faulty { id: rows::id(row, 0)?, run, rule: text(row, 3)?, shown: text(row, 2)? })
}

/// Finds running rows whose run is missing, belongs to another job, or has ended; with its end.
pub(in crate::store) fn running_without_run(conn: &Connection) -> Result<Vec<(Faulty, Option<RunEnded>)>> {
    let mut found = conn.prepare_cached(sql!("repair.sql", "running"))?;
    let rows = found.query_map([REPAIRED_MAX], |row| {
        let ended = rows::word(row, 4, Outcome::parse)?;
        let reason = rows::word(row, 5, Reason::parse)?;
        Ok((to_faulty(row)?, ended.map(|outcome| RunEnded { outcome, reason })))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(in crate::store) fn runs_without_job(conn: &Connection) -> Result<Vec<(RunId, Nonce, JobId)>> {
    let mut found = conn.prepare_cached(sql!("repair.sql", "runs"))?;
    let rows = found.query_map([REPAIRED_MAX], |row| Ok((RunId(row.get(0)?), nonce(row, 1)?, rows::id(row, 2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(in crate::store) fn open_runs_of(conn: &Connection, job: JobId) -> Result<Vec<(RunId, Nonce)>> {
    let mut open = conn.prepare_cached("SELECT id, nonce FROM run WHERE job_id = ?1 AND finished_at IS NULL")?;
    let rows = open.query_map([job.0], |row| Ok((RunId(row.get(0)?), nonce(row, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn nonce(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Nonce> {
    Ok(text(row, at)?.parse().unwrap_or(Nonce([0; 16])))
}
