//! The runs that other engines have: what is to be asked of which launcher.
//!
//! A run is here from when it is known that its engine has it until it ends. No thread waits for
//! it: one loop asks the engines for all of them (`loops::engines`).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::run_waker::{self, RunWaker};
use super::slots::Slots;
use crate::error::Result;
use crate::job::{Cause, JobId, RunId, RunKey};
use crate::sync::lock;

/// Most threads that give runs to engines at once, and most that settle those that have ended.
const SUBMITTING_MAX: usize = 8;
const ENDING_MAX: usize = 32;
/// How long nothing more is given to engines after one has refused for now: first, and longest.
const HELD_FIRST: Duration = Duration::from_secs(1);
const HELD_MOST: Duration = Duration::from_secs(60);

/// Runs of one launcher with the same options: they are asked for together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Its directory, or the name of one that tenure has.
    pub launcher: String,
    pub options: BTreeMap<String, String>,
}

/// A run that an engine has.
#[derive(Debug, Clone)]
pub struct Remote {
    pub key: RunKey,
    pub job: JobId,
    pub group: Group,
    pub waker: Arc<RunWaker>,
    /// The timeout of the job, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// When the engine was first seen to run it, in milliseconds UTC.
    pub ran_at: Option<i64>,
    /// Why the engine was asked to stop it, and when it was last asked.
    pub cause: Option<Cause>,
    pub asked: Option<Instant>,
    /// How often in a row the engine has said that it does not have it.
    pub gone_times: u32,
    /// What the file says that the engine says: the word, and more about it.
    pub said: Option<(String, Option<String>)>,
    /// Where its output begins in its log, in bytes.
    pub log_at: u64,
}

/// The runs of all engines.
#[derive(Debug)]
pub struct Engines {
    fd: Arc<OwnedFd>,
    runs: Mutex<BTreeMap<RunId, Remote>>,
    /// Threads that give runs to engines.
    pub submitting: Arc<Slots>,
    /// Threads that settle runs that have ended there.
    pub ending: Arc<Slots>,
    held: Mutex<Option<Held>>,
}

/// An engine takes no run now.
#[derive(Debug, Clone, Copy)]
struct Held {
    until: Instant,
    wait: Duration,
}

impl Engines {
    /// # Errors
    /// The system gives no descriptor.
    pub fn new() -> Result<Self> {
        Ok(Self {
            fd: Arc::new(run_waker::descriptor()?),
            runs: Mutex::default(),
            submitting: Arc::new(Slots::new(SUBMITTING_MAX)),
            ending: Arc::new(Slots::new(ENDING_MAX)),
            held: Mutex::default(),
        })
    }

    /// Returns the waker of a run that one of the engines has.
    pub fn waker(&self) -> Arc<RunWaker> {
        Arc::new(RunWaker::of_launched(Arc::clone(&self.fd)))
    }

    /// Wakes the loop that asks the engines.
    pub fn wake(&self) {
        let _full_counter_wakes_as_well = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// From now on its engine is asked for it.
    pub fn watch(&self, remote: Remote) {
        lock(&self.runs).insert(remote.key.run, remote);
        self.wake();
    }

    /// Its engine is not asked for it any more.
    pub fn take(&self, run: RunId) -> Option<Remote> {
        lock(&self.runs).remove(&run)
    }

    /// Changes what is known of a run, if it is here.
    pub fn update(&self, run: RunId, change: impl FnOnce(&mut Remote)) {
        if let Some(remote) = lock(&self.runs).get_mut(&run) {
            change(remote);
        }
    }

    /// Returns all runs, by whom to ask for them.
    pub fn groups(&self) -> BTreeMap<Group, Vec<Remote>> {
        let mut groups: BTreeMap<Group, Vec<Remote>> = BTreeMap::new();
        for remote in lock(&self.runs).values() {
            groups.entry(remote.group.clone()).or_default().push(remote.clone());
        }
        groups
    }

    /// Whether its engine is asked for it.
    pub fn has(&self, run: RunId) -> bool {
        lock(&self.runs).contains_key(&run)
    }

    pub fn have_none(&self) -> bool {
        lock(&self.runs).is_empty()
    }

    /// An engine takes no run for now: nothing is given to any for a while, longer each time.
    pub fn hold(&self) {
        let mut held = lock(&self.held);
        let wait = held.map_or(HELD_FIRST, |held| (held.wait * 2).min(HELD_MOST));
        // Several submissions that failed together are one.
        if held.is_none_or(|held| held.until <= Instant::now()) {
            *held = Some(Held { until: Instant::now() + wait, wait });
        }
    }

    /// An engine has taken a run.
    pub fn release(&self) {
        *lock(&self.held) = None;
    }

    /// Whether runs may be given to engines now.
    pub fn may_submit(&self) -> bool {
        self.held_for().is_none()
    }

    /// Returns how many runs may be given to engines now: one, after they have taken none.
    pub fn room(&self) -> usize {
        let was_full = lock(&self.held).is_some();
        match self.may_submit() {
            false => 0,
            true if was_full => 1_usize.saturating_sub(self.submitting.busy()),
            true => self.submitting.free(),
        }
    }

    /// Returns for how long nothing is given to engines.
    pub fn held_for(&self) -> Option<Duration> {
        let left = lock(&self.held).map(|held| held.until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero())
    }
}

impl AsFd for Engines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_refuses_is_left_alone_for_longer_each_time() {
        let engines = Engines::new().unwrap();
        assert!(engines.may_submit() && engines.have_none());
        engines.hold();
        engines.hold();
        assert!(!engines.may_submit());
        assert_eq!(lock(&engines.held).unwrap().wait, HELD_FIRST, "both failed together");
        let mut waits = Vec::new();
        for _ in 0..10 {
            lock(&engines.held).as_mut().unwrap().until = Instant::now();
            engines.hold();
            waits.push(lock(&engines.held).unwrap().wait);
        }
        assert_eq!(engines.room(), 0);
        lock(&engines.held).as_mut().unwrap().until = Instant::now();
        assert_eq!(engines.room(), 1, "one is tried");
        let _one = engines.submitting.take(1);
        assert_eq!(engines.room(), 0);
        assert!(waits.is_sorted() && waits[0] == HELD_FIRST * 2 && waits[9] == HELD_MOST, "{waits:?}");
        engines.release();
        assert_eq!((engines.may_submit(), engines.room()), (true, SUBMITTING_MAX - 1));
    }
}
