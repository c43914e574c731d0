//! The slots of a worker: how many jobs run at once, and the number that each of them gets as
//! `TENURE_SLOT`.
//!
//! A person may change their number while the worker runs. With fewer slots than running jobs none
//! of these ends, and no slot is free until enough of them have ended.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The slots: how many there are, and those that are taken, by their numbers from 1.
#[derive(Debug)]
pub(super) struct Slots {
    limit: AtomicUsize,
    taken: Mutex<BTreeSet<usize>>,
}

/// A slot that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: usize,
}

impl Slots {
    pub fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), taken: Mutex::default() }
    }

    /// Returns how many there are.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::SeqCst)
    }

    /// Changes how many there are. Returns the number before.
    pub fn set_limit(&self, limit: usize) -> usize {
        self.limit.swap(limit, Ordering::SeqCst)
    }

    /// Counts the free slots.
    pub fn free(&self) -> usize {
        self.limit().saturating_sub(self.busy())
    }

    /// Takes the lowest free slot. An adopted run takes one even if all are taken: it is already
    /// running.
    pub fn take(self: &Arc<Self>) -> Slot {
        let mut taken = lock(&self.taken);
        let number = (1..).find(|n| !taken.contains(n)).unwrap_or(usize::MAX);
        taken.insert(number);
        Slot { slots: Arc::clone(self), number }
    }

    /// Counts the taken slots.
    pub fn busy(&self) -> usize {
        lock(&self.taken).len()
    }
}

impl Slot {
    pub fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.slots.taken).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let slots = Arc::new(Slots::new(2));
        let [first, second, third] = [slots.take(), slots.take(), slots.take()];
        assert_eq!([&first, &second, &third].map(Slot::number), [1, 2, 3]);
        drop(second);
        assert_eq!((slots.busy(), slots.take().number()), (2, 2));
    }

    #[test]
    fn fewer_slots_than_taken_ones_leave_none_free() {
        let slots = Arc::new(Slots::new(3));
        let taken = [slots.take(), slots.take()];
        assert_eq!((slots.free(), slots.set_limit(1), slots.free(), slots.limit()), (1, 3, 0, 1));
        let [first, second] = taken;
        drop(first);
        assert_eq!(slots.free(), 0);
        drop(second);
        assert_eq!(slots.free(), 1);
    }
}
