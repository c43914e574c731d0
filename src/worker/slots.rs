//! The slots of a worker: how many jobs run at once, and the number that each of them gets as
//! `TENURE_SLOT`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The slots that are taken, by their numbers from 1.
#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Mutex<BTreeSet<usize>>,
}

/// A slot that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: usize,
}

impl Slots {
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
        let slots = Arc::new(Slots::default());
        let [first, second, third] = [slots.take(), slots.take(), slots.take()];
        assert_eq!([&first, &second, &third].map(Slot::number), [1, 2, 3]);
        drop(second);
        assert_eq!((slots.busy(), slots.take().number()), (2, 2));
    }
}
