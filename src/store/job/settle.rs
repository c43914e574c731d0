//! running -> its end, or back to queued.
//!
//! One guarded statement is the gate: it names the job, the state and the run. The caller that
//! changes a row with it is the winner and applies the consequences (the run's row, the cancel, the
//! dependants) in the same transaction; any other caller is late and changes nothing. So it does
//! not matter how many monitors, reapers or old workers report the same end.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::job::ending::decide;
use crate::job::limits::{FAILED_STARTS_MAX, FAILED_STARTS_OF_USER_MAX, RESULT_BYTES_MAX};
use crate::job::{Decision, Exit, Facts, JobId, Next, Outcome, Policy, Reason, RunEnd, RunId, State};
pub use crate::store::job::close_run::RunRecord;
use crate::store::job::close_run::{End, close_run};
use crate::store::job::ended;
use crate::store::job::rows;
use crate::store::job::suspend;
use crate::store::pipeline::advance;

/// The report that a run has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Settle {
    pub job: JobId,
    pub run: RunId,
    pub end: RunEnd,
    pub record: RunRecord,
    /// In 0..1, for the jitter of the next attempt.
    pub chance: f64,
}

/// The result of a settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// This call settled the run.
    Won {
        decision: Decision,
        /// Names of files in `secrets/` that no live job needs now; unlink them after the flush.
        freed: Vec<String>,
    },
    /// The run does not own the job any more. Nothing was changed.
    Late,
}

/// Whether this run still owns its job: what `tenure fence` asks.
pub fn owns(conn: &Connection, job: JobId, run: RunId) -> Result<bool> {
    let mut owns =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND state = 'running' AND run_id = ?2)")?;
    Ok(owns.query_row((job.0, run.0), |row| row.get(0))?)
}

/// Records that the run's process has started. For the run of a check, only in the row of that run.
/// False: the run no longer owns its job.
pub fn started(conn: &Connection, run: RunId, pid: i32, at_ms: i64) -> Result<bool> {
    let noted = conn.prepare_cached(sql!("settle.sql", "started"))?.execute((run.0, pid, at_ms))?;
    conn.prepare_cached(sql!("settle.sql", "started_job"))?.execute((run.0, pid, at_ms))?;
    Ok(noted > 0)
}

/// Settles a run: decides what its end means for its job, and records it, unless another caller was
/// first.
pub fn settle(conn: &Connection, s: &Settle, now_ms: i64) -> Result<Settled> {
    let Some(known) = facts(conn, s.job, s.run)? else { return Ok(Settled::Late) };
    // A policy that does not parse was never used to run: the end of such a run is assessed with
    // the defaults.
    let policy = Policy::from_json(&known.policy).unwrap_or_default();
    let facts = Facts {
        attempts: known.attempts,
        max_attempts: known.max_attempts,
        deferrals: known.deferrals,
        failed_starts: known.failed_starts,
        policy: &policy,
        is_of_user: known.is_of_user,
        cancel_open: known.cancel_open,
    };
    let decision = decide(&facts, &s.end, now_ms, s.chance);
    let moved = match decision.next {
        Next::Again { .. } => requeue(conn, s, &decision)?,
        Next::Done => end(conn, s, &known, &decision, State::Done, Reason::Exit, now_ms)?,
        Next::Failed(reason) => end(conn, s, &known, &decision, State::Failed, reason, now_ms)?,
        Next::Cancelled => end(conn, s, &known, &decision, State::Cancelled, Reason::Cancelled, now_ms)?,
    };
    if !moved {
        return Ok(Settled::Late);
    }
    record_end(conn, s, &decision, now_ms)?;
    let mut out = advance::aftermath();
    if !matches!(decision.next, Next::Again { .. }) {
        out.freed.extend(ended::freed_by(conn, s.job, &known.policy)?);
        if known.cancel_open {
            ended::close_cancel(conn, s.job, now_ms)?;
        }
        if known.has_dependants {
            ended::resolve_dependants(conn, s.job, now_ms, &mut out)?;
        }
        if known.is_of_an_array && matches!(decision.next, Next::Failed(_)) {
            ended::stop_array(conn, s.job, now_ms, &mut out)?;
        }
        if let Some(task) = known.task {
            advance::job_ended(conn, task, s.job, now_ms)?;
        }
    }
    Ok(Settled::Won { decision, freed: out.freed })
}

/// Returns the content of `TENURE_RESULT` as text of at most [`RESULT_BYTES_MAX`] bytes: invalid
/// UTF-8 is replaced, and the text is cut between characters.
pub fn kept_result(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(RESULT_BYTES_MAX)];
    // A cut inside a character would replace a valid character.
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    kept(&String::from_utf8_lossy(whole)).to_owned()
}

pub(in crate::store) fn kept(text: &str) -> &str {
    &text[..text.floor_char_boundary(RESULT_BYTES_MAX)]
}

struct Known {
    attempts: u32,
    max_attempts: u32,
    deferrals: u32,
    failed_starts: u32,
    policy: String,
    is_of_user: bool,
    cancel_open: bool,
    task: Option<i64>,
    /// A dependency on the job is unmet.
    has_dependants: bool,
    /// The rest of its array is cancelled if it fails.
    is_of_an_array: bool,
}

/// Reads a job that this run owns.
fn facts(conn: &Connection, job: JobId, run: RunId) -> Result<Option<Known>> {
    let mut facts = conn.prepare_cached(sql!("settle.sql", "facts"))?;
    let known = facts.query_row((job.0, run.0), |row| {
        Ok(Known {
            attempts: rows::count(row, 0)?,
            max_attempts: rows::count(row, 1)?,
            deferrals: rows::count(row, 2)?,
            failed_starts: rows::count(row, 3)?,
            policy: crate::store::engine::text::text(row, 4)?,
            cancel_open: row.get(5)?,
            task: row.get(6)?,
            has_dependants: row.get(7)?,
            is_of_an_array: row.get(8)?,
            is_of_user: row.get(9)?,
        })
    });
    Ok(known.optional()?)
}

fn requeue(conn: &Connection, s: &Settle, decision: &Decision) -> Result<bool> {
    let Next::Again { available_at, attempts, deferrals, failed_starts } = decision.next else { return Ok(false) };
    let mut requeue = conn.prepare_cached(sql!("settle.sql", "requeue"))?;
    let reason = decision.reason.map(Reason::as_str);
    Ok(requeue.execute(params![s.job.0, s.run.0, available_at, attempts, deferrals, failed_starts, reason, decision.error,])? > 0)
}

fn end(
    conn: &Connection,
    s: &Settle,
    known: &Known,
    decision: &Decision,
    state: State,
    reason: Reason,
    now_ms: i64,
) -> Result<bool> {
    let error = match state {
        State::Cancelled => Some(cancelled_text(conn, s, known, decision)?),
        _ if decision.outcome == Outcome::Unstarted => {
            let last = decision.error.as_deref().map(|error| format!("; the last time: {error}")).unwrap_or_default();
            let most = if known.is_of_user { FAILED_STARTS_OF_USER_MAX } else { FAILED_STARTS_MAX };
            Some(format!("was requeued {most} times in a row without having started{last}"))
        }
        _ => decision.error.clone(),
    };
    if let Some(result) = s.record.result.as_deref() {
        conn.prepare_cached(sql!("settle.sql", "result"))?.execute((s.job.0, s.run.0, kept(result)))?;
    }
    let mut end = conn.prepare_cached(sql!("settle.sql", "end"))?;
    Ok(end.execute(params![
        s.job.0,
        s.run.0,
        state.as_str(),
        reason.as_str(),
        ended_at(s, now_ms),
        decision.exit_code,
        decision.signal,
        error,
        decision.reason.map(Reason::as_str),
        s.record.started_at,
        decision.outcome == Outcome::Unstarted,
    ])? > 0)
}

/// Returns when the job ended: as recorded, even if no worker was there to see it; if nothing is
/// recorded, now.
fn ended_at(s: &Settle, now_ms: i64) -> i64 {
    let recorded = match s.end {
        RunEnd::Ended { .. } | RunEnd::CheckFailed { .. } => s.record.checked_at.or(s.record.exited_at),
        _ => None,
    };
    recorded.map_or(now_ms, |at| at.clamp(0, now_ms.max(0)))
}

/// Returns the text for a job that was cancelled while it was running or about to run, or that is
/// not retried because its task has a stop request.
fn cancelled_text(conn: &Connection, s: &Settle, known: &Known, decision: &Decision) -> Result<String> {
    let cancel = ended::open_cancel(conn, s.job)?;
    if cancel.is_none() && decision.outcome != Outcome::Cancelled && known.task.is_some() {
        let how = decision.error.as_deref().unwrap_or("it was requeued");
        return Ok(format!("{how}; it is not tried again, as its task was asked to stop"));
    }
    let started = !matches!(
        s.end,
        RunEnd::NeverStarted
            | RunEnd::Unprepared
            | RunEnd::Withdrawn
            | RunEnd::PrepareFailed { .. }
            | RunEnd::TooLate { .. }
            | RunEnd::NoMeans { .. }
    );
    Ok(ended::cancelled_text(cancel.flatten().as_deref(), if started { "while it ran" } else { "before it started" }))
}

fn record_end(conn: &Connection, s: &Settle, decision: &Decision, now_ms: i64) -> Result<()> {
    let record = &s.record;
    let exit = decision.exit_code.map(Exit::Code).or(decision.signal.map(Exit::Signal));
    let end = End { outcome: decision.outcome, reason: decision.reason, exit, error: decision.error.as_deref(), record };
    close_run(conn, s.run, end, now_ms)?;
    suspend::run_has_ended(conn, s.run, record.suspended_ms, now_ms)?;
    // The history of a job names the processes that were ended with it, so that the person who
    // started a daemon there finds the reason. It also says how memory was limited: an rlimit only
    // makes allocations fail, which no exit code shows.
    let told = [("left_behind", record.leftovers.as_deref()), ("memory_limit", record.memory_by)];
    for (kind, detail) in told.into_iter().filter_map(|(kind, detail)| Some((kind, detail?))) {
        conn.prepare_cached("INSERT INTO event (job_id, run_id, kind, detail) VALUES (?1, ?2, ?3, ?4)")?
            .execute((s.job.0, s.run.0, kind, detail))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
