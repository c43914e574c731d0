//! Rows that the guards should have made impossible: written by a client that dropped the guards, or by an old program.
//!
//! They are found at start and at every tick, through indexes that are empty in a healthy file, so that looking costs nothing.
//! Each kind has a healer with a switch. A healer makes the row whole in the least hopeful way: what no record supports is
//! held by `user` until a person looks, never started and never called done. It writes an event that says why, and counts.
//! A second look finds nothing.
//!
//! Deliberately absent: killing (a healer that takes a run away from its job returns it, and the caller empties its tree), and
//! what follows an ending: those who wait may be sick themselves, so [`crate::store::upkeep::mend`] tells them, after all rows are whole.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::{JobId, Nonce, Outcome, Reason, RunId, State};
use crate::store::engine::apart::apart;
use crate::store::job::ended;
use crate::store::pipeline::walk;
use crate::store::upkeep::reap::count;
use crate::store::upkeep::reap::hold_if_a_run_is_open;
use crate::store::upkeep::sick;
use crate::store::upkeep::sick::{RunEnded, Sick};

/// Which healers work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healers {
    pub unknown_state: bool,
    pub queued_with_owner: bool,
    pub running_without_run: bool,
    pub ended_not_whole: bool,
    pub negative_counts: bool,
    pub unreadable: bool,
    pub run_without_job: bool,
}

impl Default for Healers {
    fn default() -> Self {
        Self {
            unknown_state: true,
            queued_with_owner: true,
            running_without_run: true,
            ended_not_whole: true,
            negative_counts: true,
            unreadable: true,
            run_without_job: true,
        }
    }
}

/// Which of the things that should be impossible it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Impossible {
    UnknownState,
    QueuedWithOwner,
    RunningWithoutRun,
    EndedNotWhole,
    NegativeCounts,
    Unreadable,
    RunWithoutJob,
}

impl Impossible {
    /// The name of its counter.
    pub fn counter(self) -> &'static str {
        match self {
            Self::UnknownState => "impossible_unknown_state",
            Self::QueuedWithOwner => "impossible_queued_with_owner",
            Self::RunningWithoutRun => "impossible_running_without_run",
            Self::EndedNotWhole => "impossible_ended_not_whole",
            Self::NegativeCounts => "impossible_negative_counts",
            Self::Unreadable => "impossible_unreadable",
            Self::RunWithoutJob => "impossible_run_without_job",
        }
    }
}

/// A row that was healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healed {
    pub what: Impossible,
    pub job: JobId,
    /// It is held by `user` now, for a person to look at.
    pub held: bool,
    /// Runs that were closed as lost: their trees are to be emptied.
    pub runs: Vec<(RunId, Nonce)>,
    /// What was found and what was done.
    pub text: String,
}

/// Whether [`heal`] would look at something. Changes nothing.
pub fn is_needed(conn: &Connection, healers: Healers) -> Result<bool> {
    Ok(!sick::impossible_jobs(conn)?.is_empty()
        || (healers.running_without_run && !sick::running_without_run(conn)?.is_empty())
        || (healers.unreadable && !sick::unreadable_jobs(conn)?.is_empty())
        || (healers.run_without_job && !sick::runs_without_job(conn)?.is_empty()))
}

/// Looks for rows that should not exist, and heals them.
pub fn heal(conn: &Connection, healers: Healers, now_ms: i64) -> Result<Vec<Healed>> {
    // Every healer writes an event, which a sequence at its end would refuse.
    crate::store::upkeep::mend::mend_sequences(conn)?;
    let mut healed = Vec::new();
    for row in sick::impossible_jobs(conn)? {
        one(conn, row.id, now_ms, &mut healed, || heal_job(conn, &row, healers, now_ms))?;
    }
    if healers.running_without_run {
        for (sick, run_ended) in sick::running_without_run(conn)? {
            one(conn, sick.id, now_ms, &mut healed, || heal_running(conn, &sick, run_ended, now_ms))?;
        }
    }
    if healers.unreadable {
        for sick in sick::unreadable_jobs(conn)? {
            one(conn, sick.id, now_ms, &mut healed, || heal_unreadable(conn, &sick).map(Some))?;
        }
    }
    if healers.run_without_job {
        for (run, nonce, job) in sick::runs_without_job(conn)? {
            one(conn, job, now_ms, &mut healed, || heal_run(conn, run, nonce, job, now_ms).map(Some))?;
        }
    }
    if !healed.is_empty() {
        // The client that wrote such a row did not keep the counts either.
        crate::store::upkeep::mend::recount(conn)?;
    }
    Ok(healed)
}

/// Repairs one row, with its event. A row that refuses that is told, and keeps no other row from being repaired.
fn one(
    conn: &Connection,
    job: JobId,
    now_ms: i64,
    healed: &mut Vec<Healed>,
    heal: impl FnOnce() -> Result<Option<Healed>>,
) -> Result<()> {
    let one = apart(conn, || {
        let one = heal()?;
        one.iter().try_for_each(|one| record(conn, one, now_ms))?;
        Ok(one)
    })?;
    match one {
        Ok(one) => healed.extend(one),
        Err(why) => log::error!("job {job} cannot be repaired: {why}"),
    }
    Ok(())
}

/// The event and the counters.
fn record(conn: &Connection, healed: &Healed, now_ms: i64) -> Result<()> {
    let kind = if healed.held { "quarantined" } else { "healed" };
    // Of a job that is gone no event is kept.
    conn.prepare_cached("INSERT INTO event (job_id, run_id, kind, detail, at) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
        healed.job.0,
        healed.runs.first().map(|(run, _)| run.0),
        kind,
        &healed.text,
        now_ms,
    ))?;
    count(conn, "impossible_total", 1, Some(&healed.text), now_ms)?;
    count(conn, healed.what.counter(), 1, Some(&healed.text), now_ms)
}

fn heal_job(conn: &Connection, sick: &Sick, healers: Healers, now_ms: i64) -> Result<Option<Healed>> {
    let state: Option<State> = sick.state.parse().ok();
    match state {
        None if healers.unknown_state => {
            to_quarantine(conn, sick, Impossible::UnknownState, "its state is none that there is", now_ms).map(Some)
        }
        Some(State::Queued) if sick::is_owned(conn, sick.id)? => {
            let open = !sick::open_runs_of(conn, sick.id)?.is_empty();
            match (healers.queued_with_owner, open) {
                (false, _) => Ok(None),
                (true, true) => {
                    let text = "it is queued, and yet a run of it is open";
                    to_quarantine(conn, sick, Impossible::QueuedWithOwner, text, now_ms).map(Some)
                }
                (true, false) => clean_queued(conn, sick).map(Some),
            }
        }
        Some(State::Running) if healers.running_without_run && sick::is_not_whole_running(conn, sick.id)? => {
            to_quarantine(conn, sick, Impossible::RunningWithoutRun, "it is running, and yet no run owns it", now_ms).map(Some)
        }
        Some(state) if state.is_terminal() && healers.ended_not_whole && sick::is_not_whole_ended(conn, sick.id)? => {
            make_ended_whole(conn, sick, now_ms).map(Some)
        }
        Some(_) if healers.negative_counts && sick::has_negative_counts(conn, sick.id)? => {
            conn.execute(sql!("heal.sql", "counts"), [sick.id.0])?;
            Ok(Some(simply(sick, Impossible::NegativeCounts, "a count below zero was set to zero")))
        }
        _ => Ok(None),
    }
}

fn clean_queued(conn: &Connection, sick: &Sick) -> Result<Healed> {
    conn.execute(sql!("heal.sql", "queued"), (sick.id.0, false))?;
    Ok(simply(sick, Impossible::QueuedWithOwner, "a queued job owns nothing; no run of it is open, so the columns were cleared"))
}

/// A running row whose run has ended goes the way of that run; every other one is held for a person.
fn heal_running(conn: &Connection, sick: &Sick, ended: Option<RunEnded>, now_ms: i64) -> Result<Option<Healed>> {
    let what = Impossible::RunningWithoutRun;
    let (state, reason) = match ended {
        Some(RunEnded { outcome: Outcome::Done, .. }) => (State::Done, Reason::Exit),
        Some(RunEnded { outcome: Outcome::Cancelled, .. }) => (State::Cancelled, Reason::Cancelled),
        Some(RunEnded { outcome: Outcome::Failed, reason }) => (State::Failed, reason.unwrap_or(Reason::Lost)),
        Some(RunEnded { outcome: Outcome::Lost, reason }) => (State::Failed, reason.unwrap_or(Reason::Lost)),
        _ => return to_quarantine(conn, sick, what, "it is running, and yet no open run owns it", now_ms).map(Some),
    };
    end_as(conn, sick.id, sick.run, state, reason, now_ms)?;
    Ok(Some(simply(sick, what, &format!("its run had ended already, so the job ended as {state} ({reason})"))))
}

/// An ended row that is not whole: it keeps what it says where that can be true, and is `lost` where it cannot.
fn make_ended_whole(conn: &Connection, sick: &Sick, now_ms: i64) -> Result<Healed> {
    let runs = lose_open_runs(conn, sick.id, now_ms)?;
    conn.execute(sql!("heal.sql", "ended"), (sick.id.0, now_ms))?;
    ended::close_cancel(conn, sick.id, now_ms)?;
    Ok(Healed {
        runs,
        ..simply(sick, Impossible::EndedNotWhole, "an ended job says why and when, and has no process; it was made whole")
    })
}

fn heal_unreadable(conn: &Connection, sick: &Sick) -> Result<Healed> {
    conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1 AND state = 'queued'", [sick.id.0])?;
    let text = "its command, env or policy is not JSON, so it cannot be run; cancel it and add it anew";
    Ok(Healed { held: true, ..simply(sick, Impossible::Unreadable, text) })
}

fn to_quarantine(conn: &Connection, sick: &Sick, what: Impossible, why: &str, now_ms: i64) -> Result<Healed> {
    let was_wanted = ended::open_cancel(conn, sick.id)?.is_none() && !walk::is_of_a_stopped_task(conn, sick.id)?;
    let runs = take_back(conn, sick.id, now_ms)?;
    let text = if was_wanted {
        format!("{why}; it is held until a person has looked: tenure release {} or tenure cancel {}", sick.id, sick.id)
    } else {
        format!("{why}; a client had cancelled it, so it is cancelled")
    };
    Ok(Healed { held: was_wanted, runs, ..simply(sick, what, &text) })
}

/// Takes a job away from its owner: back to the queue, clean and held by `user`, its open runs closed as lost. A job
/// that a client wants cancelled is cancelled instead.
pub(in crate::store) fn take_back(conn: &Connection, job: JobId, now_ms: i64) -> Result<Vec<(RunId, Nonce)>> {
    let runs = lose_open_runs(conn, job, now_ms)?;
    if ended::open_cancel(conn, job)?.is_some() || walk::is_of_a_stopped_task(conn, job)? {
        end_as(conn, job, None, State::Cancelled, Reason::Cancelled, now_ms)?;
    } else {
        conn.prepare_cached(sql!("heal.sql", "queued"))?.execute((job.0, true))?;
    }
    Ok(runs)
}

fn end_as(conn: &Connection, job: JobId, run: Option<RunId>, state: State, reason: Reason, now_ms: i64) -> Result<()> {
    let run = run.map(|run| run.0);
    conn.execute(sql!("heal.sql", "end"), (job.0, state.as_str(), reason.as_str(), now_ms, run))?;
    ended::close_cancel(conn, job, now_ms)
}

fn heal_run(conn: &Connection, run: RunId, nonce: Nonce, job: JobId, now_ms: i64) -> Result<Healed> {
    let held = hold_if_a_run_is_open(conn, job)?;
    lose(conn, run, now_ms)?;
    let text = format!("run {run} is open, and yet job {job} is not owned by it; the run was closed as lost");
    Ok(Healed { what: Impossible::RunWithoutJob, job, held, runs: vec![(run, nonce)], text })
}

/// Holds a queued job whose row refuses what the worker does with it, and says why. It never fails: others go on.
pub(in crate::store) fn set_aside(conn: &Connection, job: JobId, why: &str, now_ms: i64) {
    log::error!("job {job} is held, because its row refuses to be claimed: {why}");
    let text = format!("its row refuses to be claimed ({why}); it is held: tenure cancel {job} removes it from the queue");
    let held = apart(conn, || {
        conn.prepare_cached("UPDATE job SET user_hold = 1 WHERE id = ?1 AND state = 'queued'")?.execute([job.0])?;
        let what = Impossible::Unreadable;
        record(conn, &Healed { what, job, held: true, runs: Vec::new(), text }, now_ms)
    });
    match held {
        Ok(Ok(())) => {}
        Ok(Err(why)) => log::error!("job {job} cannot be held: {why}"),
        Err(error) => log::error!("job {job} cannot be held: {error}"),
    }
}

fn lose_open_runs(conn: &Connection, job: JobId, now_ms: i64) -> Result<Vec<(RunId, Nonce)>> {
    let open = sick::open_runs_of(conn, job)?;
    open.iter().try_for_each(|(run, _)| lose(conn, *run, now_ms))?;
    Ok(open)
}

fn lose(conn: &Connection, run: RunId, now_ms: i64) -> Result<()> {
    conn.prepare_cached(sql!("heal.sql", "lose"))?.execute((run.0, now_ms))?;
    Ok(())
}

fn simply(sick: &Sick, what: Impossible, text: &str) -> Healed {
    Healed { what, job: sick.id, held: false, runs: Vec::new(), text: format!("{text} (it was: {})", sick.shown) }
}

#[cfg(test)]
#[path = "heal_tests.rs"]
mod tests;
