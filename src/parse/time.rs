//! Instants as people write and read them.
//!
//! Pure: the current time with the local time zone is one argument. Durations are in
//! [`crate::units`].

use jiff::civil::{Date, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};

use crate::parse::values::shorten;
use crate::units;

pub use crate::clock::rfc3339 as utc;
pub use crate::clock::{between, here, local, ms_of};

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// Length of `20261201`, in bytes.
const BASIC_DATE_BYTES: usize = 8;

/// Accepted forms of a time, for messages.
const EXAMPLE: &str =
    "write it as '2026-12-01 03:00' (local), 2026-12-01T03:00[Europe/Berlin], 2026-12-01T03:00Z, 2026-12-01, 03:00 or +10m";

/// Milliseconds UTC of an instant: `2026-12-01T03:00[Europe/Berlin]`, `2026-12-01T03:00Z`,
/// `2026-12-01 03:00` (local), `2026-12-01` (local midnight), `03:00`, the next such local time, or
/// `+10m` from now.
///
/// If clocks are set forward, a skipped local time is moved forward by the same amount; if they are
/// set back, a repeated local time means the first one that is still to come.
///
/// # Errors
/// What is wrong with it, with examples.
pub fn parse_instant(text: &str, now: &Zoned) -> Result<i64, String> {
    let trimmed = text.trim();
    let refused = |why: String| format!("{:?} is not a time{why}; {EXAMPLE}", shorten(trimmed));
    if trimmed.is_empty() {
        return Err(format!("a time is missing; {EXAMPLE}"));
    }
    if trimmed.len() > TEXT_BYTES_MAX || !trimmed.is_ascii() {
        return Err(refused(String::new()));
    }
    if let Some(ahead) = trimmed.strip_prefix('+') {
        return units::parse_duration(ahead).map(|ms| ms_from(now, ms));
    }
    if names_a_leap_second(trimmed) {
        return Err(refused(" that clocks here show: there is no second 60".to_owned()));
    }
    let instant = match time_of_day(trimmed) {
        Some(time) => next(time, now),
        None => dated(trimmed, now),
    };
    let instant = instant.map_err(|why| refused(if why.is_empty() { why } else { format!(" ({why})") }))?;
    let ms = instant.as_millisecond();
    if ms < 0 { Err(refused(" from 1970 on".to_owned())) } else { Ok(ms) }
}

/// Parses a text with a date. The library says which parts it has, so no part is ignored.
fn dated(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let pieces = Pieces::parse(text).map_err(|_| String::new())?;
    let words = |error: jiff::Error| error.to_string();
    if pieces.time_zone_annotation().is_some() {
        return Ok(text.parse::<Zoned>().map_err(words)?.timestamp());
    }
    // An annotation that names no zone (a calendar) changes what the date means.
    if text.contains('[') {
        return Err("the brackets name no time zone".to_owned());
    }
    if pieces.offset().is_some() {
        return text.parse::<Timestamp>().map_err(words);
    }
    let zone = now.time_zone().clone();
    match pieces.time() {
        Some(time) => zone.to_timestamp(pieces.date().to_datetime(time)).map_err(words),
        None => Ok(pieces.date().to_zoned(zone).map_err(words)?.timestamp()),
    }
}

/// Parses `03:00` or `03:00:30`. The library's parser of times would also accept a date before it,
/// and ignore that.
fn time_of_day(text: &str) -> Option<Time> {
    let is_alone = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
    // A bare `10` is too likely to be a mistake.
    (is_alone && text.contains(':')).then(|| text.parse().ok()).flatten()
}

/// Whether its seconds are 60, which the library reads as 59.
fn names_a_leap_second(text: &str) -> bool {
    let clock = text.split_once(['T', 't', ' ']).map_or(text, |(_, clock)| clock);
    let clock = clock.split(|c: char| !c.is_ascii_digit() && c != ':').next().unwrap_or_default();
    let digits: String = clock.chars().filter(char::is_ascii_digit).collect();
    digits.len() == 6 && digits.ends_with("60")
}

/// Returns the next such time of day: today's, if that is repeated its second one, or tomorrow's.
fn next(time: Time, now: &Zoned) -> Result<Timestamp, String> {
    let zone = now.time_zone();
    let on = |date: Date| -> Result<Vec<Timestamp>, String> {
        let at = date.to_datetime(time);
        let words = |error: jiff::Error| error.to_string();
        let ambiguous = zone.to_ambiguous_timestamp(at);
        match ambiguous.offset() {
            AmbiguousOffset::Fold { .. } => {
                Ok(vec![ambiguous.earlier().map_err(words)?, zone.to_ambiguous_timestamp(at).later().map_err(words)?])
            }
            _ => Ok(vec![ambiguous.compatible().map_err(words)?]),
        }
    };
    let mut candidates = on(now.date())?;
    candidates.extend(on(now.date().saturating_add(1.day()))?);
    let next = candidates.into_iter().find(|at| *at > now.timestamp());
    next.ok_or_else(|| "the calendar ends before it".to_owned())
}

fn ms_from(now: &Zoned, ms: u64) -> i64 {
    now.timestamp().as_millisecond().saturating_add_unsigned(ms)
}

/// Parses an instant, or a duration from now, as milliseconds UTC.
///
/// # Errors
/// What is wrong with it, with examples of both.
pub fn parse_deadline(text: &str, now: &Zoned) -> Result<i64, String> {
    let as_duration = match units::parse_duration(text) {
        Ok(ms) => return Ok(ms_from(now, ms)),
        Err(error) => error,
    };
    // No duration contains any of these, and each time contains one.
    let begins_with_date = text.trim().as_bytes().get(..BASIC_DATE_BYTES).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    if text.contains([':', '-', '+', '[']) || begins_with_date {
        return parse_instant(text, now).map_err(|e| format!("{e}, or as a duration from now: 2h"));
    }
    Err(format!("{as_duration}, or as a time: {EXAMPLE}"))
}

/// Parses an instant in the past, or how long ago it was, as milliseconds UTC: `2h`, `03:00` (the
/// last such local time), `2026-12-01`.
///
/// # Errors
/// What is wrong with it, with examples of both.
pub fn parse_since(text: &str, now: &Zoned) -> Result<i64, String> {
    let trimmed = text.trim();
    let now_ms = now.timestamp().as_millisecond();
    let example = "write it as how long ago it was: 2h, or as a time in the past: 03:00, 2026-12-01 or '2026-12-01 03:00'";
    if trimmed.is_empty() {
        return Err(format!("a time is missing; {example}"));
    }
    if trimmed.starts_with('+') {
        return Err(format!("{:?} is in the future; {example}", shorten(trimmed)));
    }
    if let Ok(ms) = units::parse_duration(trimmed) {
        return Ok(now_ms.saturating_sub_unsigned(ms));
    }
    let ms = match time_of_day(trimmed) {
        Some(time) => previous(time, now)?.as_millisecond(),
        None => parse_instant(trimmed, now).map_err(|_| format!("{:?} is not a time; {example}", shorten(trimmed)))?,
    };
    if ms > now_ms { Err(format!("{:?} is in the future; {example}", shorten(trimmed))) } else { Ok(ms) }
}

/// Returns the last such time of day: today's or yesterday's.
fn previous(time: Time, now: &Zoned) -> Result<Timestamp, String> {
    let at = |date: Date| now.time_zone().to_timestamp(date.to_datetime(time)).map_err(|error| error.to_string());
    let today = at(now.date())?;
    if today <= now.timestamp() { Ok(today) } else { at(now.date().saturating_sub(1.day())) }
}

/// Like [`local`], with the year only if it is another one, and without seconds on another day: for
/// a narrow column.
pub fn short(ms: i64, now: &Zoned) -> String {
    let Ok(instant) = Timestamp::from_millisecond(ms) else {
        return format!("@{ms}ms");
    };
    let then = instant.to_zoned(now.time_zone().clone());
    let format = match then.date() == now.date() {
        true => "%H:%M:%S",
        false if then.year() == now.year() => "%m-%d %H:%M",
        false => "%Y-%m-%d",
    };
    then.strftime(format).to_string()
}

/// Returns the time in a zone that may differ from the reader's, with its offset, for people.
pub fn in_zone(ms: i64, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(instant) => instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string(),
        Err(_) => format!("@{ms}ms"),
    }
}

#[cfg(test)]
#[path = "time_property_tests.rs"]
mod properties;
#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
