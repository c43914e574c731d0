//! What a cron line says: five fields, a name such as `@daily`, a distance (`@every 90m`), or
//! `@reboot`; and what its steps mean, which surprises people.
//!
//! A field `0~30` is a random value of that range. It is drawn from the schedule's own seed, so it
//! is the same after each restart, and another one for another schedule.

use super::limits::DURATION_MS_MAX;

/// Shortest distance of `@every`, in milliseconds.
pub const EVERY_MS_MIN: i64 = 1_000;
/// Characters of a wrong text that a message shows.
const SHOWN_CHARS_MAX: usize = 40;

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Minute, hour, day of the month, month, weekday.
    Fields(String),
    /// The distance in milliseconds.
    Every(i64),
    /// Once in each boot of the machine.
    Reboot,
}

/// A field of a line: its name, its values, and how far a random value goes.
struct Field {
    name: &'static str,
    first: u64,
    last: u64,
    /// A random day is one that every month has.
    drawn_last: u64,
    /// One step of it in minutes; 0: not of a fixed length.
    minutes: u64,
}

const FIELDS: [Field; 5] = [
    Field { name: "minutes", first: 0, last: 59, drawn_last: 59, minutes: 1 },
    Field { name: "hours", first: 0, last: 23, drawn_last: 23, minutes: 60 },
    Field { name: "days of the month", first: 1, last: 31, drawn_last: 28, minutes: 1_440 },
    Field { name: "months", first: 1, last: 12, drawn_last: 12, minutes: 0 },
    Field { name: "weekdays", first: 0, last: 6, drawn_last: 6, minutes: 1_440 },
];

/// Reads a line; `seed` decides the random values.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &str, seed: u64) -> Result<Line, String> {
    let line = line.trim();
    let Some(name) = line.strip_prefix('@') else { return drawn(line, seed).map(Line::Fields) };
    let (name, rest) = name.split_once(char::is_whitespace).unwrap_or((name, ""));
    let fields = match name.to_ascii_lowercase().as_str() {
        "every" => return every(rest).map(Line::Every),
        _ if !rest.is_empty() => return Err("only @every is followed by something".to_owned()),
        "reboot" => return Ok(Line::Reboot),
        "hourly" => "0 * * * *",
        "daily" | "midnight" => "0 0 * * *",
        "weekly" => "0 0 * * 0",
        "monthly" => "0 0 1 * *",
        "yearly" | "annually" => "0 0 1 1 *",
        _ => {
            return Err("there is no such name; @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, \
                        @reboot and '@every 90m' are known"
                .to_owned());
        }
    };
    Ok(Line::Fields(fields.to_owned()))
}

/// Reads a distance such as `90m` or `1h30m`.
fn every(text: &str) -> Result<i64, String> {
    const EXAMPLE: &str = "write '@every 90m', with s, m, h, d or w, from 1s to 100 years";
    let wrong = || {
        let shown: String = text.trim().chars().take(SHOWN_CHARS_MAX).collect();
        format!("{shown:?} is not a distance; {EXAMPLE}")
    };
    let (mut ms, mut number) = (0_u64, None::<u64>);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        if let Some(digit) = c.to_digit(10) {
            let shifted = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
            number = Some(shifted.ok_or_else(wrong)?);
            continue;
        }
        let unit_ms = match c.to_ascii_lowercase() {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            'w' => 7 * 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number.take().and_then(|n| n.checked_mul(unit_ms)).ok_or_else(wrong)?;
        ms = ms.checked_add(part).ok_or_else(wrong)?;
    }
    let ms = i64::try_from(ms).ok().filter(|ms| number.is_none() && (EVERY_MS_MIN..=DURATION_MS_MAX as i64).contains(ms));
    ms.ok_or_else(wrong)
}

/// Replaces each field `low~high` by a value of that range.
fn drawn(line: &str, seed: u64) -> Result<String, String> {
    if !line.contains('~') {
        return Ok(line.to_owned());
    }
    let draw = |(at, text): (usize, &str)| -> Result<String, String> {
        let (Some((low, high)), Some(field)) = (text.split_once('~'), FIELDS.get(at)) else { return Ok(text.to_owned()) };
        let wrong = || {
            let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            format!("{shown:?} is not a range of {}: write a random one as 0~30, and nothing else in that field", field.name)
        };
        let bound = |text: &str, other: u64| if text.is_empty() { Ok(other) } else { text.parse().map_err(|_| wrong()) };
        let (low, high) = (bound(low, field.first)?, bound(high, field.drawn_last)?);
        if low > high || low < field.first || high > field.last {
            return Err(wrong());
        }
        Ok((low + mix(seed, at as u64) % (high - low + 1)).to_string())
    };
    let fields: Vec<String> = line.split_whitespace().enumerate().map(draw).collect::<Result<_, _>>()?;
    Ok(fields.join(" "))
}

/// Returns the seed of a schedule: the same in each life of a worker, another one on another
/// machine.
pub fn seed(name: &str, created_at_ms: i64) -> u64 {
    // FNV-1a.
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let named = name.bytes().fold(0xCBF2_9CE4_8422_2325, hash);
    mix(named, created_at_ms.unsigned_abs())
}

/// Mixes two numbers (the finalizer of splitmix64).
pub fn mix(seed: u64, n: u64) -> u64 {
    let z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns what surprises people about the steps of a line: a step counts from the start of its
/// field again and again, and is not a distance.
pub fn surprises(line: &str) -> Vec<String> {
    let fields = line.split_whitespace().collect::<Vec<_>>();
    if fields.len() != FIELDS.len() {
        return Vec::new();
    }
    FIELDS.iter().zip(fields).filter_map(|(field, text)| surprise(field, text)).collect()
}

fn surprise(field: &Field, text: &str) -> Option<String> {
    let step: u64 = text.strip_prefix("*/")?.parse().ok().filter(|step| *step > 0)?;
    let values = field.last - field.first + 1;
    if values.is_multiple_of(step) {
        return None;
    }
    let remedy = match field.minutes {
        0 => String::new(),
        minutes => format!("; for a fixed distance write '@every {}'", distance(step.saturating_mul(minutes))),
    };
    let named: Vec<String> = (field.first..=field.last).step_by(usize::try_from(step).ok()?).map(|n| n.to_string()).collect();
    let what = match named.as_slice() {
        [one] => format!("is {one} alone"),
        [a, b] => format!("is {a} and {b}, and then {a} again"),
        [a, b, .., last] => format!("is {a}, {b} and so on to {last}, and then {a} again: the last step is shorter"),
        [] => return None,
    };
    Some(format!("*/{step} in the {} {what}{remedy}", field.name))
}

/// A number of minutes as `@every` takes it.
fn distance(minutes: u64) -> String {
    match minutes {
        n if n.is_multiple_of(1_440) => format!("{}d", n / 1_440),
        n if n.is_multiple_of(60) => format!("{}h", n / 60),
        n => format!("{n}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_distances_are_read() {
        for (name, fields) in [
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            ("@Midnight", "0 0 * * *"),
            (" @weekly ", "0 0 * * 0"),
            ("@monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 1 *"),
            ("@annually", "0 0 1 1 *"),
        ] {
            assert_eq!(read(name, 0), Ok(Line::Fields(fields.into())), "{name}");
        }
        assert_eq!(read("@REBOOT", 0), Ok(Line::Reboot));
        for (text, ms) in [("90m", 5_400_000), ("1h30m", 5_400_000), ("1h 30m", 5_400_000), ("1s", 1_000), ("2w", 1_209_600_000)]
        {
            assert_eq!(read(&format!("@every {text}"), 0), Ok(Line::Every(ms)), "{text}");
        }
    }

    #[test]
    fn a_wrong_name_or_distance_is_refused() {
        let huge = "9".repeat(1 << 20);
        for bad in ["", "0s", "90", "m", "-5m", "1x", "1h30", "36601d", "99999999999999999999h", "\x1b[2J", &huge] {
            let error = read(&format!("@every {bad}"), 0).unwrap_err();
            assert!(error.contains("'@every 90m'") && error.len() < 200 && !error.contains('\x1b'), "{bad:.20}: {error}");
        }
        for bad in ["@", "@every", "@fortnightly", "@reboot now", "@daily 5", "@ daily"] {
            assert!(read(bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_random_value_stays_and_differs_between_schedules() {
        let minute = |seed: u64| match read("0~30 3 ~ * *", seed) {
            Ok(Line::Fields(line)) => line,
            other => panic!("{other:?}"),
        };
        let lines: std::collections::BTreeSet<String> = (0..500).map(|n| minute(seed("nightly", n))).collect();
        assert!(lines.len() > 300, "{}", lines.len());
        for line in &lines {
            let numbers: Vec<u64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
            assert!(matches!(numbers[..], [0..=30, 3, 1..=28]), "{line}");
        }
        assert_eq!(minute(seed("a", 7)), minute(seed("a", 7)));
        assert_ne!(seed("a", 7), seed("b", 7));
        for bad in ["30~0 * * * *", "0~60 * * * *", "1,0~3 * * * *", "0~9/2 * * * *", "* * 0~3 * *", "~~ * * * *", "* * * * 0~7"]
        {
            assert!(read(bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_step_that_is_not_a_distance_is_told() {
        for even in ["*/15 * * * *", "0 */6 * * *", "5-50/7 * * * *", "@daily", "* * * */4 *", "x", "*/x * * * *", "*/0 * * * *"]
        {
            assert_eq!(surprises(even), [""; 0], "{even}");
        }
        for (line, told) in [
            ("*/90 * * * *", "*/90 in the minutes is 0 alone; for a fixed distance write '@every 90m'"),
            (
                "*/7 * * * *",
                "is 0, 7 and so on to 56, and then 0 again: the last step is shorter; for a fixed distance write '@every 7m'",
            ),
            ("0 */5 * * *", "'@every 5h'"),
            (
                "0 0 */2 * *",
                "*/2 in the days of the month is 1, 3 and so on to 31, and then 1 again: the last step is shorter; for a fixed distance write '@every 2d'",
            ),
            ("0 0 1 */5 *", "is 1, 6 and so on to 11, and then 1 again: the last step is shorter"),
            ("*/40 * * * *", "is 0 and 40, and then 0 again"),
        ] {
            let all = surprises(line);
            assert!(all.len() == 1 && all[0].contains(told), "{line}: {all:?}");
        }
        assert_eq!(surprises("*/7 */7 * * *").len(), 2);
    }
}
