//! Ends every run of a place in order: each shim is asked (TERM, and the job's own grace), at the
//! latest after a time limit its tree gets KILL, and a shim that does not answer is killed itself.
//! Works with and without a worker; never touches SQLite.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::job::verdict::Progress;
use crate::job::{Cause, RunId, RunKey};
use crate::place::Place;

use super::record::Records;
use super::runfile::{self, Inspection};
use super::stop::{self, Asked};

/// How long a launch that is under way is waited for, in milliseconds: a shim that exists can be
/// asked.
const LAUNCH_MS: u64 = 1_000;
/// A shim that has been told that its grace is over and has not emptied its tree within this time,
/// in milliseconds, is killed.
const ANSWER_MS: u64 = 1_000;
/// How long the end of the last trees is waited for after that, in milliseconds.
const SWEEP_MS: u64 = 1_000;

/// How far the end of one run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is no shim that could be asked yet; since then.
    Starting(Instant),
    Asked,
    /// Its tree gets KILL since then.
    Hastened(Instant),
    ShimKilled,
}

/// The end of all runs of a place.
pub struct EndRuns<'a> {
    place: &'a Place,
    kill_at: Instant,
    steps: HashMap<RunId, Step>,
    /// Runs of another pid namespace, or with another user's shim: they can be neither asked nor
    /// ended from here.
    foreign: HashSet<RunId>,
}

impl<'a> EndRuns<'a> {
    /// What has not ended after `at_most` gets KILL.
    pub fn new(place: &'a Place, at_most: Duration) -> Self {
        let now = Instant::now();
        let kill_at = now.checked_add(at_most).unwrap_or(now);
        Self { place, kill_at, steps: HashMap::new(), foreign: HashSet::new() }
    }

    /// The time is over: KILL at the next round.
    pub fn hasten(&mut self) {
        self.kill_at = self.kill_at.min(Instant::now());
    }

    /// Everything has been tried, and what is still there does not die.
    pub fn is_over(&self) -> bool {
        Instant::now() > self.kill_at + Duration::from_millis(ANSWER_MS + SWEEP_MS)
    }

    /// How many runs were asked to end.
    pub fn asked(&self) -> usize {
        self.steps.values().filter(|step| !matches!(step, Step::Starting(_))).count()
    }

    /// One round; returns how many runs are still there.
    ///
    /// # Errors
    /// The run files cannot be listed. What fails for one run is logged and does not keep the
    /// others.
    pub fn round(&mut self) -> Result<usize> {
        let mut alive = 0;
        for run in runfile::list(self.place)? {
            let Ok(Inspection::Found { header, records, locked: true }) = runfile::inspect(self.place, run) else { continue };
            alive += usize::from(self.advance(header.key(), &records));
        }
        Ok(alive)
    }

    /// Takes the next step for one run; false where there is nothing to wait for.
    fn advance(&mut self, key: RunKey, records: &Records) -> bool {
        let run = key.run;
        if self.foreign.contains(&run) {
            return false;
        }
        let now = Instant::now();
        let step = *self.steps.entry(run).or_insert(Step::Starting(now));
        let (done, next) = match step {
            Step::Starting(_) => (stop::ask(self.place, key, Cause::Shutdown), Step::Asked),
            Step::Asked if now >= self.kill_at => (stop::hasten(self.place, key), Step::Hastened(now)),
            Step::Hastened(since) if now.duration_since(since) >= Duration::from_millis(ANSWER_MS) => {
                (stop::kill_shim(self.place, key), Step::ShimKilled)
            }
            Step::Asked | Step::Hastened(_) | Step::ShimKilled => return true,
        };
        match done {
            Ok(Asked::Sent) => {
                self.steps.insert(run, next);
                true
            }
            Ok(Asked::NoShimYet) => match step {
                Step::Starting(since) => {
                    records.progress() != Progress::Nothing || now.duration_since(since) < Duration::from_millis(LAUNCH_MS)
                }
                _ => true,
            },
            // Its lock is free in a moment.
            Ok(Asked::Gone) => true,
            Ok(Asked::NotOurs | Asked::OutOfReach(_)) => {
                self.foreign.insert(run);
                false
            }
            Err(error) => {
                log::warn!("run {run}: asking its shim to stop: {error}");
                true
            }
        }
    }
}
