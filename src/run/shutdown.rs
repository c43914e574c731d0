//! Ends every run of a place cleanly: each shim is asked to stop (TERM, and the job's own grace),
//! after a time limit its tree gets KILL, and a shim that does not answer is killed. Works with and
//! without a worker; never touches SQLite.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::job::verdict::Progress;
use crate::job::{Cause, RunId, RunKey};
use crate::place::Place;

use super::record::Records;
use super::runfile::{self, Inspection};
use super::stop::{self, Asked};

/// How long to wait for a launch in progress, in milliseconds: a shim that exists can be asked.
const LAUNCH_MS: u64 = 1_000;
/// Time after which a shim that was told to end the grace and has not emptied its tree is killed,
/// in milliseconds.
const ANSWER_MS: u64 = 1_000;
/// How long to wait for the end of the last trees after that, in milliseconds.
const SWEEP_MS: u64 = 1_000;

/// Progress of the end of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Since then, there is no shim that could be asked yet.
    Starting(Instant),
    Asked,
    /// Since then, its tree gets KILL.
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
    /// A run that has not ended after `at_most` gets KILL.
    pub fn new(place: &'a Place, at_most: Duration) -> Self {
        let now = Instant::now();
        let kill_at = now.checked_add(at_most).unwrap_or(now);
        Self { place, kill_at, steps: HashMap::new(), foreign: HashSet::new() }
    }

    /// Ends the grace: KILL at the next round.
    pub fn hasten(&mut self) {
        self.kill_at = self.kill_at.min(Instant::now());
    }

    /// Whether everything was tried, and the remaining processes do not die.
    pub fn is_over(&self) -> bool {
        Instant::now() > self.kill_at + Duration::from_millis(ANSWER_MS + SWEEP_MS)
    }

    /// How many runs were asked to end.
    pub fn asked(&self) -> usize {
        self.steps.values().filter(|step| !matches!(step, Step::Starting(_))).count()
    }

    /// Runs one round; returns how many runs are still there.
    ///
    /// # Errors
    /// The run files cannot be listed. A failure for one run is logged and does not affect the
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
