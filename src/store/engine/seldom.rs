//! Limits how often a recurring message is logged.

use std::time::{Duration, Instant};

/// Interval between two messages about the same condition, in milliseconds.
const REPEAT_MS: u64 = 60_000;

/// Passes the first message, and then one a minute.
#[derive(Debug, Default)]
pub(in crate::store) struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    /// Whether to log the message now.
    pub(in crate::store) fn now(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= Duration::from_millis(REPEAT_MS));
        if due {
            self.last = Some(Instant::now());
        }
        due
    }

    /// The condition is over: its next message is logged immediately.
    pub(in crate::store) fn over(&mut self) {
        self.last = None;
    }
}
