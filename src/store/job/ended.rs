//! What follows the end of a job: its cancel is closed, each job that waits for it goes on or ends
//! as well, and its task moves on.
//!
//! Called only by the winner of the statement that ended the job, in the same transaction. Its key
//! is free and its lane goes on by themselves: an index and the triggers of the schema see to that.
//! Endings run down through dependants by a list, not by recursion, so that a long chain needs no
//! stack.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::policy::Stdin;
use crate::job::spec::was_needless;
use crate::job::{JobId, Need, Policy, Reason, State};
use crate::store::engine::apart::apart;
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows;

/// Most jobs that one transaction tells of the end of another, or ends because of it: others can
/// write before it goes on.
pub const STEP_MAX: usize = 1_000;

/// What follows the end of a task's job, in the same transaction: task, job, present instant. A
/// parameter, because the next stage of the task may itself add and end jobs.
pub(in crate::store) type TaskStep = fn(&Connection, i64, JobId, i64) -> Result<()>;

/// What ended, and what is not needed any more.
#[derive(Debug, Clone)]
pub struct Aftermath {
    /// Queued jobs that were ended, in the order in which that happened.
    pub ended: Vec<JobId>,
    /// Names of files in `secrets/` that no live job needs now; unlink them after the flush.
    pub freed: Vec<String>,
    /// How many more this transaction may tell or end.
    left: usize,
    task_step: TaskStep,
}

impl Aftermath {
    /// For a transaction that may tell or end [`STEP_MAX`] jobs.
    pub(in crate::store) fn new(task_step: TaskStep) -> Self {
        Self::within(STEP_MAX, task_step)
    }

    /// For a transaction that may tell or end so many.
    pub(in crate::store) fn within(left: usize, task_step: TaskStep) -> Self {
        Self { ended: Vec::new(), freed: Vec::new(), left, task_step }
    }

    /// How many more may be told or ended.
    pub(in crate::store) fn left(&self) -> usize {
        self.left
    }

    /// For one ending among others, that may be undone alone.
    pub(in crate::store) fn part(&self) -> Self {
        Self::within(self.left, self.task_step)
    }

    fn took(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n);
    }

    /// Adds what another ending brought about, which began as a [`Self::part`] of this.
    pub(in crate::store) fn add(&mut self, mut other: Self) {
        self.left = other.left;
        self.ended.append(&mut other.ended);
        self.freed.append(&mut other.freed);
    }
}

/// Ends a queued job, and with it whatever cannot start without it. A job that a client cancelled
/// ends as cancelled, whatever else is wrong with it: that is what the view has been showing.
/// False: it is not queued any more.
pub(in crate::store) fn end_queued(
    conn: &Connection,
    job: JobId,
    reason: Reason,
    error: &str,
    now_ms: i64,
    out: &mut Aftermath,
) -> Result<bool> {
    let state = if reason == Reason::Cancelled { State::Cancelled } else { State::Failed };
    if !end_one(conn, job, state, reason, error, now_ms, out)? {
        return Ok(false);
    }
    let _the_worker_tries_again = resolve_dependants(conn, job, now_ms, out)?;
    Ok(true)
}

/// Ends a queued job that waits in vain for another one, and with it whatever cannot start without
/// it. False: it waits for none in vain, or is not queued any more.
pub(in crate::store) fn end_broken(conn: &Connection, job: JobId, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    if !end_one_broken(conn, job, now_ms, out)? {
        return Ok(false);
    }
    let _the_worker_tries_again = resolve_dependants(conn, job, now_ms, out)?;
    Ok(true)
}

/// As failed where it lacks what it needs, as cancelled where it is not needed.
fn end_one_broken(conn: &Connection, job: JobId, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    let mut broken = conn.prepare_cached(sql!("ended.sql", "broken_by"))?;
    let by = broken.query_row([job.0], |row| {
        let need = rows::word(row, 1, |text| Need::ALL.into_iter().find(|need| need.as_str() == text))?.unwrap_or(Need::Done);
        let parent = rows::word(row, 2, |text| text.parse().ok())?;
        Ok((rows::id(row, 0)?, need, parent, rows::word(row, 3, Reason::parse)?))
    });
    let Some((parent, need, state, reason)) = by.optional()? else { return Ok(false) };
    let end = if need.is_needless(state, reason) { State::Cancelled } else { State::Failed };
    end_one(conn, job, end, Reason::Dependency, &broken_text(parent, need, state, reason), now_ms, out)
}

/// Tells those who wait for `ended` that it has ended: they are released, or they end as well. A
/// job whose row refuses that stays as it is and keeps no other job from going on; the worker tries
/// it again. False: there was such a job.
///
/// Where that concerns more than this transaction may touch, the rest is noted in `unresolved`, or
/// stays queued as broken, and the next rounds of [`crate::store::upkeep::due`] go on with it.
pub(in crate::store) fn resolve_dependants(conn: &Connection, ended: JobId, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    let mut all = true;
    let mut parents = vec![ended];
    while let Some(parent) = parents.pop() {
        let most = out.left;
        let told = match tell_some(conn, parent, most)? {
            Some(told) => told,
            None => tell_each(conn, parent, most, &mut all)?,
        };
        out.took(told);
        if told >= most {
            note_unresolved(conn, parent)?;
        }
        if told > 0 {
            parents.extend(end_broken_by(conn, parent, now_ms, out, &mut all)?);
        }
    }
    Ok(all)
}

/// Notes that a job still waits to be told of that end, if there is one.
fn note_unresolved(conn: &Connection, parent: JobId) -> Result<()> {
    let sql = sql!("ended.sql", "note_unresolved");
    conn.prepare_cached(sql)?.execute([parent.0])?;
    Ok(())
}

/// Goes on telling where an earlier transaction has stopped. Says whether it has done anything.
pub(in crate::store) fn resolve_remaining(conn: &Connection, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    let mut any = false;
    while out.left > 0 {
        let mut first = conn.prepare_cached("SELECT job_id FROM unresolved ORDER BY job_id LIMIT 1")?;
        let Some(parent) = first.query_row([], |row| rows::id(row, 0)).optional()? else { break };
        conn.prepare_cached("DELETE FROM unresolved WHERE job_id = ?1")?.execute([parent.0])?;
        // One that a person has put back meanwhile has not ended.
        let mut ended =
            conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND state IN ('done', 'failed', 'cancelled'))")?;
        if ended.query_row([parent.0], |row| row.get(0))? {
            let _the_worker_tries_again = resolve_dependants(conn, parent, now_ms, out)?;
        }
        any = true;
    }
    Ok(any)
}

/// Gives dependencies on a job that has ended their truth, so many at most. `None`: one of those
/// who wait refuses it, and nothing was changed.
fn tell_some(conn: &Connection, parent: JobId, most: usize) -> Result<Option<usize>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let told = apart(conn, || Ok(conn.prepare_cached(sql!("ended.sql", "resolve"))?.execute((parent.0, None::<i64>, most))?))?;
    Ok(told.ok())
}

/// The same, each of those who wait by itself; says how many were told. Where one of them refuses
/// it, `all` becomes false.
fn tell_each(conn: &Connection, parent: JobId, most: usize, all: &mut bool) -> Result<usize> {
    let mut waiting = conn.prepare_cached("SELECT job_id FROM dependency WHERE on_job = ?1 AND state = 'unmet'")?;
    let waiting: Vec<i64> = waiting.query_map([parent.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut told = 0;
    for child in waiting {
        if told >= most {
            break;
        }
        let tell = || Ok(conn.prepare_cached(sql!("ended.sql", "resolve"))?.execute((parent.0, Some(child), 1))?);
        match apart(conn, tell)? {
            Ok(n) => told += n,
            Err(why) => {
                log::error!("job {child} waits for job {parent} and cannot be told that it has ended: {why}");
                *all = false;
            }
        }
    }
    Ok(told)
}

/// Ends those who cannot start any more because of how `parent` ended, and returns them. Where one
/// of them refuses its end, `all` becomes false.
fn end_broken_by(conn: &Connection, parent: JobId, now_ms: i64, out: &mut Aftermath, all: &mut bool) -> Result<Vec<JobId>> {
    let mut ended = Vec::new();
    for child in broken_by(conn, parent, out.left)? {
        let mut after = out.part();
        match apart(conn, || end_one_broken(conn, child, now_ms, &mut after))? {
            Ok(true) => {
                out.add(after);
                ended.push(child);
            }
            Ok(false) => {}
            Err(why) => {
                log::error!("job {child} waits in vain for job {parent} and cannot end: {why}");
                *all = false;
            }
        }
    }
    // The list is taken from its end: the oldest first.
    ended.reverse();
    Ok(ended)
}

/// Closes the open cancel of a job, if there is one.
pub(in crate::store) fn close_cancel(conn: &Connection, job: JobId, now_ms: i64) -> Result<()> {
    conn.prepare_cached("UPDATE cancel SET closed_at = ?2 WHERE job_id = ?1 AND closed_at IS NULL")?.execute((job.0, now_ms))?;
    Ok(())
}

/// The words of the open cancel of a job; `None`: no client wants it cancelled.
pub(in crate::store) fn open_cancel(conn: &Connection, job: JobId) -> Result<Option<Option<String>>> {
    let mut open = conn.prepare_cached("SELECT why FROM cancel WHERE job_id = ?1 AND closed_at IS NULL")?;
    Ok(open.query_row([job.0], |row| maybe(row, 0)).optional()?)
}

/// The error text of a job that a client cancelled.
pub(in crate::store) fn cancelled_text(why: Option<&str>, when: &str) -> String {
    match why {
        Some(why) => format!("cancelled {when}: {why}"),
        None => format!("cancelled {when}"),
    }
}

/// The files in `secrets/` that belong to a job with this policy.
pub(in crate::store) fn tokens_of(policy: &str) -> Vec<String> {
    // Nearly every policy has neither; a policy that does not parse was never run and has none.
    if !policy.contains("\"secrets\"") && !policy.contains("\"kept\"") {
        return Vec::new();
    }
    let Ok(policy) = Policy::from_json(policy) else { return Vec::new() };
    let kept = match policy.stdin {
        Some(Stdin::Kept(token)) => Some(token),
        _ => None,
    };
    policy.secrets.into_values().chain(kept).collect()
}

fn end_one(
    conn: &Connection,
    job: JobId,
    state: State,
    reason: Reason,
    error: &str,
    now_ms: i64,
    out: &mut Aftermath,
) -> Result<bool> {
    let cancel = open_cancel(conn, job)?;
    let (state, reason, error) = match &cancel {
        Some(why) => (State::Cancelled, Reason::Cancelled, cancelled_text(why.as_deref(), "while it waited")),
        None => (state, reason, error.to_owned()),
    };
    let mut end = conn.prepare_cached(sql!("ended.sql", "queued"))?;
    let won = end.query_row((job.0, state.as_str(), reason.as_str(), error, now_ms), |row| Ok((text(row, 0)?, row.get(1)?)));
    let Some((policy, task)): Option<(String, Option<i64>)> = won.optional()? else { return Ok(false) };
    if cancel.is_some() {
        close_cancel(conn, job, now_ms)?;
    }
    out.freed.extend(tokens_of(&policy));
    out.ended.push(job);
    out.took(1);
    if let Some(task) = task {
        (out.task_step)(conn, task, job, now_ms)?;
    }
    Ok(true)
}

/// Who cannot start any more because of how `parent` ended.
fn broken_by(conn: &Connection, parent: JobId, most: usize) -> Result<Vec<JobId>> {
    let mut broken = conn.prepare_cached(sql!("ended.sql", "broken"))?;
    let rows = broken.query_map((parent.0, i64::try_from(most).unwrap_or(i64::MAX)), |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Why a job that waited for `parent` cannot start.
fn broken_text(parent: JobId, need: Need, state: Option<State>, reason: Option<Reason>) -> String {
    let because = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match state {
        None => format!("job {parent}, which this one waits for, has been pruned"),
        _ if was_needless(state, reason) => format!("not needed: job {parent}, which this one was to follow, was not needed"),
        _ if need == Need::Failed => format!("not needed: job {parent} is done, and this one runs only if that job is not"),
        Some(state) => format!("job {parent} ended as {state}{because}, and this one waits for it to be done"),
    }
}
