//! Pipelines: applied descriptions, revision by revision.
//!
//! A revision does not change, so a later one does not affect the tasks that use it. An equal
//! description creates no new revision.

pub(in crate::store) mod advance;
pub mod retry;
pub mod task;
pub mod task_rows;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::{Error, Result};
use crate::job::{Pipeline, nearest};
use crate::store::engine::text::text;

/// Result of an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    pub revision: i64,
    /// False: the newest revision has the same description.
    pub is_new: bool,
}

/// The newest revision of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRow {
    pub id: i64,
    pub name: String,
    pub revision: i64,
    /// JSON, see [`PipelineRow::read`].
    pub spec: String,
    /// In milliseconds UTC.
    pub applied_at: i64,
    /// Its running tasks, in any revision.
    pub running: i64,
}

impl PipelineRow {
    /// Returns the description.
    ///
    /// # Errors
    /// It cannot be read: an older program wrote it, or a client that dropped the guards.
    pub fn read(&self) -> Result<Pipeline> {
        Pipeline::from_json(&self.spec).map_err(|e| {
            Error::Refused(format!(
                "pipeline {} revision {} cannot be used ({e}); apply it again: tenure pipeline apply",
                self.name, self.revision
            ))
        })
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: text(row, 1)?,
            revision: row.get(2)?,
            spec: text(row, 3)?,
            applied_at: row.get(4)?,
            running: row.get(5)?,
        })
    }
}

/// Applies a description: tasks that are started from now on use it.
pub fn apply(conn: &Connection, name: &str, pipeline: &Pipeline, now_ms: i64) -> Result<Applied> {
    let spec = pipeline.to_json();
    let before = newest(conn, name)?;
    // By value: another release may write the keys in another order.
    let is_same = |before: &&PipelineRow| Pipeline::from_json(&before.spec).is_ok_and(|before| before == *pipeline);
    if let Some(same) = before.as_ref().filter(is_same) {
        return Ok(Applied { revision: same.revision, is_new: false });
    }
    let revision = before.map_or(0, |before| before.revision) + 1;
    conn.prepare_cached("INSERT INTO pipeline (name, revision, spec, applied_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute((name, revision, spec, now_ms))?;
    Ok(Applied { revision, is_new: true })
}

/// The newest revision of a pipeline.
pub fn newest(conn: &Connection, name: &str) -> Result<Option<PipelineRow>> {
    let mut newest = conn.prepare_cached(sql_of!(sql!("pipeline.sql", "newest"), " AND p.name = ?1"))?;
    Ok(newest.query_row([name], PipelineRow::from_row).optional()?)
}

/// Returns the newest revision of a pipeline that must exist.
///
/// # Errors
/// [`Error::NotFound`].
pub fn existing(conn: &Connection, name: &str) -> Result<PipelineRow> {
    if let Some(found) = newest(conn, name)? {
        return Ok(found);
    }
    let names: Vec<String> = list(conn)?.into_iter().map(|one| one.name).collect();
    let meant = nearest::question(name, names.iter().map(String::as_str));
    Err(Error::NotFound(format!(
        "there is no pipeline {name:?}; tenure pipeline ls lists them, tenure pipeline apply FILE makes one{meant}"
    )))
}

/// The newest revision of each pipeline, by name.
pub fn list(conn: &Connection) -> Result<Vec<PipelineRow>> {
    let mut list = conn.prepare_cached(sql_of!(sql!("pipeline.sql", "newest"), " ORDER BY p.name"))?;
    let rows = list.query_map([], PipelineRow::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
