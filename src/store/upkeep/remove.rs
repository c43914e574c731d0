//! Removes ended jobs that a person names or selects, with everything that belongs to them, except
//! for the logs, which the caller unlinks after the flush.
//!
//! As in [`super::prune`], a transaction takes less than a millisecond, so that a claim does not
//! wait. Whether a job may go is asked in the transaction that removes it.

use std::time::Instant;

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::{JobId, ResourceId, State};
use crate::store::engine::store::Store;
use crate::store::job::rows;
use crate::store::upkeep::prune::{self, Pruned, STEP, STEP_ROWS, STEPS_MAX};

/// Rows that are looked at in one read of a selection.
const PAGE_ROWS: i64 = 2_000;

/// Why a job stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    Live(State),
    /// It has ended since.
    Younger,
    /// A task is removed as a whole.
    OfTask(i64),
    /// A live job waits for it.
    NeededBy(JobId),
    /// One of its runs is open, or its end was recorded later.
    OpenRun,
    Resource(ResourceId),
    Hook,
}

impl Obstacle {
    /// Returns what keeps the job, as one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live(_) => "live",
            Self::Younger => "younger",
            Self::OfTask(_) => "task",
            Self::NeededBy(_) => "dependency",
            Self::OpenRun => "run",
            Self::Resource(_) => "resource",
            Self::Hook => "hook",
        }
    }
}

/// Jobs that ended before an instant, narrowed by what else is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub before_ms: i64,
    /// Empty: every state of an ended job.
    pub states: Vec<State>,
    pub queue: Option<String>,
    pub label: Option<String>,
}

/// The end and the id of the last job that was looked at.
pub type Position = (i64, i64);
/// Before the first job.
pub const START: Position = (i64::MIN, 0);

/// Result of a pass.
#[derive(Debug, Default)]
pub struct Removed {
    pub pruned: Pruned,
    /// Jobs that stay; one that does not exist is not among them.
    pub kept: Vec<(JobId, Obstacle)>,
    /// How many of the jobs were handled.
    pub handled: usize,
}

/// Returns an instant after the end of every job that has ended, in milliseconds UTC.
pub fn after_all(conn: &Connection) -> Result<i64> {
    let newest: Option<i64> =
        conn.prepare_cached(sql!("remove.sql", "newest_end"))?.query_row([], |row| row.get(0)).optional()?;
    Ok(newest.unwrap_or(0).saturating_add(1))
}

/// Returns the wanted jobs among the next 2,000 that have ended, and where to continue;
/// `None`: this was the last part. The cost does not depend on how many are wanted.
pub fn page(conn: &Connection, wanted: &Wanted, from: Position) -> Result<(Vec<JobId>, Option<Position>)> {
    let states = wanted.states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(",");
    let states = Some(states).filter(|states| !states.is_empty());
    let mut ended = conn.prepare_cached(sql!("remove.sql", "ended"))?;
    let mut rows = ended.query((wanted.before_ms, from.0, from.1, PAGE_ROWS, &wanted.queue, &wanted.label, states))?;
    let (mut found, mut at, mut looked_at) = (Vec::new(), from, 0);
    while let Some(row) = rows.next()? {
        at = (row.get(0)?, row.get(1)?);
        looked_at += 1;
        if row.get(2)? {
            found.push(JobId(at.1));
        }
    }
    Ok((found, (looked_at == PAGE_ROWS).then_some(at)))
}

/// Returns why a job stays, if it does; of a job that does not exist, `None`.
pub fn obstacle(conn: &Connection, job: JobId, before_ms: i64) -> Result<Option<Option<Obstacle>>> {
    let mut facts = conn.prepare_cached(sql!("remove.sql", "facts"))?;
    let found = facts.query_row((job.0, before_ms), |row| {
        let (state, is_younger, task) = (rows::state(row, 0)?, row.get(1)?, row.get(2)?);
        let (child, has_open_run, resource, has_hook) = (row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?);
        Ok(match (task, child, resource) {
            _ if !state.is_terminal() => Some(Obstacle::Live(state)),
            _ if is_younger => Some(Obstacle::Younger),
            (Some(task), ..) => Some(Obstacle::OfTask(task)),
            (_, Some(child), _) => Some(Obstacle::NeededBy(JobId(child))),
            _ if has_open_run => Some(Obstacle::OpenRun),
            (.., Some(resource)) => Some(Obstacle::Resource(ResourceId(resource))),
            _ if has_hook => Some(Obstacle::Hook),
            _ => None,
        })
    });
    Ok(found.optional()?)
}

/// Counts the runs that go with a job.
pub fn count_runs(conn: &Connection, job: JobId) -> Result<usize> {
    let runs: i64 = conn.prepare_cached(sql!("remove.sql", "runs"))?.query_row([job.0], |row| row.get(0))?;
    Ok(usize::try_from(runs).unwrap_or_default())
}

/// Removes the first of these jobs, if they ended before an instant and nothing needs them: in
/// short transactions, between which others write, and one flush. What is returned is durably
/// gone.
pub fn pass(store: &Store, jobs: &[JobId], before_ms: i64) -> Result<Removed> {
    let (mut all, mut last) = (Removed::default(), None);
    for _ in 0..STEPS_MAX {
        let step: Vec<JobId> = jobs[all.handled..].iter().take(STEP_ROWS).copied().collect();
        if step.is_empty() {
            break;
        }
        let (removed, ticket) = store.commit(move |conn| {
            let begun = Instant::now();
            remove(conn, &step, before_ms, || begun.elapsed() < STEP)
        })?;
        all.pruned.add(removed.pruned);
        all.kept.extend(removed.kept);
        all.handled += removed.handled;
        last = Some(ticket);
    }
    last.map_or(Ok(()), |ticket| store.flushed(ticket))?;
    Ok(all)
}

/// Handles the first of these jobs, at least one. `has_time` is asked after each.
fn remove(conn: &Connection, jobs: &[JobId], before_ms: i64, mut has_time: impl FnMut() -> bool) -> Result<Removed> {
    let (mut removed, mut meant) = (Removed::default(), prune::Emptied::default());
    for job in jobs {
        removed.handled += 1;
        match obstacle(conn, *job, before_ms)? {
            Some(Some(obstacle)) => removed.kept.push((*job, obstacle)),
            Some(None) => {
                prune::remove(conn, *job, &mut removed.pruned.runs, &mut meant)?;
                removed.pruned.jobs += 1;
            }
            None => {}
        }
        if !has_time() {
            break;
        }
    }
    meant.remove(conn)?;
    prune::forget_runs(conn, &removed.pruned.runs)?;
    Ok(removed)
}

#[cfg(test)]
#[path = "remove_tests.rs"]
mod tests;
