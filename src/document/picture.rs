//! Everything that `status` shows: the file, its worker and the machine, read once.

use super::lease::{self, Seen};
use crate::error::Result;
use crate::host::gates::Machine;
use crate::host::lock::Holder;
use crate::host::report::Report;
use crate::host::sight::Sight;
use crate::job::{JobId, RunId, TaskState};
use crate::place::Place;
use crate::queue::why::over as run_over;
use crate::store::file::standing;
use crate::store::file::standing::PlaceAdvice;
use crate::store::hook;
use crate::store::job::counted::{Counter, LaneRow, QueueRow};
use crate::store::job::failures::{self, Failures};
use crate::store::job::pending;
use crate::store::job::pool::{self, PoolRow};
use crate::store::job::read::{self, Counts};
use crate::store::job::suspend;
use crate::store::resource::{self, Resource};
use crate::store::schedule::{self, Summary};
use crate::store::workspace::{self, WorkspaceRow};
use crate::store::{Health, Store, engine::locks, pipeline::task_rows};

/// Everything that `status` shows.
pub struct Picture {
    pub counts: Counts,
    /// Running jobs that are suspended.
    pub suspended: i64,
    pub queues: Vec<QueueRow>,
    /// Since when all queues are paused, in milliseconds UTC.
    pub all_paused_at: Option<i64>,
    pub lanes: Vec<LaneRow>,
    pub pools: Vec<PoolRow>,
    pub leases: Vec<Seen>,
    pub workspaces: Workspaces,
    pub schedules: Summary,
    /// Tasks, by state.
    pub tasks: Vec<(TaskState, i64)>,
    pub counters: Vec<Counter>,
    /// Runs that are over and cannot be settled, and why.
    pub stuck: Vec<(RunId, Option<JobId>, String)>,
    pub resources: resource::Counts,
    /// Failures that no person has looked at.
    pub failures: Failures,
    pub hooks: hook::Counts,
    /// Unreleased resources, up to a limit, the newest.
    pub live: Vec<Resource>,
    /// When the oldest ready job was added, in milliseconds UTC.
    pub oldest_ready_ms: Option<i64>,
    pub worker: Option<Sight>,
    /// Running jobs that are over, if there is no worker to record it.
    pub over: i64,
    /// What enforces memory limits, and why.
    pub memory: Option<(String, String)>,
    /// Advice about the place of the file.
    pub standing: Option<PlaceAdvice>,
    pub machine: Machine,
    pub health: Health,
    pub blocked: Option<crate::store::Blocked>,
    /// Another program that stays inside a write transaction.
    pub writer: Option<locks::Holder>,
    /// Why nothing can be written, if the file system has become read-only.
    pub read_only: Option<String>,
    pub now_ms: i64,
}

impl Picture {
    /// Reads the file, its worker and the machine. `workspaces_bytes_max`: the operator's limit for
    /// all workspaces.
    ///
    /// # Errors
    /// The file or the lock file cannot be read.
    pub fn take(store: &Store, workspaces_bytes_max: Option<u64>) -> Result<Self> {
        let (counts, queues, lanes, counters, oldest_ready_ms, (resources, live)) = store.read(|conn| {
            let (queues, lanes) = (read::queues(conn)?, read::lanes(conn)?);
            let (counters, oldest_ready_ms) = (read::counters(conn)?, read::oldest_ready_ms(conn)?);
            let resources = (resource::counts(conn)?, resource::live(conn, RESOURCES_MAX)?);
            Ok((read::counts(conn)?, queues, lanes, counters, oldest_ready_ms, resources))
        })?;
        let (suspended, stuck, workspaces, schedules) = store.read(|conn| {
            let suspended = suspend::count(conn)?;
            Ok((
                suspended,
                read::stuck_runs(conn)?,
                Workspaces::of(&workspace::list(conn)?, workspaces_bytes_max),
                schedule::summary(conn)?,
            ))
        })?;
        // Where another program has altered their tables, that is shown as a problem of its own.
        let untold = store.read(|conn| Ok((failures::unseen(conn, FAILURES_NAMED_MAX)?, hook::counts(conn)?)));
        let (failures, hooks) = untold.unwrap_or_default();
        let worker = Sight::read(store.place())?;
        let over = if worker.is_none() && counts.running > 0 { run_over::how_many(store)? } else { 0 };
        let pid = worker.as_ref().map(|worker| worker.holder.pid);
        Ok(Self {
            counts,
            suspended,
            queues,
            all_paused_at: store.read(pending::all_paused_at)?,
            lanes,
            pools: store.read(pool::all)?,
            leases: lease::all(store)?,
            workspaces,
            schedules,
            tasks: store.read(task_rows::counts)?,
            counters,
            stuck,
            resources,
            failures,
            hooks,
            live,
            oldest_ready_ms,
            worker,
            over,
            memory: memory_limiter(store.place())?,
            standing: standing::advice(store)?,
            machine: Machine::sample(store.place().dir()),
            health: store.health(),
            blocked: crate::store::read_blocked(store.place()),
            writer: locks::lasting_writer(store.place(), pid),
            read_only: crate::store::read_only(store.place()),
            now_ms: store.clock().now_ms(),
        })
    }

    /// Counts queued jobs without a hold.
    pub fn ready(&self) -> i64 {
        self.counts.queued - self.counts.held.iter().map(|(_, n)| n).sum::<i64>()
    }
}

/// All workspaces together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Workspaces {
    pub count: usize,
    pub in_use: usize,
    pub bytes: u64,
    /// The operator's limit for them.
    pub max_bytes: Option<u64>,
}

impl Workspaces {
    fn of(rows: &[WorkspaceRow], max_bytes: Option<u64>) -> Self {
        let in_use = rows.iter().filter(|row| row.users > 0).count();
        Self { count: rows.len(), in_use, bytes: rows.iter().filter_map(|row| row.bytes).sum(), max_bytes }
    }
}

/// Most failed jobs that are named.
const FAILURES_NAMED_MAX: usize = 5;
/// Most resources that the document lists; `resource ls` lists all.
const RESOURCES_MAX: usize = 1_000;

/// Returns what enforces `--memory` (`cgroup` or `rlimit`) and why, as the worker reports; `None`
/// if no worker reports it.
///
/// # Errors
/// The lock file cannot be read.
pub fn memory_limiter(place: &Place) -> Result<Option<(String, String)>> {
    let report = Holder::read(place)?.and_then(|holder| Report::read(place, &holder));
    Ok(report.map(|report| report.memory).filter(|(by, _)| !by.is_empty()))
}
