//! Instants as people write and read them.
//!
//! Pure: "now" and the local time zone come in as one argument. Durations are in [`crate::units`].

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::units;

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// Milliseconds UTC of an instant: `2026-12-01T03:00[Europe/Berlin]`, `2026-12-01T03:00Z`, `2026-12-01 03:00` (local),
/// `2026-12-01` (local midnight), or `03:00`, the next such local time.
///
/// # Errors
/// What is wrong with it, with an example.
pub fn parse_instant(text: &str, now: &Zoned) -> Result<i64, String> {
    let trimmed = text.trim();
    let example = "write it as 2026-12-01T03:00[Europe/Berlin], 2026-12-01T03:00Z, '2026-12-01 03:00' or 03:00";
    if trimmed.is_empty() || trimmed.len() > TEXT_BYTES_MAX {
        return Err(format!("this is no time; {example}"));
    }
    let zone = now.time_zone().clone();
    let instant = if trimmed.contains('[') {
        let zoned = trimmed.parse::<Zoned>();
        zoned.map_err(|e| format!("{trimmed:?} is no time ({e}); {example}"))?.timestamp()
    } else if let Ok(instant) = trimmed.parse::<Timestamp>() {
        instant
    } else if let Some(time) = time_of_day(trimmed) {
        next(time, now)?
    } else if let Ok(date) = trimmed.parse::<DateTime>() {
        zone.to_timestamp(date).map_err(|e| e.to_string())?
    } else if let Ok(date) = trimmed.parse::<Date>() {
        zone.to_timestamp(date.to_datetime(Time::midnight())).map_err(|e| e.to_string())?
    } else {
        return Err(format!("{trimmed:?} is no time; {example}"));
    };
    let ms = instant.as_millisecond();
    if ms < 0 { Err(format!("{trimmed:?} is before 1970; {example}")) } else { Ok(ms) }
}

/// `03:00` or `03:00:30`; a bare `10` is too likely to be a slip.
fn time_of_day(text: &str) -> Option<Time> {
    text.contains(':').then(|| text.parse().ok()).flatten()
}

/// A time of day that has passed today is meant for tomorrow.
fn next(time: Time, now: &Zoned) -> Result<Timestamp, String> {
    let on = |date: Date| now.time_zone().to_timestamp(date.to_datetime(time)).map_err(|e| e.to_string());
    let today = on(now.date())?;
    if today > now.timestamp() { Ok(today) } else { on(now.date().saturating_add(1.day())) }
}

/// Milliseconds UTC of an instant, or of a duration from now.
///
/// # Errors
/// What is wrong with it, with examples of both.
pub fn parse_deadline(text: &str, now: &Zoned) -> Result<i64, String> {
    if let Ok(ms) = units::parse_duration(text) {
        return Ok(now.timestamp().as_millisecond().saturating_add_unsigned(ms));
    }
    parse_instant(text, now).map_err(|e| format!("{e}, or as a duration from now: 2h"))
}

/// For scripts: RFC 3339 in UTC with milliseconds.
pub fn utc(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(instant) => instant.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        // A row written by hand may hold any number.
        Err(_) => format!("@{ms}ms"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe, with its clock changes, independent of the machine's zone files.
    fn at(civil: &str) -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        civil.parse::<DateTime>().unwrap().to_zoned(zone).unwrap()
    }

    fn shown(text: &str, now: &str) -> String {
        utc(parse_instant(text, &at(now)).unwrap())
    }

    #[test]
    fn instants_as_people_write_them() {
        let now = "2026-11-30T12:00:00";
        assert_eq!(shown("2026-12-01T03:00:00Z", now), "2026-12-01T03:00:00.000Z");
        assert_eq!(shown("2026-12-01T03:00Z", now), "2026-12-01T03:00:00.000Z");
        assert_eq!(shown("2026-12-01T03:00:00+02:00", now), "2026-12-01T01:00:00.000Z");
        assert_eq!(shown("2026-12-01 03:00", now), "2026-12-01T02:00:00.000Z");
        assert_eq!(shown("2026-12-01T03:00", now), "2026-12-01T02:00:00.000Z");
        assert_eq!(shown("2026-12-01", now), "2026-11-30T23:00:00.000Z");
        assert_eq!(shown("2026-12-01T03:00[UTC]", now), "2026-12-01T03:00:00.000Z");
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        assert_eq!(shown("03:00", "2026-11-30T02:59:59"), "2026-11-30T02:00:00.000Z");
        assert_eq!(shown("03:00", "2026-11-30T03:00:00"), "2026-12-01T02:00:00.000Z");
        assert_eq!(shown("23:59:30", "2026-12-31T23:59:59"), "2027-01-01T22:59:30.000Z");
        // It does not exist on the night of the change: the first instant after the gap's start, shifted by the gap.
        assert_eq!(shown("02:30", "2026-03-28T12:00:00"), "2026-03-29T01:30:00.000Z");
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        let now = at("2026-11-30T12:00:00");
        for text in [
            "",
            "soon",
            "25:00",
            "2026-13-01",
            "10",
            "1969-12-31T00:00Z",
            "2026-12-01T03:00[Mars/Olympus]",
            "\x1b[2J",
            "tomorrow",
        ] {
            let error = parse_instant(text, &now).unwrap_err();
            assert!(error.contains("03:00"), "{error}");
            assert!(!error.contains('\x1b'), "{error:?}");
        }
        assert!(parse_instant(&"2".repeat(1 << 20), &now).unwrap_err().len() < 300);
    }

    #[test]
    fn a_deadline_is_a_time_or_a_duration() {
        let now = at("2026-11-30T12:00:00");
        assert_eq!(utc(parse_deadline("2h", &now).unwrap()), "2026-11-30T13:00:00.000Z");
        assert_eq!(utc(parse_deadline("13:30", &now).unwrap()), "2026-11-30T12:30:00.000Z");
        assert!(parse_deadline("later", &now).unwrap_err().contains("2h"));
    }

    #[test]
    fn people_see_local_times_and_scripts_utc() {
        let now = at("2026-11-30T12:00:00");
        assert_eq!(local(now.timestamp().as_millisecond() - 1_000, &now), "11:59:59");
        assert_eq!(local(0, &now), "1970-01-01 01:00:00");
        assert_eq!(utc(1), "1970-01-01T00:00:00.001Z");
        assert_eq!(utc(i64::MAX), format!("@{}ms", i64::MAX));
        assert_eq!(local(i64::MIN, &now), format!("@{}ms", i64::MIN));
        assert_eq!(between(10, 5), "0ms");
    }
}
