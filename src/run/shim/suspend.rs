//! The suspensions of a run: its processes are stopped, and its limits do not run.
//!
//! The beginning is recorded before the first process is stopped: a worker that adopts the run then
//! knows that its limits stand still. A suspension whose beginning cannot be recorded (a full disk)
//! does not begin, and the worker asks again.

use crate::run::journal::Journal;
use crate::run::machine::{boottime_ms, now_ms};
use crate::run::record::{Stand, Suspension};
use crate::run::standstill::{Freezer, Standstill};

/// Interval between two looks whether a suspended tree stands still, in milliseconds: after a sign
/// that it does not, while processes of it could not be stopped, and otherwise.
const LOOK_MS_MIN: u64 = 100;
const LOOK_MS: u64 = 1_000;
const LOOK_MS_MAX: u64 = 30_000;

/// The suspensions of one run.
pub struct Suspensions {
    me: i32,
    job: i32,
    /// What was recorded last.
    recorded: Option<Suspension>,
    standing: Option<Standing>,
    /// A child has changed its state since the last look.
    has_sign: bool,
}

struct Standing {
    still: Standstill,
    looked_ms: u64,
}

impl Suspensions {
    pub fn of(me: i32, job: i32) -> Self {
        Self { me, job, recorded: None, standing: None, has_sign: false }
    }

    pub fn is_suspended(&self) -> bool {
        self.standing.is_some()
    }

    /// Whether the run was ever suspended.
    pub fn were(&self) -> bool {
        self.recorded.is_some()
    }

    /// A child has changed its state: it may have been continued from outside.
    pub fn heard_of_a_child(&mut self) {
        self.has_sign = true;
    }

    /// Suspends the run, unless it is suspended.
    pub fn begin(&mut self, journal: &mut Journal, freezer: Option<Freezer>) {
        if self.standing.is_some() {
            return;
        }
        let now = boottime_ms();
        let (seq, total_ms) = self.recorded.as_ref().map_or((1, 0), |last| (last.seq + 1, last.total_ms));
        let begun = Suspension {
            seq,
            stand: Stand::Stopping,
            since_boot_ms: now,
            last_ms: 0,
            total_ms,
            at_ms: now_ms(),
            running: String::new(),
        };
        if journal.write_suspension(&begun).is_err() {
            return;
        }
        self.recorded = Some(begun);
        let (still, running) = Standstill::begin(self.me, self.job, freezer);
        self.standing = Some(Standing { still, looked_ms: boottime_ms() });
        self.has_sign = false;
        self.record(journal, |one| Suspension { stand: Stand::Suspended, at_ms: now_ms(), running, ..one });
        journal.tell();
    }

    /// Stops again what was continued from outside, or could not be stopped before. Returns when to
    /// look next.
    pub fn look(&mut self, journal: &mut Journal) -> Option<u64> {
        let standing = self.standing.as_mut()?;
        let now = boottime_ms();
        let is_complete = self.recorded.as_ref().is_none_or(|last| last.running.is_empty());
        let every_ms = match (self.has_sign, is_complete) {
            (true, _) => LOOK_MS_MIN,
            (false, true) => LOOK_MS_MAX,
            (false, false) => LOOK_MS,
        };
        let at = standing.looked_ms.saturating_add(every_ms);
        if now < at {
            return Some(at);
        }
        let running = standing.still.stop_again();
        standing.looked_ms = boottime_ms();
        self.has_sign = false;
        let next = standing.looked_ms.saturating_add(if running.is_empty() { LOOK_MS_MAX } else { LOOK_MS });
        if self.recorded.as_ref().is_some_and(|last| last.running != running) {
            self.record(journal, |one| Suspension { running, ..one });
            journal.tell();
        }
        Some(next)
    }

    /// Continues the run. Returns how long it was suspended, in milliseconds; `None`: it was not.
    pub fn end(&mut self, journal: &mut Journal) -> Option<u64> {
        let Standing { still, .. } = self.standing.take()?;
        still.end();
        let lasted_ms = self.record_end(journal);
        journal.tell();
        Some(lasted_ms)
    }

    /// The job has ended while it was suspended: what is left of its tree is ended, not continued.
    /// The worker is told together with the end.
    pub fn job_has_ended(&mut self, journal: &mut Journal) {
        if self.standing.take().is_some() {
            self.record_end(journal);
        }
    }

    fn record_end(&mut self, journal: &mut Journal) -> u64 {
        let mut lasted_ms = 0;
        self.record(journal, |one| {
            lasted_ms = boottime_ms().saturating_sub(one.since_boot_ms);
            let (last_ms, total_ms) = (lasted_ms, one.total_ms.saturating_add(lasted_ms));
            Suspension { stand: Stand::Running, at_ms: now_ms(), running: String::new(), last_ms, total_ms, ..one }
        });
        lasted_ms
    }

    /// Records a change. It goes into a place that exists, so only a damaged disk refuses it; the
    /// report reaches the worker in any case.
    fn record(&mut self, journal: &mut Journal, change: impl FnOnce(Suspension) -> Suspension) {
        let Some(last) = self.recorded.take() else { return };
        let seq = last.seq + 1;
        let next = Suspension { seq, ..change(last) };
        let _ = journal.write_suspension(&next);
        self.recorded = Some(next);
    }
}
