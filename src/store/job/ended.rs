//! Consequences of the end of a job: its cancel is closed, each dependant is released or ends as
//! well, the rest of an array is cancelled if it failed, and its task advances.
//!
//! Called only by the winner of the statement that ended the job, in the same transaction. An index
//! frees its key, and triggers of the schema serve its lane. Ends pass down to dependants by a
//! list, not by recursion, so that a long chain needs no stack.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::policy::Stdin;
use crate::job::spec::was_needless;
use crate::job::{JobId, Need, Policy, Reason, State};
use crate::store::engine::apart::apart;
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows;

/// Most dependants that one transaction resolves or ends: other clients can write before the next
/// one.
pub const STEP_MAX: usize = 1_000;

/// Most other jobs with files in `secrets/` that are asked for a common one when a job ends. Where
/// there are more, the worker's sweep removes the files, which reads the policies of all.
const SHARERS_ASKED_MAX: usize = 100;

/// What follows the end of a task's job, in the same transaction: task, job, current time. A
/// parameter, because the next stage of the task may itself add and end jobs.
pub(in crate::store) type TaskStep = fn(&Connection, i64, JobId, i64) -> Result<()>;

/// What has ended, and what is not needed any more.
#[derive(Debug, Clone)]
pub struct Aftermath {
    /// Queued jobs that were ended, in that order.
    pub ended: Vec<JobId>,
    /// Names of files in `secrets/` that no live job needs now; unlink them after the flush.
    pub freed: Vec<String>,
    /// How many more jobs this transaction may resolve or end.
    left: usize,
    task_step: TaskStep,
}

impl Aftermath {
    /// For a transaction that may resolve or end [`STEP_MAX`] jobs.
    pub(in crate::store) fn new(task_step: TaskStep) -> Self {
        Self::within(STEP_MAX, task_step)
    }

    /// For a transaction that may resolve or end `left` jobs.
    pub(in crate::store) fn within(left: usize, task_step: TaskStep) -> Self {
        Self { ended: Vec::new(), freed: Vec::new(), left, task_step }
    }

    /// Returns how many more jobs may be resolved or ended.
    pub(in crate::store) fn left(&self) -> usize {
        self.left
    }

    /// For one end among others, which may be rolled back separately.
    pub(in crate::store) fn part(&self) -> Self {
        Self::within(self.left, self.task_step)
    }

    fn took(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n);
    }

    /// Adds the consequences of another end, which began as a [`Self::part`] of this.
    pub(in crate::store) fn add(&mut self, mut other: Self) {
        self.left = other.left;
        self.ended.append(&mut other.ended);
        self.freed.append(&mut other.freed);
    }
}

/// Ends a queued job, and every job that cannot start without it. A job with an open cancel ends as
/// cancelled, for any other reasons, as the view has shown. False: it is no longer queued.
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

/// Ends a queued job with a broken dependency, and every job that cannot start without it. False:
/// it has none, or is not queued any more.
pub(in crate::store) fn end_broken(conn: &Connection, job: JobId, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    if !end_one_broken(conn, job, now_ms, out)? {
        return Ok(false);
    }
    let _the_worker_tries_again = resolve_dependants(conn, job, now_ms, out)?;
    Ok(true)
}

/// Ends as failed if the job lacks what it needs, and as cancelled if it is not needed.
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

/// Resolves the dependants of `ended`: they are released, or they end as well. A job whose row
/// refuses that stays as it is and blocks no other job; the worker retries it. False: there was
/// such a job.
///
/// If there are more than this transaction may touch, the rest is recorded in `unresolved`, or
/// stays queued as broken, and the next rounds of [`crate::store::upkeep::due`] continue.
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

/// Records that a dependant of that job is still unresolved, if there is one.
fn note_unresolved(conn: &Connection, parent: JobId) -> Result<()> {
    let sql = sql!("ended.sql", "note_unresolved");
    conn.prepare_cached(sql)?.execute([parent.0])?;
    Ok(())
}

/// Continues where an earlier transaction has stopped. Returns whether it has done anything.
pub(in crate::store) fn resolve_remaining(conn: &Connection, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    let mut any = false;
    while out.left > 0 {
        let mut first = conn.prepare_cached("SELECT job_id FROM unresolved ORDER BY job_id LIMIT 1")?;
        let Some(parent) = first.query_row([], |row| rows::id(row, 0)).optional()? else { break };
        conn.prepare_cached("DELETE FROM unresolved WHERE job_id = ?1")?.execute([parent.0])?;
        // A job that was retried meanwhile has not ended.
        let mut ended =
            conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND state IN ('done', 'failed', 'cancelled'))")?;
        if ended.query_row([parent.0], |row| row.get(0))? {
            let _the_worker_tries_again = resolve_dependants(conn, parent, now_ms, out)?;
            continue_array(conn, parent, now_ms, out)?;
        }
        any = true;
    }
    Ok(any)
}

/// Cancels the queued rest of the array of a job that has failed. A trigger has recorded the job in
/// `unresolved`, and none of them starts while it is there. If there are more than this transaction
/// may end, the next rounds continue. Running ones continue.
pub(in crate::store) fn stop_array(conn: &Connection, failed: JobId, now_ms: i64, out: &mut Aftermath) -> Result<()> {
    if cancel_rest(conn, failed, now_ms, out)? {
        conn.prepare_cached(sql!("ended.sql", "is_resolved"))?.execute([failed.0])?;
    }
    Ok(())
}

/// The same, for a job that an earlier transaction has recorded, and that is recorded no longer.
fn continue_array(conn: &Connection, ended: JobId, now_ms: i64, out: &mut Aftermath) -> Result<()> {
    let mut stops = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND stop_group IS NOT NULL AND state = 'failed' AND reason <> 'dependency')",
    )?;
    if stops.query_row([ended.0], |row| row.get(0))? && !cancel_rest(conn, ended, now_ms, out)? {
        let sql = "INSERT INTO unresolved (job_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM unresolved WHERE job_id = ?1)";
        conn.prepare_cached(sql)?.execute([ended.0])?;
    }
    Ok(())
}

/// Cancels the rest of the array, as far as this transaction may. False: there may be more.
fn cancel_rest(conn: &Connection, failed: JobId, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    let most = out.left;
    let mut rest = conn.prepare_cached(sql!("ended.sql", "rest_of_array"))?;
    let rest = rest.query_map((failed.0, i64::try_from(most).unwrap_or(i64::MAX)), |row| rows::id(row, 0))?;
    let rest: Vec<JobId> = rest.collect::<rusqlite::Result<_>>()?;
    let text = stopped_text(conn, failed)?;
    for job in &rest {
        let mut after = out.part();
        match apart(conn, || end_queued(conn, *job, Reason::Cancelled, &text, now_ms, &mut after))? {
            Ok(_) => out.add(after),
            Err(why) => log::error!("job {job} is of an array that job {failed} stops, and cannot end: {why}"),
        }
    }
    Ok(rest.len() < most)
}

/// Returns the failed job of the array of `job`, if the rest of it is being cancelled.
pub(in crate::store) fn stopped_by(conn: &Connection, job: JobId) -> Result<Option<JobId>> {
    let mut by = conn.prepare_cached(sql!("ended.sql", "stopped_by"))?;
    Ok(by.query_row([job.0], |row| rows::id(row, 0)).optional()?)
}

/// Returns the error text of a job whose array was stopped.
pub(in crate::store) fn stopped_text(conn: &Connection, failed: JobId) -> Result<String> {
    let mut index = conn.prepare_cached("SELECT array_index FROM job WHERE id = ?1")?;
    let index: Option<i64> = index.query_row([failed.0], |row| row.get(0)).optional()?.flatten();
    let index = index.map(|index| format!(" (index {index})")).unwrap_or_default();
    Ok(format!("job {failed}{index} of the same array failed (--stop-on-failure)"))
}

/// Resolves at most `most` dependencies on an ended job. `None`: one of the dependants refuses it,
/// and nothing was changed.
fn tell_some(conn: &Connection, parent: JobId, most: usize) -> Result<Option<usize>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let told = apart(conn, || Ok(conn.prepare_cached(sql!("ended.sql", "resolve"))?.execute((parent.0, None::<i64>, most))?))?;
    Ok(told.ok())
}

/// Resolves the dependants one by one; returns how many were resolved. If one of them refuses,
/// `all` becomes false.
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
                log::error!("job {child} waits for job {parent} and cannot be resolved: {why}");
                *all = false;
            }
        }
    }
    Ok(told)
}

/// Ends the jobs that cannot start any more because of how `parent` ended, and returns them. If one
/// of them refuses, `all` becomes false.
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
                log::error!("job {child} has a broken dependency on job {parent} and cannot end: {why}");
                *all = false;
            }
        }
    }
    // The list is read from its end: the oldest first.
    ended.reverse();
    Ok(ended)
}

/// Closes the open cancel of a job, if there is one.
pub(in crate::store) fn close_cancel(conn: &Connection, job: JobId, now_ms: i64) -> Result<()> {
    conn.prepare_cached("UPDATE cancel SET closed_at = ?2 WHERE job_id = ?1 AND closed_at IS NULL")?.execute((job.0, now_ms))?;
    Ok(())
}

/// Returns the reason of the open cancel of a job; `None`: there is none.
pub(in crate::store) fn open_cancel(conn: &Connection, job: JobId) -> Result<Option<Option<String>>> {
    let mut open = conn.prepare_cached("SELECT why FROM cancel WHERE job_id = ?1 AND closed_at IS NULL")?;
    Ok(open.query_row([job.0], |row| maybe(row, 0)).optional()?)
}

/// Returns the error text of a cancelled job.
pub(in crate::store) fn cancelled_text(why: Option<&str>, when: &str) -> String {
    match why {
        Some(why) => format!("cancelled {when}: {why}"),
        None => format!("cancelled {when}"),
    }
}

/// Returns the files in `secrets/` that belong to a job with this policy.
pub(in crate::store) fn tokens_of(policy: &str) -> Vec<String> {
    // Most policies have neither; a policy that does not parse was never run and has none.
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

/// Returns the files of a job that has ended which no other live job names: the jobs of an array
/// share theirs, and so does the copy of a row by a plain SQL client.
pub(in crate::store) fn freed_by(conn: &Connection, job: JobId, policy: &str) -> Result<Vec<String>> {
    let mut freed = tokens_of(policy);
    if freed.is_empty() {
        return Ok(freed);
    }
    let mut others = conn.prepare_cached(sql!("ended.sql", "with_secrets"))?;
    let most = i64::try_from(SHARERS_ASKED_MAX + 1).unwrap_or(i64::MAX);
    let policies = others.query_map((job.0, most), |row| text(row, 0))?;
    for (n, policy) in policies.enumerate() {
        let policy = policy?;
        freed.retain(|token| !policy.contains(token.as_str()));
        if freed.is_empty() || n >= SHARERS_ASKED_MAX {
            return Ok(Vec::new());
        }
    }
    Ok(freed)
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
    let won = end.query_row((job.0, state.as_str(), reason.as_str(), error, now_ms), |row| {
        Ok((text(row, 0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?))
    });
    let Some((policy, task, is_of_an_array)) = won.optional()? else { return Ok(false) };
    if cancel.is_some() {
        close_cancel(conn, job, now_ms)?;
    }
    out.freed.extend(freed_by(conn, job, &policy)?);
    out.ended.push(job);
    out.took(1);
    if let Some(task) = task {
        (out.task_step)(conn, task, job, now_ms)?;
    }
    if is_of_an_array && state == State::Failed && reason != Reason::Dependency {
        stop_array(conn, job, now_ms, out)?;
    }
    Ok(true)
}

/// Finds the jobs that cannot start any more because of how `parent` ended.
fn broken_by(conn: &Connection, parent: JobId, most: usize) -> Result<Vec<JobId>> {
    let mut broken = conn.prepare_cached(sql!("ended.sql", "broken"))?;
    let rows = broken.query_map((parent.0, i64::try_from(most).unwrap_or(i64::MAX)), |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Explains why a job that waited for `parent` cannot start.
fn broken_text(parent: JobId, need: Need, state: Option<State>, reason: Option<Reason>) -> String {
    let because = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match state {
        None => format!("job {parent}, which this one waits for, has been pruned"),
        _ if was_needless(state, reason) => format!("not needed: job {parent}, which this one was to follow, was not needed"),
        _ if need == Need::Failed => format!("not needed: job {parent} is done, and this one runs only if that job is not"),
        Some(state) => format!("job {parent} ended as {state}{because}, and this one waits for it to be done"),
    }
}
