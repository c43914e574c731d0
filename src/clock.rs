//! The only callers of "now".
//!
//! Wall-clock milliseconds are what stands in the file and what people see. They may jump; nothing is declared dead by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where the present instant comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's wall clock.
    #[default]
    System,
    /// A clock that stands still until a test moves it.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `ms`, in milliseconds UTC.
    pub fn fixed(ms: i64) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(ms)))
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => jiff::Timestamp::now().as_millisecond(),
            Self::Fixed(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a fixed clock; negative goes back. Does nothing to the system's.
    pub fn step_ms(&self, by: i64) {
        if let Self::Fixed(ms) = self {
            ms.fetch_add(by, Ordering::SeqCst);
        }
    }
}
