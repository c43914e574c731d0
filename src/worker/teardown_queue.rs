//! Which resources are being torn down, and which are next: a limited number at once, and those
//! that have failed before never occupy the last place.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use crate::job::ResourceId;
use crate::job::limits::{TEARDOWNS_AT_ONCE_MAX, TEARDOWNS_FAILED_AT_ONCE_MAX};
use crate::store::resource::teardown::Due;
use crate::sync::lock;

/// Which resources are being torn down, and which are next.
#[derive(Debug, Default)]
pub(super) struct TeardownQueue {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Due>,
    /// With whether it has failed before.
    busy: HashMap<ResourceId, bool>,
}

impl TeardownQueue {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        // A panic elsewhere leaves lists and maps whole.
        f(&mut lock(&self.inner))
    }

    /// Replaces the waiting resources by those that are due now.
    pub fn refill(&self, due: Vec<Due>) {
        self.with(|inner| inner.waiting = due.into_iter().filter(|due| !inner.busy.contains_key(&due.id)).collect());
    }

    /// Returns the first waiting resource that may start; it counts as busy then.
    pub fn next(&self) -> Option<Due> {
        self.with(|inner| {
            if inner.busy.len() >= TEARDOWNS_AT_ONCE_MAX {
                return None;
            }
            let failed = inner.busy.values().filter(|has_failed| **has_failed).count();
            let at = inner.waiting.iter().position(|due| !due.has_failed || failed < TEARDOWNS_FAILED_AT_ONCE_MAX)?;
            let due = inner.waiting.remove(at)?;
            inner.busy.insert(due.id, due.has_failed);
            Some(due)
        })
    }

    /// Counts a resource that is already being torn down, regardless of the limit.
    pub fn adopt(&self, id: ResourceId) {
        self.with(|inner| inner.busy.insert(id, false));
    }

    pub fn done(&self, id: ResourceId) {
        self.with(|inner| inner.busy.remove(&id));
    }

    /// Whether nothing is in progress.
    pub fn is_still(&self) -> bool {
        self.with(|inner| inner.busy.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(ids: impl IntoIterator<Item = i64>, has_failed: bool) -> Vec<Due> {
        ids.into_iter().map(|id| Due { id: ResourceId(id), has_failed }).collect()
    }

    fn taken(queue: &TeardownQueue) -> Vec<i64> {
        std::iter::from_fn(|| queue.next()).map(|due| due.id.0).collect()
    }

    #[test]
    fn so_many_at_once_and_no_more_until_one_is_done() {
        let queue = TeardownQueue::default();
        queue.refill(due(1..=9, false));
        assert_eq!(taken(&queue), [1, 2, 3, 4]);
        queue.done(ResourceId(2));
        assert_eq!(taken(&queue), [5]);
        assert!(!queue.is_still());
        [1, 3, 4, 5].into_iter().for_each(|id| queue.done(ResourceId(id)));
        assert!(queue.is_still());
    }

    #[test]
    fn those_that_failed_before_leave_a_place_for_the_others() {
        let queue = TeardownQueue::default();
        queue.refill(due(1..=9, true));
        assert_eq!(taken(&queue), [1, 2, 3]);
        queue.refill([due(4..=9, true), due([20], false)].concat());
        assert_eq!(taken(&queue), [20]);
    }

    #[test]
    fn what_is_under_way_is_not_begun_again() {
        let queue = TeardownQueue::default();
        queue.adopt(ResourceId(2));
        queue.refill(due(1..=3, false));
        assert_eq!(taken(&queue), [1, 3]);
        queue.refill(due(1..=3, false));
        assert_eq!(taken(&queue), [0i64; 0]);
        queue.done(ResourceId(2));
        queue.refill(due(1..=3, false));
        assert_eq!(taken(&queue), [2]);
    }
}
