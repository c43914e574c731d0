//! Tasks as values, and the queries for them. Nothing here changes the file.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::Result;
use crate::job::{JobId, TaskState};
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows;

/// Most tasks in one list.
pub const TASKS_MAX: usize = 100_000;

/// A row of `task`, with the description that it uses. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    pub id: i64,
    pub pipeline: String,
    pub revision: i64,
    pub key: Option<String>,
    pub state: TaskState,
    /// The current or last stage.
    pub stage: String,
    /// The job whose end advances it, or has ended it.
    pub job: Option<JobId>,
    /// JSON object of strings.
    pub params: String,
    pub error: Option<String>,
    pub created_at: i64,
    pub finished_at: Option<i64>,
    pub stop_at: Option<i64>,
    pub stop_why: Option<String>,
    pub held: bool,
    /// JSON of the pipeline.
    pub spec: String,
}

impl TaskRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            pipeline: text(row, 1)?,
            revision: row.get(2)?,
            key: maybe(row, 3)?,
            // A task with an unknown state does not continue.
            state: rows::word(row, 4, TaskState::parse)?.unwrap_or(TaskState::Failed),
            stage: text(row, 5)?,
            job: row.get::<_, Option<i64>>(6)?.map(JobId),
            params: text(row, 7)?,
            error: maybe(row, 8)?,
            created_at: row.get(9)?,
            finished_at: row.get(10)?,
            stop_at: row.get(11)?,
            stop_why: maybe(row, 12)?,
            held: row.get::<_, i64>(13)? != 0,
            spec: text(row, 14)?,
        })
    }
}

/// One stage that a task has entered. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub seq: i64,
    pub stage: String,
    pub job: JobId,
    pub entered_at: i64,
    pub ended_at: Option<i64>,
    /// `done`, `failed`, `cancelled`, `advanced` (left by hand) or `lost` (its job is gone).
    pub outcome: Option<String>,
}

/// Selects tasks. An empty or `None` field does not narrow the selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    pub states: Vec<TaskState>,
    pub pipeline: Option<String>,
    pub key: Option<String>,
    /// Those with smaller numbers.
    pub before: Option<i64>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

/// Returns one task; `None`: it does not exist.
pub fn task(conn: &Connection, id: i64) -> Result<Option<TaskRow>> {
    let mut task = conn.prepare_cached(sql_of!(sql!("task_rows.sql", "columns"), " WHERE t.id = ?1"))?;
    Ok(task.query_row([id], TaskRow::from_row).optional()?)
}

/// The number of the newest task.
pub fn last(conn: &Connection) -> Result<Option<i64>> {
    Ok(conn.prepare_cached("SELECT max(id) FROM task")?.query_row([], |row| row.get(0))?)
}

/// Returns the newest tasks that match the filter, newest last.
pub fn tasks(conn: &Connection, filter: &TaskFilter) -> Result<Vec<TaskRow>> {
    let limit = filter.limit.unwrap_or(TASKS_MAX).min(TASKS_MAX);
    let states = if filter.states.is_empty() { &TaskState::ALL[..] } else { &filter.states };
    let words = states.iter().map(|state| format!("'{state}'")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "{} WHERE t.state IN ({words}) AND (?1 IS NULL OR t.pipeline = ?1) AND (?2 IS NULL OR t.key = ?2) AND t.id < ?3 ORDER BY t.id DESC LIMIT {limit}",
        sql!("task_rows.sql", "columns")
    );
    let mut tasks = conn.prepare_cached(&sql)?;
    let rows = tasks.query_map((&filter.pipeline, &filter.key, filter.before.unwrap_or(i64::MAX)), TaskRow::from_row)?;
    let mut found: Vec<TaskRow> = rows.collect::<rusqlite::Result<_>>()?;
    found.reverse();
    Ok(found)
}

/// The stages that a task has entered, in order.
pub fn steps(conn: &Connection, task: i64) -> Result<Vec<Step>> {
    let mut steps = conn.prepare_cached(
        "SELECT seq, stage, job_id, entered_at, ended_at, outcome FROM task_step WHERE task_id = ?1 ORDER BY seq",
    )?;
    let rows = steps.query_map([task], |row| {
        Ok(Step {
            seq: row.get(0)?,
            stage: text(row, 1)?,
            job: rows::id(row, 2)?,
            entered_at: row.get(3)?,
            ended_at: row.get(4)?,
            outcome: maybe(row, 5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the task of a job, and its stage.
pub fn of_job(conn: &Connection, job: JobId) -> Result<Option<(TaskRow, String)>> {
    let mut step = conn.prepare_cached("SELECT task_id, stage FROM task_step WHERE job_id = ?1")?;
    let step: Option<(i64, String)> = step.query_row([job.0], |row| Ok((row.get(0)?, text(row, 1)?))).optional()?;
    let Some((id, stage)) = step else { return Ok(None) };
    Ok(task(conn, id)?.map(|task| (task, stage)))
}

/// Counts the tasks by state, in the order of [`TaskState::ALL`].
pub fn counts(conn: &Connection) -> Result<Vec<(TaskState, i64)>> {
    let mut n = conn.prepare_cached("SELECT coalesce(max(n), 0) FROM counter WHERE name = 'tasks_' || ?1")?;
    TaskState::ALL.iter().map(|state| Ok((*state, n.query_row([state.as_str()], |row| row.get(0))?))).collect()
}
