//! A person puts an ended job back into the queue: the only way a terminal row changes.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension};

use super::control::existing;
use super::rows::{self, Job};
use super::{ended, enqueue, read, task_rows};
use crate::error::{Error, Result};
use crate::job::{JobId, Reason, State, TaskState};

/// Puts a failed or cancelled job back; its attempts start anew. With `with_dependants`, so go the jobs below it that failed
/// because of it. Returns what was put back, parents first.
///
/// # Errors
/// [`Error::NoSuch`]; [`Error::Refused`] where the state, a key, a secret or a job that it waits for does not allow it.
pub fn retry(conn: &Connection, id: JobId, with_dependants: bool, now_ms: i64) -> Result<Vec<JobId>> {
    put_back(conn, id, now_ms)?;
    let mut back = vec![id];
    let mut parents = VecDeque::from([id]);
    while let Some(parent) = parents.pop_front().filter(|_| with_dependants) {
        for child in failed_because_of(conn, parent)? {
            // One that another parent keeps broken stays as it is; it is met again when that parent has been put back. And a task
            // never goes back.
            if still_broken(conn, child)?.is_none() && existing(conn, child)?.task_id.is_none() {
                put_back(conn, child, now_ms)?;
                back.push(child);
                parents.push_back(child);
            }
        }
    }
    Ok(back)
}

/// The files in `secrets/` that belong to a job. They are removed when it ends, so a job that has some can not be retried.
pub fn secret_tokens(job: &Job) -> Vec<String> {
    ended::tokens_of(&job.policy)
}

fn put_back(conn: &Connection, id: JobId, now_ms: i64) -> Result<()> {
    let job = existing(conn, id)?;
    check_state(&job)?;
    check_task(conn, &job)?;
    check_key(conn, &job)?;
    if !secret_tokens(&job).is_empty() {
        return Err(Error::Refused(format!(
            "job {id} was given a secret or an input that was removed when it ended; add it anew with tenure add"
        )));
    }
    take_truth(conn, id)?;
    if let Some((parent, state)) = still_broken(conn, id)? {
        let remedy = match state {
            Some(State::Done) => "which is done, and so it is not needed; add it anew with tenure add".to_owned(),
            Some(state) => format!("which is {state}; use tenure retry {parent} --with-dependants"),
            None => "which has been pruned; add it anew with tenure add".to_owned(),
        };
        return Err(Error::Refused(format!("job {id} waits for job {parent}, {remedy}")));
    }
    // What an older client left open would cancel it again at once.
    ended::close_cancel(conn, id, now_ms)?;
    // Both may have been forgotten while no live job was in them.
    conn.prepare_cached("INSERT OR IGNORE INTO queue (name) SELECT queue FROM job WHERE id = ?1")?.execute([id.0])?;
    conn.prepare_cached("INSERT OR IGNORE INTO lane (key) SELECT lane FROM job WHERE id = ?1 AND lane IS NOT NULL")?
        .execute([id.0])?;
    conn.prepare_cached(include_str!("retry.sql"))?.execute([id.0])?;
    // Those that were added after it had ended, and would be ended at the next look, wait again.
    conn.prepare_cached(include_str!("retry_children.sql"))?.execute([id.0])?;
    Ok(())
}

fn check_state(job: &Job) -> Result<()> {
    let id = job.id;
    let wrong = match job.state {
        State::Failed | State::Cancelled => return Ok(()),
        State::Queued if job.cancel_open => format!("job {id} is being cancelled; try again when it has ended"),
        State::Queued => format!("job {id} is queued already; tenure why {id} says what it waits for"),
        State::Running => format!("job {id} is running; tenure cancel {id} ends it first"),
        State::Done => format!("job {id} is done; to run it once more, add it anew with tenure add"),
    };
    Err(Error::Refused(wrong))
}

/// A task walks on from the end of its job, so that job is never put back.
fn check_task(conn: &Connection, job: &Job) -> Result<()> {
    let Some(task) = job.task_id else { return Ok(()) };
    let id = job.id;
    let text = match task_rows::task(conn, task)? {
        Some(task) if task.state == TaskState::Running => format!(
            "job {id} is a step of task {}, which has gone on from it; to do that stage once more: tenure task advance {} --expect {} --to STAGE",
            task.id, task.id, task.stage
        ),
        Some(task) => format!(
            "job {id} is a step of task {}, which has ended; walk the pipeline anew: tenure task start {}",
            task.id, task.pipeline
        ),
        None => format!("job {id} is a step of task {task}, which is gone; walk the pipeline anew: tenure task start"),
    };
    Err(Error::Refused(text))
}

fn check_key(conn: &Connection, job: &Job) -> Result<()> {
    let Some(key) = &job.unique_key else { return Ok(()) };
    match enqueue::live_with_key(conn, key)?.map(|(other, _)| other) {
        Some(other) => Err(Error::Refused(format!(
            "job {other} is live and has the same unique key; wait for it (tenure wait {other}) or cancel it first"
        ))),
        None => Ok(()),
    }
}

/// What it waited for and did not get may be there now, or may have been put back.
fn take_truth(conn: &Connection, id: JobId) -> Result<()> {
    conn.prepare_cached(include_str!("retry_truth.sql"))?.execute([id.0])?;
    Ok(())
}

/// A job that it waits for in vain, given how things stand now; with the state of that job unless it has been pruned.
fn still_broken(conn: &Connection, id: JobId) -> Result<Option<(JobId, Option<State>)>> {
    let mut broken = conn.prepare_cached(include_str!("retry_broken.sql"))?;
    let parent: Option<JobId> = broken.query_row([id.0], |row| rows::id(row, 0)).optional()?;
    parent.map(|parent| Ok((parent, read::job(conn, parent)?.map(|job| job.state)))).transpose()
}

fn failed_because_of(conn: &Connection, parent: JobId) -> Result<Vec<JobId>> {
    let mut children = conn.prepare_cached(include_str!("retry_dependants.sql"))?;
    let rows = children.query_map((parent.0, Reason::Dependency.as_str()), |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
