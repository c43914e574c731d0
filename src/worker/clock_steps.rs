//! Steps of the wall clock, as this worker sees them: against the clock of the boot, which never jumps.
//!
//! What is an instant (`--at`, `--delay`, `--expires`, the slots of a schedule) goes by the wall clock, whatever it says. A wait that the worker
//! itself gave (before the next attempt, the next teardown) is a duration, and is moved with the clock. How long history is kept is never
//! shortened by a step.

use std::sync::{Mutex, PoisonError};

use super::context::Context;
use super::monitor::CLOCK_STEP_MS;
use crate::error::Result;
use crate::run::machine::boottime_ms;
use crate::store::tend;

/// By how much the wall clock is ahead of the clock of the boot, in milliseconds.
pub(super) struct ClockSteps {
    first_ms: i64,
    last_ms: Mutex<i64>,
}

impl ClockSteps {
    pub fn new(now_ms: i64) -> Self {
        let ahead_ms = ahead_ms(now_ms);
        Self { first_ms: ahead_ms, last_ms: Mutex::new(ahead_ms) }
    }

    /// The wall clock as it would be without its steps forward since this worker started, in milliseconds UTC.
    pub fn never_early(&self, now_ms: i64) -> i64 {
        now_ms.min(boot_ms().saturating_add(self.first_ms))
    }
}

fn boot_ms() -> i64 {
    i64::try_from(boottime_ms()).unwrap_or(i64::MAX)
}

fn ahead_ms(now_ms: i64) -> i64 {
    now_ms.saturating_sub(boot_ms())
}

/// Lets the claim loop look where the clock was set since the last look. Never waits and never writes.
pub(super) fn hint(ctx: &Context) {
    // Held: another thread looks already.
    let was_set = ctx
        .clock_steps
        .last_ms
        .try_lock()
        .is_ok_and(|last_ms| ahead_ms(ctx.now_ms()).saturating_sub(*last_ms).unsigned_abs() > CLOCK_STEP_MS);
    if was_set {
        ctx.look();
    }
}

/// Looks whether the clock was set since the last look, and moves the waits that are durations.
pub(super) fn look(ctx: &Context) -> Result<()> {
    // Held to the end: the thread that looks second finds the waits moved.
    let mut last_ms = ctx.clock_steps.last_ms.lock().unwrap_or_else(PoisonError::into_inner);
    let ahead_ms = ahead_ms(ctx.now_ms());
    let by_ms = ahead_ms.saturating_sub(*last_ms);
    if by_ms.unsigned_abs() > CLOCK_STEP_MS {
        let (moved, _) = ctx.store.commit(move |conn| tend::clock_was_set(conn, by_ms))?;
        log::warn!("the clock was set by {} s; {moved} waits for another attempt were moved with it", by_ms / 1000);
        ctx.look();
    }
    *last_ms = ahead_ms;
    Ok(())
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
