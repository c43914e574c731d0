//! Which chores of one kind are in progress, and which are next: a limited number at once, and
//! those that have failed before never occupy the last place.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Mutex;

use crate::job::chore::Due;
use crate::job::limits::{CHORES_AT_ONCE_MAX, CHORES_FAILED_AT_ONCE_MAX};
use crate::sync::lock;

/// Which chores of one kind are in progress, and which are next.
#[derive(Debug)]
pub(super) struct DueQueue<I> {
    inner: Mutex<Inner<I>>,
}

#[derive(Debug)]
struct Inner<I> {
    waiting: VecDeque<Due<I>>,
    /// With whether it has failed before.
    busy: HashMap<I, bool>,
}

impl<I> Default for DueQueue<I> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { waiting: VecDeque::new(), busy: HashMap::new() }) }
    }
}

impl<I: Copy + Eq + Hash> DueQueue<I> {
    fn with<T>(&self, f: impl FnOnce(&mut Inner<I>) -> T) -> T {
        // A panic elsewhere leaves lists and maps whole.
        f(&mut lock(&self.inner))
    }

    /// Replaces the waiting chores by those that are due now.
    pub fn refill(&self, due: Vec<Due<I>>) {
        self.with(|inner| inner.waiting = due.into_iter().filter(|due| !inner.busy.contains_key(&due.id)).collect());
    }

    /// Returns the first waiting chore that may start; it counts as busy then.
    pub fn next(&self) -> Option<Due<I>> {
        self.with(|inner| {
            if inner.busy.len() >= CHORES_AT_ONCE_MAX {
                return None;
            }
            let failed = inner.busy.values().filter(|has_failed| **has_failed).count();
            let at = inner.waiting.iter().position(|due| !due.has_failed || failed < CHORES_FAILED_AT_ONCE_MAX)?;
            let due = inner.waiting.remove(at)?;
            inner.busy.insert(due.id, due.has_failed);
            Some(due)
        })
    }

    /// Counts a chore that is already in progress, regardless of the limit.
    pub fn adopt(&self, id: I) {
        self.with(|inner| inner.busy.insert(id, false));
    }

    pub fn done(&self, id: I) {
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

    fn due(ids: impl IntoIterator<Item = i64>, has_failed: bool) -> Vec<Due<i64>> {
        ids.into_iter().map(|id| Due { id, has_failed }).collect()
    }

    fn taken(queue: &DueQueue<i64>) -> Vec<i64> {
        std::iter::from_fn(|| queue.next()).map(|due| due.id).collect()
    }

    #[test]
    fn so_many_at_once_and_no_more_until_one_is_done() {
        let queue = DueQueue::default();
        queue.refill(due(1..=9, false));
        assert_eq!(taken(&queue), [1, 2, 3, 4]);
        queue.done(2);
        assert_eq!(taken(&queue), [5]);
        assert!(!queue.is_still());
        [1, 3, 4, 5].into_iter().for_each(|id| queue.done(id));
        assert!(queue.is_still());
    }

    #[test]
    fn those_that_failed_before_leave_a_place_for_the_others() {
        let queue = DueQueue::default();
        queue.refill(due(1..=9, true));
        assert_eq!(taken(&queue), [1, 2, 3]);
        queue.refill([due(4..=9, true), due([20], false)].concat());
        assert_eq!(taken(&queue), [20]);
    }

    #[test]
    fn what_is_under_way_is_not_begun_again() {
        let queue = DueQueue::default();
        queue.adopt(2);
        queue.refill(due(1..=3, false));
        assert_eq!(taken(&queue), [1, 3]);
        queue.refill(due(1..=3, false));
        assert_eq!(taken(&queue), [0i64; 0]);
        queue.done(2);
        queue.refill(due(1..=3, false));
        assert_eq!(taken(&queue), [2]);
    }
}
