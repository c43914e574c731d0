//! Removes history: ended jobs with everything that belongs to them, except for the logs, which the
//! caller unlinks after the flush.
//!
//! A job that a live one still waits for stays. A job that failed because of a pruned one remembers
//! that, so that it is not retried as if nothing had happened. Counters stay.
//!
//! A history of a million jobs is removed in many short transactions ([`pass`]): a claim, and each
//! other writer, waits for one of them at most.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::{JobId, RunId};
use crate::store::engine::store::Store;
use crate::store::engine::text::Key;
use crate::store::file::stamp;
use crate::store::schedule;

const OLD_REVISIONS_EXIST: &str = sql_of!("SELECT EXISTS (", sql!("prune.sql", "revisions"), ")");
const REMOVE_REVISIONS: &str = sql_of!("DELETE FROM pipeline WHERE id IN (", sql!("prune.sql", "revisions"), ")");

/// Time after which a transaction of a pass removes no further job.
pub(super) const STEP: Duration = Duration::from_micros(400);
/// Rows of each kind that a transaction of a pass looks at.
pub(super) const STEP_ROWS: usize = 16;
/// Most transactions that one flush covers.
pub(super) const STEPS_MAX: usize = 80;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub jobs: usize,
    /// Resources of tasks and of jobs that still exist.
    pub resources: usize,
    /// Occurrences of schedules.
    pub occurrences: usize,
    pub tasks: usize,
    /// Every run of those jobs: their logs may be removed.
    pub runs: Vec<RunId>,
}

impl Pruned {
    pub fn add(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.resources += other.resources;
        self.occurrences += other.occurrences;
        self.tasks += other.tasks;
        self.runs.extend(other.runs);
    }
}

/// Where a pass over old history continues: the end and the id of the last row that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    job: Position,
    task: Position,
    schedule: i64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { job: (i64::MIN, 0), task: (i64::MIN, 0), schedule: 0 }
    }
}

/// The end and the id of a row.
type Position = (i64, i64);

/// What may be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    jobs: Vec<Position>,
    resources: Vec<i64>,
    tasks: Vec<Position>,
    /// There are occurrences of schedules.
    occurrences: bool,
    /// There are revisions of pipelines that no task and no later start needs.
    revisions: bool,
    /// Where to continue; `None`: this was the last part.
    pub next: Option<Cursor>,
}

impl Found {
    /// Returns the jobs.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.jobs.iter().map(|job| JobId(job.1))
    }

    pub fn is_nothing(&self) -> bool {
        self.jobs.is_empty() && self.resources.is_empty() && self.tasks.is_empty() && !self.occurrences && !self.revisions
    }
}

/// Reads up to `limit` jobs and tasks that ended before an instant, in milliseconds UTC, from the
/// cursor on, released resources, and whether occurrences of schedules or revisions of pipelines
/// may be removed. Changes nothing. The cost does not depend on how many must stay.
pub fn find(conn: &Connection, ended_before_ms: i64, cursor: Cursor, limit: usize) -> Result<Found> {
    let mut next = cursor;
    let (jobs, jobs_end) = old(conn, sql!("prune.sql", "jobs"), ended_before_ms, &mut next.job, limit)?;
    let (tasks, tasks_end) = old(conn, sql!("prune.sql", "tasks"), ended_before_ms, &mut next.task, limit)?;
    // Those of tasks, and of jobs that are still there.
    let mut gone = conn.prepare_cached(sql!("prune.sql", "gone"))?;
    let gone: Vec<i64> = gone.query_map((ended_before_ms, to_i64(limit)), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let (occurrences, schedules_end) = old_occurrences(conn, ended_before_ms, &mut next.schedule, limit)?;
    let is_end = jobs_end && tasks_end && schedules_end && gone.len() < limit;
    Ok(Found {
        jobs,
        resources: gone,
        tasks,
        occurrences,
        revisions: conn.prepare_cached(OLD_REVISIONS_EXIST)?.query_row([ended_before_ms], |row| row.get(0))?,
        next: (!is_end).then_some(next),
    })
}

/// Returns the rows that may be removed, and whether these were the last.
fn old(conn: &Connection, sql: &str, before_ms: i64, from: &mut Position, limit: usize) -> Result<(Vec<Position>, bool)> {
    let mut old = conn.prepare_cached(sql)?;
    let mut rows = old.query((before_ms, from.0, from.1, to_i64(limit)))?;
    let (mut looked_at, mut meant) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        *from = (row.get(0)?, row.get(1)?);
        looked_at += 1;
        if row.get(2)? {
            meant.push(*from);
        }
    }
    Ok((meant, looked_at < limit))
}

/// Returns whether schedules have occurrences that may be removed, and whether these were the last
/// schedules.
fn old_occurrences(conn: &Connection, before_ms: i64, from: &mut i64, limit: usize) -> Result<(bool, bool)> {
    let mut schedules = conn.prepare_cached(schedule::WITH_OLD_OCCURRENCES)?;
    let mut rows = schedules.query((before_ms, *from, to_i64(limit)))?;
    let (mut looked_at, mut any) = (0, false);
    while let Some(row) = rows.next()? {
        *from = row.get(0)?;
        looked_at += 1;
        any |= row.get::<_, bool>(1)?;
    }
    Ok((any, looked_at < limit))
}

fn to_i64(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Removes old history from the cursor on: some thousand rows in short transactions, between which
/// others write, and one flush. Returns what is durably gone, and where to continue; `None`: this
/// was the last part.
pub fn pass(store: &Store, ended_before_ms: i64, cursor: Cursor) -> Result<(Pruned, Option<Cursor>)> {
    let (mut all, mut next, mut last) = (Pruned::default(), Some(cursor), None);
    for _ in 0..STEPS_MAX {
        let Some(from) = next else { break };
        let ((pruned, rest), ticket) = store.commit(move |conn| {
            let begun = Instant::now();
            prune_from(conn, ended_before_ms, from, STEP_ROWS, || begun.elapsed() < STEP)
        })?;
        all.add(pruned);
        (next, last) = (rest, Some(ticket));
    }
    last.map_or(Ok(()), |ticket| store.flushed(ticket))?;
    Ok((all, next))
}

/// Removes what [`find`] returns for the same arguments, and as many occurrences of schedules from
/// before that instant. `goes_on` is asked after each job; if it says no, the rest remains. Also
/// returns where to continue; `None`: this was the last part.
pub fn prune_from(
    conn: &Connection,
    ended_before_ms: i64,
    cursor: Cursor,
    limit: usize,
    mut goes_on: impl FnMut() -> bool,
) -> Result<(Pruned, Option<Cursor>)> {
    let found = find(conn, ended_before_ms, cursor, limit)?;
    let mut pruned = Pruned::default();
    let stopped_at = remove_jobs(conn, &found.jobs, &mut pruned, &mut goes_on)?;
    let next = match stopped_at {
        Some(job) => Some(Cursor { job, ..cursor }),
        None => remove_others(conn, ended_before_ms, cursor, limit, &found, &mut pruned)?,
    };
    forget_runs(conn, &pruned.runs)?;
    Ok((pruned, next))
}

/// Records that these runs are not unknown but pruned: their logs are unlinked after the flush, or
/// stay if a crash comes first.
pub(super) fn forget_runs(conn: &Connection, runs: &[RunId]) -> Result<()> {
    if let Some(highest) = runs.iter().max() {
        stamp::forgive_below(conn, highest.0 + 1)?;
        conn.prepare_cached(sql!("prune.sql", "runs_pruned_below"))?.execute([highest.0 + 1])?;
    }
    Ok(())
}

/// Queues and lanes of removed jobs.
#[derive(Debug, Default)]
pub(super) struct Emptied {
    queues: BTreeSet<Key>,
    lanes: BTreeSet<Key>,
}

impl Emptied {
    /// Removes those that no job names any more.
    pub fn remove(&self, conn: &Connection) -> Result<()> {
        remove_empty(conn, self.queues.iter(), self.lanes.iter()).map(|_| ())
    }
}

/// Removes jobs, and the queues and lanes that only they named. Returns the last one that was
/// removed, if others remain.
fn remove_jobs(
    conn: &Connection,
    jobs: &[Position],
    pruned: &mut Pruned,
    goes_on: &mut impl FnMut() -> bool,
) -> Result<Option<Position>> {
    let mut emptied = Emptied::default();
    for job in jobs {
        remove(conn, JobId(job.1), &mut pruned.runs, &mut emptied)?;
        pruned.jobs += 1;
        if !goes_on() {
            break;
        }
    }
    emptied.remove(conn)?;
    Ok(if pruned.jobs < jobs.len() { Some(jobs[pruned.jobs - 1]) } else { None })
}

/// Removes what is old and is not a job, once the jobs of this part are gone. Returns where to
/// continue.
fn remove_others(
    conn: &Connection,
    ended_before_ms: i64,
    cursor: Cursor,
    limit: usize,
    found: &Found,
    pruned: &mut Pruned,
) -> Result<Option<Cursor>> {
    pruned.occurrences = schedule::prune(conn, ended_before_ms, limit)?;
    found.resources.iter().try_for_each(|resource| remove_resource(conn, *resource, &mut pruned.runs))?;
    pruned.resources = found.resources.len();
    // A task is removed when its last job is removed.
    let (tasks, _) = old(conn, sql!("prune.sql", "tasks"), ended_before_ms, &mut { cursor.task }, limit)?;
    pruned.tasks = remove_tasks(conn, &tasks, ended_before_ms)?;
    Ok(found.next.or_else(|| (pruned.occurrences == limit).then_some(cursor)))
}

/// Returns the known runs between these two, and the id below which an unknown run was pruned.
pub fn kept(conn: &Connection, first: RunId, last: RunId) -> Result<(HashSet<i64>, i64)> {
    let pruned_below = crate::store::job::read::meta(conn, "runs_pruned_below")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut known = conn.prepare_cached("SELECT id FROM run WHERE id BETWEEN ?1 AND ?2")?;
    let known = known.query_map([first.0, last.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok((known, pruned_below))
}

/// Like [`prune_from`], from the oldest row on.
pub fn prune(conn: &Connection, ended_before_ms: i64, limit: usize) -> Result<Pruned> {
    Ok(prune_from(conn, ended_before_ms, Cursor::default(), limit, || true)?.0)
}

/// Removes those of these queues and lanes that no job names any more and that have no setting. The
/// next job that names one creates it again.
pub fn remove_empty<'a>(
    conn: &Connection,
    queues: impl Iterator<Item = &'a Key>,
    lanes: impl Iterator<Item = &'a Key>,
) -> Result<usize> {
    let mut removed = 0;
    for queue in queues {
        if conn.prepare_cached(sql!("prune.sql", "queue"))?.execute([queue])? > 0 {
            removed += 1;
        }
        // Also if `queue rm` has removed the row before.
        conn.prepare_cached(sql!("prune.sql", "tally"))?.execute([queue])?;
    }
    for lane in lanes {
        removed += conn.prepare_cached(sql!("prune.sql", "lane"))?.execute([lane])?;
    }
    Ok(removed)
}

/// Removes tasks without jobs, with their steps, and revisions that no task and no later start
/// needs.
fn remove_tasks(conn: &Connection, old: &[Position], ended_before_ms: i64) -> Result<usize> {
    for (_, task) in old {
        conn.prepare_cached("DELETE FROM task_step WHERE task_id = ?1")?.execute([task])?;
        conn.prepare_cached("DELETE FROM task WHERE id = ?1")?.execute([task])?;
    }
    conn.prepare_cached(REMOVE_REVISIONS)?.execute([ended_before_ms])?;
    Ok(old.len())
}

/// Removes one job with everything that belongs to it.
pub(super) fn remove(conn: &Connection, job: JobId, runs: &mut Vec<RunId>, emptied: &mut Emptied) -> Result<()> {
    let mut resources = conn.prepare_cached(sql!("prune.sql", "resources"))?;
    let resources: Vec<i64> = resources.query_map([job.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    resources.iter().try_for_each(|resource| remove_resource(conn, *resource, runs))?;
    conn.prepare_cached(sql!("prune.sql", "run_events"))?.execute([job.0])?;
    remove_runs(conn, "DELETE FROM run WHERE job_id = ?1 RETURNING id", job.0, runs)?;
    remove_runs(conn, sql!("prune.sql", "hook_runs"), job.0, runs)?;
    for sql in [
        "DELETE FROM dependency WHERE job_id = ?1",
        "DELETE FROM dependency WHERE on_job = ?1 AND state <> 'broken'",
        "DELETE FROM hook WHERE job_id = ?1",
        "DELETE FROM cancel WHERE job_id = ?1",
        "DELETE FROM suspend WHERE job_id = ?1",
        "DELETE FROM event WHERE job_id = ?1",
    ] {
        conn.prepare_cached(sql)?.execute([job.0])?;
    }
    let mut gone = conn.prepare_cached("DELETE FROM job WHERE id = ?1 RETURNING queue, lane")?;
    let named = gone.query_row([job.0], |row| Ok((row.get(0)?, row.get::<_, Option<Key>>(1)?))).optional()?;
    if let Some((queue, lane)) = named {
        emptied.queues.insert(queue);
        emptied.lanes.extend(lane);
    }
    Ok(())
}

/// Removes a released resource, with the runs that tore it down.
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

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
