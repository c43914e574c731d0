//! The only module that reads the current time and the local time zone.
//!
//! Wall-clock milliseconds are stored in the file and shown to people. They may jump; nothing is
//! declared dead because of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::units;

/// The source of the current time.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's wall clock.
    #[default]
    System,
    /// A clock that does not advance until a test moves it.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// Returns a clock that stands at `ms`, in milliseconds UTC.
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

    /// Moves a fixed clock; a negative value moves it back. Does nothing to the system's.
    pub fn step_ms(&self, by: i64) {
        if let Self::Fixed(ms) = self {
            ms.fetch_add(by, Ordering::SeqCst);
        }
    }
}

/// Returns a time zone by its name, such as `Europe/Berlin`, from the machine's database, or from
/// the one in this program if the machine has none.
///
/// # Errors
/// There is no such zone; the text has examples.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    const SHOWN_CHARS_MAX: usize = 60;
    TimeZone::get(name).map_err(|_| {
        let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
        format!("there is no time zone {shown:?}; write one as Europe/Berlin, America/New_York or UTC")
    })
}

/// Returns the name of the time zone of this process.
///
/// # Errors
/// It has none, for example if TZ holds a rule instead of a name.
pub fn zone_name_here() -> Result<String, String> {
    let here = TimeZone::system();
    if here.is_unknown() {
        return Ok("UTC".to_owned());
    }
    here.iana_name()
        .map(str::to_owned)
        .ok_or_else(|| "the time zone here has no name; give one with --tz, such as Europe/Berlin".to_owned())
}

/// Returns local time for people, with the date only if it is not today's.
pub fn local(ms: i64, now: &Zoned) -> String {
    let Ok(instant) = Timestamp::from_millisecond(ms) else {
        return format!("@{ms}ms");
    };
    let then = instant.to_zoned(now.time_zone().clone());
    let format = if then.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    then.strftime(format).to_string()
}

/// Converts milliseconds UTC to the local time zone.
pub fn here(now_ms: i64) -> Zoned {
    let zone = zone_without_a_search().unwrap_or_else(TimeZone::system);
    Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(zone)
}

/// Converts milliseconds UTC to a time without a zone of its own, for which no file is read.
pub fn utc(now_ms: i64) -> Zoned {
    Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(TimeZone::UTC)
}

/// Returns RFC 3339 in UTC with milliseconds, for programs.
pub fn rfc3339(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(instant) => format!("{instant:.3}"),
        // A row that was written by hand may hold any number.
        Err(_) => format!("@{ms}ms"),
    }
}

/// The machine's database of time zones, as files.
const DATABASE: &str = "/usr/share/zoneinfo";

/// Returns the zone that `TZ` names, or that `/etc/localtime` links to.
///
/// The library finds a zone by a walk through the whole database of the machine (some 25
/// directories), which was a tenth of the processor time of an `add`; a path needs no search.
fn zone_without_a_search() -> Option<TimeZone> {
    const LOCAL: &str = "/etc/localtime";
    if let Some(named) = std::env::var_os("TZ") {
        return if std::env::var_os("TZDIR").is_none() { zone_of_file(named.to_str()?) } else { None };
    }
    zone_of_link(Path::new(LOCAL))
}

fn zone_of_link(link: &Path) -> Option<TimeZone> {
    let target = std::fs::read_link(link).ok()?;
    let (_, name) = target.to_str()?.split_once("/zoneinfo/")?;
    TimeZone::tzif(name, &std::fs::read(link).ok()?).ok()
}

/// Returns the zone of that name, if the machine's database has it as a file. Everything else that
/// `TZ` may hold (a rule, a path, a name in other letters) is left to the library.
fn zone_of_file(name: &str) -> Option<TimeZone> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && (name.contains('/') || name.chars().all(|c| c.is_ascii_alphabetic()))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c));
    if !is_name {
        return None;
    }
    TimeZone::tzif(name, &std::fs::read(Path::new(DATABASE).join(name)).ok()?).ok()
}

/// Returns a time as milliseconds UTC, which are negative before 1970.
pub fn ms_of(at: SystemTime) -> i64 {
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// Converts milliseconds UTC, which are negative before 1970.
pub fn time_of(ms: i64) -> SystemTime {
    let distance = Duration::from_millis(ms.unsigned_abs());
    let at = if ms < 0 { SystemTime::UNIX_EPOCH.checked_sub(distance) } else { SystemTime::UNIX_EPOCH.checked_add(distance) };
    at.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns the time between two instants, for people; never negative.
pub fn between(from_ms: i64, to_ms: i64) -> String {
    units::duration_text(u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "Etc/GMT+5"];

    fn is_testable() -> bool {
        let is_there = Path::new(DATABASE).join("Europe/Berlin").exists();
        if !is_there {
            println!("NOT TESTED: a time zone of the machine (apt-get install tzdata)");
        }
        is_there
    }

    fn assert_same(ours: &TimeZone, name: &str) {
        let library = TimeZone::get(name).unwrap();
        assert_eq!(ours.iana_name(), Some(name));
        for ms in (0..100).map(|month| month * 30 * 86_400_000) {
            let at = Timestamp::from_millisecond(ms + 1_600_000_000_000).unwrap();
            assert_eq!(ours.to_offset(at), library.to_offset(at), "{name}: {at}");
        }
    }

    #[test]
    fn a_linked_zone_is_that_of_the_library() {
        if !is_testable() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("localtime");
        for name in NAMES {
            std::os::unix::fs::symlink(Path::new(DATABASE).join(name), &link).unwrap();
            assert_same(&zone_of_link(&link).expect(name), name);
            std::fs::remove_file(&link).unwrap();
        }
        assert_eq!(zone_of_link(&link), None, "no link");
    }

    #[test]
    fn a_named_zone_is_that_of_the_library() {
        if is_testable() {
            NAMES.iter().for_each(|name| assert_same(&zone_of_file(name).expect(name), name));
        }
    }

    #[test]
    fn what_is_not_a_name_is_left_to_the_library() {
        let rules = ["EST5EDT,M3.2.0,M11.1.0", "EST5EDT", "GMT+0", ":UTC"];
        for text in rules.iter().chain(&["", "/etc/localtime", "../zoneinfo/UTC", "Nowhere/Atlantis", "Europe"]) {
            assert_eq!(zone_of_file(text), None, "{text:?}");
        }
    }
}
