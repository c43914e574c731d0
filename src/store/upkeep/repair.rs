//! Repairs rows that break a rule of the guards: written by a client that dropped the guards, or by
//! an old program.
//!
//! They are found at start and at every tick, through indexes that are normally empty, so the check
//! costs almost nothing. The column `fault` names the rule. A repair makes the row valid in the
//! most cautious way: what no record supports is held by `user` until a person checks it, never
//! started and never called done. It writes an event that names the rule, and counts. A second
//! round finds nothing.
//!
//! Deliberately absent: killing (a repair that takes a run from its job returns it, and the caller
//! empties its tree), and the consequences of an end: dependants may break a rule themselves, so
//! [`super::recount`] resolves them once all rows are valid.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::{JobId, Nonce, Outcome, Reason, RunId, State};
use crate::store::engine::apart::apart;
use crate::store::job::ended;
use crate::store::pipeline::advance;
use crate::store::upkeep::faulty::{self, Faulty, RunEnded};
use crate::store::upkeep::open_runs::count;
use crate::store::upkeep::open_runs::hold_if_a_run_is_open;

/// The rule of a running job without its open run, and of an open run without its job.
const RUNNING: &str = "running_has_its_run";
const RUN: &str = "run_has_its_job";
/// The rule of a queued job that is held because its row cannot be read, or refuses to be claimed.
const READABLE: &str = "is_readable";

/// A row that was repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The rule that it broke.
    pub rule: String,
    pub job: JobId,
    /// It is held by `user` now, for a person to check.
    pub held: bool,
    /// Runs that were closed as lost: their trees must be emptied.
    pub runs: Vec<(RunId, Nonce)>,
    /// What was found and done.
    pub text: String,
}

/// Whether [`repair`] would do something. Changes nothing.
pub fn is_needed(conn: &Connection) -> Result<bool> {
    Ok(!faulty::faulty_jobs(conn)?.is_empty()
        || !faulty::running_without_run(conn)?.is_empty()
        || !faulty::unreadable_jobs(conn)?.is_empty()
        || !faulty::runs_without_job(conn)?.is_empty())
}

/// Finds rows that break a rule, and repairs them.
pub fn repair(conn: &Connection, now_ms: i64) -> Result<Vec<Repaired>> {
    // Every repair writes an event, which an exhausted sequence would refuse.
    super::recount::make_sequences(conn)?;
    let mut repaired = Vec::new();
    for row in faulty::faulty_jobs(conn)? {
        one(conn, row.id, now_ms, &mut repaired, || repair_job(conn, &row, now_ms))?;
    }
    for (row, run_ended) in faulty::running_without_run(conn)? {
        one(conn, row.id, now_ms, &mut repaired, || repair_running(conn, &row, run_ended, now_ms))?;
    }
    for row in faulty::unreadable_jobs(conn)? {
        one(conn, row.id, now_ms, &mut repaired, || hold_unreadable(conn, &row))?;
    }
    for (run, nonce, job) in faulty::runs_without_job(conn)? {
        one(conn, job, now_ms, &mut repaired, || repair_run(conn, run, nonce, job, now_ms))?;
    }
    if !repaired.is_empty() {
        // The client that wrote such a row did not maintain the counts either.
        super::recount::tally(conn)?;
    }
    Ok(repaired)
}

/// Repairs one row, with its event. A row that refuses is logged, and blocks no other repair.
fn one(
    conn: &Connection,
    job: JobId,
    now_ms: i64,
    repaired: &mut Vec<Repaired>,
    repair: impl FnOnce() -> Result<Repaired>,
) -> Result<()> {
    let one = apart(conn, || {
        let one = repair()?;
        record(conn, &one, now_ms)?;
        Ok(one)
    })?;
    match one {
        Ok(one) => repaired.push(one),
        Err(why) => log::error!("job {job} cannot be repaired: {why}"),
    }
    Ok(())
}

/// Writes the event and the counter. There are no events of a job that is gone.
fn record(conn: &Connection, repaired: &Repaired, now_ms: i64) -> Result<()> {
    let kind = if repaired.held { "quarantined" } else { "repaired" };
    let text = format!("{}: {}", repaired.rule, repaired.text);
    let run = repaired.runs.first().map(|(run, _)| run.0);
    conn.prepare_cached(sql!("repair.sql", "event"))?.execute((repaired.job.0, run, kind, &text, now_ms))?;
    count(conn, "impossible_total", 1, Some(&text), now_ms)
}

/// Decides by the broken rule what to do with a row.
fn repair_job(conn: &Connection, row: &Faulty, now_ms: i64) -> Result<Repaired> {
    match row.rule.as_str() {
        "queued_owns_nothing" if faulty::open_runs_of(conn, row.id)?.is_empty() => clean_queued(conn, row),
        "queued_owns_nothing" => to_quarantine(conn, row, "it is queued, and yet a run of it is open", now_ms),
        RUNNING => to_quarantine(conn, row, "it is running, and yet no run owns it", now_ms),
        "ended_says_why" | "done_means_exit_zero" => make_ended_whole(conn, row, now_ms),
        "counts_not_negative" => {
            conn.execute(sql!("repair.sql", "counts"), [row.id.0])?;
            Ok(Repaired::of(row, "a count below zero was set to zero"))
        }
        _ => to_quarantine(conn, row, "it has an unknown state", now_ms),
    }
}

fn clean_queued(conn: &Connection, row: &Faulty) -> Result<Repaired> {
    conn.execute(sql!("repair.sql", "queued"), (row.id.0, false))?;
    Ok(Repaired::of(row, "a queued job owns nothing; no run of it is open, so the columns were cleared"))
}

/// A running row whose run has ended follows that run; every other one is held for a person.
fn repair_running(conn: &Connection, row: &Faulty, ended: Option<RunEnded>, now_ms: i64) -> Result<Repaired> {
    let (state, reason) = match ended {
        Some(RunEnded { outcome: Outcome::Done, .. }) => (State::Done, Reason::Exit),
        Some(RunEnded { outcome: Outcome::Cancelled, .. }) => (State::Cancelled, Reason::Cancelled),
        Some(RunEnded { outcome: Outcome::Failed, reason }) => (State::Failed, reason.unwrap_or(Reason::Lost)),
        Some(RunEnded { outcome: Outcome::Lost, reason }) => (State::Failed, reason.unwrap_or(Reason::Lost)),
        _ => return to_quarantine(conn, row, "it is running, and yet no open run owns it", now_ms),
    };
    end_as(conn, row.id, row.run, state, reason, now_ms)?;
    Ok(Repaired::of(row, &format!("its run had ended already, so the job ended as {state} ({reason})")))
}

/// An invalid ended row keeps what can be true, and is `lost` where it cannot.
fn make_ended_whole(conn: &Connection, row: &Faulty, now_ms: i64) -> Result<Repaired> {
    let runs = lose_open_runs(conn, row.id, now_ms)?;
    conn.execute(sql!("repair.sql", "ended"), (row.id.0, now_ms))?;
    ended::close_cancel(conn, row.id, now_ms)?;
    Ok(Repaired { runs, ..Repaired::of(row, "an ended job says why and when, and has no process; it was made whole") })
}

fn hold_unreadable(conn: &Connection, row: &Faulty) -> Result<Repaired> {
    conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1 AND state = 'queued'", [row.id.0])?;
    let text = "its command, env, policy or uses is not JSON, so it cannot be run; cancel it and add it again";
    Ok(Repaired { held: true, ..Repaired::of(row, text) })
}

fn to_quarantine(conn: &Connection, row: &Faulty, why: &str, now_ms: i64) -> Result<Repaired> {
    let was_wanted = ended::open_cancel(conn, row.id)?.is_none() && !advance::is_of_a_stopped_task(conn, row.id)?;
    let runs = take_back(conn, row.id, now_ms)?;
    let text = if was_wanted {
        format!("{why}; it is held until a person has looked: tenure release {} or tenure cancel {}", row.id, row.id)
    } else {
        format!("{why}; a client had cancelled it, so it is cancelled")
    };
    Ok(Repaired { held: was_wanted, runs, ..Repaired::of(row, &text) })
}

/// Takes a job from its owner: back to the queue, clean and held by `user`, its open runs closed as
/// lost. A job with an open cancel is cancelled instead.
pub(in crate::store) fn take_back(conn: &Connection, job: JobId, now_ms: i64) -> Result<Vec<(RunId, Nonce)>> {
    let runs = lose_open_runs(conn, job, now_ms)?;
    if ended::open_cancel(conn, job)?.is_some() || advance::is_of_a_stopped_task(conn, job)? {
        end_as(conn, job, None, State::Cancelled, Reason::Cancelled, now_ms)?;
    } else {
        conn.prepare_cached(sql!("repair.sql", "queued"))?.execute((job.0, true))?;
    }
    Ok(runs)
}

fn end_as(conn: &Connection, job: JobId, run: Option<RunId>, state: State, reason: Reason, now_ms: i64) -> Result<()> {
    let run = run.map(|run| run.0);
    conn.execute(sql!("repair.sql", "end"), (job.0, state.as_str(), reason.as_str(), now_ms, run))?;
    ended::close_cancel(conn, job, now_ms)
}

fn repair_run(conn: &Connection, run: RunId, nonce: Nonce, job: JobId, now_ms: i64) -> Result<Repaired> {
    let held = hold_if_a_run_is_open(conn, job)?;
    lose(conn, run, now_ms)?;
    let text = format!("run {run} is open, and yet job {job} is not owned by it; the run was closed as lost");
    Ok(Repaired { rule: RUN.into(), job, held, runs: vec![(run, nonce)], text })
}

/// Holds a queued job whose row refuses what the worker does with it, and records why. It never
/// fails: other jobs continue.
pub(in crate::store) fn set_aside(conn: &Connection, job: JobId, why: &str, now_ms: i64) {
    log::error!("job {job} is held, because its row refuses to be claimed: {why}");
    let text = format!("its row refuses to be claimed ({why}); it is held: tenure cancel {job} removes it from the queue");
    let held = apart(conn, || {
        conn.prepare_cached("UPDATE job SET user_hold = 1 WHERE id = ?1 AND state = 'queued'")?.execute([job.0])?;
        record(conn, &Repaired { rule: READABLE.into(), job, held: true, runs: Vec::new(), text }, now_ms)
    });
    match held {
        Ok(Ok(())) => {}
        Ok(Err(why)) => log::error!("job {job} cannot be held: {why}"),
        Err(error) => log::error!("job {job} cannot be held: {error}"),
    }
}

fn lose_open_runs(conn: &Connection, job: JobId, now_ms: i64) -> Result<Vec<(RunId, Nonce)>> {
    let open = faulty::open_runs_of(conn, job)?;
    open.iter().try_for_each(|(run, _)| lose(conn, *run, now_ms))?;
    Ok(open)
}

fn lose(conn: &Connection, run: RunId, now_ms: i64) -> Result<()> {
    conn.prepare_cached(sql!("repair.sql", "lose"))?.execute((run.0, now_ms))?;
    Ok(())
}

impl Repaired {
    fn of(row: &Faulty, text: &str) -> Self {
        let text = format!("{text} (it was: {})", row.shown);
        Self { rule: row.rule.clone(), job: row.id, held: false, runs: Vec::new(), text }
    }
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
