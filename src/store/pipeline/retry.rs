//! A person continues an ended task where it ended: the only way an ended task changes.
//!
//! The stages that are done stay done, and the parameters, the revision and the key stay. The new
//! job is a step of its own, so the history of the task shows both. It counts as a round of its
//! stage, and is itself not refused for `max_rounds`, because a person asked for it.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::pipeline::Params;
use crate::job::{JobId, Pipeline, TaskState};
use crate::store::engine::text::text;
use crate::store::pipeline::task::{existing, no_stage, running_with_key, stop_those_that_end};
use crate::store::pipeline::task_rows::TaskRow;
use crate::store::pipeline::{advance, task_rows};

/// Most resources that are named.
const NAMED_MAX: i64 = 10;

/// A task that runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continued {
    pub stage: String,
    /// The job of that stage.
    pub job: JobId,
    /// Resources of the task that were torn down when it ended: what earlier stages made and this
    /// one may need.
    pub gone: Vec<String>,
}

/// Continues a failed or cancelled task: at the stage where it ended, or at `from`.
///
/// # Errors
/// [`Error::NotFound`] for the task or the stage; [`Error::Refused`] if it runs or is done, nothing
/// of it is left to do, its key is taken, or what it made is not torn down yet.
pub fn retry(conn: &Connection, id: i64, from: Option<&str>, now_ms: i64) -> Result<Continued> {
    let task = existing(conn, id)?;
    check_state(&task)?;
    let pipeline = Pipeline::from_json(&task.spec).map_err(Error::Refused)?;
    let stage = match from {
        Some(from) if pipeline.stage(from).is_none() => return Err(no_stage(&task.pipeline, &pipeline, from)),
        Some(from) => from.to_owned(),
        None => where_it_ended(conn, &task, &pipeline)?,
    };
    check_key(conn, &task, now_ms)?;
    check_teardowns(conn, id)?;
    let params: Params =
        serde_json::from_str(&task.params).map_err(|e| Error::Refused(format!("the parameters of task {id}: {e}")))?;
    let mut again = conn.prepare_cached(sql!("retry.sql", "again"))?;
    if again.execute((id, &stage))? == 0 {
        return Err(Error::Refused(format!("task {id} is not failed or cancelled any more; tenure task show {id} says more")));
    }
    advance::enter(conn, id, &stage, &pipeline, &params, task.held, now_ms)?
        .map_err(|e| Error::Refused(format!("stage {stage} cannot be entered: {e}")))?;
    let job = existing(conn, id)?.job.ok_or_else(|| Error::Internal(format!("task {id} has no job")))?;
    conn.prepare_cached(sql!("retry.sql", "event"))?.execute((job.0, format!("task {id} was retried at stage {stage}")))?;
    Ok(Continued { gone: gone(conn, id, &stage)?, stage, job })
}

fn check_state(task: &TaskRow) -> Result<()> {
    let id = task.id;
    let wrong = match task.state {
        TaskState::Failed | TaskState::Cancelled => return Ok(()),
        TaskState::Running => format!("task {id} is running, in stage {}; tenure task show {id} says more", task.stage),
        TaskState::Done => format!("task {id} is done; tenure task start {} starts another", task.pipeline),
    };
    Err(Error::Refused(wrong))
}

/// Returns the stage whose job did not end as done; or, if it did and the task went no further, the
/// one after it.
fn where_it_ended(conn: &Connection, task: &TaskRow, pipeline: &Pipeline) -> Result<String> {
    let last = task_rows::steps(conn, task.id)?.pop().filter(|step| step.stage == task.stage);
    let is_done = last.is_some_and(|step| step.outcome.as_deref() == Some("done"));
    let here = pipeline.stage(&task.stage).filter(|_| is_done);
    match here.map(|here| &here.on_success) {
        None => Ok(task.stage.clone()),
        Some(Some(next)) => Ok(next.clone()),
        Some(None) => Err(Error::Refused(format!(
            "the last stage of task {0}, {1}, is done, so nothing of it is left; to run that once more: tenure task retry {0} --from {1}",
            task.id, task.stage
        ))),
    }
}

fn check_key(conn: &Connection, task: &TaskRow, now_ms: i64) -> Result<()> {
    let key = task.key.as_deref();
    stop_those_that_end(conn, &task.pipeline, key, now_ms)?;
    let Some(other) = running_with_key(conn, &task.pipeline, key)? else { return Ok(()) };
    Err(Error::Refused(format!(
        "task {other} runs and has the key of task {}; wait for it (tenure task wait {other}) or end it first (tenure task stop {other})",
        task.id
    )))
}

/// A teardown that is not complete would remove what the new job makes.
fn check_teardowns(conn: &Connection, task: i64) -> Result<()> {
    let mut releasing = conn.prepare_cached(sql!("retry.sql", "releasing"))?;
    let Some(resource) = releasing.query_row([task], |row| row.get::<_, i64>(0)).optional()? else { return Ok(()) };
    Err(Error::Refused(format!(
        "what task {task} made is not torn down yet: resource {resource}; try again when it is released (tenure resource show {resource})"
    )))
}

fn gone(conn: &Connection, task: i64, stage: &str) -> Result<Vec<String>> {
    let mut gone = conn.prepare_cached(sql!("retry.sql", "gone"))?;
    let rows = gone.query_map((task, stage, NAMED_MAX), |row| text(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
