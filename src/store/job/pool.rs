//! Pools: their sizes, what is taken of them, and who has it. Triggers of `schema.sql` admit, take
//! and free.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::{JobId, nearest, pool};
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows::{self, Job};
use crate::store::job::suspension::Holder;

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
    pub by: Vec<(Holder, i64)>,
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
        let rows = takers.query_map((&one.pool, NAMED_MAX), |row| {
            Ok((Holder { job: rows::id(row, 0)?, is_suspended: row.get(1)? }, row.get(2)?))
        })?;
        one.by = rows.collect::<rusqlite::Result<_>>()?;
    }
    Ok(used)
}

/// The jobs that a worker may start. Jobs that it does not serve keep no pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// Those of these queues; none named: of all.
    Queues(Vec<String>),
    /// These jobs alone.
    Jobs(Vec<JobId>),
}

impl Served {
    /// The values of `worker_queues` and `worker_jobs`.
    fn noted(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Queues(queues) => ((!queues.is_empty()).then(|| serde_json::json!(queues).to_string()), None),
            Self::Jobs(jobs) => (None, Some(serde_json::json!(jobs.iter().map(|job| job.0).collect::<Vec<_>>()).to_string())),
        }
    }
}

/// Notes what the worker serves.
pub fn note_served(conn: &Connection, served: &Served) -> Result<()> {
    let (queues, jobs) = served.noted();
    for (key, value) in [("worker_queues", queues), ("worker_jobs", jobs)] {
        match value {
            None => conn.execute("DELETE FROM meta WHERE key = ?1", [key])?,
            Some(value) => conn.execute(sql!("pool.sql", "served"), (key, value))?,
        };
    }
    conn.execute("INSERT INTO choose_pool_head (pool) SELECT name FROM pool", [])?;
    Ok(())
}

/// Whether that is noted, or need not be: there is no pool.
pub fn is_noted(conn: &Connection, served: &Served) -> Result<bool> {
    let mut noted = conn.prepare_cached(sql!("pool.sql", "noted"))?;
    let (queues, jobs, any): (Option<String>, Option<String>, bool) =
        noted.query_row([], |row| Ok((maybe(row, 0)?, maybe(row, 1)?, row.get(2)?)))?;
    Ok(!any || (queues, jobs) == served.noted())
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
