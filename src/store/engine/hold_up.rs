//! Decides how long writers are held up so that the log can restart.
//!
//! The log restarts when all of it is in the file and no reader needs it. A reader keeps what it
//! began with, so while one snapshot follows another and writers write, that moment never comes.
//! With the writers held up, the snapshots that began before end first, the rest is copied, and
//! from then on new readers use the file alone: the log restarts after twice the longest snapshot
//! at most.
//!
//! How long snapshots last is not known, so the time is short at first, and longer after a failed
//! attempt, if that snapshot has ended since. While the same snapshot is open no further attempt is
//! made: `status` and `doctor` name its reader.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// How long writers are held up at first, in milliseconds.
const FIRST_MS: u64 = 200;
/// How long writers are held up at most, in milliseconds. A writer waits longer for its turn
/// (`turnstile`), and a client still longer for the write lock.
const LONGEST_MS: u64 = 1_600;
/// After a failed attempt the next one may take longer by this factor.
const LONGER: u64 = 4;
/// Interval after a failed attempt of the longest kind, in milliseconds.
pub(in crate::store) const AGAIN_MS: u64 = 5_000;
/// Interval between two looks whether a reader has ended, in milliseconds.
const LOOK_MS: u64 = 1;

thread_local! {
    /// When a checkpoint of this thread gives up.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Limits how long a checkpoint on this connection waits for readers and writers: to [`FIRST_MS`],
/// and between [`HoldUp::begin`] and [`HoldUp::end`] to what that has decided.
pub(in crate::store) fn limit_waits(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(|looks| {
        let goes_on = match UNTIL.get() {
            Some(until) => Instant::now() < until,
            None => u64::try_from(looks).is_ok_and(|looks| looks * LOOK_MS < FIRST_MS),
        };
        if goes_on {
            std::thread::sleep(Duration::from_millis(LOOK_MS));
        }
        goes_on
    }))
}

/// What one checkpointer knows of the snapshots of readers.
pub(in crate::store) struct HoldUp {
    /// How long the next attempt may take, in milliseconds.
    ms: u64,
    failed: Option<Failed>,
}

/// An attempt after which the log was as long as before.
struct Failed {
    at: Instant,
    /// How many pages of the log could be copied: up to where the oldest snapshot begins.
    copied_pages: u32,
    was_longest: bool,
}

impl Default for HoldUp {
    fn default() -> Self {
        Self { ms: FIRST_MS, failed: None }
    }
}

impl HoldUp {
    /// Whether to hold up the writers now. `copied_pages`: how many pages of the log a copy has
    /// just left in the file.
    pub(in crate::store) fn may_succeed(&self, copied_pages: u32) -> bool {
        self.failed.as_ref().is_none_or(|before| {
            copied_pages != before.copied_pages && (!before.was_longest || before.at.elapsed() >= Duration::from_millis(AGAIN_MS))
        })
    }

    /// Begins an attempt, on the thread of the checkpoint.
    pub(in crate::store) fn begin(&self) -> Instant {
        let now = Instant::now();
        UNTIL.set(Some(now + Duration::from_millis(self.ms)));
        now
    }

    /// Ends the attempt that began then. `has_restarted`: the next writer begins the log anew.
    pub(in crate::store) fn end(&mut self, begun: Instant, has_restarted: bool, copied_pages: u32) {
        UNTIL.set(None);
        if has_restarted {
            // The next snapshots may last as long.
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(LONGEST_MS);
            *self = Self { ms: (2 * took_ms).clamp(FIRST_MS, LONGEST_MS), failed: None };
        } else {
            self.failed = Some(Failed { at: Instant::now(), copied_pages, was_longest: self.ms == LONGEST_MS });
            self.ms = (self.ms * LONGER).min(LONGEST_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_is_repeated_once_its_snapshot_has_ended() {
        let mut hold_up = HoldUp::default();
        assert!(hold_up.may_succeed(9), "nothing was tried");
        hold_up.end(hold_up.begin(), false, 9);
        assert!(!hold_up.may_succeed(9), "the same snapshot is open");
        assert!(hold_up.may_succeed(10) && hold_up.ms == FIRST_MS * LONGER, "another one may have followed it");
        hold_up.end(hold_up.begin(), true, 3_000);
        assert!(hold_up.may_succeed(10) && hold_up.ms == FIRST_MS, "it was over at once");
    }

    #[test]
    fn the_longest_attempt_is_not_repeated_soon() {
        let mut hold_up = HoldUp::default();
        for copied in 1..5 {
            assert!(hold_up.may_succeed(copied + 1) || hold_up.ms == LONGEST_MS);
            hold_up.end(hold_up.begin(), false, copied);
        }
        assert!(hold_up.ms == LONGEST_MS && !hold_up.may_succeed(100));
    }
}
