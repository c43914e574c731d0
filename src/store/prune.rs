//! History goes: ended jobs with everything that belongs to them, but for the logs, which the caller unlinks after the flush.
//!
//! A job that a live one still waits for stays. A job that failed because of a pruned one remembers that, so that it is not
//! retried as if nothing had been. Counters stay.

use rusqlite::Connection;

use super::{rows, schedule, stamp};
use crate::error::Result;
use crate::job::{JobId, RunId};

/// What is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub jobs: usize,
    /// Resources of tasks and of jobs that are still there.
    pub resources: usize,
    /// Slots of schedules.
    pub slots: usize,
    pub tasks: usize,
    /// Every run of those jobs: their logs may go.
    pub runs: Vec<RunId>,
}

/// Removes at most `limit` jobs that ended before an instant, in milliseconds UTC, as many resources that are gone, and as many slots of
/// schedules from before it. Fewer than `limit` of each: there are no more.
pub fn prune(conn: &Connection, ended_before_ms: i64, limit: usize) -> Result<Pruned> {
    let most = limit;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut old = conn.prepare_cached(include_str!("prune.sql"))?;
    let old: Vec<JobId> = old.query_map((ended_before_ms, limit), |row| rows::id(row, 0))?.collect::<rusqlite::Result<_>>()?;
    let slots = schedule::prune(conn, ended_before_ms, most)?;
    let mut pruned = Pruned { jobs: old.len(), slots, ..Pruned::default() };
    for job in old {
        remove(conn, job, &mut pruned.runs)?;
    }
    if pruned.jobs > 0 {
        remove_lanes_of_arrays(conn)?;
    }
    // Those of tasks, and of jobs that are still there.
    let mut gone = conn.prepare_cached(include_str!("prune_gone.sql"))?;
    let gone: Vec<i64> = gone.query_map((ended_before_ms, limit), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    pruned.resources = gone.len();
    gone.iter().try_for_each(|resource| remove_resource(conn, *resource, &mut pruned.runs))?;
    pruned.tasks = remove_tasks(conn, ended_before_ms, limit)?;
    // Their logs go after the flush, or never where a crash comes first.
    if let Some(highest) = pruned.runs.iter().max() {
        stamp::forgive_below(conn, highest.0 + 1)?;
    }
    Ok(pruned)
}

/// Lanes that were made for one array each, and have no job any more.
pub(super) fn remove_lanes_of_arrays(conn: &Connection) -> Result<usize> {
    Ok(conn.prepare_cached(include_str!("prune_lanes.sql"))?.execute([])?)
}

/// Tasks of which no job is left, with their steps, and revisions that no task and no later start needs.
fn remove_tasks(conn: &Connection, ended_before_ms: i64, limit: i64) -> Result<usize> {
    let mut old = conn.prepare_cached(include_str!("prune_tasks.sql"))?;
    let old: Vec<i64> = old.query_map((ended_before_ms, limit), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for task in &old {
        conn.prepare_cached("DELETE FROM task_step WHERE task_id = ?1")?.execute([task])?;
        conn.prepare_cached("DELETE FROM task WHERE id = ?1")?.execute([task])?;
    }
    conn.prepare_cached(include_str!("prune_pipelines.sql"))?.execute([ended_before_ms])?;
    Ok(old.len())
}

fn remove(conn: &Connection, job: JobId, runs: &mut Vec<RunId>) -> Result<()> {
    let mut resources = conn.prepare_cached(include_str!("prune_resources.sql"))?;
    let resources: Vec<i64> = resources.query_map([job.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    resources.iter().try_for_each(|resource| remove_resource(conn, *resource, runs))?;
    remove_runs(conn, "DELETE FROM run WHERE job_id = ?1 RETURNING id", job.0, runs)?;
    for sql in [
        "DELETE FROM dependency WHERE job_id = ?1",
        "DELETE FROM dependency WHERE on_job = ?1 AND state <> 'broken'",
        "DELETE FROM cancel WHERE job_id = ?1",
        "DELETE FROM event WHERE job_id = ?1",
        "DELETE FROM job WHERE id = ?1",
    ] {
        conn.prepare_cached(sql)?.execute([job.0])?;
    }
    Ok(())
}

/// A resource that is gone, with the runs that tore it down.
fn remove_resource(conn: &Connection, resource: i64, runs: &mut Vec<RunId>) -> Result<()> {
    remove_runs(conn, "DELETE FROM run WHERE resource_id = ?1 AND finished_at IS NOT NULL RETURNING id", resource, runs)?;
    conn.prepare_cached("DELETE FROM resource WHERE id = ?1 AND state = 'released'")?.execute([resource])?;
    Ok(())
}

fn remove_runs(conn: &Connection, sql: &str, of: i64, runs: &mut Vec<RunId>) -> Result<()> {
    let mut gone = conn.prepare_cached(sql)?;
    for run in gone.query_map([of], |row| row.get(0).map(RunId))? {
        runs.push(run?);
    }
    Ok(())
}
