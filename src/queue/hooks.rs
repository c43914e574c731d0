//! The hooks of a job, and failures that a person has not looked at yet.

use std::time::SystemTime;

use super::Queue;
use crate::clock::time_of;
use crate::error::Result;
use crate::job::JobId;
use crate::job::hook::{HookEvent, HookOutcome};
use crate::store::hook;
#[cfg(feature = "cli")]
use crate::store::job::failures::{self, Failures};

/// A hook that is to run, or has run, because its job has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookInfo {
    /// The same in each attempt: `TENURE_HOOK`.
    pub id: i64,
    pub event: HookEvent,
    /// The rule of the configuration; `None`: the hook of the job, or of its task.
    pub rule: Option<String>,
    /// JSON array of the command.
    pub command: String,
    /// Whether it runs now.
    pub is_running: bool,
    /// `None`: it has not ended.
    pub outcome: Option<HookOutcome>,
    /// Attempts that have failed.
    pub failures: u32,
    /// When it runs again, if it has failed and is not running.
    pub next_at: Option<SystemTime>,
    pub last_error: Option<String>,
    pub closed_at: Option<SystemTime>,
}

impl HookInfo {
    fn of(hook: hook::Hook) -> Self {
        let is_waiting = hook.outcome.is_none() && hook.auxiliary.is_none() && hook.attempts > 0;
        Self {
            id: hook.id.0,
            event: hook.event,
            rule: hook.rule,
            command: hook.command,
            is_running: hook.auxiliary.is_some(),
            outcome: hook.outcome,
            failures: hook.attempts,
            next_at: is_waiting.then(|| time_of(hook.next_at)),
            last_error: hook.last_error,
            closed_at: hook.closed_at.map(time_of),
        }
    }

    /// Returns `due`, `running`, `done` or `given_up`.
    pub fn state(&self) -> &'static str {
        match self.outcome {
            Some(outcome) => outcome.as_str(),
            None if self.is_running => "running",
            None => "due",
        }
    }
}

impl Queue {
    /// Returns the hooks that ends of a job have caused, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if no job has this number.
    pub fn hooks(&self, id: JobId) -> Result<Vec<HookInfo>> {
        self.row(id)?;
        Ok(self.store.read(|conn| hook::of_job(conn, id))?.into_iter().map(HookInfo::of).collect())
    }
}

#[cfg(feature = "cli")]
impl Queue {
    /// Returns the failures that no person has looked at.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn unseen_failures(&self, named: usize) -> Result<Failures> {
        self.store.read(move |conn| failures::unseen(conn, named))
    }

    /// Records that a person has looked at all failures until now.
    ///
    /// # Errors
    /// The file refuses it.
    pub(crate) fn seen(&self) -> Result<()> {
        self.store.write(failures::seen)
    }
}
