//! Walks through the cells of a matrix that mostly wait.

use std::sync::atomic::{AtomicUsize, Ordering};

/// As many at a time as keep two cores busy.
const AT_A_TIME: usize = 4;

/// Walks through all cells, some at a time. Each has a nest of its own, and none may need the machine for itself.
pub fn each<T: Sync>(cells: &[T], walk: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(cells.len()) {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    walk(cell);
                }
            });
        }
    });
}
