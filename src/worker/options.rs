//! The settings of a worker.

use std::path::PathBuf;

use crate::error::{Error, Result};
pub use crate::host::gates::Floors;
pub use crate::host::lock::Kind;
use crate::host::people::Door;
use crate::job::hook::HookRule;
use crate::job::people::Limits;
use crate::job::{names, worker_limits};
use crate::store::job::claim::Scope;

/// Below the ten seconds of container runtimes, in milliseconds.
const STOP_TIMEOUT_MS_DEFAULT: u64 = 8_000;

/// The source of the number of slots that nothing has set.
const ONE_FOR_EACH_CPU: &str = "default";

/// When a worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never: it waits for a signal.
    Stopped,
    /// When no job is running and none could be claimed now.
    Idle,
    /// Like `Idle`, and no job waits for its time.
    Empty,
}

/// What happens to the runs when the worker is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTerm {
    /// They continue under their shims, and the next worker adopts them.
    Detach,
    /// They are waited for.
    Drain,
    /// They are ended: TERM, the grace, KILL.
    End,
}

/// Where the number of slots of a worker comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotsFrom {
    /// It was given when the worker was started, in this way. It counts more than an earlier
    /// `tenure slots`.
    Named(String),
    /// A default of the surroundings.
    Default(String),
}

impl SlotsFrom {
    pub fn text(&self) -> &str {
        match self {
            Self::Named(text) | Self::Default(text) => text,
        }
    }
}

/// A worker's settings.
#[derive(Debug, Clone)]
pub struct Options {
    pub kind: Kind,
    /// Jobs that run at once, unless a person sets another number while it runs.
    pub slots: usize,
    pub slots_from: SlotsFrom,
    pub scope: Scope,
    pub until: Until,
    /// What TERM means. `None`: detach from the runs, or end them cleanly if nothing survives the
    /// worker.
    pub on_term: Option<OnTerm>,
    /// Longest time between TERM and KILL if the runs are ended with the worker, in milliseconds.
    pub stop_timeout_ms: u64,
    pub floors: Floors,
    /// Rows that break a rule of the file are repaired.
    pub repair: bool,
    /// Ended jobs older than this are pruned, in milliseconds. `None`: kept forever.
    pub keep_ms: Option<u64>,
    /// Log limit of jobs without one, in bytes.
    pub log_limit_bytes: u64,
    /// Above this total the least recently used workspaces are evicted, in bytes. `None`: they are
    /// kept.
    pub workspaces_bytes_max: Option<u64>,
    /// The rules of the configuration for hooks, which are stored in the file. `None`: those that
    /// are stored are kept.
    pub hooks: Option<Vec<HookRule>>,
    /// The pools of the configuration, with their sizes, which are stored in the file.
    pub pools: Vec<(String, u32)>,
    /// This process is only a worker: it reaps orphans and ends those of its runs, reports to the
    /// service manager, and tells on stderr what it does with its runs. A program that embeds a
    /// worker does none of that, or does it itself.
    pub owns_process: bool,
    /// The program that is started as the spawner; `None`: the running one.
    pub spawner: Option<PathBuf>,
    /// What each user may have, other than the owner of the file.
    pub people: Limits,
    /// Where other users are served; `None`: they are not.
    pub door: Option<Door>,
    /// Interval between two rounds of recovery, in milliseconds.
    pub tick_ms: u64,
}

impl Options {
    /// Checks the settings: each worker does before it starts, in whichever way it was configured.
    ///
    /// # Errors
    /// A value out of range.
    pub fn check(&self) -> Result<()> {
        let Floors { memory_bytes, disk_bytes, load_max } = self.floors;
        worker_limits::check_slots(self.slots)
            .and_then(|()| load_max.map_or(Ok(()), worker_limits::check_load))
            .and_then(|()| memory_bytes.map_or(Ok(()), |bytes| worker_limits::check_floor("memory", bytes)))
            .and_then(|()| disk_bytes.map_or(Ok(()), |bytes| worker_limits::check_floor("disk", bytes)))
            .and_then(|()| worker_limits::check_log_limit(self.log_limit_bytes))
            .and_then(|()| self.keep_ms.map_or(Ok(()), worker_limits::check_keep))
            .and_then(|()| {
                self.scope
                    .queues
                    .iter()
                    .try_for_each(|queue| names::name(queue))
                    .map_err(|why| format!("the name of a queue: {why}"))
            })
            .map_err(Error::Invalid)
    }

    /// A worker for everything in the file, with as many slots as there are CPUs.
    pub fn work() -> Self {
        Self {
            kind: Kind::Work,
            slots: std::thread::available_parallelism().map_or(1, usize::from),
            slots_from: SlotsFrom::Default(ONE_FOR_EACH_CPU.to_owned()),
            scope: Scope::default(),
            until: Until::Stopped,
            on_term: None,
            stop_timeout_ms: STOP_TIMEOUT_MS_DEFAULT,
            floors: Floors::default(),
            repair: true,
            keep_ms: None,
            log_limit_bytes: crate::job::limits::LOG_LIMIT_BYTES_DEFAULT,
            workspaces_bytes_max: None,
            hooks: None,
            pools: Vec::new(),
            owns_process: false,
            spawner: None,
            people: Limits::default(),
            door: None,
            tick_ms: 10_000,
        }
    }
}
