//! The only callers of "now", and of "here" as far as clocks are concerned.
//!
//! Wall-clock milliseconds are what stands in the file and what people see. They may jump; nothing
//! is declared dead by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::units;

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

/// A time zone by its name, such as `Europe/Berlin`; from the machine's database, or from the one
/// in this program where it has none.
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

/// For people: local time; the date only when it is another day than now's.
pub fn local(ms: i64, now: &Zoned) -> String {
    let Ok(instant) = Timestamp::from_millisecond(ms) else {
        return format!("@{ms}ms");
    };
    let then = instant.to_zoned(now.time_zone().clone());
    let format = if then.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    then.strftime(format).to_string()
}

/// The present instant in the local time zone, from milliseconds UTC.
pub fn here(now_ms: i64) -> Zoned {
    Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(TimeZone::system())
}

/// How long from one instant to another, for people; never negative.
pub fn between(from_ms: i64, to_ms: i64) -> String {
    units::duration_text(u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0))
}
