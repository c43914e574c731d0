//! Processes that fork faster than `/proc` can be read.
//!
//! Of a chain in which each process starts the next one and ends, all that a walk through `/proc`
//! has found is dead by the time it is looked at. The kernel names the process that was started
//! last: looked at alone and at once, it is caught. While a shim lives this is not needed, as the
//! chain falls to the shim.

use std::time::{Duration, Instant};

/// Without a catch for so long, there is nothing to chase.
const PATIENCE: Duration = Duration::from_millis(20);
/// Longest chase; the next round goes on.
const CHASE_MAX: Duration = Duration::from_millis(500);
/// Most processes that are looked at for each question to the kernel, the newest of them.
const LOOKED_AT_MAX: i32 = 16;

/// Shows `end` each process that is started from now on, the newest first, until none is caught any
/// more. `end` says whether it caught it.
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

/// The process that was started last in our pid namespace: the last word of `/proc/loadavg`.
fn newest() -> Option<i32> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().last()?.parse().ok()
}

/// The pids that were given after `seen`, from the newest down. Where the numbers have begun again
/// from below, the newest ones.
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
        // Where many others were started meanwhile, it is not among the newest.
        assert!(is_shown || newest().unwrap() - pid > LOOKED_AT_MAX);
    }
}
