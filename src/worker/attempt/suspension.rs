//! Brings a run to what is wanted of it: suspended, or not.
//!
//! The shim does it and records it; here it is asked until its record agrees with the row of the
//! job, and the row gets what the record says. It makes no difference which worker has asked, or
//! whether an earlier one was killed in between. A run that is being stopped is left alone.

use std::time::{Duration, Instant};

use super::handle::Attempt;
use crate::error::Result;
use crate::run::record::{Records, Suspension};
use crate::run::stop::{self, Asked, OutOfReach};
use crate::store::job::suspend::{self, Wanted};

/// Interval between two requests to a shim that has not done it, in milliseconds: first and
/// longest. Within it, how often the run file is looked at, where there is no pipe.
const ASK_AGAIN_MS: (u64, u64) = (20, 2_000);
const LOOK_MS: u64 = 50;
/// A shim that does not answer for this long, in milliseconds, is reported.
const UNANSWERED_MS: u64 = 5_000;
/// Wait after a row that could not be written, in milliseconds.
const WRITE_AGAIN_MS: u64 = 1_000;

/// The progress of a request to suspend or to continue a run.
#[derive(Default)]
pub struct Suspending {
    /// The request whose result the row has.
    told: Option<Wanted>,
    /// Whether the row says that it is suspended, if that is known.
    row_says: Option<bool>,
    ask_at: Option<Instant>,
    look_at: Option<Instant>,
    asks: u32,
    /// Since when the shim was asked and has not done it.
    asked_since: Option<Instant>,
    hindrance: Option<OutOfReach>,
}

impl Suspending {
    /// For a run that is being launched.
    pub fn of_launched() -> Self {
        Self { row_says: Some(false), ..Self::default() }
    }

    pub fn next_act(&self) -> Option<Instant> {
        self.look_at
    }

    /// Does what is due. Returns true if what [`Suspending::trouble`] says may have changed.
    pub fn act(&mut self, attempt: &Attempt<'_>, records: &Records) -> bool {
        let record = records.suspension.as_ref();
        attempt.waker.limits_stand_still(record.is_some_and(Suspension::holds_limits));
        let Some(wanted) = attempt.waker.wanted() else { return false };
        let is_suspended = record.is_some_and(Suspension::is_suspended);
        if wanted.is_suspended == is_suspended && (is_suspended || !record.is_some_and(Suspension::holds_limits)) {
            (self.ask_at, self.look_at, self.asks, self.asked_since, self.hindrance) = (None, None, 0, None, None);
            return self.told != Some(wanted) && self.tell(attempt, wanted, record);
        }
        if wanted.is_suspended && self.row_says != Some(false) {
            // It was continued, and the request to do so was withdrawn.
            self.tell_of(attempt, Wanted { is_suspended: false, ..wanted }, record);
        }
        self.told = None;
        let now = Instant::now();
        self.look_at = Some(now + Duration::from_millis(LOOK_MS));
        if self.ask_at.is_none_or(|at| now >= at) {
            self.ask(attempt, wanted, now);
        }
        self.asked_since.is_some_and(|since| now.duration_since(since) >= Duration::from_millis(UNANSWERED_MS))
    }

    fn ask(&mut self, attempt: &Attempt<'_>, wanted: Wanted, now: Instant) {
        let (place, key) = (attempt.ctx.place(), attempt.key);
        let asked = if wanted.is_suspended { stop::suspend(place, key) } else { stop::resume(place, key) };
        self.hindrance = None;
        let again_ms = match asked {
            Ok(Asked::Sent) => {
                self.asked_since.get_or_insert(now);
                ASK_AGAIN_MS.1
            }
            Ok(Asked::OutOfReach(hindrance)) => {
                self.hindrance = Some(hindrance);
                ASK_AGAIN_MS.1
            }
            // It is starting, or has ended, which is seen soon.
            Ok(Asked::NoShimYet | Asked::Gone | Asked::NotOurs) => (ASK_AGAIN_MS.0 << self.asks.min(10)).min(ASK_AGAIN_MS.1),
            Err(error) => {
                log::warn!("run {}: asking its shim to suspend or to continue it: {error}", key.run);
                ASK_AGAIN_MS.1
            }
        };
        self.asks += 1;
        self.ask_at = Some(now + Duration::from_millis(again_ms));
    }

    /// Records in the row of the job what is so; false if that failed, to be tried again.
    fn tell(&mut self, attempt: &Attempt<'_>, wanted: Wanted, record: Option<&Suspension>) -> bool {
        let is_told = self.tell_of(attempt, wanted, record);
        if is_told {
            self.told = Some(wanted);
            if wanted.id > 0 {
                log::info!("run {} {}", attempt.key.run, if wanted.is_suspended { "is suspended" } else { "continues" });
            }
        } else {
            self.look_at = Some(Instant::now() + Duration::from_millis(WRITE_AGAIN_MS));
        }
        is_told
    }

    fn tell_of(&mut self, attempt: &Attempt<'_>, so: Wanted, record: Option<&Suspension>) -> bool {
        let written = write(attempt, so, record);
        match &written {
            Ok(()) => self.row_says = Some(so.is_suspended),
            Err(error) => log::warn!("run {}: recording whether it is suspended: {error}", attempt.key.run),
        }
        written.is_ok()
    }

    /// Returns why the run does not become what is wanted, or that a part of it still runs; with a
    /// remedy on a second line.
    pub fn trouble(&self, records: &Records) -> Option<String> {
        if let Some(hindrance) = self.hindrance {
            return Some(format!("it cannot be suspended or continued: {hindrance}\n{}", hindrance.remedy()));
        }
        if self.asked_since.is_some_and(|since| since.elapsed() >= Duration::from_millis(UNANSWERED_MS)) {
            return Some(
                "its shim has not suspended or continued it as asked: it may be of an earlier version, or the disk may be full\n\
                 tenure cancel ends the job"
                    .to_owned(),
            );
        }
        let running = &records.suspension.as_ref().filter(|one| one.is_suspended() && !one.running.is_empty())?.running;
        Some(format!(
            "it is suspended, but processes of it still run, as they could not be stopped: {running}\n\
             stop them as their user or as root: kill -STOP PID"
        ))
    }
}

fn write(attempt: &Attempt<'_>, wanted: Wanted, record: Option<&Suspension>) -> Result<()> {
    if wanted.id == 0 {
        return Ok(());
    }
    let (id, now_ms) = (wanted.id, attempt.ctx.now_ms());
    let (at_ms, lasted_ms) = record.map_or((now_ms, 0), |one| (one.at_ms, one.last_ms));
    let running = record.map(|one| one.running.clone()).unwrap_or_default();
    let written = attempt.ctx.store.commit_elsewhere(move |conn| match wanted.is_suspended {
        true => suspend::is_suspended(conn, id, at_ms, &running),
        false => suspend::is_resumed(conn, id, lasted_ms, now_ms),
    });
    written.map(drop)
}
