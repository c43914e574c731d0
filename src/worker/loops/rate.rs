//! How often a user may ask, and for how long the thread works for each.

use std::time::{Duration, Instant};

/// Requests of one user in a second, and how many may come at once.
const RATE_PER_S: i64 = 100;
const BURST: i64 = 200;
/// A request that takes longer counts as several, one for each so many milliseconds: a user has at
/// most half of the time of this thread.
const REQUEST_MS: i64 = 5;

/// How many requests a user may send now. Below 0: the thread has worked so long for it that others
/// come first for a time.
pub struct Rate {
    tokens: i64,
    at: Instant,
}

fn whole_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Rate {
    /// Of a user who has asked nothing for a time.
    pub fn full(now: Instant) -> Self {
        Self { tokens: BURST, at: now }
    }

    pub fn take(&mut self, now: Instant) -> bool {
        let new = self.come_in(now);
        if new > 0 {
            (self.tokens, self.at) = (self.tokens.saturating_add(new).min(BURST), now);
        }
        let may = self.tokens > 0;
        self.tokens -= i64::from(may);
        may
    }

    /// Counts the time that a request has taken.
    pub fn charge(&mut self, took: Duration) {
        self.tokens = self.tokens.saturating_sub(whole_ms(took) / REQUEST_MS);
    }

    /// What has come in since the last time.
    fn come_in(&self, now: Instant) -> i64 {
        whole_ms(now.saturating_duration_since(self.at)).saturating_mul(RATE_PER_S) / 1_000
    }

    pub fn is_full(&self, now: Instant) -> bool {
        self.tokens.saturating_add(self.come_in(now)) >= BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_used_up_and_comes_back() {
        let start = Instant::now();
        let mut rate = Rate { tokens: BURST, at: start };
        let taken = |rate: &mut Rate, at: Instant| (0..10 * BURST).filter(|_| rate.take(at)).count() as i64;
        assert_eq!(taken(&mut rate, start), BURST);
        assert_eq!(taken(&mut rate, start + Duration::from_millis(5)), 0);
        assert_eq!(taken(&mut rate, start + Duration::from_millis(1_000)), RATE_PER_S);
        assert!(!rate.is_full(start + Duration::from_millis(1_500)));
        assert_eq!(taken(&mut rate, start + Duration::from_secs(3_600)), BURST);
        assert!(rate.is_full(start + Duration::from_secs(3_700)));
    }

    #[test]
    fn a_request_is_charged_by_its_time() {
        let start = Instant::now();
        let mut rate = Rate { tokens: BURST, at: start };
        assert!(rate.take(start));
        rate.charge(Duration::from_secs(3));
        for (after_ms, may) in [(1_000, false), (4_000, false), (4_100, true)] {
            let at = start + Duration::from_millis(after_ms);
            assert!(!rate.is_full(at), "its debt is not forgotten");
            assert_eq!(rate.take(at), may, "{after_ms} ms");
        }
    }
}
