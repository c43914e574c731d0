//! The slots of a worker: how many jobs run at once, and the number that each of them gets as
//! `TENURE_SLOT`.
//!
//! A job that takes several slots has as many numbers; `TENURE_SLOT` is the lowest.
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

/// Slots that one job takes until this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    /// The lowest one, and the others.
    number: usize,
    more: Vec<usize>,
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

    /// Takes the lowest free slots. An adopted run takes its slots even if all are taken: it is
    /// already running.
    pub fn take(self: &Arc<Self>, slots: u32) -> Slot {
        let mut taken = lock(&self.taken);
        let mut next = || {
            let number = (1..).find(|n| !taken.contains(n)).unwrap_or(usize::MAX);
            taken.insert(number);
            number
        };
        let number = next();
        let more = (1..slots).map(|_| next()).collect();
        Slot { slots: Arc::clone(self), number, more }
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

    /// Counts its slots.
    pub fn width(&self) -> usize {
        1 + self.more.len()
    }

    /// Gives back the slots that the next job does not take. True: there were some.
    pub fn narrow(&mut self, slots: u32) -> bool {
        let keep = usize::try_from(slots).unwrap_or(usize::MAX).saturating_sub(1).min(self.more.len());
        let mut taken = lock(&self.slots.taken);
        let left: Vec<usize> = self.more.drain(keep..).collect();
        left.iter().for_each(|number| _ = taken.remove(number));
        !left.is_empty()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = lock(&self.slots.taken);
        taken.remove(&self.number);
        self.more.iter().for_each(|number| _ = taken.remove(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let slots = Arc::new(Slots::new(2));
        let [first, second, third] = [slots.take(1), slots.take(1), slots.take(1)];
        assert_eq!([&first, &second, &third].map(Slot::number), [1, 2, 3]);
        drop(second);
        assert_eq!((slots.busy(), slots.take(1).number()), (2, 2));
    }

    #[test]
    fn a_wide_job_takes_several_slots() {
        let slots = Arc::new(Slots::new(4));
        let (one, mut three) = (slots.take(1), slots.take(3));
        assert_eq!((one.number(), three.number(), three.width(), slots.free()), (1, 2, 3, 0));
        assert!(three.narrow(2) && !three.narrow(2) && !three.narrow(9));
        assert_eq!((three.number(), three.width(), slots.free(), slots.take(1).number()), (2, 2, 1, 4));
        drop(three);
        assert_eq!(slots.free(), 3);
    }

    #[test]
    fn fewer_slots_than_taken_ones_leave_none_free() {
        let slots = Arc::new(Slots::new(3));
        let taken = [slots.take(1), slots.take(1)];
        assert_eq!((slots.free(), slots.set_limit(1), slots.free(), slots.limit()), (1, 3, 0, 1));
        let [first, second] = taken;
        drop(first);
        assert_eq!(slots.free(), 0);
        drop(second);
        assert_eq!(slots.free(), 1);
    }
}
