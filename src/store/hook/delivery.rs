//! What the worker does about hooks: which are due, which run is open for one, and what its end
//! means.
//!
//! `hook.auxiliary_run_id` is the gate: it is set in the transaction that opens a run, and cleared
//! in the one that closes it, whichever process does; so a hook never runs twice at once, and one
//! result counts once. [`crate::job::hook::after`] decides what an end means.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::job::chore::Due;
use crate::job::hook::{AfterHook, after};
use crate::job::limits::CHORE_BACKOFF_MOST_MS;
use crate::job::{HookId, Outcome, RunId};
use crate::store::job::close_run::Closed;
use crate::store::job::rows;
use crate::store::upkeep::open_runs;

/// Returns the due hooks. One that is due later than any possible wait was delayed by a wrong
/// clock, and is due.
pub fn due(conn: &Connection, now_ms: i64, limit: usize) -> Result<Vec<Due<HookId>>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut due = conn.prepare_cached(sql!("delivery.sql", "due"))?;
    let rows = due.query_map((now_ms, latest(now_ms), limit), |row| {
        Ok(Due { id: HookId(row.get(0)?), has_failed: row.get::<_, i64>(1)? > 0 })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether a hook is due.
pub fn is_due(conn: &Connection, now_ms: i64) -> Result<bool> {
    Ok(!due(conn, now_ms, 1)?.is_empty())
}

/// Returns the next instant after this one at which a hook is due, in milliseconds UTC. (Those that
/// are due already are taken as soon as there is room.)
pub fn next_due_ms(conn: &Connection, now_ms: i64) -> Result<Option<i64>> {
    let mut next =
        conn.prepare_cached("SELECT min(next_at) FROM hook WHERE outcome IS NULL AND auxiliary_run_id IS NULL AND next_at > ?1")?;
    Ok(next.query_row([now_ms], |row| row.get(0))?)
}

fn latest(now_ms: i64) -> i64 {
    now_ms.saturating_add_unsigned(CHORE_BACKOFF_MOST_MS)
}

/// Assigns a hook to a run. False: it has ended, has another run, or is not due.
pub(in crate::store) fn take(conn: &Connection, id: HookId, run: RunId, now_ms: i64) -> Result<bool> {
    let mut take = conn.prepare_cached(sql!("delivery.sql", "take"))?;
    Ok(take.execute((id.0, run.0, now_ms, latest(now_ms)))? > 0)
}

/// Applies the end of a run to its hook, in the transaction that closes the run. `None`: the hook
/// is not assigned to this run any more, and nothing was changed.
pub(in crate::store) fn ended(
    conn: &Connection,
    id: HookId,
    run: RunId,
    closed: &Closed,
    now_ms: i64,
) -> Result<Option<AfterHook>> {
    let error = closed.error.as_deref().unwrap_or("it did not say why");
    write(conn, id, Some(run), closed.outcome, error, now_ms)
}

/// Records that a run could not be prepared: the hook has failed once more.
pub fn not_made(conn: &Connection, id: HookId, error: &str, now_ms: i64) -> Result<Option<AfterHook>> {
    write(conn, id, None, Outcome::Failed, error, now_ms)
}

fn write(
    conn: &Connection,
    id: HookId,
    run: Option<RunId>,
    outcome: Outcome,
    error: &str,
    now_ms: i64,
) -> Result<Option<AfterHook>> {
    let run = run.map(|run| run.0);
    let mut facts = conn.prepare_cached(sql!("delivery.sql", "facts"))?;
    let facts = facts.query_row((id.0, run), |row| Ok((rows::count(row, 0)?, row.get::<_, i64>(1)?))).optional()?;
    let Some((failures, job)) = facts else { return Ok(None) };
    let came_to = after(outcome, failures);
    let note = |error: &str| format!("hook {id} of job {job}: {error}");
    match came_to {
        AfterHook::Done => {
            conn.prepare_cached(sql!("delivery.sql", "close"))?.execute(params![
                id.0,
                run,
                "done",
                now_ms,
                failures,
                None::<&str>
            ])?;
            open_runs::count(conn, "hooks_done_total", 1, None, now_ms)?;
        }
        AfterHook::Again { wait_ms, failures } => {
            let next_at = now_ms.saturating_add_unsigned(wait_ms);
            conn.prepare_cached(sql!("delivery.sql", "again"))?.execute(params![id.0, run, failures, next_at, error])?;
            open_runs::count(conn, "hook_failed_total", 1, Some(&note(error)), now_ms)?;
        }
        AfterHook::GivenUp => {
            conn.prepare_cached(sql!("delivery.sql", "close"))?.execute(params![
                id.0,
                run,
                "given_up",
                now_ms,
                failures.saturating_add(1),
                Some(error)
            ])?;
            open_runs::count(conn, "hook_failed_total", 1, Some(&note(error)), now_ms)?;
            open_runs::count(conn, "hooks_given_up_total", 1, Some(&note(error)), now_ms)?;
        }
    }
    conn.prepare_cached(sql!("delivery.sql", "event"))?.execute(params![id.0, run, event(came_to), error])?;
    Ok(Some(came_to))
}

fn event(came_to: AfterHook) -> &'static str {
    match came_to {
        AfterHook::Done => "hook_done",
        AfterHook::Again { .. } => "hook_failed",
        AfterHook::GivenUp => "hook_given_up",
    }
}

/// Frees hooks whose run has ended without a result. The triggers leave none, but a client may have
/// bypassed them. Returns how many there were.
pub(in crate::store) fn repair(conn: &Connection, hooks: &[i64]) -> Result<usize> {
    let mut free = conn.prepare_cached(sql!("delivery.sql", "free"))?;
    hooks.iter().try_fold(0, |n, hook| Ok(n + free.execute([hook])?))
}
