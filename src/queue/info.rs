//! A job as a caller sees it, in types of `std` and of this crate.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::SystemTime;

use serde_json::Value;

use super::Queue;
use crate::clock::time_of;
use crate::error::{Error, Result};
use crate::job::spec::was_needless;
use crate::job::{Hold, JobId, Reason, RunId, State};
use crate::store::job::read;
use crate::store::job::rows;
use crate::store::job::suspend;

/// A job as it is now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobInfo {
    pub id: JobId,
    pub state: State,
    /// The first hold of a queued job; `None`: it is ready.
    pub hold: Option<Hold>,
    /// Why it ended, or why its latest run did.
    pub reason: Option<Reason>,
    pub queue: String,
    pub lane: Option<String>,
    pub label: Option<String>,
    pub priority: i64,
    /// Slots of the worker and of its queue that it takes while it runs.
    pub slots: u32,
    /// What it uses of each pool while it runs.
    pub uses: BTreeMap<String, u32>,
    /// The command and its arguments; empty if another client wrote something that is not a
    /// command.
    pub command: Vec<OsString>,
    pub cwd: String,
    /// Attempts that were started, and the maximum.
    pub attempts: u32,
    pub max_attempts: u32,
    pub created_at: SystemTime,
    /// When it may start.
    pub available_at: SystemTime,
    /// Start of its current or latest run.
    pub started_at: Option<SystemTime>,
    pub finished_at: Option<SystemTime>,
    /// The run that owns it while it is running; its number is the fencing token.
    pub run: Option<RunId>,
    /// For display. Another process may have this number a moment later.
    pub pid: Option<i32>,
    pub exit_code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// The error, for people.
    pub error: Option<String>,
    /// Its `TENURE_RESULT`, or the value given to [`Call::set_result`](crate::Call::set_result).
    pub result: Option<String>,
    pub progress: Option<Progress>,
    /// The key that one live job has at a time.
    pub unique_key: Option<String>,
    /// Its index, for a job of an array.
    pub array_index: Option<i64>,
    /// The queued rest of its array is cancelled if it fails.
    pub stops_array: bool,
    /// How often it was requeued because it exited with 75.
    pub deferrals: u32,
    /// When it fails unless it has been started.
    pub expires_at: Option<SystemTime>,
    /// The task of a pipeline that it belongs to.
    pub task: Option<i64>,
    /// The uid of the user that it belongs to and runs as; `None`: the owner of the file.
    pub owner: Option<u32>,
    /// Whether a cancel is requested and not complete.
    pub is_cancelling: bool,
    /// Of a running job: it is suspended, or is to be.
    pub suspension: Option<Suspension>,
    /// Each of its processes was stopped by a signal from outside, as far as the kernel was asked.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) is_stopped: bool,
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) stored: Stored,
}

/// Columns of a job as they are in the file. The command line shows them even if they are not
/// valid: any client can write them.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub state: State,
    pub reason: Option<Reason>,
    /// JSON.
    pub command: String,
    /// JSON.
    pub env: String,
    /// JSON.
    pub policy: String,
    /// JSON.
    pub progress: Option<String>,
}

/// A running job that is suspended, or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspension {
    /// When a client asked for it.
    pub asked_at: SystemTime,
    /// Since when its processes are stopped; `None`: they are about to be.
    pub since: Option<SystemTime>,
    /// A client has asked that it continues.
    pub is_resuming: bool,
}

impl Suspension {
    fn of(row: suspend::Suspension) -> Self {
        let (asked_at, since) = (time_of(row.asked_at), row.suspended_at.map(time_of));
        Self { asked_at, since, is_resuming: row.is_resuming }
    }

    /// `suspending`, `suspended` or `resuming`.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn word(self) -> &'static str {
        match (self.is_resuming, self.since) {
            (true, _) => "resuming",
            (false, Some(_)) => "suspended",
            (false, None) => "suspending",
        }
    }
}

/// The progress that a job reports.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// 0 to 100.
    pub percent: Option<f64>,
    pub text: Option<String>,
}

/// An event of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its position in the history of the job.
    pub seq: i64,
    pub at: SystemTime,
    /// A word such as `added`, `claimed`, `done`.
    pub kind: String,
    pub job: Option<JobId>,
    pub run: Option<RunId>,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

impl JobInfo {
    /// Whether it has ended; it does not change any more, except by a retry.
    pub fn has_ended(&self) -> bool {
        self.state.is_terminal()
    }

    /// Whether it has ended without having been needed, which is not a failure.
    pub fn was_needless(&self) -> bool {
        was_needless(Some(self.state), self.reason)
    }

    /// Converts a row.
    pub(crate) fn of(job: rows::Job) -> Self {
        let state = job.shown_state();
        let is_as_stored = state == job.state;
        let uses = job.uses();
        let command = command_of(&job);
        let progress = job.progress.as_deref().and_then(Progress::parse);
        Self {
            id: job.id,
            state,
            hold: job.hold.filter(|_| is_as_stored),
            reason: if is_as_stored { job.reason.or(job.last_reason) } else { Some(Reason::Cancelled) },
            queue: job.queue,
            lane: job.lane,
            label: job.label,
            priority: job.priority,
            slots: job.slots,
            uses,
            command,
            cwd: job.cwd,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            created_at: time_of(job.created_at),
            available_at: time_of(job.available_at.max(job.created_at)),
            started_at: job.started_at.map(time_of),
            finished_at: job.finished_at.map(time_of),
            run: job.run_id,
            pid: job.pid,
            exit_code: job.exit_code,
            signal: job.signal,
            error: job.error,
            result: job.result,
            progress,
            unique_key: job.unique_key,
            array_index: job.array_index,
            stops_array: job.stops_array,
            deferrals: job.deferrals,
            expires_at: job.expires_at.map(time_of),
            task: job.task_id,
            owner: job.owner,
            is_cancelling: job.cancel_open,
            suspension: job.suspension.map(Suspension::of),
            is_stopped: false,
            stored: Stored {
                state: job.state,
                reason: job.reason,
                command: job.command,
                env: job.env,
                policy: job.policy,
                progress: job.progress,
            },
        }
    }
}

fn command_of(job: &rows::Job) -> Vec<OsString> {
    let arguments = job.argv().map(|argv| argv.arguments().to_vec()).unwrap_or_default();
    arguments.into_iter().map(OsString::from_vec).collect()
}

impl Progress {
    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let words = value.get("text").and_then(Value::as_str).map(str::to_owned);
        Some(Self { percent: value.get("percent").and_then(Value::as_f64), text: words })
    }
}

impl Queue {
    /// Returns a job as it is now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no job has this number.
    pub fn job(&self, id: JobId) -> Result<JobInfo> {
        Ok(JobInfo::of(self.row(id)?))
    }

    pub(super) fn row(&self, id: JobId) -> Result<rows::Job> {
        let found = self.store.read(|conn| read::job(conn, id))?;
        found.ok_or_else(|| Error::NotFound(format!("there is no job {id}")))
    }

    /// Returns the events of a job, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no job has this number.
    pub fn history(&self, id: JobId) -> Result<Vec<Event>> {
        self.row(id)?;
        self.events(id)
    }

    /// The same, and whether there are older ones that were not read.
    ///
    /// # Errors
    /// As [`Queue::history`].
    #[cfg(feature = "cli")]
    pub(crate) fn history_and_more(&self, id: JobId) -> Result<(Vec<Event>, bool)> {
        self.row(id)?;
        let (events, more) = self.store.read(|conn| read::history(conn, id))?;
        Ok((events.into_iter().map(Event::of).collect(), more))
    }

    /// Returns the events of a job that exists.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn events(&self, id: JobId) -> Result<Vec<Event>> {
        Ok(self.store.read(|conn| read::events(conn, id))?.into_iter().map(Event::of).collect())
    }
}

impl Event {
    pub(crate) fn of(event: rows::Event) -> Self {
        let rows::Event { seq, at, job, run, kind, reason, detail } = event;
        Self { seq, at: time_of(at), kind, job, run, reason, detail }
    }
}
