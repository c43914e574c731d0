//! A person returns an ended job to the queue: the only way a terminal row changes.

use std::collections::{BTreeSet, HashSet, VecDeque};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::{JobId, Reason, State, TaskState};
use crate::store::job::ended::STEP_MAX;
use crate::store::job::read::existing;
use crate::store::job::rows;
use crate::store::job::rows::Job;
use crate::store::job::{ended, insert, read};
use crate::store::pipeline::task_rows;

/// Requeues a failed or cancelled job with new attempts. With `with_dependants`, also requeues the
/// jobs below it that failed because of it, if they can be. Returns the requeued jobs, parents
/// first.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] if the state, a key, a secret or a dependency does not
/// allow it.
pub fn retry(conn: &Connection, id: JobId, with_dependants: bool, now_ms: i64) -> Result<Vec<JobId>> {
    let mut done = retry_step(conn, id, with_dependants, now_ms)?;
    if done.back.is_empty() {
        return Err(why_not(conn, id)?);
    }
    while !done.parents.is_empty() {
        let next = requeue_dependants(conn, std::mem::take(&mut done.parents), now_ms)?;
        done.back.extend(next.back);
        done.parents = next.parents;
    }
    Ok(done.back)
}

/// What one transaction has requeued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Back {
    /// Parents first. Empty: the job itself could not be requeued.
    pub back: Vec<JobId>,
    /// Jobs whose dependants are still to be requeued: for [`requeue_dependants`].
    pub parents: VecDeque<JobId>,
}

/// Like [`retry`], but requeues no more jobs than one transaction should touch, and none if this
/// job cannot be requeued. [`why_not`] explains that afterwards: it may have to read many jobs,
/// during which no other client could write.
///
/// # Errors
/// As [`retry`], if the state does not allow it.
pub fn retry_step(conn: &Connection, id: JobId, with_dependants: bool, now_ms: i64) -> Result<Back> {
    let job = existing(conn, id)?;
    check_state(&job)?;
    if is_kept_back(conn, &job)? {
        return Ok(Back::default());
    }
    requeue(conn, id, now_ms)?;
    if !with_dependants {
        return Ok(Back { back: vec![id], parents: VecDeque::new() });
    }
    let mut done = requeue_dependants(conn, VecDeque::from([id]), now_ms)?;
    done.back.insert(0, id);
    Ok(done)
}

/// Explains why [`retry_step`] has not requeued this job.
///
/// # Errors
/// [`Error::NotFound`], and errors of SQLite.
pub fn why_not(conn: &Connection, id: JobId) -> Result<Error> {
    let job = existing(conn, id)?;
    if let Err(why) = check_state(&job) {
        return Ok(why);
    }
    let why = match way_back(conn, &job)? {
        WayBack::Refused(why) => why,
        WayBack::With { parent, state, command } => format!("job {id} waits for job {parent}, which is {state}; use {command}"),
        WayBack::Retry => format!("job {id} can be retried now; use tenure retry {id}"),
    };
    Ok(Error::Refused(why))
}

/// Requeues the next jobs that failed because of these.
pub fn requeue_dependants(conn: &Connection, mut parents: VecDeque<JobId>, now_ms: i64) -> Result<Back> {
    let mut back = Vec::new();
    while let Some(parent) = parents.pop_front() {
        for child in failed_because_of(conn, parent)? {
            if back.len() >= STEP_MAX {
                parents.push_front(parent);
                return Ok(Back { back, parents });
            }
            // A job that another parent keeps broken stays as it is; it is found again when that
            // parent is requeued.
            if !is_kept_back(conn, &existing(conn, child)?)? {
                requeue(conn, child, now_ms)?;
                back.push(child);
                parents.push_back(child);
            }
        }
    }
    Ok(Back { back, parents })
}

/// Returns the files in `secrets/` that belong to a job. They are removed when the last live job
/// that needs them ends; then such a job cannot be retried.
pub fn secret_tokens(job: &Job) -> Vec<String> {
    ended::tokens_of(&job.policy)
}

/// How a failed or cancelled job can return to the queue: the basis of every remedy and refusal
/// that names a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayBack {
    /// `tenure retry` requeues it.
    Retry,
    /// Only together with this job, which it waits for: `command` requeues all that are needed.
    With { parent: JobId, state: State, command: String },
    /// It cannot be requeued: the reason, and what to do instead.
    Refused(String),
}

/// Most jobs that are read to find the retry of one.
const LOOKED_AT_MAX: usize = 10_000;
/// Most numbers and ranges in one printed command.
const RANGES_MAX: usize = 20;

/// Determines how a failed or cancelled job can be retried.
pub fn way_back(conn: &Connection, job: &Job) -> Result<WayBack> {
    way_back_within(conn, job, LOOKED_AT_MAX)
}

/// The same, reading at most `most` jobs.
pub(in crate::store) fn way_back_within(conn: &Connection, job: &Job, most: usize) -> Result<WayBack> {
    let id = job.id;
    // The jobs that can be requeued; and whether each job below them goes with them, because it
    // failed for lack of them.
    let (mut heads, mut comes_along, mut all) = (BTreeSet::new(), true, true);
    let (mut seen, mut to_see, mut parent) = (HashSet::from([id]), vec![job.clone()], None);
    while let Some(one) = to_see.pop() {
        match refusal(conn, &one)? {
            None => {
                heads.insert(one.id);
            }
            Some(Refusal::Final(why)) => {
                let waits: Option<(JobId, State)> = parent;
                let waits = waits.map(|(parent, state)| format!("job {id} waits for job {parent}, which is {state}; "));
                return Ok(WayBack::Refused(waits.unwrap_or_default() + &why));
            }
            Some(Refusal::Waits { on }) => {
                comes_along &= one.reason == Some(Reason::Dependency);
                parent = parent.or(on.first().map(|on| (on.id, on.state)));
                for on in on {
                    all &= seen.len() < most || seen.contains(&on.id);
                    if all && seen.insert(on.id) {
                        to_see.push(on);
                    }
                }
            }
        }
    }
    let Some((parent, state)) = parent else { return Ok(WayBack::Retry) };
    heads.extend((!comes_along).then_some(id));
    Ok(WayBack::With { parent, state, command: retry_of(&heads, all, id) })
}

/// Returns the command that requeues these for the sake of `job`: consecutive numbers as a range.
/// If they are still too many for one line, or not `all` that are needed, the command that names
/// the rest follows.
fn retry_of(ids: &BTreeSet<JobId>, all: bool, job: JobId) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == id.0 => *last = id.0,
            _ => ranges.push((id.0, id.0)),
        }
    }
    let word = |(first, last): &(i64, i64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let words: Vec<String> = ranges.iter().take(RANGES_MAX).map(word).collect();
    let rest = if !all || ranges.len() > RANGES_MAX { format!("; tenure why {job}") } else { String::new() };
    format!("tenure retry {} --with-dependants{rest}", words.join(" "))
}

/// Why an ended job is not requeued.
enum Refusal {
    /// Nothing can be done about it: the reason, and what to do instead.
    Final(String),
    /// It has broken dependencies on these, which may be requeued.
    Waits { on: Vec<Job> },
}

/// Whether there is a [`refusal`], without reading each job that it waits for.
fn is_kept_back(conn: &Connection, job: &Job) -> Result<bool> {
    Ok(own_refusal(conn, job)?.is_some() || is_broken(conn, job.id)?)
}

fn refusal(conn: &Connection, job: &Job) -> Result<Option<Refusal>> {
    let id = job.id;
    if let Some(why) = own_refusal(conn, job)? {
        return Ok(Some(Refusal::Final(why)));
    }
    let mut on = Vec::new();
    for parent in broken_parents(conn, id)? {
        let why = match read::job(conn, parent)? {
            Some(parent) if parent.state == State::Done => "which is done, and so it is not needed",
            Some(parent) => {
                on.push(parent);
                continue;
            }
            None => "which has been pruned",
        };
        return Ok(Some(Refusal::Final(format!("job {id} waits for job {parent}, {why}; add it again with tenure add"))));
    }
    Ok((!on.is_empty()).then_some(Refusal::Waits { on }))
}

/// Explains why it is not requeued, regardless of the jobs that it waits for.
fn own_refusal(conn: &Connection, job: &Job) -> Result<Option<String>> {
    if let Some(why) = task_refusal(conn, job)?.or(key_refusal(conn, job)?).or(array_refusal(conn, job)?) {
        return Ok(Some(why));
    }
    let id = job.id;
    let why = || {
        format!(
            "job {id} was given a secret or an input that was removed once no live job needed it; add it again with tenure add"
        )
    };
    Ok((!secret_tokens(job).is_empty()).then(why))
}

fn requeue(conn: &Connection, id: JobId, now_ms: i64) -> Result<()> {
    take_truth(conn, id)?;
    // A cancel that an older client left open would cancel it again immediately.
    ended::close_cancel(conn, id, now_ms)?;
    // Both may have been deleted while no live job named them.
    conn.prepare_cached("INSERT OR IGNORE INTO queue (name) SELECT queue FROM job WHERE id = ?1")?.execute([id.0])?;
    conn.prepare_cached("INSERT OR IGNORE INTO lane (key) SELECT lane FROM job WHERE id = ?1 AND lane IS NOT NULL")?
        .execute([id.0])?;
    conn.prepare_cached(sql!("retry.sql", "requeue"))?.execute([id.0])?;
    // Dependants that were added after it had ended, and would be ended next, wait again.
    conn.prepare_cached(sql!("retry.sql", "children"))?.execute([id.0])?;
    Ok(())
}

fn check_state(job: &Job) -> Result<()> {
    let id = job.id;
    let wrong = match job.state {
        State::Failed | State::Cancelled => return Ok(()),
        State::Queued if job.cancel_open => format!("job {id} is being cancelled; try again when it has ended"),
        State::Queued => format!("job {id} is queued already; tenure why {id} says what it waits for"),
        State::Running => format!("job {id} is running; tenure cancel {id} ends it first"),
        State::Done => format!("job {id} is done; to run it once more, add it again with tenure add"),
    };
    Err(Error::Refused(wrong))
}

/// A job that returned to its array now would be cancelled with the rest of it.
fn array_refusal(conn: &Connection, job: &Job) -> Result<Option<String>> {
    let by = ended::stopped_by(conn, job.id)?;
    Ok(by.map(|failed| {
        let id = job.id;
        format!(
            "the array of job {id} is being stopped, because job {failed} failed; try again when that is done: tenure retry {id}"
        )
    }))
}

/// A task advances from the end of its job, so that job is never requeued.
fn task_refusal(conn: &Connection, job: &Job) -> Result<Option<String>> {
    let Some(task) = job.task_id else { return Ok(None) };
    let id = job.id;
    let text = match task_rows::task(conn, task)? {
        Some(task) if task.state == TaskState::Running => format!(
            "job {id} is a step of task {}, which has advanced from it; to run that stage once more: tenure task advance {} --expect {} --to STAGE",
            task.id, task.id, task.stage
        ),
        Some(task) if task.state == TaskState::Done => format!(
            "job {id} is a step of task {}, which is done; start a new task: tenure task start {}",
            task.id, task.pipeline
        ),
        Some(task) => format!(
            "job {id} is a step of task {0}, which has ended ({1}); continue the task: tenure task retry {0}",
            task.id, task.state
        ),
        None => format!("job {id} is a step of task {task}, which is gone; start a new task: tenure task start"),
    };
    Ok(Some(text))
}

fn key_refusal(conn: &Connection, job: &Job) -> Result<Option<String>> {
    let Some(key) = &job.unique_key else { return Ok(None) };
    let other = insert::live_with_key(conn, key)?.map(|(other, _)| other);
    Ok(other.map(|other| {
        format!("job {other} is live and has the same unique key; wait for it (tenure wait {other}) or end it first (tenure cancel {other})")
    }))
}

/// An unmet dependency may be met now, or its parent may have been requeued.
fn take_truth(conn: &Connection, id: JobId) -> Result<()> {
    conn.prepare_cached(sql!("retry.sql", "truth"))?.execute([id.0])?;
    Ok(())
}

/// Returns the jobs on which it has a broken dependency at present.
fn broken_parents(conn: &Connection, id: JobId) -> Result<Vec<JobId>> {
    let mut broken = conn.prepare_cached(sql!("retry.sql", "broken"))?;
    let rows = broken.query_map([id.0], |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether there is such a job.
fn is_broken(conn: &Connection, id: JobId) -> Result<bool> {
    Ok(conn.prepare_cached(sql!("retry.sql", "broken"))?.exists([id.0])?)
}

fn failed_because_of(conn: &Connection, parent: JobId) -> Result<Vec<JobId>> {
    dependants(conn, parent, usize::MAX)
}

/// Returns the jobs that ended because of this one, at most so many.
pub fn dependants(conn: &Connection, parent: JobId, most: usize) -> Result<Vec<JobId>> {
    let mut children = conn.prepare_cached(sql!("retry.sql", "dependants"))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = children.query_map((parent.0, Reason::Dependency.as_str(), most), |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
