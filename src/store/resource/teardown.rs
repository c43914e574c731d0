//! What the worker does about resources whose owner has ended: which are due, which auxiliary run
//! is open for one, and what its end means.
//!
//! `resource.auxiliary_run_id` is the gate: it is set in the transaction that opens an auxiliary
//! run, and cleared in the one that closes it, whichever process does; so a resource never has two
//! at once, and one result counts once. [`crate::job::resource::after`] decides what an end means.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::job::chore::{Due, backoff_ms};
use crate::job::limits::{CHORE_BACKOFF_MOST_MS, RESOURCE_RUNS_KEPT};
use crate::job::resource::{After, Ended, Step, after};
use crate::job::{ReleasedBy, ResourceId, RunId, RunKind};
use crate::store::job::close_run::Closed;
use crate::store::upkeep::inspect::Found;
use crate::store::upkeep::open_runs;

/// Returns the due resources, those without an attempt first. One that is due later than any
/// possible wait was delayed by a wrong clock, and is due.
pub fn due(conn: &Connection, now_ms: i64, limit: usize) -> Result<Vec<Due<ResourceId>>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut due = conn.prepare_cached(sql!("teardown.sql", "due"))?;
    let rows = due.query_map((now_ms, latest(now_ms), limit), |row| {
        Ok(Due { id: ResourceId(row.get(0)?), has_failed: row.get::<_, i64>(1)? > 0 })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether a resource is due.
pub fn is_due(conn: &Connection, now_ms: i64) -> Result<bool> {
    Ok(!due(conn, now_ms, 1)?.is_empty())
}

/// Returns the next instant after this one at which a resource is due, in milliseconds UTC. (Those
/// that are due already are taken as soon as there is room.)
pub fn next_due_ms(conn: &Connection, now_ms: i64) -> Result<Option<i64>> {
    let mut next = conn.prepare_cached(
        "SELECT min(next_at) FROM resource WHERE state = 'releasing' AND auxiliary_run_id IS NULL AND next_at > ?1",
    )?;
    Ok(next.query_row([now_ms], |row| row.get(0))?)
}

fn latest(now_ms: i64) -> i64 {
    now_ms.saturating_add_unsigned(CHORE_BACKOFF_MOST_MS)
}

/// Assigns a resource to a run. False: it is gone, has another auxiliary run, is not due, or
/// another thread was first with this step.
pub(in crate::store) fn take(conn: &Connection, id: ResourceId, step: Step, run: RunId, now_ms: i64) -> Result<bool> {
    let was_torn_down = step == Step::Confirm;
    let mut take = conn.prepare_cached(sql!("teardown.sql", "take"))?;
    Ok(take.execute((id.0, run.0, was_torn_down, now_ms, latest(now_ms)))? > 0)
}

/// Applies the end of an auxiliary run to its resource, in the transaction that closes the run.
/// `None`: the resource is not assigned to this run any more, and nothing was changed.
pub(in crate::store) fn ended(
    conn: &Connection,
    id: ResourceId,
    run: RunId,
    kind: RunKind,
    closed: &Closed,
    now_ms: i64,
) -> Result<Option<After>> {
    let mut facts = conn.prepare_cached(
        "SELECT torn, probe IS NOT NULL, again, attempts FROM resource WHERE id = ?1 AND auxiliary_run_id = ?2 AND state = 'releasing'",
    )?;
    let facts = facts
        .query_row((id.0, run.0), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, crate::store::job::rows::count(row, 3)?)));
    let Some((torn, has_probe, again, attempts)) = facts.optional()? else { return Ok(None) };
    let step = match kind {
        RunKind::Teardown => Step::Teardown,
        _ if torn => Step::Confirm,
        _ => Step::Probe,
    };
    let how = Ended { outcome: closed.outcome, reason: closed.reason, exit: closed.exit, error: closed.error.as_deref() };
    let came_to = match after(step, has_probe, &how) {
        // It was recorded again meanwhile: the result is ignored, and everything is repeated.
        _ if again => After::Next(Step::first(false, has_probe)),
        came_to => came_to,
    };
    write(conn, id, run, attempts, &came_to, now_ms)?;
    Ok(Some(came_to))
}

fn write(conn: &Connection, id: ResourceId, run: RunId, attempts: u32, came_to: &After, now_ms: i64) -> Result<()> {
    match came_to {
        After::Gone(by) => {
            conn.prepare_cached(sql!("teardown.sql", "gone"))?.execute((id.0, run.0, now_ms, by.as_str()))?;
            open_runs::count(conn, counter(*by), 1, Some(&format!("resource {id}")), now_ms)
        }
        After::Next(step) => {
            let torn = *step == Step::Confirm;
            conn.prepare_cached(
                "UPDATE resource SET auxiliary_run_id = NULL, torn = ?3, again = 0 WHERE id = ?1 AND auxiliary_run_id = ?2",
            )?
            .execute((id.0, run.0, torn))?;
            Ok(())
        }
        After::Failed(error) => {
            let next_at = now_ms.saturating_add_unsigned(backoff_ms(attempts.saturating_add(1)));
            conn.prepare_cached(sql!("teardown.sql", "failed"))?.execute(params![id.0, run.0, next_at, error])?;
            open_runs::count(conn, "teardown_failed_total", 1, Some(&format!("resource {id}: {error}")), now_ms)
        }
    }
}

fn counter(by: ReleasedBy) -> &'static str {
    match by {
        ReleasedBy::Teardown => "torn_down_total",
        ReleasedBy::Probe => "found_gone_total",
        ReleasedBy::Force => "given_up_total",
    }
}

/// Records that a step could not be started: it has failed.
pub fn not_made(conn: &Connection, id: ResourceId, error: &str, now_ms: i64) -> Result<bool> {
    let mut attempts =
        conn.prepare_cached("SELECT attempts FROM resource WHERE id = ?1 AND state = 'releasing' AND auxiliary_run_id IS NULL")?;
    let Some(attempts) = attempts.query_row([id.0], |row| crate::store::job::rows::count(row, 0)).optional()? else {
        return Ok(false);
    };
    let next_at = now_ms.saturating_add_unsigned(backoff_ms(attempts.saturating_add(1)));
    let mut failed = conn.prepare_cached(sql!("teardown.sql", "failed"))?;
    Ok(failed.execute(params![id.0, rusqlite::types::Null, next_at, error])? > 0)
}

/// Deletes all but the newest runs of a resource. Their logs may be unlinked when that is durable.
pub(in crate::store) fn forget_old_runs(conn: &Connection, id: ResourceId) -> Result<Vec<RunId>> {
    let kept = i64::try_from(RESOURCE_RUNS_KEPT).unwrap_or(i64::MAX);
    let mut old = conn.prepare_cached(sql!("teardown.sql", "forget"))?;
    let rows = old.query_map((id.0, kept), |row| row.get(0).map(RunId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What was repaired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Resources that were held although their owner had ended.
    pub orphans: usize,
    /// Resources whose auxiliary run had ended without a result.
    pub auxiliaries: usize,
    /// Jobs with wrong counts of their resources.
    pub jobs: usize,
}

/// Corrects contradictions between resources, their owners and waiting jobs. The triggers leave
/// none, but a client may have bypassed them.
pub(in crate::store) fn repair(conn: &Connection, found: &Found) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    for resource in &found.orphans {
        repaired.orphans += conn.prepare_cached(sql!("teardown.sql", "repair_orphan"))?.execute([resource])?;
    }
    for resource in &found.auxiliaries {
        repaired.auxiliaries += conn.prepare_cached(sql!("teardown.sql", "clear_auxiliary"))?.execute([resource])?;
    }
    let mut jobs: BTreeSet<i64> = found.unreleased.iter().map(|job| job.0).collect();
    for resource in &found.unwaited {
        let mut owner = conn.prepare_cached(sql!("teardown.sql", "job_of"))?;
        jobs.extend(owner.query_row([resource], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten());
    }
    for job in jobs {
        repaired.jobs += conn.prepare_cached(sql!("teardown.sql", "repair_job"))?.execute([job])?;
    }
    Ok(repaired)
}

#[cfg(test)]
#[path = "teardown_tests.rs"]
mod tests;
