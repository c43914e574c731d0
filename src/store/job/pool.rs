//! Pools: their sizes, what is taken of them, and who has it. Triggers of `schema.sql` admit, take
//! and free.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::{JobId, nearest, pool};
use crate::store::engine::text::text;
use crate::store::job::rows::{self, Job};

/// Most jobs that are named.
const NAMED_MAX: i64 = 10;

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRow {
    pub name: String,
    pub size: i64,
    /// Units that running jobs have.
    pub taken: i64,
    /// Jobs that wait for it, up to 10,000.
    pub waiting: i64,
}

/// What a job uses of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    pub pool: String,
    pub amount: i64,
    /// `None`: there is no such pool.
    pub size: Option<i64>,
    pub taken: i64,
    /// The job that comes first in this pool.
    pub first: Option<JobId>,
    /// The jobs that have units of it, and how many.
    pub by: Vec<(JobId, i64)>,
}

/// Returns all pools, by name.
pub fn all(conn: &Connection) -> Result<Vec<PoolRow>> {
    let mut all = conn.prepare_cached(sql!("pool.sql", "all"))?;
    let rows = all
        .query_map([], |row| Ok(PoolRow { name: text(row, 0)?, size: row.get(1)?, taken: row.get(2)?, waiting: row.get(3)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Sets how many units a pool has; the pool is created if needed. Running jobs keep theirs.
///
/// # Errors
/// [`Error::Invalid`] for a name or a size that no pool has.
pub fn set(conn: &Connection, name: &str, size: i64) -> Result<()> {
    pool::check_name(name).and_then(|()| pool::check_size(size)).map_err(Error::Invalid)?;
    conn.execute(sql!("pool.sql", "set"), (name, size))?;
    conn.execute(sql!("pool.sql", "size"), (name, size))?;
    Ok(())
}

/// Whether these pools have these sizes.
pub fn has(conn: &Connection, pools: &[(String, u32)]) -> Result<bool> {
    let all = all(conn)?;
    Ok(pools.iter().all(|(name, size)| all.iter().any(|pool| pool.name == *name && pool.size == i64::from(*size))))
}

/// Deletes a pool.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] while live jobs use it.
pub fn remove(conn: &Connection, name: &str) -> Result<()> {
    let names: Vec<String> = all(conn)?.into_iter().map(|pool| pool.name).collect();
    if !names.iter().any(|known| known == name) {
        let meant = nearest::question(name, names.iter().map(String::as_str));
        return Err(Error::NotFound(format!("there is no pool {name:?}; tenure pool ls lists them{meant}")));
    }
    match conn.query_row(sql!("pool.sql", "live"), [name], |row| row.get::<_, i64>(0))? {
        0 => {}
        n => {
            let jobs = if n == 1 { "live job uses" } else { "live jobs use" };
            return Err(Error::Refused(format!("{n} {jobs} pool {name:?}; wait for them, or end them with tenure cancel")));
        }
    }
    conn.execute("DELETE FROM pool WHERE name = ?1", [name])?;
    Ok(())
}

/// Returns the units that a running job has of each pool.
pub fn units(conn: &Connection, job: JobId) -> Result<Vec<(String, Vec<i64>)>> {
    let mut units = conn.prepare_cached(sql!("pool.sql", "units"))?;
    let mut rows = units.query([job.0])?;
    let mut all: Vec<(String, Vec<i64>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (pool, unit) = (text(row, 0)?, row.get(1)?);
        match all.last_mut() {
            Some((last, units)) if *last == pool => units.push(unit),
            _ => all.push((pool, vec![unit])),
        }
    }
    Ok(all)
}

/// The same of a row, which is asked for only if it uses any.
pub fn units_of(conn: &Connection, job: &Job) -> Result<Vec<(String, Vec<i64>)>> {
    if job.uses.is_some() { units(conn, job.id) } else { Ok(Vec::new()) }
}

/// Returns what a job uses, and who has it.
pub fn used_by(conn: &Connection, job: JobId) -> Result<Vec<Used>> {
    let mut uses = conn.prepare_cached(sql!("pool.sql", "uses"))?;
    let rows = uses.query_map([job.0], |row| {
        let first: Option<i64> = row.get(4)?;
        let (amount, size, taken) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Used { pool: text(row, 0)?, amount, size, taken, first: first.map(JobId), by: Vec::new() })
    })?;
    let mut used: Vec<Used> = rows.collect::<rusqlite::Result<_>>()?;
    for one in &mut used {
        let mut takers = conn.prepare_cached(sql!("pool.sql", "takers"))?;
        let rows = takers.query_map((&one.pool, NAMED_MAX), |row| Ok((rows::id(row, 0)?, row.get(1)?)))?;
        one.by = rows.collect::<rusqlite::Result<_>>()?;
    }
    Ok(used)
}

/// Notes the queues that the worker serves, so that jobs of other queues do not keep a pool.
/// Empty: all.
pub fn note_queues(conn: &Connection, queues: &[String]) -> Result<()> {
    match queues {
        [] => conn.execute("DELETE FROM meta WHERE key = 'worker_queues'", [])?,
        some => conn.execute(sql!("pool.sql", "queues"), [serde_json::json!(some).to_string()])?,
    };
    conn.execute("INSERT INTO choose_pool_head (pool) SELECT name FROM pool", [])?;
    Ok(())
}

/// Whether these queues are noted.
pub fn are_queues_noted(conn: &Connection, queues: &[String]) -> Result<bool> {
    let mut noted = conn.prepare_cached("SELECT value FROM meta WHERE key = 'worker_queues'")?;
    let noted: Option<String> = noted.query_row([], |row| text(row, 0)).optional()?;
    Ok(noted == (!queues.is_empty()).then(|| serde_json::json!(queues).to_string()))
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
