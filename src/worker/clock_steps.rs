//! Steps of the wall clock, as this worker sees them: measured against the clock of the boot, which
//! never jumps.
//!
//! Instants (`--at`, `--delay`, `--expires`, the occurrences of a schedule) follow the wall clock.
//! A wait that the worker has set (before the next attempt or the next teardown) is a duration, and
//! is moved with the clock. A step never shortens retention.

use std::sync::Mutex;

use crate::error::Result;
use crate::run::machine::boottime_ms;
use crate::store::{Store, upkeep::due};
use crate::sync::lock;

/// A step of the wall clock, in milliseconds: a smaller difference comes from a clock that is being
/// adjusted gradually.
pub(super) const CLOCK_STEP_MS: u64 = 2_000;

/// How far the wall clock is ahead of the clock of the boot, in milliseconds.
pub(super) struct ClockSteps {
    first_ms: i64,
    last_ms: Mutex<i64>,
}

impl ClockSteps {
    pub fn new(now_ms: i64) -> Self {
        let ahead_ms = ahead_ms(now_ms);
        Self { first_ms: ahead_ms, last_ms: Mutex::new(ahead_ms) }
    }

    /// Returns the wall clock without its forward steps since this worker started, in milliseconds
    /// UTC.
    pub fn never_early(&self, now_ms: i64) -> i64 {
        now_ms.min(boot_ms().saturating_add(self.first_ms))
    }

    /// Whether the clock was set since the last check. Never waits and never writes; false while
    /// another thread checks.
    pub fn was_set(&self, now_ms: i64) -> bool {
        self.last_ms.try_lock().is_ok_and(|last_ms| ahead_ms(now_ms).saturating_sub(*last_ms).unsigned_abs() > CLOCK_STEP_MS)
    }

    /// Checks whether the clock was set since the last check, and moves the waits that are
    /// durations; returns true if so.
    pub fn check(&self, store: &Store) -> Result<bool> {
        // Held to the end: the second thread finds the waits moved.
        let mut last_ms = lock(&self.last_ms);
        let ahead_ms = ahead_ms(store.clock().now_ms());
        let by_ms = ahead_ms.saturating_sub(*last_ms);
        let was_set = by_ms.unsigned_abs() > CLOCK_STEP_MS;
        if was_set {
            let (moved, _) = store.commit(move |conn| due::clock_was_set(conn, by_ms))?;
            log::warn!("the clock was set by {} s; {moved} waits for another attempt were moved with it", by_ms / 1000);
        }
        *last_ms = ahead_ms;
        Ok(was_set)
    }
}

fn boot_ms() -> i64 {
    i64::try_from(boottime_ms()).unwrap_or(i64::MAX)
}

fn ahead_ms(now_ms: i64) -> i64 {
    now_ms.saturating_sub(boot_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_forward_makes_history_older_than_it_is() {
        const NOW_MS: i64 = 1_700_000_000_000;
        let before = boot_ms();
        let steps = ClockSteps::new(NOW_MS);
        for step_ms in [3_000, 3 * 3_600_000, 400 * 86_400_000] {
            let seen = steps.never_early(NOW_MS + step_ms);
            let passed_ms = boot_ms() - before;
            assert!((NOW_MS..=NOW_MS + passed_ms).contains(&seen), "a step of {step_ms} ms gave {seen}");
            assert_eq!(steps.never_early(NOW_MS - step_ms), NOW_MS - step_ms);
        }
    }
}
