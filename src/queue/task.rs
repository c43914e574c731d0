//! Tasks of pipelines: how one stands, how a caller waits for it and continues it.

use std::time::{Duration, Instant, SystemTime};

use super::Queue;
use super::changes::Changes;
use crate::clock::time_of;
use crate::error::{Error, Result};
use crate::job::{JobId, TaskState};
use crate::store::pipeline::retry::{self, Continued};
use crate::store::pipeline::task_rows::{self, Step, TaskRow};

/// A task of a pipeline as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskInfo {
    pub id: i64,
    pub pipeline: String,
    /// The key that one running task of the pipeline has at a time.
    pub key: Option<String>,
    pub state: TaskState,
    /// The current or last stage.
    pub stage: String,
    /// Why it ended, for people.
    pub error: Option<String>,
    pub created_at: SystemTime,
    pub finished_at: Option<SystemTime>,
    /// The stages that it has entered, oldest first.
    pub steps: Vec<TaskStep>,
}

/// A stage that a task has entered. [`Queue::logs`] of its job has its output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskStep {
    pub stage: String,
    pub job: JobId,
    /// `done`, `failed`, `cancelled`, `advanced` (left by hand) or `lost`; `None`: it is under way.
    pub outcome: Option<String>,
}

impl TaskInfo {
    fn of(task: TaskRow, steps: Vec<Step>) -> Self {
        let step = |step: Step| TaskStep { stage: step.stage, job: step.job, outcome: step.outcome };
        Self {
            id: task.id,
            pipeline: task.pipeline,
            key: task.key,
            state: task.state,
            stage: task.stage,
            error: task.error,
            created_at: time_of(task.created_at),
            finished_at: task.finished_at.map(time_of),
            steps: steps.into_iter().map(step).collect(),
        }
    }
}

impl Queue {
    /// Returns a task as it is now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no task has this number.
    pub fn task(&self, id: i64) -> Result<TaskInfo> {
        let found = self.store.read(|conn| Ok(task_rows::task(conn, id)?.zip(Some(task_rows::steps(conn, id)?))))?;
        let (task, steps) = found.ok_or_else(|| Error::NotFound(format!("there is no task {id}")))?;
        Ok(TaskInfo::of(task, steps))
    }

    /// Continues a failed or cancelled task at the stage where it ended, and returns the job of
    /// that stage. The stages that are done stay done.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is running or done, its key is taken, or what it made is not torn
    /// down yet; [`Error::NotFound`].
    pub fn retry_task(&self, id: i64) -> Result<JobId> {
        Ok(self.continue_task(id, None)?.job)
    }

    /// The same, at a stage that the caller names.
    ///
    /// # Errors
    /// As [`Queue::retry_task`], and if there is no such stage.
    pub(crate) fn continue_task(&self, id: i64, from: Option<String>) -> Result<Continued> {
        let now_ms = self.now_ms();
        let done = self.store.write(move |conn| retry::retry(conn, id, from.as_deref(), now_ms))?;
        self.wake();
        Ok(done)
    }

    /// Waits until a task has ended, and returns it. Without a worker that may take forever.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no task has this number, or it is pruned meanwhile.
    pub fn wait_task(&self, id: i64) -> Result<TaskInfo> {
        self.wait_task_until(id, None)?.ok_or_else(|| Error::Internal("a wait without a limit has come to its limit".into()))
    }

    /// Like [`Queue::wait_task`], but no longer than this: `None` if it has not ended by then.
    ///
    /// # Errors
    /// As [`Queue::wait_task`].
    pub fn wait_task_timeout(&self, id: i64, timeout: Duration) -> Result<Option<TaskInfo>> {
        self.wait_task_until(id, Instant::now().checked_add(timeout))
    }

    fn wait_task_until(&self, id: i64, until: Option<Instant>) -> Result<Option<TaskInfo>> {
        let mut changes = Changes::default();
        loop {
            if changes.poll(&self.store)? {
                changes.stir();
                let task = self.task(id)?;
                if task.state != TaskState::Running {
                    // What is returned must still be true after a power cut.
                    self.store.flush_now()?;
                    return Ok(Some(task));
                }
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(None);
            }
            changes.rest(until);
        }
    }
}
