//! The only callers of "now", and of "here" as far as clocks are concerned.
//!
//! Wall-clock milliseconds are what stands in the file and what people see. They may jump; nothing is declared dead by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::tz::TimeZone;

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

/// A time zone by its name, such as `Europe/Berlin`; from the machine's database, or from the one in this program where it has none.
///
/// # Errors
/// When there is no such zone, with examples.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    const SHOWN_CHARS_MAX: usize = 60;
    TimeZone::get(name).map_err(|_| {
        let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
        format!("there is no time zone {shown:?}; write one as Europe/Berlin, America/New_York or UTC")
    })
}

/// The name of the time zone that this process is in.
///
/// # Errors
/// When it has none, as where TZ holds a rule instead of a name.
pub fn zone_name_here() -> Result<String, String> {
    let here = TimeZone::system();
    if here.is_unknown() {
        return Ok("UTC".to_owned());
    }
    here.iana_name()
        .map(str::to_owned)
        .ok_or_else(|| "the time zone here has no name; give one with --tz, such as Europe/Berlin".to_owned())
}
