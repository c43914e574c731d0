//! What the threads of a worker share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::claims::Nudge;
use super::clock_steps::ClockSteps;
use super::flights::Flights;
use super::options::{Kind, Options};
use super::pool::Pool;
use super::prepared::Stock;
use super::reaper::Walks;
use super::reporter::Reporter;
use super::roster::Roster;
use super::shortage::{self, Admits, Shortage};
use super::start::Ended;
use super::teardown::Line;
use crate::error::{Error, Result};
use crate::host::lock::WorkerLock;
use crate::host::report::Phase;
use crate::job::JobId;
use crate::place::Place;
use crate::run::groups::Limiter;
use crate::run::orphans::Orphans;
use crate::run::spawner::Spawner;
use crate::store::Store;
use crate::store::belief::Belief;

/// How long a `run` serves the job of another one after it was asked, in milliseconds; that one asks each second.
const SERVED_MS: u64 = 5_000;
/// First wait before something that the disk or another program refused is tried again, in milliseconds.
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
    /// The id of the file, of which the run files that this worker makes are.
    pub file_id: String,
    /// What the file was when it was looked at last.
    pub belief: Mutex<Belief>,
    pub lock: Arc<WorkerLock>,
    pub roster: Roster,
    pub clock_steps: ClockSteps,
    pub flights: Flights,
    pub stock: Stock,
    pub pool: Pool,
    /// What is being torn down.
    pub line: Line,
    pub nudge: Sender<Nudge>,
    nudge_stops: Sender<Nudge>,
    /// What the stop loop waits for.
    pub stop_nudges: Receiver<Nudge>,
    pub spawner: Mutex<Arc<Spawner>>,
    /// `None` in a program that embeds the worker.
    pub orphans: Option<Orphans>,
    /// That the spawner is dead was told.
    spawner_is_missed: AtomicBool,
    served: Mutex<BTreeMap<JobId, Instant>>,
    ending: Mutex<Option<Ended>>,
    /// Rings when the worker is to end.
    pub end_bell: Receiver<()>,
    ring_end: Sender<()>,
    ended: Condvar,
    stopping: AtomicBool,
    leaving: AtomicBool,
    /// What this worker says of itself; also why no job may be claimed now.
    pub report: Reporter,
    /// How limits of memory are kept.
    pub limiter: Limiter,
    /// What is lacking for a start, if anything.
    pub shortage: Shortage,
    ending_runs: AtomicBool,
    walks: Mutex<Walks>,
}

impl Context {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        store: Store,
        options: Options,
        instance: String,
        boot_id: String,
        belief: Belief,
        lock: Arc<WorkerLock>,
        stock: Stock,
        pool: Pool,
        nudge: Sender<Nudge>,
        spawner: Spawner,
        report: Reporter,
        orphans: Option<Orphans>,
        limiter: Limiter,
    ) -> Self {
        let (ring_end, end_bell) = bounded(1);
        let (nudge_stops, stop_nudges) = bounded(1);
        let clock_steps = ClockSteps::new(store.clock().now_ms());
        Self {
            store,
            options,
            instance,
            boot_id,
            file_id: belief.file_id.clone(),
            belief: Mutex::new(belief),
            lock,
            roster: Roster::default(),
            clock_steps,
            flights: Flights::default(),
            stock,
            pool,
            line: Line::default(),
            nudge,
            nudge_stops,
            stop_nudges,
            spawner: Mutex::new(Arc::new(spawner)),
            orphans,
            spawner_is_missed: AtomicBool::new(false),
            served: Mutex::default(),
            ending: Mutex::new(None),
            end_bell,
            ring_end,
            ended: Condvar::new(),
            stopping: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            report,
            limiter,
            shortage: Shortage::default(),
            ending_runs: AtomicBool::new(false),
            walks: Mutex::default(),
        }
    }

    pub fn walks(&self) -> MutexGuard<'_, Walks> {
        self.walks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn place(&self) -> &Place {
        self.store.place()
    }

    pub fn now_ms(&self) -> i64 {
        self.store.clock().now_ms()
    }

    /// Nothing more is claimed.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn stop_claiming(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.report.phase(Phase::Draining);
        let _full = self.nudge.try_send(Nudge::Look);
    }

    /// Nothing more is launched: the runs are being ended together with the worker.
    pub fn is_ending_runs(&self) -> bool {
        self.ending_runs.load(Ordering::SeqCst)
    }

    pub fn end_runs(&self) {
        self.ending_runs.store(true, Ordering::SeqCst);
        self.stop_claiming();
    }

    /// Monitors let go of their runs without settling them.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    pub fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        self.report.phase(Phase::Leaving);
        self.look_for_stops();
        self.roster.nudge_all();
        self.ended.notify_all();
    }

    /// Asks the stop loop to look; it looks once for any number of nudges.
    pub fn look_for_stops(&self) {
        let _one_is_waiting_already = self.nudge_stops.try_send(Nudge::Look);
    }

    /// The file has changed, as far as a hint can tell.
    pub fn hear_of_a_change(&self) {
        self.look();
        self.look_for_stops();
    }

    /// Ends the worker; the first reason stands.
    pub fn end(&self, why: Ended) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if ending.is_none() {
            log::debug!("the worker ends: {why:?}");
            *ending = Some(why);
        }
        let _rings_already = self.ring_end.try_send(());
        self.ended.notify_all();
    }

    /// Why the worker ends, once it does; waits at most this long.
    pub fn wait_for_end(&self, at_most: Duration) -> Option<Ended> {
        let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let (ending, _timeout) = self
            .ended
            .wait_timeout_while(ending, at_most, |e| e.is_none() && !self.is_leaving())
            .unwrap_or_else(PoisonError::into_inner);
        ending.clone()
    }

    /// A `work` wants the lock: a `run` gives way, a `work` does not.
    pub fn be_asked_to_yield(&self) {
        if self.options.kind == Kind::Run {
            self.end(Ended::Yielded);
        }
    }

    /// Another `run` follows this job, and this one is the worker.
    pub fn be_asked_to_serve(&self, job: JobId) {
        if self.options.kind == Kind::Run {
            self.served.lock().unwrap_or_else(PoisonError::into_inner).insert(job, Instant::now());
        }
    }

    /// The jobs that other `run`s follow, as far as they have said so lately.
    pub fn served(&self) -> Vec<JobId> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.retain(|_, asked| asked.elapsed() < Duration::from_millis(SERVED_MS));
        served.keys().copied().collect()
    }

    /// Whether another job may be claimed, but for free slots.
    pub fn may_claim(&self) -> bool {
        !self.is_stopping() && self.admits() != Admits::None
    }

    /// The process of the spawner, which may be dead.
    pub fn spawner_pid(&self) -> i32 {
        self.spawner.lock().unwrap_or_else(PoisonError::into_inner).pid().cast_signed()
    }

    /// How many jobs may be claimed, but for free slots.
    pub fn admits(&self) -> Admits {
        if self.report.holds_claims_beside(&shortage::CODES) { Admits::None } else { self.shortage.admits() }
    }

    /// The spawner, started anew where the last one died.
    ///
    /// # Errors
    /// When no new one can be started, or nothing more is to be launched.
    pub fn spawner(&self) -> Result<Arc<Spawner>> {
        if self.is_ending_runs() {
            return Err(Error::Refused("nothing is launched any more: the worker ends its runs".into()));
        }
        let mut spawner = self.spawner.lock().unwrap_or_else(PoisonError::into_inner);
        if spawner.is_dead() {
            self.miss_spawner();
            *spawner = Arc::new(Spawner::start()?);
            self.spawner_is_missed.store(false, Ordering::SeqCst);
        }
        Ok(Arc::clone(&spawner))
    }

    /// Notices that the spawner is dead, and reaps it; the next launch starts a new one.
    pub fn look_at_spawner(&self) {
        if self.spawner.lock().unwrap_or_else(PoisonError::into_inner).is_dead() {
            self.miss_spawner();
        }
    }

    fn miss_spawner(&self) {
        if !self.spawner_is_missed.swap(true, Ordering::SeqCst) {
            log::warn!("the spawner died; the next launch starts a new one (its runs go on under their shims)");
        }
    }

    /// Does what must not be given up (a settle) until it is done: a full disk and a foreign program that holds the write lock
    /// are waited for. Ends early only when the worker lets go of its runs, or when the store cannot be trusted any more.
    ///
    /// # Errors
    /// The last error, when it ends early or waiting cannot help.
    pub fn persist<T>(&self, what: &str, mut act: impl FnMut() -> Result<T>) -> Result<T> {
        let mut wait_ms = AGAIN_FIRST_MS;
        let mut told = String::new();
        loop {
            match act() {
                Err(error @ (Error::DiskFull(_) | Error::Busy(_) | Error::Held(_) | Error::Io { .. }))
                    if !self.is_leaving() && self.store.health().fatal.is_none() =>
                {
                    // Once for each trouble, not for each try.
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

    /// Waits this long, or until the worker lets go of its runs.
    pub fn pause(&self, ms: u64) {
        let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let _woken = self.ended.wait_timeout_while(ending, Duration::from_millis(ms), |_| !self.is_leaving());
    }
}
