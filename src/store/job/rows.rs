//! Rows of the file as values.
//!
//! Reading is lenient where a wrong value is harmless (a negative count, an unknown word), so that
//! one bad row does not hide all the others; the reaper repairs such rows. It is strict about the
//! state.

use std::collections::BTreeMap;

use rusqlite::{Result, Row};
use serde::{Deserialize, Serialize};

use crate::job::spec::was_needless;
use crate::job::{
    Argv, ArgvError, Hold, HookId, JobId, Need, Nonce, Outcome, Policy, Reason, ResourceId, RunId, RunKey, RunKind, State,
};
use crate::store::engine::text;
use crate::store::engine::text::{maybe, text};
pub(in crate::store) use crate::store::job::cells::{count, id, small, state, word};
use crate::store::job::suspension::{Suspension, suspension};

/// The columns that [`Job::from_row`] reads, in its order.
macro_rules! job_columns {
    () => {
        concat!(
            crate::store::job::rows::job_columns_but_suspension!(),
            ", CASE WHEN job.state = 'running' THEN (SELECT json_array(suspend.id, suspend.at, suspend.suspended_at, \
             suspend.resume_at IS NOT NULL) FROM suspend WHERE suspend.run_id = job.run_id AND suspend.closed_at IS NULL) END"
        )
    };
}
/// The same but for the last one, which a job that is just claimed cannot have.
macro_rules! job_columns_but_suspension {
    () => {
        "job.id, job.command, job.state, job.hold, job.reason, job.queue, job.lane, job.priority, job.label, job.cwd, \
         job.available_at, job.run_id, job.pid, job.started_at, job.finished_at, job.attempts, job.max_attempts, \
         job.created_at, job.expires_at, job.unique_key, job.array_index, job.env, job.policy, job.deferrals, job.failed_starts, \
         job.last_reason, job.exit_code, job.signal, job.error, job.progress, job.result, job.user_hold, job.task_id, \
         job.task_hold, job.unmet, job.broken, job.due_seen, job.lane_pass, job.slots, job.uses, \
         EXISTS (SELECT 1 FROM cancel WHERE cancel.job_id = job.id AND cancel.closed_at IS NULL), job.stop_group IS NOT NULL, \
         job.owner"
    };
}
/// How many columns that are.
pub(in crate::store) const JOB_COLUMNS: usize = 44;

/// The columns that [`Run::from_row`] reads, in its order.
macro_rules! run_columns {
    () => {
        "run.id, run.job_id, run.kind, run.parent, run.attempt, run.nonce, run.instance, run.boot_id, run.claimed_at, run.pid, \
         run.started_at, run.exited_at, run.finished_at, run.outcome, run.reason, run.exit_code, run.signal, run.error, \
         run.leftovers, run.max_rss_bytes, run.user_ms, run.system_ms, run.adopted, run.resource_id, run.workspace, run.hook_id"
    };
}
pub(in crate::store) use {job_columns, job_columns_but_suspension, run_columns};

/// A row of `job`, and whether a cancel is open. Times are milliseconds UTC. As JSON it is what the
/// system worker tells the client of another user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    /// JSON, see [`Job::argv`].
    pub command: String,
    pub state: State,
    /// What holds it; `None` for a queued job: it is ready.
    pub hold: Option<Hold>,
    pub reason: Option<Reason>,
    pub queue: String,
    pub lane: Option<String>,
    pub priority: i64,
    pub label: Option<String>,
    pub cwd: String,
    pub available_at: i64,
    pub run_id: Option<RunId>,
    pub pid: Option<i32>,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub attempts: u32,
    pub max_attempts: u32,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub unique_key: Option<String>,
    pub array_index: Option<i64>,
    /// JSON object of strings.
    pub env: String,
    /// JSON, see [`Job::policy`].
    pub policy: String,
    pub deferrals: u32,
    pub failed_starts: u32,
    /// The reason of the latest run that ended.
    pub last_reason: Option<Reason>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub error: Option<String>,
    /// JSON object: percent, text, at.
    pub progress: Option<String>,
    pub result: Option<String>,
    pub user_hold: bool,
    pub task_id: Option<i64>,
    pub task_hold: bool,
    pub unmet: u32,
    pub broken: u32,
    pub due_seen: i64,
    pub lane_pass: bool,
    /// Slots that it takes.
    pub slots: u32,
    /// JSON, see [`Job::uses`].
    pub uses: Option<String>,
    /// A client requested a cancel that is not completed yet.
    pub cancel_open: bool,
    /// The queued rest of its array is cancelled if it fails.
    pub stops_array: bool,
    /// Of a running job: it is suspended, or is to be.
    pub suspension: Option<Suspension>,
    /// Why the job cannot be run: a client wrote bytes that are not UTF-8. The displayed text
    /// differs from what was written.
    pub unreadable: Option<String>,
    /// The user that it belongs to and runs as; `None`: the owner of the file.
    pub owner: Option<u32>,
}

/// The columns of [`Job`] that any client writes, with their positions in `job_columns!()`.
const JOB_TEXTS: [(usize, &str); 8] =
    [(1, "command"), (5, "queue"), (6, "lane"), (8, "label"), (9, "cwd"), (19, "unique_key"), (21, "env"), (22, "policy")];

impl Job {
    /// Returns about how many bytes its texts have.
    pub fn text_bytes(&self) -> usize {
        let maybe = [&self.error, &self.result, &self.progress, &self.label, &self.unique_key, &self.uses];
        let maybe: usize = maybe.into_iter().flatten().map(String::len).sum();
        self.command.len() + self.env.len() + self.policy.len() + self.cwd.len() + maybe
    }

    /// Reads the columns of `job_columns!()`.
    pub(in crate::store) fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: id(row, 0)?,
            command: text(row, 1)?,
            state: state(row, 2)?,
            hold: word(row, 3, Hold::parse)?,
            reason: word(row, 4, Reason::parse)?,
            queue: text(row, 5)?,
            lane: maybe(row, 6)?,
            priority: row.get(7)?,
            label: maybe(row, 8)?,
            cwd: text(row, 9)?,
            available_at: row.get(10)?,
            run_id: row.get::<_, Option<i64>>(11)?.map(RunId),
            pid: small(row, 12)?,
            started_at: row.get(13)?,
            finished_at: row.get(14)?,
            attempts: count(row, 15)?,
            max_attempts: count(row, 16)?,
            created_at: row.get(17)?,
            expires_at: row.get(18)?,
            unique_key: maybe(row, 19)?,
            array_index: row.get(20)?,
            env: text(row, 21)?,
            policy: text(row, 22)?,
            deferrals: count(row, 23)?,
            failed_starts: count(row, 24)?,
            last_reason: word(row, 25, Reason::parse)?,
            exit_code: small(row, 26)?,
            signal: small(row, 27)?,
            error: maybe(row, 28)?,
            progress: maybe(row, 29)?,
            result: maybe(row, 30)?,
            user_hold: row.get::<_, i64>(31)? != 0,
            task_id: row.get(32)?,
            task_hold: row.get::<_, i64>(33)? != 0,
            unmet: count(row, 34)?,
            broken: count(row, 35)?,
            due_seen: row.get(36)?,
            lane_pass: row.get::<_, i64>(37)? != 0,
            slots: count(row, 38)?.max(1),
            uses: maybe(row, 39)?,
            cancel_open: row.get(40)?,
            stops_array: row.get(41)?,
            suspension: maybe(row, 43)?.as_deref().and_then(suspension),
            unreadable: text::first_fault(row, &JOB_TEXTS)?,
            // A number that no user can have is never the owner of the file.
            owner: row.get::<_, Option<i64>>(42)?.map(|uid| u32::try_from(uid).unwrap_or(u32::MAX)),
        })
    }

    /// Returns the command.
    ///
    /// # Errors
    /// A client wrote something that is not a command: it is never run.
    pub fn argv(&self) -> Result<Argv, ArgvError> {
        Argv::from_json(&self.command)
    }

    /// Returns the policy.
    ///
    /// # Errors
    /// A client wrote something that is not a policy: the job is never run.
    pub fn policy(&self) -> Result<Policy, String> {
        Policy::from_json(&self.policy)
    }

    /// Returns what it uses of each pool; nothing, if a client wrote something else.
    pub fn uses(&self) -> BTreeMap<String, u32> {
        self.uses.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Whether it has ended without having been needed, which is not a failure.
    pub fn was_needless(&self) -> bool {
        was_needless(Some(self.state), self.reason)
    }

    /// Returns the state as people see it: a queued job with an open cancel is shown as cancelled,
    /// and never starts.
    pub fn shown_state(&self) -> State {
        if self.state == State::Queued && self.cancel_open { State::Cancelled } else { self.state }
    }
}

/// A row of `run`. Times are milliseconds UTC. As JSON it is without its nonce, by which its shim
/// knows who may stop it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    /// `None` for an auxiliary run that belongs to no job.
    pub job: Option<JobId>,
    pub kind: RunKind,
    /// The job's own run, for an auxiliary run of it.
    pub parent: Option<RunId>,
    pub attempt: u32,
    #[serde(skip, default = "no_nonce")]
    pub nonce: Nonce,
    /// The worker that claimed or last adopted it.
    pub instance: String,
    pub boot_id: String,
    pub claimed_at: i64,
    pub pid: Option<i32>,
    pub started_at: Option<i64>,
    pub exited_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub outcome: Option<Outcome>,
    pub reason: Option<Reason>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub error: Option<String>,
    /// Processes that outlived the job's own and were ended with it.
    pub leftovers: Option<String>,
    pub max_rss_bytes: Option<i64>,
    pub user_ms: Option<i64>,
    pub system_ms: Option<i64>,
    pub adopted: u32,
    /// The resource that it tears down or probes.
    pub resource: Option<ResourceId>,
    /// The workspace that it prepares.
    pub workspace: Option<String>,
    /// The hook that it runs.
    pub hook: Option<HookId>,
}

fn no_nonce() -> Nonce {
    Nonce([0; 16])
}

impl Run {
    pub fn key(&self) -> RunKey {
        RunKey { run: self.id, nonce: self.nonce }
    }

    /// Reads the columns of `run_columns!()`.
    pub(in crate::store) fn from_row(row: &Row<'_>) -> Result<Self> {
        Self::from_row_at(row, 0)
    }

    pub(in crate::store) fn from_row_at(row: &Row<'_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: RunId(row.get(at)?),
            job: row.get::<_, Option<i64>>(at + 1)?.map(JobId),
            kind: word(row, at + 2, RunKind::parse)?.unwrap_or(RunKind::Unknown),
            parent: row.get::<_, Option<i64>>(at + 3)?.map(RunId),
            attempt: count(row, at + 4)?,
            // A nonce that does not parse matches nothing: such a run counts as foreign.
            nonce: text(row, at + 5)?.parse().unwrap_or(no_nonce()),
            instance: text(row, at + 6)?,
            boot_id: text(row, at + 7)?,
            claimed_at: row.get(at + 8)?,
            pid: small(row, at + 9)?,
            started_at: row.get(at + 10)?,
            exited_at: row.get(at + 11)?,
            finished_at: row.get(at + 12)?,
            outcome: word(row, at + 13, Outcome::parse)?,
            reason: word(row, at + 14, Reason::parse)?,
            exit_code: small(row, at + 15)?,
            signal: small(row, at + 16)?,
            error: maybe(row, at + 17)?,
            leftovers: maybe(row, at + 18)?,
            max_rss_bytes: row.get(at + 19)?,
            user_ms: row.get(at + 20)?,
            system_ms: row.get(at + 21)?,
            adopted: count(row, at + 22)?,
            resource: row.get::<_, Option<i64>>(at + 23)?.map(ResourceId),
            workspace: maybe(row, at + 24)?,
            hook: row.get::<_, Option<i64>>(at + 25)?.map(HookId),
        })
    }
}

/// A row of `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The order within the history of one job.
    pub seq: i64,
    pub at: i64,
    pub job: Option<JobId>,
    pub run: Option<RunId>,
    pub kind: String,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

/// A job that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    pub on: JobId,
    pub need: Need,
    /// `unmet`, `met` or `broken`.
    pub state: String,
    /// `None`: it has been pruned.
    pub parent_state: Option<State>,
    pub parent_reason: Option<Reason>,
}
