//! Durations and sizes as people write them: `90s`, `1h 30m`, `64K`, `2G`.
//!
//! A leaf: the command line, the lines of `add --from` and `config.toml` read the same spellings,
//! so they are read here once.

use std::time::Duration;

use jiff::SpanRelativeTo;

use crate::job::limits::DURATION_MS_MAX;

/// Longest text that is parsed, in bytes: a longer text is neither a duration nor a size.
const TEXT_BYTES_MAX: usize = 200;
/// Characters of a wrong value that a message shows.
pub const SHOWN_CHARS_MAX: usize = 40;
const NANOS_IN_A_MS: i128 = 1_000_000;

/// Parses a duration such as `90s`, `10m`, `1h 30m` or `2d` (a day is 24 hours) as milliseconds.
///
/// # Errors
/// What is wrong with it, with an example. A number without a unit is refused as ambiguous.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let example = "write it as 90s, 10m or '1h 30m'";
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(format!("a duration is missing; {example}"));
    }
    let shown = shorten(trimmed);
    if trimmed.len() > TEXT_BYTES_MAX {
        return Err(format!("{shown:?} is not a duration; {example}"));
    }
    if trimmed.bytes().all(|b| b.is_ascii_digit() || b == b'.') && trimmed.parse::<f64>().is_ok() {
        return Err(format!("{shown:?} has no unit; write {shown}s for seconds, or use m, h, d"));
    }
    // The library reads `1:30:00` as hours; next to `1:30`, which is a time of day, that is
    // ambiguous.
    if trimmed.contains(':') {
        return Err(format!("{shown:?} is not a duration; {example}"));
    }
    let span: jiff::Span = trimmed.parse().map_err(|_| format!("{shown:?} is not a duration; {example}"))?;
    if span.is_negative() || trimmed.starts_with('-') {
        return Err(format!("{shown:?} is in the past; a duration is not negative, {example}"));
    }
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(format!("{shown:?}: months and years have no fixed length; write days (30d)"));
    }
    let too_long = || format!("{shown:?} is longer than 100 years; give a shorter one, or omit it");
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| too_long())?;
    let ms = exact.as_nanos().div_euclid(NANOS_IN_A_MS) + i128::from(exact.as_nanos() % NANOS_IN_A_MS != 0);
    u64::try_from(ms).ok().filter(|ms| *ms <= DURATION_MS_MAX).ok_or_else(too_long)
}

/// Converts a duration to milliseconds; one that is too long becomes a value that is refused.
pub fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a duration that is parsed to the same number of milliseconds, with two units if that is
/// exact.
pub fn duration_exactly(ms: u64) -> String {
    Some(duration_text(ms)).filter(|text| parse_duration(text) == Ok(ms)).unwrap_or_else(|| format!("{ms}ms"))
}

/// Returns a duration for people: its two largest units.
pub fn duration_text(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if ms < 1000 => format!("{ms}ms"),
        () if seconds < 10 && !ms.is_multiple_of(1000) => format!("{}.{}s", seconds, ms % 1000 / 100),
        () if minutes == 0 => format!("{seconds}s"),
        () if hours == 0 => two(minutes, "m", seconds % 60, "s"),
        () if days == 0 => two(hours, "h", minutes % 60, "m"),
        () => two(days, "d", hours % 24, "h"),
    }
}

fn two(big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit} {small}{small_unit}") }
}

/// Parses a size such as `4096`, `64K`, `1.5G` or `2GiB` as bytes. Units are powers of 1024.
///
/// # Errors
/// What is wrong with it, with an example.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let wrong = || format!("{:?} is not a size; write it as 64K, 2G or a number of bytes", shorten(trimmed));
    if trimmed.is_empty() || trimmed.len() > TEXT_BYTES_MAX {
        return Err(wrong());
    }
    let digits = trimmed.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = trimmed.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let too_big = || format!("{trimmed:?} is more than any machine has");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(too_big);
    }
    if number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty() {
        return Err(too_big());
    }
    let fraction: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = fraction * (1u64 << shift) as f64;
    if bytes >= i64::MAX as f64 { Err(too_big()) } else { Ok(bytes as u64) }
}

/// A size for people.
pub fn size_text(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 { format!("{value:.0}{}", units[unit]) } else { format!("{value:.1}{}", units[unit]) }
}

/// Returns the beginning of a value, for a message.
pub fn shorten(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// `1 job runs`, `2 jobs run`.
pub fn count(n: i64, thing: &str, does: &str, do_: &str) -> String {
    let (plural, verb) = if n == 1 { ("", does) } else { ("s", do_) };
    let (first, rest) = thing.split_once(' ').filter(|(_, rest)| rest.starts_with("of ")).unwrap_or((thing, ""));
    [format!("{n} {first}{plural}"), rest.to_owned(), verb.to_owned()]
        .into_iter()
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        let cases = [
            ("0s", 0),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
            (" 5 minutes ", 300_000),
            ("1us", 1),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(ms), "{text:?}");
        }
    }

    #[test]
    fn an_invalid_duration_is_refused_with_an_example() {
        for text in ["", " ", "x", "10", "-5s", "5s ago", "1y", "2mo", "10m..", "999999999999999h", "\u{202e}5s", "5s\0", "1e9s"]
        {
            let error = parse_duration(text).unwrap_err();
            assert!(!error.contains('\u{202e}') && !error.contains('\0'), "{error:?}");
        }
        assert!(parse_duration("x").unwrap_err().contains("90s"));
        assert!(parse_duration("10").unwrap_err().contains("10s"));
        assert!(parse_duration(&"9".repeat(1_000_000)).unwrap_err().len() < 300);
        assert_eq!(parse_duration("36600d"), Ok(DURATION_MS_MAX));
        assert!(parse_duration("36601d").is_err());
    }

    #[test]
    fn durations_are_shown_in_two_units() {
        let cases = [
            (0, "0ms"),
            (250, "250ms"),
            (3_200, "3.2s"),
            (3_000, "3s"),
            (59_999, "59s"),
            (192_000, "3m 12s"),
            (3_600_000, "1h"),
            (5_400_000, "1h 30m"),
            (183_600_000, "2d 3h"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration_text(ms), text);
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let cases =
            [("0", 0), ("4096", 4096), ("64K", 65_536), ("64k", 65_536), ("2G", 2 << 30), ("1.5M", 3 << 19), ("2 GiB", 2 << 30)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text:?}");
        }
        for text in
            ["", "K", "-1", "1X", "1.2.3K", "9999999999999G", "99999999999999999999999", "1e3", "ü", "64K\0", "nan", "infinity"]
        {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
        assert_eq!(size_text(512), "512B");
        assert_eq!(size_text(65_536), "64.0K");
        assert_eq!(size_text(5 << 40), "5.0T");
    }
}
