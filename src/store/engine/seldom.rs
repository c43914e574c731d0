//! A message that would otherwise be written again and again.

use std::time::{Duration, Instant};

/// Time between two messages about the same trouble, in milliseconds.
const REPEAT_MS: u64 = 60_000;

/// Lets the first message through, and then one a minute.
#[derive(Debug, Default)]
pub(in crate::store) struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    /// Whether it is time to say it (again).
    pub(in crate::store) fn now(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= Duration::from_millis(REPEAT_MS));
        if due {
            self.last = Some(Instant::now());
        }
        due
    }

    /// The trouble is over: the next one is told at once.
    pub(in crate::store) fn over(&mut self) {
        self.last = None;
    }
}
