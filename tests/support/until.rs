//! The one way to wait for an event, and the one patience.

use std::time::{Duration, Instant};

/// How long anything that must come is waited for. It is a limit for a broken program, not a time that a test takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for: so many times what a look costs, within these.
const LOOK_SHARE: u32 = 6;
const LOOK_MIN: Duration = Duration::from_millis(4);
const LOOK_MAX: Duration = Duration::from_millis(200);

/// Waits for an event that must come. A look that costs much is taken less often, so that the looks do not take the machine from what
/// they look at.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("waited without success for {what}"))
}

/// Waits for an event that may not come within this time.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let looked = Instant::now();
        if let Some(seen) = look() {
            return Some(seen);
        }
        if begun.elapsed() >= limit {
            return None;
        }
        std::thread::sleep((looked.elapsed() * LOOK_SHARE).clamp(LOOK_MIN, LOOK_MAX));
    }
}
