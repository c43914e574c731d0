//! How the threads of a worker handle a shortage of its own resources ([`super::shortage`]): report
//! it, probe, try one job, and continue.

use std::sync::Arc;
use std::time::Instant;

use super::context::Context;
use super::shortage::{self, PROBE_EVERY, of_errno, want_of};
use crate::error::Error;
use crate::host::condition::Condition;
use crate::job::RunId;
use crate::units::size_text;

/// Interval between two checks whether a waiting command is still needed, in milliseconds.
const LOOK_MS: u64 = 20;

impl Context {
    /// Records a shortage at a start.
    pub fn lacks(&self, errno: i32, what: &str) {
        let (code, lacking, remedy) = of_errno(errno);
        if let Some(before) = self.shortage.begin(code).filter(|before| *before != code) {
            self.report.clear(before);
        }
        let inodes = rustix::fs::statvfs(self.place().dir()).ok();
        let inodes = inodes.filter(|_| code == "no_files").map_or_else(String::new, |disk| {
            let free = size_text(disk.f_bavail.saturating_mul(disk.f_frsize));
            format!("; {free} and {} inodes are free", disk.f_favail)
        });
        self.report.set(Condition::holding(code, format!("{lacking}: {what}{inodes}"), remedy));
    }

    /// Like [`Context::lacks`], if an error is of that kind.
    pub fn notes_want(&self, error: &Error) -> bool {
        let want = want_of(error);
        want.inspect(|errno| self.lacks(*errno, &error.to_string())).is_some()
    }

    /// Probes, once a second during a shortage, whether a trial may be made. Called in each round
    /// of the claim loop.
    pub fn probe_means(self: &Arc<Self>) {
        let Some(code) = self.shortage.due_probe(|run| self.roster.owns(run)) else { return };
        // A kill in between leaves the file to the sweep of unfinished files.
        let scratch = self.place().runs().join(format!("probe.tmp-{}", self.instance));
        match shortage::probe(code, &scratch) {
            Ok(()) => self.shortage.allow_trial(),
            Err(error) => log::debug!("still lacking: {error}"),
        }
    }

    /// Records that the process of this run exists: if it was the trial, the shortage is over.
    pub fn has_started(&self, run: RunId) {
        if self.shortage.is_trial(run) {
            self.has_enough();
        }
    }

    /// Records that there is nothing to try, and the probe found enough.
    pub fn has_nothing_to_try(&self) {
        if self.shortage.has_no_use_of_its_trial() {
            self.has_enough();
        }
    }

    fn has_enough(&self) {
        if let Some(code) = self.shortage.end() {
            self.report.clear(code);
            self.wake_claims();
        }
    }

    /// Waits a second after a shortage of an auxiliary run. False if it must not be retried.
    pub fn waits_for_means(&self, stops: impl Fn() -> bool) -> bool {
        self.shortage.waiting(|| {
            let until = Instant::now() + PROBE_EVERY;
            while Instant::now() < until && !stops() && !self.is_detaching() {
                self.pause(LOOK_MS);
            }
        });
        !stops() && !self.is_detaching()
    }
}
