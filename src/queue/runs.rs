//! The runs of a job, and the rest of what `tenure show` prints of it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Queue;
#[cfg(feature = "cli")]
use super::hooks::HookInfo;
#[cfg(feature = "cli")]
use super::info::Event;
use crate::clock::time_of;
use crate::error::Result;
#[cfg(feature = "cli")]
use crate::job::TaskState;
use crate::job::{JobId, Outcome, Reason, RunId, RunKind};
use crate::place::Place;
use crate::store::{job::read, job::rows};
#[cfg(feature = "cli")]
use crate::store::{job::suspend, pipeline::task_rows};

/// A run of a job, or an auxiliary run around it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunInfo {
    pub id: RunId,
    pub kind: RunKind,
    pub attempt: u32,
    /// For display. Another process may have this number a moment later.
    pub pid: Option<i32>,
    pub started_at: Option<SystemTime>,
    /// When its process ended; the rest of its process tree may have ended later.
    pub exited_at: Option<SystemTime>,
    /// When its end was recorded.
    pub finished_at: Option<SystemTime>,
    /// `None`: it is running.
    pub outcome: Option<Outcome>,
    pub reason: Option<Reason>,
    pub exit_code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// The error, for people.
    pub error: Option<String>,
    /// Processes that outlived its own and were ended with it, for people.
    pub leftovers: Option<String>,
    pub max_rss_bytes: Option<i64>,
    pub user_time: Option<Duration>,
    pub system_time: Option<Duration>,
    /// The file with its output.
    pub log: PathBuf,
}

impl RunInfo {
    /// Converts a row.
    pub(crate) fn of(run: &rows::Run, place: &Place) -> Self {
        let time = |ms: Option<i64>| ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        Self {
            id: run.id,
            kind: run.kind,
            attempt: run.attempt,
            pid: run.pid,
            started_at: run.started_at.map(time_of),
            exited_at: run.exited_at.map(time_of),
            finished_at: run.finished_at.map(time_of),
            outcome: run.outcome,
            reason: run.reason,
            exit_code: run.exit_code,
            signal: run.signal,
            error: run.error.clone(),
            leftovers: run.leftovers.clone(),
            max_rss_bytes: run.max_rss_bytes,
            user_time: time(run.user_ms),
            system_time: time(run.system_ms),
            log: place.log_file(run.id),
        }
    }
}

/// The stage of a task that a job is.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub task: i64,
    pub pipeline: String,
    pub stage: String,
    pub state: TaskState,
    /// A stop of the task is requested.
    pub is_stopping: bool,
    pub is_held: bool,
}

/// Everything that is recorded around a job.
#[cfg(feature = "cli")]
pub(crate) struct Record {
    pub runs: Vec<RunInfo>,
    pub events: Vec<Event>,
    pub hooks: Vec<HookInfo>,
    pub step: Option<Step>,
    /// How long its suspensions that are over have lasted together.
    pub suspended_ms: u64,
}

impl Queue {
    /// Returns the runs of a job, oldest first, with the auxiliary runs around it.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if no job has this number.
    pub fn runs(&self, id: JobId) -> Result<Vec<RunInfo>> {
        self.row(id)?;
        let runs = self.store.read(|conn| read::runs(conn, id))?;
        Ok(runs.iter().map(|run| RunInfo::of(run, self.store.place())).collect())
    }
}

#[cfg(feature = "cli")]
impl Queue {
    /// Returns everything that is recorded around a job that exists.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn record(&self, id: JobId) -> Result<Record> {
        let (runs, events, suspended_ms) =
            self.store.read(|conn| Ok((read::runs(conn, id)?, read::events(conn, id)?, suspend::lasted_ms(conn, id)?)))?;
        Ok(Record {
            runs: runs.iter().map(|run| RunInfo::of(run, self.store.place())).collect(),
            events: events.into_iter().map(Event::of).collect(),
            hooks: self.hooks(id)?,
            step: self.step(id)?,
            suspended_ms,
        })
    }

    /// Returns the stage of a task that a job is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn step(&self, id: JobId) -> Result<Option<Step>> {
        let step = self.store.read(|conn| task_rows::of_job(conn, id))?;
        Ok(step.map(|(task, stage)| Step {
            task: task.id,
            pipeline: task.pipeline,
            stage,
            state: task.state,
            is_stopping: task.stop_at.is_some(),
            is_held: task.held,
        }))
    }

    /// Returns the text about the run of a job, if it is over and no worker is about to record
    /// that.
    ///
    /// # Errors
    /// The file, the worker's lock or the run file cannot be read.
    pub(crate) fn over(&self, id: JobId) -> Result<Option<String>> {
        super::why::over::of(&self.store, id)
    }
}
