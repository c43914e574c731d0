//! Walks through the cells of a matrix that mostly wait.

use std::sync::atomic::{AtomicUsize, Ordering};

/// As many at a time as keep two cores busy.
const AT_A_TIME: usize = 4;

/// Walks through all cells, some at a time. Each has a nest of its own, and none may need the machine for itself.
pub fn each<T: Sync>(cells: &[T], walk: impl Fn(&T) + Sync) {
    let (next, walked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(cells.len()) {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    walk(cell);
                    walked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(walked.into_inner(), cells.len(), "each cell is walked");
}

#[test]
fn each_cell_is_walked_once() {
    for n in [1, AT_A_TIME, 3 * AT_A_TIME + 1] {
        let cells: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
        each(&cells, |cell| {
            cell.fetch_add(1, Ordering::Relaxed);
        });
        assert!(cells.into_iter().all(|cell| cell.into_inner() == 1));
    }
}
