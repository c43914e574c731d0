//! What a person requests of a task: start, stop, advance, hold, release. How it advances is in
//! `crate::store::pipeline::advance`, and how an ended one continues in
//! `crate::store::pipeline::retry`.
//!
//! A stop is a request first: once it is recorded, no job of the task starts or is requeued, and
//! the task enters no stage. Then its job ends: a queued job immediately, a running one by a
//! cancel; a job in a critical stage continues until it ends by itself.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::pipeline::Params;
use crate::job::{JobId, Pipeline, RunId, State, TaskState, names, nearest};
use crate::store::engine::text::text;
use crate::store::job::control;
use crate::store::job::control::Cancelled;
use crate::store::job::read;
use crate::store::job::rows;
use crate::store::pipeline;
use crate::store::pipeline::advance;
use crate::store::pipeline::advance::At;
use crate::store::pipeline::task_rows;
use crate::store::pipeline::task_rows::TaskRow;

/// Result of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    pub id: i64,
    /// A running task of that pipeline has the key: this is that task, and none was started.
    pub existing: bool,
}

/// Starts a task with the newest revision of a pipeline, unless one with that key is running. A
/// task with a stop request no longer has its key.
///
/// # Errors
/// [`Error::NotFound`] for an unknown pipeline, [`Error::Invalid`] for missing, unknown or invalid
/// parameters.
pub fn start(conn: &Connection, name: &str, key: Option<&str>, params: &Params, now_ms: i64) -> Result<Started> {
    let row = pipeline::existing(conn, name)?;
    let pipeline = row.read()?;
    pipeline.check_params(params).map_err(|e| Error::Invalid(format!("pipeline {name}: {e}")))?;
    key.map_or(Ok(()), names::label).map_err(|why| Error::Invalid(format!("the key of a task: {why}")))?;
    stop_those_that_end(conn, name, key, now_ms)?;
    if let Some(id) = running_with_key(conn, name, key)? {
        return Ok(Started { id, existing: true });
    }
    let json = serde_json::to_string(params).map_err(|e| Error::Internal(format!("params are not JSON: {e}")))?;
    conn.prepare_cached(
        "INSERT INTO task (pipeline_id, pipeline, key, stage, params, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((row.id, name, key, pipeline.start(), json, now_ms))?;
    let id = conn.last_insert_rowid();
    advance::enter(conn, id, pipeline.start(), &pipeline, params, false, now_ms)?
        .map_err(|e| Error::Invalid(format!("stage {} cannot be entered: {e}", pipeline.start())))?;
    Ok(Started { id, existing: false })
}

/// A task whose job is being cancelled ends with it, so it is stopped now, and gives up its key.
pub(super) fn stop_those_that_end(conn: &Connection, pipeline: &str, key: Option<&str>, now_ms: i64) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    conn.prepare_cached(sql!("task.sql", "stop_of_cancelled"))?.execute((pipeline, key, now_ms))?;
    Ok(())
}

pub(super) fn running_with_key(conn: &Connection, pipeline: &str, key: Option<&str>) -> Result<Option<i64>> {
    let Some(key) = key else { return Ok(None) };
    let mut running =
        conn.prepare_cached("SELECT id FROM task WHERE pipeline = ?1 AND key = ?2 AND state = 'running' AND stop_at IS NULL")?;
    Ok(running.query_row((pipeline, key), |row| row.get(0)).optional()?)
}

/// Result of a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Its job was queued, and has ended; so has the task.
    Ended {
        /// Names of files in `secrets/` that no live job needs now.
        freed: Vec<String>,
    },
    /// Its job is running, and this run is to be stopped; the task ends with it.
    Asked { job: JobId, run: RunId },
    /// Its job is in a critical stage: the task ends when that job has ended by itself.
    Waits { job: JobId, stage: String },
    /// There was nothing to stop.
    AlreadyEnded(TaskState),
}

/// Stops a task: none of its jobs starts any more, and it ends as cancelled.
///
/// # Errors
/// [`Error::NotFound`].
pub fn stop(conn: &Connection, id: i64, why: Option<&str>, now_ms: i64) -> Result<Stopped> {
    let task = existing(conn, id)?;
    if task.state != TaskState::Running {
        return Ok(Stopped::AlreadyEnded(task.state));
    }
    conn.prepare_cached("UPDATE task SET stop_at = ?2, stop_why = ?3 WHERE id = ?1 AND state = 'running' AND stop_at IS NULL")?
        .execute((id, now_ms, why))?;
    let Some(job) = task.job else {
        advance::resume(conn, &[id], now_ms, &mut crate::store::pipeline::advance::aftermath())?;
        return Ok(Stopped::Ended { freed: Vec::new() });
    };
    if is_running(conn, job)? && is_critical(&task) {
        return Ok(Stopped::Waits { job, stage: task.stage });
    }
    let words = advance::stop_text(why).replacen("it was", &format!("task {id} was"), 1);
    match control::cancel(conn, job, Some(&words), now_ms)? {
        Cancelled::Ended { freed, .. } => waits_for_another(conn, id, freed),
        Cancelled::Asked { run } => Ok(Stopped::Asked { job, run }),
        Cancelled::AlreadyEnded => {
            advance::job_ended(conn, id, job, now_ms)?;
            waits_for_another(conn, id, Vec::new())
        }
    }
}

/// The queued job of an advanced task has ended, and its predecessor is still being stopped: the
/// task ends with that one.
fn waits_for_another(conn: &Connection, id: i64, freed: Vec<String>) -> Result<Stopped> {
    let task = existing(conn, id)?;
    let Some(job) = task.job.filter(|_| task.state == TaskState::Running) else { return Ok(Stopped::Ended { freed }) };
    match read::existing(conn, job)?.run_id {
        Some(run) => Ok(Stopped::Asked { job, run }),
        None => Ok(Stopped::Ended { freed }),
    }
}

/// A pipeline that cannot be read has no critical stages.
fn is_critical(task: &TaskRow) -> bool {
    Pipeline::from_json(&task.spec).is_ok_and(|pipeline| pipeline.stage(&task.stage).is_some_and(|stage| stage.critical))
}

fn is_running(conn: &Connection, job: JobId) -> Result<bool> {
    let mut state = conn.prepare_cached("SELECT state FROM job WHERE id = ?1")?;
    Ok(state.query_row([job.0], |row| rows::state(row, 0)).optional()? == Some(State::Running))
}

/// Returns the open runs of critical stages: only a person who names the job ends them.
pub fn critical_runs(conn: &Connection) -> Result<Vec<RunId>> {
    let mut under_way = conn.prepare_cached(sql!("task.sql", "running"))?;
    let rows = under_way.query_map([], |row| Ok((RunId(row.get(0)?), text(row, 1)?, text(row, 2)?)))?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let critical = |stage: &str, spec: &str| Pipeline::from_json(spec).is_ok_and(|p| p.stage(stage).is_some_and(|s| s.critical));
    Ok(rows.into_iter().filter(|(_, stage, spec)| critical(stage, spec)).map(|(run, _, _)| run).collect())
}

/// Result of an advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advanced {
    /// The job of the new stage.
    pub job: JobId,
    /// The job of the old stage, if it is running: it is to be stopped, and the new one waits for
    /// its end.
    pub stopping: Option<(JobId, RunId)>,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
}

/// Advances a task by hand, if it is still in the stage that the caller expects.
///
/// # Errors
/// [`Error::NotFound`] for the task or a stage; [`Error::Refused`] if it has advanced, ended, has a
/// stop request, is in a running critical stage, or has entered the stage as often as allowed.
/// Nothing is changed then.
pub fn advance(conn: &Connection, id: i64, expect: &str, to: &str, now_ms: i64) -> Result<Advanced> {
    let task = existing(conn, id)?;
    let pipeline = Pipeline::from_json(&task.spec).map_err(Error::Refused)?;
    for stage in [expect, to] {
        if pipeline.stage(stage).is_none() {
            return Err(no_stage(&task.pipeline, &pipeline, stage));
        }
    }
    let job = may_advance(conn, &task, &pipeline, expect, to)?;
    let at = At { task: id, stage: expect, job };
    let params: Params =
        serde_json::from_str(&task.params).map_err(|e| Error::Refused(format!("the parameters of task {id}: {e}")))?;
    if !advance::pass_gate(conn, at, to)? {
        return Err(Error::Refused(format!("task {id} has advanced; tenure task show {id} shows its stage")));
    }
    advance::close_step(conn, at, "advanced", now_ms)?;
    // Before the new job is added, so that it waits for this one only if it is running.
    let words = format!("task {id} was advanced to stage {to}");
    let (stopping, freed) = match control::cancel(conn, job, Some(&words), now_ms)? {
        Cancelled::Ended { freed, .. } => (None, freed),
        Cancelled::Asked { run } => (Some((job, run)), Vec::new()),
        Cancelled::AlreadyEnded => (None, Vec::new()),
    };
    advance::enter(conn, id, to, &pipeline, &params, task.held, now_ms)?
        .map_err(|e| Error::Refused(format!("stage {to} cannot be entered: {e}")))?;
    let job = existing(conn, id)?.job.ok_or_else(|| Error::Internal(format!("task {id} has no job")))?;
    Ok(Advanced { job, stopping, freed })
}

pub(super) fn no_stage(name: &str, pipeline: &Pipeline, stage: &str) -> Error {
    let stages: Vec<&str> = pipeline.stages().map(|(name, _)| name).collect();
    let meant = nearest::question(stage, stages.iter().copied());
    Error::NotFound(format!("pipeline {name} has no stage {stage:?}; it has {}{meant}", stages.join(", ")))
}

/// Returns the current job of the task, if the task may leave its stage.
fn may_advance(conn: &Connection, task: &TaskRow, pipeline: &Pipeline, expect: &str, to: &str) -> Result<JobId> {
    let id = task.id;
    let rounds = advance::rounds(conn, id)?;
    let wrong = match task.job {
        _ if task.state != TaskState::Running => {
            let goes_on =
                if task.state == TaskState::Done { String::new() } else { format!("tenure task retry {id} continues it, ") };
            format!("task {id} has ended ({}); {goes_on}tenure task start starts a new one", task.state)
        }
        _ if task.stop_at.is_some() => format!("task {id} was asked to stop and enters no stage any more"),
        _ if task.stage != expect => {
            format!("task {id} is in stage {}, not in {expect}; tenure task show {id} says more", task.stage)
        }
        None => format!("task {id} is in no job, which should be impossible; a worker repairs it: tenure work"),
        Some(job) if is_running(conn, job)? && is_critical(task) => {
            format!("stage {expect} is critical and its job {job} runs; wait for its end: tenure wait {job}")
        }
        Some(_) if rounds.get(to).copied().unwrap_or(0) >= pipeline.max_rounds() => {
            pipeline.too_often(to, &format!("task {id} cannot go there"))
        }
        Some(job) => return Ok(job),
    };
    Err(Error::Refused(wrong))
}

/// Holds the jobs of a task, including those of later stages, until it is released. Running jobs
/// continue.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] if it has ended.
pub fn hold(conn: &Connection, id: i64, held: bool) -> Result<()> {
    let task = existing(conn, id)?;
    if task.state != TaskState::Running {
        return Err(Error::Refused(format!("task {id} has ended ({}), so there is nothing to hold or release", task.state)));
    }
    conn.prepare_cached("UPDATE task SET held = ?2 WHERE id = ?1 AND state = 'running' AND held <> ?2")?.execute((id, held))?;
    // The running job too: it may be requeued for another attempt.
    conn.prepare_cached(
        "UPDATE job SET task_hold = ?2 WHERE task_id = ?1 AND state IN ('queued', 'running') AND task_hold <> ?2",
    )?
    .execute((id, held))?;
    Ok(())
}

pub(super) fn existing(conn: &Connection, id: i64) -> Result<TaskRow> {
    task_rows::task(conn, id)?.ok_or_else(|| Error::NotFound(format!("there is no task {id}; tenure task ls -a lists them")))
}
