//! A stop request for a run, from its cause to the end of its shim.
//!
//! The shim is asked, with the cause, and decides itself. A shim that has received it is left to
//! its work, however long its processes take to die. A shim that does not receive it (it is
//! stopped) is killed, and its spawner sweeps. A shim that cannot be found is bypassed: its
//! processes carry the run's marks. One that this worker cannot signal is asked repeatedly, and
//! reported.

use std::time::{Duration, Instant};

use super::handle::Attempt;
use crate::job::{Cause, Exit};
use crate::run::record::Records;
use crate::run::stop::{self, Asked, OutOfReach};
use crate::run::tree;
use crate::run::trouble::{self, Shim};

/// A shim that was asked to stop, has not received it, and has not ended the run within its grace
/// and this time, in milliseconds, is killed.
const UNANSWERED_MS: u64 = 5_000;
/// Interval between two attempts to ask a shim that is starting, in milliseconds: first and
/// longest.
const ASK_AGAIN_FIRST_MS: u64 = 5;
const ASK_AGAIN_MOST_MS: u64 = 1_000;
/// Interval between two attempts to ask a shim that cannot be signalled, in milliseconds.
const HINDERED_MS: u64 = 1_000;
/// If a shim cannot be found for this long, in milliseconds, although the worker has its pipe, its
/// run file was removed. Its processes are ended without it.
const UNFOUND_MS: u64 = 1_000;

/// A request to stop the run, and its progress.
#[derive(Default)]
pub struct StopRequest {
    asked: bool,
    /// When to ask again, or to end a shim that has not answered.
    next: Option<Instant>,
    asks: u32,
    /// Since when the shim cannot be found.
    unfound: Option<Instant>,
    /// The tree was ended without the shim, for this cause.
    without_shim: Option<Cause>,
    hindrance: Option<OutOfReach>,
}

impl StopRequest {
    pub fn next_act(&self) -> Option<Instant> {
        self.next
    }

    /// Returns why the shim cannot be asked, if so.
    pub fn hindrance(&self) -> Option<OutOfReach> {
        self.hindrance
    }

    /// Passes the cause to the shim; ends a shim that did not answer in time. `late_ms`: how much
    /// of the time for an answer is over.
    pub fn act(&mut self, attempt: &Attempt<'_>, cause: Cause, late_ms: u64, records: &Records) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        if self.asked {
            self.next = Some(now + Duration::from_millis(UNANSWERED_MS));
            return self.see_whether_it_heard(attempt, cause, records, now);
        }
        let asked = stop::ask(attempt.ctx.place(), attempt.key, cause);
        self.hindrance = None;
        match asked {
            Ok(Asked::Sent) => {
                self.asked = true;
                let answered_within = attempt.grace_ms.saturating_add(UNANSWERED_MS.saturating_sub(late_ms));
                self.next = Some(now + Duration::from_millis(answered_within));
            }
            Ok(Asked::NoShimYet) => {
                let wait_ms = (ASK_AGAIN_FIRST_MS << self.asks.min(10)).min(ASK_AGAIN_MOST_MS);
                self.asks += 1;
                self.next = Some(now + Duration::from_millis(wait_ms));
            }
            Ok(Asked::OutOfReach(hindrance)) => {
                self.hindrance = Some(hindrance);
                self.next = Some(now + Duration::from_millis(HINDERED_MS));
            }
            Ok(Asked::Gone | Asked::NotOurs) => self.act_without_shim(attempt, cause, records, now),
            Err(error) => {
                log::warn!("run {}: asking its shim to stop: {error}", attempt.key.run);
                self.next = Some(now + Duration::from_millis(UNANSWERED_MS));
            }
        }
    }

    fn see_whether_it_heard(&mut self, attempt: &Attempt<'_>, cause: Cause, records: &Records, now: Instant) {
        let place = attempt.ctx.place();
        let has_heard = match trouble::shim(place, attempt.key) {
            Ok(Shim::Well(shim)) if trouble::has_heard(shim) => return,
            Ok(Shim::Stopped(shim)) => trouble::has_heard(shim),
            _ => false,
        };
        // A shim that has received it has told the job to end. Otherwise, if the job's own process
        // has ended, no process has seen how.
        let was_running = has_heard || !has_ended(records);
        if self.unfound.is_none() {
            log::warn!("run {}: its shim did not answer a stop request ({cause}); ending the shim", attempt.key.run);
        }
        match stop::kill_shim(place, attempt.key) {
            Ok(Asked::Sent) if was_running => attempt.forced.set(Some(cause)),
            Ok(Asked::Sent) => {}
            Ok(_) => self.act_without_shim(attempt, cause, records, now),
            Err(error) => log::error!("run {}: ending its shim: {error}", attempt.key.run),
        }
    }

    /// Usually the shim has just ended, and the pipe shows that in a moment. Otherwise the run file
    /// is gone.
    fn act_without_shim(&mut self, attempt: &Attempt<'_>, cause: Cause, records: &Records, now: Instant) {
        self.next = Some(now + Duration::from_millis(ASK_AGAIN_FIRST_MS));
        if now.duration_since(*self.unfound.get_or_insert(now)) < Duration::from_millis(UNFOUND_MS) {
            return;
        }
        if self.without_shim.is_none() {
            log::warn!("run {}: its shim cannot be found by its run file; ending its processes by their marks", attempt.key.run);
        }
        match tree::empty(attempt.ctx.place(), attempt.key) {
            Ok(_) if records.exited.is_none() => self.without_shim = Some(cause),
            Ok(_) => {}
            Err(error) => log::error!("run {}: ending its processes: {error}", attempt.key.run),
        }
        self.next = Some(now + Duration::from_millis(UNFOUND_MS));
    }

    /// Returns the records of the run's end: a bypassed shim does not know why its job was killed.
    pub fn seen_in(&self, mut records: Records) -> Records {
        if let (Some(cause), Some(exited)) = (self.without_shim, &mut records.exited)
            && matches!(exited.exit, Exit::Signal(_))
        {
            exited.cause = exited.cause.or(Some(cause));
        }
        records
    }
}

/// Whether the job's own process has ended, by the records or by `/proc`.
pub fn has_ended(records: &Records) -> bool {
    records.exited.is_some() || records.started.is_some_and(|started| trouble::is_dead(started.pid))
}
