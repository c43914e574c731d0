//! Chores: what a worker does beside its slots once a job has ended, such as the teardown of a
//! resource. Each is attempted until it succeeds, with a wait after each failure.

use super::limits::{CHORE_BACKOFF_FIRST_MS, CHORE_BACKOFF_MOST_MS};

/// A chore to attempt now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due<I> {
    pub id: I,
    /// An earlier attempt has failed.
    pub has_failed: bool,
}

/// Returns the wait after a failed attempt, in milliseconds: doubled each time. `failed` counts
/// from 1.
pub fn backoff_ms(failed: u32) -> u64 {
    let doubled = CHORE_BACKOFF_FIRST_MS.checked_shl(failed.saturating_sub(1).min(32)).unwrap_or(u64::MAX);
    doubled.min(CHORE_BACKOFF_MOST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_a_second_to_five_minutes() {
        assert_eq!([1, 2, 3, 9, 10].map(backoff_ms), [1_000, 2_000, 4_000, 256_000, 300_000]);
        assert_eq!([11, 100, u32::MAX].map(backoff_ms), [300_000; 3]);
        assert_eq!(backoff_ms(0), 1_000);
    }
}
