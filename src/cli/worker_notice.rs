//! Says once that there is no worker, where somebody waits for one.

use std::time::{Duration, Instant};

use super::{face, worker_calls};
use crate::store::Store;

/// Time between two looks for a worker, in milliseconds.
const LOOK_MS: u64 = 1_000;

/// Whether it has been said.
#[derive(Debug, Default)]
pub struct Notice {
    said: bool,
    looked: Option<Instant>,
}

impl Notice {
    /// Looks for a worker, now and then, and says once that there is none.
    pub fn look(&mut self, store: &Store, then: &str) {
        if self.said || self.looked.is_some_and(|at| at.elapsed() < Duration::from_millis(LOOK_MS)) {
            return;
        }
        self.looked = Some(Instant::now());
        // Where it can not be asked there is nothing to say.
        if matches!(worker_calls::look(store.place()), Ok(None)) {
            self.said = true;
            face::say(&format!("there is no worker; {then} (start one: tenure work)"));
        }
    }
}
