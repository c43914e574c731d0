//! The slots of a worker: how many jobs run at once, and the number that each of them sees as `TENURE_SLOT`.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The slots that are taken, by their numbers from 1.
#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Mutex<BTreeSet<usize>>,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        // A panic elsewhere leaves the set whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lowest free slot. An adopted run takes one even when all are taken: it runs already.
    pub fn take(&self) -> usize {
        let mut taken = self.lock();
        let number = (1..).find(|n| !taken.contains(n)).unwrap_or(usize::MAX);
        taken.insert(number);
        number
    }

    pub fn free(&self, slot: usize) {
        self.lock().remove(&slot);
    }

    /// How many are taken.
    pub fn busy(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let slots = Slots::default();
        assert_eq!([slots.take(), slots.take(), slots.take()], [1, 2, 3]);
        slots.free(2);
        assert_eq!((slots.busy(), slots.take()), (2, 2));
    }
}
