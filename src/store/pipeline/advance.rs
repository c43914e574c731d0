//! Advances a task from stage to stage.
//!
//! The end of a job advances its task in the same transaction, in every case: a settle, the end of
//! a queued job (cancelled, expired, a dependency), a repair. So a task always knows that its job
//! has ended. The gate is one statement that names the task, its state, the stage and the job that
//! ended: a second settle, a reaper or a late `advance` updates no row and has no effect.
//!
//! ```text
//! job ends ──▶ job::pipeline decides ──▶ gate ──▶ the next stage's job and its step, or the end of the task
//! ```
//!
//! An invalid pipeline or parameter (both were checked at `apply` and at `start`, so only an old
//! program or another client can have written it) ends the task as failed, with an error text. It
//! never prevents a job from being settled.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::pipeline::{Follows, Params};
use crate::job::{Argv, JobId, Need, Pipeline, Reason, State, TaskState};
use crate::store::engine::apart::apart;
use crate::store::engine::text::{maybe, text};
use crate::store::job::ended;
use crate::store::job::ended::Aftermath;
use crate::store::job::{cancel, insert, rows};

/// A task whose current job has ended.
struct Facts {
    stage: String,
    stop: Option<String>,
    held: bool,
    params: String,
    spec: String,
    how: State,
    why: String,
}

/// The position of a task, as a gate names it.
#[derive(Clone, Copy)]
pub(in crate::store) struct At<'a> {
    pub task: i64,
    pub stage: &'a str,
    pub job: JobId,
}

/// For a transaction that ends jobs: their tasks advance in it.
pub(in crate::store) fn aftermath() -> Aftermath {
    Aftermath::new(job_ended)
}

/// Advances the task whose job has ended. A job that is not the current one of the task has no
/// effect.
pub(in crate::store) fn job_ended(conn: &Connection, task: i64, job: JobId, now_ms: i64) -> Result<()> {
    let Some(facts) = facts(conn, task, job)? else { return Ok(()) };
    let at = At { task, stage: &facts.stage, job };
    close_step(conn, at, facts.how.as_str(), now_ms)?;
    let (pipeline, params) = match understood(&facts) {
        Ok(understood) => understood,
        Err(error) => return finish(conn, at, TaskState::Failed, facts.stop, Some(error), now_ms),
    };
    let rounds = rounds(conn, task)?;
    let entered = |stage: &str| rounds.get(stage).copied().unwrap_or(0);
    match pipeline.follows(&facts.stage, facts.how, facts.stop.as_deref(), &facts.why, entered) {
        Follows::End(state, error) => finish(conn, at, state, facts.stop.clone(), error, now_ms),
        Follows::Stage(to) => {
            if !pass_gate(conn, at, to)? {
                return Ok(());
            }
            enter(conn, task, to, &pipeline, &params, facts.held, now_ms)?.or_else(|error| fail(conn, task, to, &error, now_ms))
        }
    }
}

fn understood(facts: &Facts) -> std::result::Result<(Pipeline, Params), String> {
    let params = serde_json::from_str(&facts.params).map_err(|e| format!("the parameters of the task cannot be read: {e}"))?;
    Ok((Pipeline::from_json(&facts.spec)?, params))
}

fn facts(conn: &Connection, task: i64, job: JobId) -> Result<Option<Facts>> {
    let mut facts = conn.prepare_cached(sql!("advance.sql", "facts"))?;
    let found = facts.query_row((task, job.0), |row| {
        let stopped: bool = row.get(1)?;
        let why = maybe(row, 2)?;
        Ok(Facts {
            stage: text(row, 0)?,
            stop: stopped.then(|| stop_text(why.as_deref())),
            held: row.get(3)?,
            params: text(row, 4)?,
            spec: text(row, 5)?,
            how: rows::state(row, 6)?,
            why: text(row, 7)?,
        })
    });
    Ok(found.optional()?)
}

/// Returns the text of a task with a stop request.
pub(in crate::store) fn stop_text(why: Option<&str>) -> String {
    why.map_or_else(|| "it was stopped".to_owned(), |why| format!("it was stopped: {why}"))
}

/// Returns how often each stage was entered.
pub(in crate::store) fn rounds(conn: &Connection, task: i64) -> Result<BTreeMap<String, u32>> {
    let mut rounds = conn.prepare_cached("SELECT stage, count(*) FROM task_step WHERE task_id = ?1 GROUP BY stage")?;
    let rows = rounds.query_map([task], |row| Ok((text(row, 0)?, rows::count(row, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Passes the gate into another stage. False: another caller was first, or the task has a stop
/// request.
pub(in crate::store) fn pass_gate(conn: &Connection, at: At<'_>, to: &str) -> Result<bool> {
    let mut pass = conn.prepare_cached(sql!("advance.sql", "pass_gate"))?;
    Ok(pass.execute((at.task, at.stage, at.job.0, to))? > 0)
}

/// Records how a step ended.
pub(in crate::store) fn close_step(conn: &Connection, at: At<'_>, outcome: &str, now_ms: i64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE task_step SET ended_at = ?3, outcome = ?4 WHERE task_id = ?1 AND job_id = ?2 AND ended_at IS NULL",
    )?
    .execute((at.task, at.job.0, now_ms, outcome))?;
    Ok(())
}

/// Adds the job of the stage that a task has entered, and its step. It waits for a job of the task
/// that has not ended yet (its tree is being stopped): two stages of one task never run at once.
/// The inner error: the job cannot be added.
pub(in crate::store) fn enter(
    conn: &Connection,
    task: i64,
    stage: &str,
    pipeline: &Pipeline,
    params: &Params,
    held: bool,
    now_ms: i64,
) -> Result<std::result::Result<(), String>> {
    let mut new = match pipeline.job(stage, task, params, now_ms) {
        Ok(job) => job,
        Err(error) => return Ok(Err(error)),
    };
    new.task_hold = held;
    if new.placement.label.is_none() {
        // So that a list of jobs says what each is.
        let mut name = conn.prepare_cached("SELECT pipeline || '/' || stage FROM task WHERE id = ?1")?;
        new.placement.label = name.query_row([task], |row| maybe(row, 0))?;
    }
    new.after = live_jobs(conn, task)?.into_iter().map(|job| (job, Need::Any)).collect();
    apart(conn, || {
        let job = insert::add(conn, std::slice::from_ref(&new), now_ms, job_ended)?.first().map(|added| added.id);
        let job = job.ok_or_else(|| Error::Internal("no job was added for a stage".into()))?;
        let mut into = conn.prepare_cached(
            "UPDATE task SET job_id = ?3 WHERE id = ?1 AND state = 'running' AND stage = ?2 AND job_id IS NULL",
        )?;
        if into.execute((task, stage, job.0))? == 0 {
            return Err(Error::Internal(format!("task {task} left stage {stage} while it was entered")));
        }
        conn.prepare_cached(sql!("advance.sql", "step"))?.execute((task, stage, job.0, now_ms))?;
        match pipeline.stage(stage).and_then(|stage| stage.teardown.as_ref()) {
            Some(teardown) => register_teardown(conn, task, stage, teardown, &new.placement.cwd, &new.placement.env),
            None => Ok(()),
        }
    })
}

/// Returns the jobs of a task that have not ended.
fn live_jobs(conn: &Connection, task: i64) -> Result<Vec<JobId>> {
    let mut live = conn.prepare_cached("SELECT id FROM job WHERE task_id = ?1 AND state IN ('queued', 'running') ORDER BY id")?;
    let rows = live.query_map([task], |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Ends a task, unless another of its jobs is alive (the task was advanced out of that stage, and
/// the tree is being stopped): then the task gets a stop request, and ends with that job. So the
/// key is freed and resources are torn down only when nothing of the task is left.
fn finish(
    conn: &Connection,
    at: At<'_>,
    state: TaskState,
    stop: Option<String>,
    error: Option<String>,
    now_ms: i64,
) -> Result<()> {
    if let Some(last) = live_jobs(conn, at.task)?.last() {
        let mut wait = conn.prepare_cached(sql!("advance.sql", "wait_for_last"))?;
        if wait.execute((at.task, at.job.0, last.0, now_ms, error))? > 0 {
            cancel::cancel(conn, *last, Some("its task ends"), now_ms, job_ended)?;
        }
        return Ok(());
    }
    let (state, error) = match stop {
        Some(stop) => (TaskState::Cancelled, Some(stop)),
        None => (state, error),
    };
    conn.prepare_cached(sql!("advance.sql", "finish"))?.execute((at.task, at.stage, at.job.0, state.as_str(), error, now_ms))?;
    Ok(())
}

/// Fails a task that has passed its gate into a stage whose job cannot be added.
fn fail(conn: &Connection, task: i64, stage: &str, error: &str, now_ms: i64) -> Result<()> {
    let text = format!("stage {stage} cannot be entered: {error}");
    log::error!("task {task}: {text}");
    conn.prepare_cached(sql!("advance.sql", "fail"))?.execute((task, stage, text, now_ms))?;
    Ok(())
}

/// Whether the task of a job has a stop request or has ended: none of its jobs starts or is
/// requeued.
pub(in crate::store) fn is_stopped(conn: &Connection, task: i64) -> Result<bool> {
    let mut goes_on =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM task WHERE id = ?1 AND state = 'running' AND stop_at IS NULL)")?;
    Ok(!goes_on.query_row([task], |row| row.get::<_, bool>(0))?)
}

/// The same, for a job that may belong to no task.
pub(in crate::store) fn is_of_a_stopped_task(conn: &Connection, job: JobId) -> Result<bool> {
    let mut task = conn.prepare_cached("SELECT task_id FROM job WHERE id = ?1")?;
    match task.query_row([job.0], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten() {
        Some(task) => is_stopped(conn, task),
        None => Ok(false),
    }
}

/// Advances tasks that no process advanced: a file that was edited by hand, an old program. Returns
/// the number of tasks.
pub(in crate::store) fn resume(conn: &Connection, tasks: &[i64], now_ms: i64, out: &mut Aftermath) -> Result<usize> {
    let mut moved = 0;
    for task in tasks.iter().copied() {
        let mut stuck = conn.prepare_cached(sql!("advance.sql", "stuck"))?;
        let stuck = stuck.query_row([task], |row| Ok((row.get::<_, Option<i64>>(0)?.map(JobId), text(row, 1)?)));
        let Some((job, state)) = stuck.optional()? else { continue };
        let mut after = aftermath();
        match apart(conn, || go_on_one(conn, task, job, &state, now_ms, &mut after))? {
            Ok(()) => {
                moved += 1;
                out.ended.append(&mut after.ended);
                out.freed.append(&mut after.freed);
            }
            Err(why) => log::error!("task {task} cannot advance: {why}"),
        }
    }
    Ok(moved)
}

fn go_on_one(conn: &Connection, task: i64, job: Option<JobId>, state: &str, now_ms: i64, out: &mut Aftermath) -> Result<()> {
    match (job, state) {
        (Some(job), "queued") => ended::end_queued(conn, job, Reason::Cancelled, "its task was stopped", now_ms, out).map(drop),
        (Some(job), state) if !state.is_empty() => job_ended(conn, task, job, now_ms),
        (job, _) => lose(conn, task, job, now_ms),
    }
}

/// Ends a task whose job is gone: the result of that stage is unknown.
fn lose(conn: &Connection, task: i64, job: Option<JobId>, now_ms: i64) -> Result<()> {
    conn.prepare_cached("UPDATE task_step SET ended_at = ?2, outcome = 'lost' WHERE task_id = ?1 AND ended_at IS NULL")?
        .execute((task, now_ms))?;
    conn.prepare_cached(sql!("advance.sql", "lose"))?.execute((task, job.map(|job| job.0), now_ms))?;
    Ok(())
}

/// Records what to tear down at the end of a task, once for each of its stages until it is torn
/// down. It is recorded before the stage's job can start, so the teardown runs in any case.
pub(in crate::store) fn register_teardown(
    conn: &Connection,
    task: i64,
    stage: &str,
    teardown: &Argv,
    cwd: &str,
    env: &BTreeMap<String, String>,
) -> Result<()> {
    let env = serde_json::to_string(env).map_err(|e| Error::Internal(format!("env is not JSON: {e}")))?;
    conn.prepare_cached(sql!("advance.sql", "register_teardown"))?.execute((task, stage, teardown.to_json(), cwd, env))?;
    Ok(())
}
