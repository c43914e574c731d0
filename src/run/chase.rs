//! Processes that fork faster than `/proc` can be read.
//!
//! In a chain in which each process starts the next one and ends, every process found by a scan of
//! `/proc` is dead by the time it is examined. The kernel reports the pid that was assigned last:
//! examined alone and immediately, that process is caught. While a shim lives this is not needed,
//! as the chain is reparented to the shim.

use std::time::{Duration, Instant};

/// Time without a catch after which the chase ends.
const PATIENCE: Duration = Duration::from_millis(20);
/// Longest chase; the next round continues.
const CHASE_MAX: Duration = Duration::from_millis(500);
/// Most processes that are examined per query of the kernel, the newest of them.
const LOOKED_AT_MAX: i32 = 16;

/// Passes each newly started process to `end`, newest first, until none is caught any more. `end`
/// returns whether it caught the process.
pub(super) fn chase(mut end: impl FnMut(i32) -> bool) {
    let began = Instant::now();
    let (mut seen, mut caught) = (0, began);
    while caught.elapsed() < PATIENCE && began.elapsed() < CHASE_MAX {
        let Some(newest) = newest() else { return };
        for pid in new_ones(seen, newest) {
            if end(pid) {
                caught = Instant::now();
            }
        }
        seen = newest;
    }
}

/// Returns the process that was started last in this pid namespace: the last word of
/// `/proc/loadavg`.
fn newest() -> Option<i32> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().last()?.parse().ok()
}

/// Returns the pids assigned after `seen`, newest first. If the numbers have wrapped around, the
/// newest ones.
fn new_ones(seen: i32, newest: i32) -> impl Iterator<Item = i32> {
    let count = if newest < seen { LOOKED_AT_MAX } else { (newest - seen).min(LOOKED_AT_MAX) };
    (0..count).map(move |n| newest - n).take_while(|pid| *pid > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_shown_from_the_newest_down_and_once() {
        let shown = |seen, newest| new_ones(seen, newest).collect::<Vec<_>>();
        assert_eq!(shown(100, 103), [103, 102, 101]);
        assert_eq!(shown(103, 103), [0; 0]);
        assert_eq!(shown(0, 100).len(), 16);
        assert_eq!(shown(32_000, 4), [4, 3, 2]);
    }

    #[test]
    fn the_kernel_names_who_was_started_last() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        let mut is_shown = false;
        chase(|shown| {
            is_shown |= shown == pid;
            false
        });
        child.wait().unwrap();
        // If many others were started meanwhile, it is not among the newest.
        assert!(is_shown || newest().unwrap() - pid > LOOKED_AT_MAX);
    }
}
