//! Waiting for the file to change, without a word to anybody: a look at SQLite's change counter,
//! and a ladder of waits.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::store::{self, Store};

/// Waits between two looks, in milliseconds: short after something happened, long when nothing
/// does.
const LADDER_MS: [u64; 7] = [2, 5, 10, 25, 50, 100, 200];

/// What has been seen of a file.
#[derive(Default)]
pub(crate) struct Changes {
    counter: Option<store::Changes>,
    seen: Option<i64>,
    rung: usize,
}

impl Changes {
    /// Whether another process has written since the last look. The first look says yes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn poll(&mut self, store: &Store) -> Result<bool> {
        let counter = match self.counter.take() {
            Some(counter) => counter,
            None => store::Changes::of(store)?,
        };
        let now = self.counter.insert(counter).count()?;
        let changed = self.seen != Some(now);
        self.seen = Some(now);
        Ok(changed)
    }

    /// Something happened: look again soon.
    pub fn stir(&mut self) {
        self.rung = 0;
    }

    /// Waits for the next look, and no longer than until `until`.
    pub fn rest(&mut self, until: Option<Instant>) {
        let wait = Duration::from_millis(LADDER_MS[self.rung]);
        let left = until.map_or(wait, |until| until.saturating_duration_since(Instant::now()));
        // No event tells a process that another one has committed; the worker's own hints are for
        // the worker.
        std::thread::sleep(wait.min(left));
        self.rung = (self.rung + 1).min(LADDER_MS.len() - 1);
    }
}
