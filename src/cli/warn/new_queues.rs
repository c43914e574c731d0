//! Warns about a new queue whose name is similar to that of another one: a worker that serves only
//! the other does not start its jobs.

use std::collections::BTreeSet;

use crate::cli::view::escape::quote_text;
use crate::store::{Store, job::read};

/// Most queues that are checked, whose names are kept in memory.
const CHECKED_MAX: usize = 10_000;

/// Where the names of the queues are.
pub enum Queues {
    /// In a file that is open here.
    In(Store),
    /// The worker has looked for a similar one.
    Told(Option<String>),
}

/// The queues that were checked already.
#[derive(Debug, Default)]
pub struct NewQueues(BTreeSet<String>);

impl NewQueues {
    /// Returns a warning about this queue, once. A file that cannot be read is reported when it is
    /// written.
    pub fn check(&mut self, queues: &Queues, queue: &str) -> Option<String> {
        if self.0.contains(queue) || self.0.len() >= CHECKED_MAX {
            return None;
        }
        self.0.insert(queue.to_owned());
        let similar = match queues {
            Queues::In(store) => store.read(|conn| read::similar_queue(conn, queue)).unwrap_or_default(),
            Queues::Told(similar) => similar.clone(),
        }?;
        Some(format!(
            "the queue {queue:?} is new, and there is a queue {similar:?}; if that one is meant: tenure set ID queue={}",
            quote_text(&similar)
        ))
    }
}
