//! The worker as another process sees it: which process holds the lock, what it reports, and
//! whether it can act at all. Asks the kernel where possible; changes nothing and never waits.

use super::lock::Holder;
use super::report::Report;
use crate::error::Result;
use crate::place::Place;
use crate::run::machine;
use crate::store::{self, Blocked};

/// Whether the process that holds the lock is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    Runs,
    /// By a signal (STOP, TSTP), until a process continues it.
    Stopped,
    /// By a debugger.
    Traced,
    /// It cannot be seen from here: another pid namespace, or a `/proc` that hides it.
    Unseen,
}

/// The worker of a file, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    pub holder: Holder,
    /// `None` during the first moments of a worker, and if it could not write it.
    pub report: Option<Report>,
    pub process: Process,
    /// Time since the last round of its claim loop, in milliseconds; `None` if there was none yet
    /// or its clock is not comparable.
    pub claims_ago_ms: Option<u64>,
    /// The same for its reaper.
    pub reaper_ago_ms: Option<u64>,
    /// A writer has waited long for the write lock.
    pub blocked: Option<Blocked>,
}

impl Sight {
    /// Returns the worker of this file, or `None` if there is none.
    ///
    /// # Errors
    /// The lock file cannot be read.
    pub fn read(place: &Place) -> Result<Option<Self>> {
        Ok(Holder::read(place)?.map(|holder| Self::of(place, holder)))
    }

    /// Returns how many slots it has now; 0 if it has not identified itself yet.
    pub fn slots(&self) -> usize {
        let report = self.report.as_ref().filter(|_| self.holder.slots > 0);
        report.map_or(self.holder.slots, |report| report.slots)
    }

    /// Returns where that number comes from, if the worker reports it.
    pub fn slots_from(&self) -> Option<&str> {
        self.report.as_ref().map(|report| report.slots_from.as_str()).filter(|from| !from.is_empty())
    }

    fn of(place: &Place, holder: Holder) -> Self {
        let report = Report::read(place, &holder);
        let ago = |at: fn(&Report) -> u64| {
            let report = report.as_ref()?;
            let is_our_clock = report.boot_id == machine::boot_id() && report.time_ns == machine::time_namespace();
            (at(report) > 0 && is_our_clock).then(|| machine::monotonic_ms().saturating_sub(at(report)))
        };
        Self {
            process: Process::of(&holder),
            claims_ago_ms: ago(|report| report.claims_at_ms),
            reaper_ago_ms: ago(|report| report.reaper_at_ms),
            blocked: store::read_blocked(place),
            report,
            holder,
        }
    }
}

impl Process {
    fn of(holder: &Holder) -> Self {
        if !holder.is_here() {
            return Self::Unseen;
        }
        match machine::state_of(holder.pid) {
            Some('T') => Self::Stopped,
            Some('t') => Self::Traced,
            Some(_) => Self::Runs,
            None => Self::Unseen,
        }
    }
}
