//! State that the threads of a worker share.
//!
//! A leaf: it owns the state that loops and runs share, and knows no loop and no step.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::clock_steps::ClockSteps;
use super::due_queue::DueQueue;
use super::engines::Engines;
use super::loop_waker::LoopWaker;
use super::options::{Kind, Options};
use super::pool::Pool;
use super::reporter::Reporter;
use super::roster::Roster;
use super::run_files::RunFilePool;
use super::shortage::{self, Admits, Shortage};
use super::single_flight::SingleFlight;
use super::slots::Slots;
use super::stop_flag::{Ended, StopFlag};
use crate::error::{Error, Result};
use crate::host::lock::WorkerLock;
use crate::host::log_space::LogSpace;
use crate::host::report::Phase;
use crate::job::{HookId, JobId, ResourceId};
use crate::place::Place;
use crate::run::groups::Limiter;
use crate::run::orphans::Orphans;
use crate::run::spawner::Spawner;
use crate::store::Store;
use crate::store::file::belief::Belief;
use crate::sync::lock;

/// How long a `run` serves the job of another one after a request, in milliseconds; the other one
/// repeats it each second.
const SERVED_MS: u64 = 5_000;
/// First wait before an operation that the disk or another program refused is retried, in
/// milliseconds.
const AGAIN_FIRST_MS: u64 = 50;
/// Longest such wait, in milliseconds.
const AGAIN_MOST_MS: u64 = 5_000;

/// One worker, as its threads see it.
pub(super) struct Context {
    pub store: Store,
    pub options: Options,
    /// The random name of this start.
    pub instance: String,
    pub boot_id: String,
    /// The id of the file, which the run files of this worker name.
    pub file_id: String,
    /// The state of the file when it was last checked.
    pub belief: Mutex<Belief>,
    pub lock: Arc<WorkerLock>,
    pub slots: Arc<Slots>,
    /// The runs that other engines have.
    pub engines: Engines,
    pub roster: Roster,
    pub clock_steps: ClockSteps,
    pub single_flight: SingleFlight,
    pub run_files: RunFilePool,
    pub pool: Pool,
    pub teardowns: DueQueue<ResourceId>,
    pub hooks: DueQueue<HookId>,
    pub claims: LoopWaker,
    pub stops: LoopWaker,
    /// Where clients hand over their jobs; it is closed when the worker detaches from its runs.
    pub handover: Arc<OwnedFd>,
    /// The same for other users, if they are served.
    pub people: Option<Arc<OwnedFd>>,
    /// The space of the logs of each user.
    pub log_space: LogSpace,
    pub stop: StopFlag,
    spawner: Mutex<Arc<Spawner>>,
    /// The death of the spawner was reported.
    spawner_is_missed: AtomicBool,
    /// `None` in a program that embeds the worker.
    pub orphans: Option<Orphans>,
    served: Mutex<BTreeMap<JobId, Instant>>,
    /// The report of this worker; also why no job may be claimed now.
    pub report: Reporter,
    /// How memory limits are enforced.
    pub limiter: Limiter,
    /// The shortage that prevents a start, if any.
    pub shortage: Shortage,
}

/// The parts of a context.
pub(super) struct Parts {
    pub store: Store,
    pub options: Options,
    pub instance: String,
    pub boot_id: String,
    pub belief: Belief,
    pub lock: Arc<WorkerLock>,
    pub spawner: Spawner,
    pub report: Reporter,
    pub orphans: Option<Orphans>,
    pub limiter: Limiter,
    pub handover: Arc<OwnedFd>,
    pub people: Option<Arc<OwnedFd>>,
    pub engines: Engines,
}

impl Context {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            options,
            instance,
            boot_id,
            belief,
            lock,
            spawner,
            report,
            orphans,
            limiter,
            handover,
            people,
            engines,
        } = parts;
        let clock_steps = ClockSteps::new(store.clock().now_ms());
        let file_id = belief.file_id.clone();
        Self {
            run_files: RunFilePool::new(file_id.clone(), boot_id.clone()),
            slots: Arc::new(Slots::new(options.slots)),
            engines,
            store,
            options,
            instance,
            boot_id,
            file_id,
            belief: Mutex::new(belief),
            lock,
            roster: Roster::default(),
            clock_steps,
            single_flight: SingleFlight::default(),
            pool: Pool::new(),
            teardowns: DueQueue::default(),
            hooks: DueQueue::default(),
            claims: LoopWaker::new(),
            stops: LoopWaker::new(),
            handover,
            people,
            log_space: LogSpace::default(),
            stop: StopFlag::new(),
            spawner: Mutex::new(Arc::new(spawner)),
            spawner_is_missed: AtomicBool::new(false),
            orphans,
            served: Mutex::default(),
            report,
            limiter,
            shortage: Shortage::default(),
        }
    }

    pub fn place(&self) -> &Place {
        self.store.place()
    }

    pub fn now_ms(&self) -> i64 {
        self.store.clock().now_ms()
    }

    /// Tells a person what happens to the runs: on stderr if this process is only a worker.
    pub fn say(&self, message: &str) {
        if self.options.owns_process {
            let _stderr_may_be_gone = writeln!(std::io::stderr(), "tenure: {message}");
        } else {
            log::info!("{message}");
        }
    }

    /// Whether nothing more is claimed.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_stopping()
    }

    pub fn stop_claiming(&self) {
        self.stop.set_stopping();
        self.report.phase(Phase::Draining);
        self.wake_claims();
    }

    /// Whether nothing more is launched: the runs are being ended together with the worker.
    pub fn is_ending_runs(&self) -> bool {
        self.stop.is_ending_runs()
    }

    pub fn end_runs(&self) {
        self.stop.set_ending_runs();
        self.stop_claiming();
    }

    /// Whether monitors leave their runs to the shims, without settling them.
    pub fn is_detaching(&self) -> bool {
        self.stop.is_detaching()
    }

    pub fn detach(&self) {
        self.stop.set_detaching();
        self.report.phase(Phase::Leaving);
        self.stops.wake();
        self.engines.wake();
        // It wakes the threads that wait there.
        for listener in std::iter::once(&self.handover).chain(&self.people) {
            let _closed_already = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
        }
        self.roster.wake_all();
    }

    /// Ends the worker; the first reason counts.
    pub fn end(&self, why: Ended) {
        self.stop.end(why);
    }

    /// Returns why the worker ends, once it does; waits at most this long.
    pub fn wait_for_end(&self, at_most: Duration) -> Option<Ended> {
        self.stop.wait_for_end(at_most)
    }

    /// Waits this long, or until the worker detaches from its runs.
    pub fn pause(&self, ms: u64) {
        self.stop.pause(ms);
    }

    /// Waits this long, or until the worker ends.
    pub fn pause_unless_ending(&self, ms: u64) {
        let _why = self.wait_for_end(Duration::from_millis(ms));
    }

    /// Counts the slots that are taken, with those of the threads that give runs to other engines
    /// and take them back.
    pub fn busy(&self) -> usize {
        self.slots.busy() + self.engines.submitting.busy() + self.engines.ending.busy()
    }

    /// Wakes the claim loop.
    pub fn wake_claims(&self) {
        self.claims.wake();
    }

    /// Records that the file may have changed.
    pub fn file_may_have_changed(&self) {
        self.claims.wake();
        self.stops.wake();
    }

    /// A `work` wants the lock: a `run` yields, a `work` does not.
    pub fn asked_to_yield(&self) {
        if self.options.kind == Kind::Run {
            self.end(Ended::Yielded);
        }
    }

    /// Another `run` follows this job, and this one is the worker.
    pub fn asked_to_serve(&self, job: JobId) {
        if self.options.kind == Kind::Run {
            lock(&self.served).insert(job, Instant::now());
        }
    }

    /// Returns the jobs that other `run`s follow, according to their recent requests.
    pub fn served(&self) -> Vec<JobId> {
        let mut served = lock(&self.served);
        served.retain(|_, asked| asked.elapsed() < Duration::from_millis(SERVED_MS));
        served.keys().copied().collect()
    }

    /// Whether another job may be claimed, apart from free slots.
    pub fn may_claim(&self) -> bool {
        !self.is_stopping() && self.admits() != Admits::None
    }

    /// Returns the process of the spawner, which may be dead.
    pub fn spawner_pid(&self) -> i32 {
        lock(&self.spawner).pid().cast_signed()
    }

    /// Returns how many jobs may be claimed, apart from free slots.
    pub fn admits(&self) -> Admits {
        if self.report.holds_claims_beside(&shortage::CODES) { Admits::None } else { self.shortage.admits() }
    }

    /// Returns the spawner, and starts a new one if the last one died.
    ///
    /// # Errors
    /// No new one can be started, or nothing more may be launched.
    pub fn spawner(&self) -> Result<Arc<Spawner>> {
        if self.is_ending_runs() {
            return Err(Error::Refused("nothing is launched any more: the worker ends its runs".into()));
        }
        let mut spawner = lock(&self.spawner);
        if spawner.is_dead() {
            self.miss_spawner();
            *spawner = Arc::new(Spawner::start(self.options.spawner.as_deref())?);
            self.spawner_is_missed.store(false, Ordering::SeqCst);
        }
        Ok(Arc::clone(&spawner))
    }

    /// Detects that the spawner is dead, and reaps it; the next launch starts a new one.
    pub fn check_spawner(&self) {
        if lock(&self.spawner).is_dead() {
            self.miss_spawner();
        }
    }

    fn miss_spawner(&self) {
        if !self.spawner_is_missed.swap(true, Ordering::SeqCst) {
            log::warn!("the spawner died; the next launch starts a new one (its runs continue under their shims)");
        }
    }

    /// Retries an operation that must not be given up (a settle): it waits for a full disk and for
    /// a foreign program that holds the write lock. Ends early only if the worker detaches from its
    /// runs, or the store cannot be trusted any more.
    ///
    /// # Errors
    /// The last error, if it ends early or waiting cannot help.
    pub fn persist<T>(&self, what: &str, mut act: impl FnMut() -> Result<T>) -> Result<T> {
        let mut wait_ms = AGAIN_FIRST_MS;
        let mut told = String::new();
        loop {
            match act() {
                Err(error @ (Error::DiskFull(_) | Error::Busy(_) | Error::Held(_) | Error::Io { .. }))
                    if !self.is_detaching() && self.store.health().fatal.is_none() =>
                {
                    // Logged once per problem, not per attempt.
                    if error.to_string() != told {
                        told = error.to_string();
                        log::warn!("{what}: {told}; trying again until it is done");
                    }
                    self.pause(wait_ms);
                    wait_ms = (wait_ms * 2).min(AGAIN_MOST_MS);
                }
                Err(error) => {
                    if let Some(fatal) = self.store.health().fatal {
                        self.end(Ended::Fatal(fatal));
                    }
                    return Err(error);
                }
                done => return done,
            }
        }
    }
}
