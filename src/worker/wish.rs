//! A wish to stop a run, from the bell of its monitor to the end of its shim.
//!
//! The shim is asked, with the cause, and judges by itself. A shim that does not answer is killed, and its spawner sweeps. A shim
//! that can not be found is passed by: what it watches carries the run's cookie.

use std::time::{Duration, Instant};

use super::monitor::Watched;
use crate::job::Cause;
use crate::run::record::Records;
use crate::run::{stop, tree};

/// A shim that has been asked to stop and has not ended the run within its grace and this time, in milliseconds, is killed itself.
const UNANSWERED_MS: u64 = 5_000;
/// Between two tries to ask a shim that is only starting, in milliseconds.
const ASK_AGAIN_MS: u64 = 5;
/// A shim that can not be found for this long, in milliseconds, although it has our pipe: its run file was taken away. What it
/// watches is ended without it.
const UNFOUND_MS: u64 = 1_000;

/// A wish to stop the run, from the bell to the shim's end.
#[derive(Default)]
pub(super) struct Wish {
    asked: bool,
    /// When to ask again, or to end a shim that has not answered.
    next: Option<Instant>,
    /// Since when the shim can not be found.
    unfound: Option<Instant>,
    /// Its tree was ended without the shim, for this cause.
    without_shim: Option<Cause>,
}

impl Wish {
    pub fn next_act(&self) -> Option<Instant> {
        self.next
    }

    /// Passes the bell's cause on to the shim; ends a shim that did not answer in time.
    pub fn act(&mut self, watched: &Watched<'_>) {
        let Some(cause) = watched.bell.cause() else { return };
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        let place = watched.shared.place();
        if self.asked {
            log::warn!("run {}: its shim did not answer a stop; ending the shim", watched.run);
            self.next = Some(now + Duration::from_millis(UNANSWERED_MS));
            match stop::kill_shim(place, watched.run, watched.nonce) {
                Ok(stop::Asked::Sent) => {}
                Ok(_) => self.act_without_shim(watched, cause, now),
                Err(error) => log::error!("run {}: ending its shim: {error}", watched.run),
            }
            return;
        }
        match stop::ask(place, watched.run, watched.nonce, cause) {
            Ok(stop::Asked::Sent) => {
                self.asked = true;
                self.next = Some(now + Duration::from_millis(watched.grace_ms.saturating_add(UNANSWERED_MS)));
            }
            Ok(stop::Asked::NoShimYet) => self.next = Some(now + Duration::from_millis(ASK_AGAIN_MS)),
            Ok(stop::Asked::Gone | stop::Asked::NotOurs | stop::Asked::OutOfReach(_)) => {
                self.act_without_shim(watched, cause, now)
            }
            Err(error) => {
                log::warn!("run {}: asking its shim to stop: {error}", watched.run);
                self.next = Some(now + Duration::from_millis(UNANSWERED_MS));
            }
        }
    }

    /// Mostly the shim has just ended, and the pipe says so in a moment. If not, the run file is what is gone.
    fn act_without_shim(&mut self, watched: &Watched<'_>, cause: Cause, now: Instant) {
        self.next = Some(now + Duration::from_millis(ASK_AGAIN_MS));
        if now.duration_since(*self.unfound.get_or_insert(now)) < Duration::from_millis(UNFOUND_MS) {
            return;
        }
        log::warn!("run {}: its shim can not be found by its run file; ending its processes by their cookie", watched.run);
        match tree::empty(watched.shared.place(), watched.run, watched.nonce) {
            Ok(_) => self.without_shim = Some(cause),
            Err(error) => log::error!("run {}: ending its processes: {error}", watched.run),
        }
        self.next = Some(now + Duration::from_millis(UNFOUND_MS));
    }

    /// The records of the run's end: a shim that was passed by does not know why its job was killed.
    pub fn seen_in(&self, mut records: Records) -> Records {
        if let (Some(cause), Some(exited)) = (self.without_shim, &mut records.exited) {
            exited.cause = exited.cause.or(Some(cause));
        }
        records
    }
}
