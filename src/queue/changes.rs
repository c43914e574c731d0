//! Waits for the file to change, without any notification: polls SQLite's change counter at
//! increasing intervals.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::store::{self, Store};

/// Intervals between two polls, in milliseconds: short after a change, long when there are none.
const LADDER_MS: [u64; 7] = [2, 5, 10, 25, 50, 100, 200];

/// What has been seen of a file.
#[derive(Default)]
pub(crate) struct Changes {
    counter: Option<store::Changes>,
    seen: Option<i64>,
    rung: usize,
}

impl Changes {
    /// Whether another process has written since the last poll. The first poll returns true.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn poll(&mut self, store: &Store) -> Result<bool> {
        let counter = match self.counter.take() {
            Some(counter) => counter,
            None => store::Changes::of(store.place())?,
        };
        let now = self.counter.insert(counter).count()?;
        let changed = self.seen != Some(now);
        self.seen = Some(now);
        Ok(changed)
    }

    /// Something happened: poll again soon.
    pub fn stir(&mut self) {
        self.rung = 0;
    }

    /// Waits for the next poll, but not after `until`.
    pub fn rest(&mut self, until: Option<Instant>) {
        let wait = Duration::from_millis(LADDER_MS[self.rung]);
        let left = until.map_or(wait, |until| until.saturating_duration_since(Instant::now()));
        // Processes are not notified of commits of others; the worker's hints are for the worker
        // only.
        std::thread::sleep(wait.min(left));
        self.rung = (self.rung + 1).min(LADDER_MS.len() - 1);
    }
}
