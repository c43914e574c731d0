//! Compares times and durations with a second implementation that shares no code with the first:
//! its own calendar, its own rule for summer time, its own scanner.
//!
//! Every accepted text means what the second implementation says, and every text that the second
//! one accepts is accepted; also after characters were removed, added and exchanged.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const DAY_MS: i64 = 86_400_000;
const CASES: u32 = 2_000;
/// The calendar of the library ends with this year, and with this instant.
const YEAR_MAX: i64 = 9999;
const LAST_MS: i64 = 253_402_207_200_999;

/// Days since 1970-01-01, by counting.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=length).contains(&day) || !(0..=YEAR_MAX).contains(&year) {
        return None;
    }
    let leaps_before = |y: i64| (y + 3) / 4 - (y + 99) / 100 + (y + 399) / 400;
    let since_zero = year * 365 + leaps_before(year) + lengths.iter().take(month as usize - 1).sum::<i64>() + day - 1;
    Some(since_zero - 719_528)
}

/// 01:00 UTC of the last Sunday of a month with 31 days, in milliseconds: when the clocks of the
/// European Union are set.
fn clocks_are_set(year: i64, month: i64) -> i64 {
    let last = days(year, month, 31).unwrap();
    // 1970-01-01 was a Thursday.
    (last - (last + 4).rem_euclid(7)) * DAY_MS + 3_600_000
}

/// The instants at which clocks in Central Europe show this, with the skipped hour moved on; first
/// one first.
fn in_central_europe(civil_ms: i64, year: i64) -> Vec<i64> {
    let (spring, autumn) = (clocks_are_set(year, 3), clocks_are_set(year, 10));
    let is_summer = |at: i64| (spring..autumn).contains(&at);
    let (winter, summer) = (civil_ms - 3_600_000, civil_ms - 7_200_000);
    let mut found: Vec<i64> =
        [(summer, true), (winter, false)].into_iter().filter(|(at, s)| is_summer(*at) == *s).map(|(at, _)| at).collect();
    if found.is_empty() {
        found.push(winter);
    }
    found
}

/// Whether clocks in Central Europe ever show this.
fn is_shown_in_central_europe(civil_ms: i64, year: i64) -> bool {
    let spring = clocks_are_set(year, 3) + 3_600_000;
    !(spring..spring + 3_600_000).contains(&civil_ms)
}

/// Reads digits from the front.
fn digits(text: &str, n: usize) -> Option<(i64, &str)> {
    let (front, rest) = text.split_at_checked(n)?;
    front.bytes().all(|b| b.is_ascii_digit()).then(|| Some((front.parse().ok()?, rest)))?
}

/// A time of a day in milliseconds, and what follows it.
fn clock(text: &str, may_lack_minutes: bool) -> Option<(i64, &str)> {
    let (hour, mut rest) = digits(text, 2)?;
    let (mut minute, mut second, mut ms) = (0, 0, 0);
    let colons = rest.starts_with(':');
    let more = |rest: &str| {
        if colons {
            rest.strip_prefix(':').and_then(|r| digits(r, 2)).map(|(n, r)| (n, r.to_owned()))
        } else {
            digits(rest, 2).map(|(n, r)| (n, r.to_owned()))
        }
    };
    if let Some((n, r)) = more(rest) {
        minute = n;
        rest = &rest[rest.len() - r.len()..];
        if let Some((n, r)) = more(rest) {
            second = n;
            rest = &rest[rest.len() - r.len()..];
            if let Some(fraction) = rest.strip_prefix(['.', ',']) {
                let n = fraction.bytes().take_while(u8::is_ascii_digit).count();
                if !(1..=9).contains(&n) {
                    return None;
                }
                ms = format!("{:0<3}", &fraction[..n])[..3].parse().ok()?;
                rest = &fraction[n..];
            }
        }
    } else if !may_lack_minutes || colons {
        return None;
    }
    (hour < 24 && minute < 60 && second < 60).then_some((((hour * 60 + minute) * 60 + second) * 1000 + ms, rest))
}

/// An offset in milliseconds; the inner `None` if there is none.
fn offset(text: &str) -> Option<(Option<i64>, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((Some(0), rest));
    }
    let sign = match text.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some((None, text)),
    };
    let (hour, mut rest) = digits(&text[1..], 2)?;
    let (mut minute, mut second) = (0, 0);
    let colons = rest.starts_with(':');
    for part in [&mut minute, &mut second] {
        let next =
            if colons { rest.strip_prefix(':') } else { Some(rest).filter(|r| r.starts_with(|c: char| c.is_ascii_digit())) };
        if let Some(next) = next {
            (*part, rest) = digits(next, 2)?;
        }
    }
    (hour < 26 && minute < 60 && second < 60).then_some((Some(sign * ((hour * 60 + minute) * 60 + second) * 1000), rest))
}

/// Interprets a text according to the documentation of times. The zone is Central Europe.
fn second_reading(text: &str, now_ms: i64, today: (i64, i64, i64)) -> Option<i64> {
    let text = text.trim();
    if !text.is_ascii() {
        return None;
    }
    if let Some(ahead) = text.strip_prefix('+') {
        return Some(now_ms + i64::try_from(second_reading_of_duration(ahead)?).ok()?);
    }
    if text.contains(':')
        && let Some((ms, "")) = clock(text, false)
        && !text.contains(',')
    {
        let day = days(today.0, today.1, today.2)?;
        let candidates = (0..2).flat_map(|ahead| in_central_europe((day + ahead) * DAY_MS + ms, today.0));
        return candidates.into_iter().find(|at| *at > now_ms);
    }
    let (year, rest) = digits(text, 4)?;
    let dashes = rest.starts_with('-');
    let part = |rest: &'_ str| -> Option<(i64, usize)> {
        let inner = if dashes { rest.strip_prefix('-')? } else { rest };
        digits(inner, 2).map(|(n, r)| (n, r.len()))
    };
    let (month, left) = part(rest)?;
    let rest = &rest[rest.len() - left..];
    let (day, left) = part(rest)?;
    let mut rest = &rest[rest.len() - left..];
    let day = days(year, month, day)?;
    let (mut ms, mut shift) = (0, None);
    if let Some(time) = rest.strip_prefix(['T', 't', ' ']) {
        (ms, rest) = clock(time, true)?;
        (shift, rest) = offset(rest)?;
    }
    let civil = day * DAY_MS + ms;
    // The mark that a reader must know the zone, which this one does.
    let rest = rest.replacen("[!", "[", 1);
    let at = match (rest.as_str(), shift) {
        ("", Some(shift)) => civil - shift,
        ("" | "[Europe/Berlin]", None) => *in_central_europe(civil, year).first()?,
        ("[Europe/Berlin]", Some(shift)) => {
            let is_zulu = text.contains(['Z', 'z']);
            let known = in_central_europe(civil, year).into_iter().filter(|_| is_shown_in_central_europe(civil, year));
            known.into_iter().find(|at| *at == civil - shift).or(is_zulu.then_some(civil))?
        }
        ("[UTC]", None | Some(0)) => civil,
        _ => return None,
    };
    (0..=LAST_MS).contains(&at).then_some(at)
}

/// Milliseconds of a duration, rounded up; the units that the page about durations lists, from
/// large to small.
fn second_reading_of_duration(text: &str) -> Option<u64> {
    const UNITS: &[(&str, u128)] = &[
        // Their length is not known, so that there may be none of them.
        ("years year yrs yr y", 0),
        ("months month mos mo", 0),
        ("weeks week wks wk w", 604_800_000_000_000),
        ("days day d", 86_400_000_000_000),
        ("hours hour hrs hr h", 3_600_000_000_000),
        ("minutes minute mins min m", 60_000_000_000),
        ("seconds second secs sec s", 1_000_000_000),
        ("milliseconds millisecond millis milli msecs msec ms", 1_000_000),
        ("microseconds microsecond micros micro usecs usec us", 1_000),
        ("nanoseconds nanosecond nanos nano nsecs nsec ns", 1),
    ];
    if !text.trim().is_ascii() {
        return None;
    }
    let mut rest = text.trim().strip_prefix('+').unwrap_or(text.trim());
    let (mut nanos, mut next_unit) = (0u128, 0);
    while !rest.is_empty() {
        let number = rest.bytes().take_while(u8::is_ascii_digit).count();
        let whole: u128 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix(['.', ',']) {
            let n = after.bytes().take_while(u8::is_ascii_digit).count();
            fraction = Some(&after[..n]).filter(|digits| (1..=9).contains(&digits.len()))?;
            rest = &after[n..];
        }
        rest = rest.trim_start();
        let word = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit =
            UNITS.iter().skip(next_unit).position(|(names, _)| names.split(' ').any(|name| name == &rest[..word]))? + next_unit;
        let size = UNITS[unit].1;
        if size == 0 && whole != 0 {
            return None;
        }
        nanos += whole * size;
        if !fraction.is_empty() {
            // Only for hours and smaller units, and only at the end: half a day is ambiguous.
            if unit < 4 || unit == UNITS.len() - 1 || !rest[word..].trim().is_empty() {
                return None;
            }
            nanos += fraction.parse::<u128>().ok()? * size / 10u128.pow(u32::try_from(fraction.len()).ok()?);
        }
        next_unit = unit + 1;
        rest = &rest[word..];
        rest = match rest.strip_prefix(',') {
            Some(after) => Some(after.trim_start()).filter(|next| !next.is_empty() && next.len() < after.len())?,
            None => rest.trim_start(),
        };
    }
    (next_unit > 0)
        .then(|| u64::try_from(nanos.div_ceil(1_000_000)).ok().filter(|ms| *ms <= crate::job::limits::DURATION_MS_MAX))
        .flatten()
}

fn now() -> Zoned {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    "2026-06-15T12:00:00".parse::<jiff::civil::DateTime>().unwrap().to_zoned(zone).unwrap()
}

fn agrees(text: &str) -> Result<(), TestCaseError> {
    // Earlier, other rules were in force there.
    if text.contains("Berlin") && text.trim().get(..4).is_some_and(|year| year < "1997") {
        return Ok(());
    }
    let now = now();
    let first = parse_instant(text, &now);
    let second = second_reading(text, now.timestamp().as_millisecond(), (2026, 6, 15));
    match (&first, second) {
        (Ok(first), Some(second)) => prop_assert_eq!(*first, second, "{:?}: {}, and meant is {}", text, utc(*first), utc(second)),
        (Ok(first), None) => prop_assert!(false, "{:?} was taken for {}", text, utc(*first)),
        (Err(error), Some(second)) => prop_assert!(false, "{:?} means {}: {}", text, utc(second), error),
        (Err(error), None) => prop_assert!(
            (error.contains("write ") || error.contains("give ")) && !error.contains(['\n', '\0', '\x1b']),
            "{:?}",
            error
        ),
    }
    Ok(())
}

fn duration_agrees(text: &str) -> Result<(), TestCaseError> {
    let (first, second) = (units::parse_duration(text), second_reading_of_duration(text));
    match (&first, second) {
        (Ok(first), Some(second)) => prop_assert_eq!(*first, second, "{:?}", text),
        (Ok(first), None) => prop_assert!(false, "{:?} was taken for {} ms", text, first),
        (Err(error), Some(second)) => prop_assert!(false, "{:?} means {} ms: {}", text, second, error),
        (Err(error), None) => prop_assert!(!error.is_empty() && !error.contains(['\n', '\0', '\x1b']), "{:?}", error),
    }
    Ok(())
}

fn a_time() -> impl Strategy<Value = String> {
    let date = (1970i64..2110, 1i64..=12, 1i64..=31, any::<bool>())
        .prop_map(|(y, m, d, dashes)| if dashes { format!("{y:04}-{m:02}-{d:02}") } else { format!("{y:04}{m:02}{d:02}") });
    // The days around clock changes, more often than by chance.
    let changing =
        (1996i64..2100, prop_oneof![Just(3i64), Just(10)], 24i64..=31).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}"));
    let leap = prop_oneof![
        Just("2028-02-29"),
        Just("2027-02-29"),
        Just("2000-02-29"),
        Just("2100-02-29"),
        Just("9999-12-31"),
        Just("1970-01-01"),
        Just("1969-12-31")
    ]
    .prop_map(str::to_owned);
    let clock = (0i64..=24, 0i64..=60, 0i64..=60, 0u8..5).prop_map(|(h, m, s, shape)| match shape {
        0 => format!("{h:02}:{m:02}"),
        1 => format!("{h:02}:{m:02}:{s:02}"),
        2 => format!("{h:02}:{m:02}:{s:02}.{m}"),
        3 => format!("{h:02}{m:02}"),
        _ => format!("{h:02}"),
    });
    let offset = prop_oneof![
        4 => Just(String::new()),
        1 => Just("Z".to_owned()),
        1 => (0i64..=25, 0i64..=59, prop_oneof![Just('+'), Just('-')]).prop_map(|(h, m, sign)| format!("{sign}{h:02}:{m:02}")),
        1 => Just("+0100".to_owned()),
        1 => Just("+02".to_owned()),
    ];
    let zone = prop_oneof![4 => Just(""), 1 => Just("[Europe/Berlin]"), 1 => Just("[UTC]"), 1 => Just("[Mars/Olympus]"), 1 => Just("[u-ca=hebrew]")];
    let separator = prop_oneof![Just("T"), Just("t"), Just(" "), Just("  "), Just("_")];
    let dated = (prop_oneof![date, changing, leap], proptest::option::weighted(0.8, (separator, clock.clone(), offset)), zone)
        .prop_map(|(date, time, zone)| {
            let time = time.map(|(separator, clock, offset)| format!("{separator}{clock}{offset}")).unwrap_or_default();
            format!("{date}{time}{zone}")
        });
    prop_oneof![4 => dated, 1 => clock, 1 => a_duration().prop_map(|d| format!("+{d}"))]
}

fn a_duration() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        Just("s"),
        Just("m"),
        Just("h"),
        Just("d"),
        Just("w"),
        Just("ms"),
        Just("min"),
        Just("hours"),
        Just("minutes"),
        Just("sec"),
        Just("y"),
        Just("mo"),
        Just("M"),
        Just("")
    ];
    let number = prop_oneof![4 => (0u32..2_000).prop_map(|n| n.to_string()), 1 => (0u32..100, 0u32..1000).prop_map(|(a, b)| format!("{a}.{b}"))];
    let gap = prop_oneof![Just(""), Just(" "), Just(", ")];
    proptest::collection::vec((number, unit, gap), 1..4)
        .prop_map(|parts| parts.iter().map(|(n, u, g)| format!("{n}{u}{g}")).collect::<String>())
}

/// A text with some characters removed, doubled, or put in the place of others.
fn bent(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let strange = prop_oneof![
        4 => proptest::char::range('0', '9'),
        4 => proptest::sample::select(vec![':', '-', '+', 'T', 'Z', ' ', '.', ',', '[', ']', 'm', 's', 'h', 'd', '/']),
        1 => proptest::sample::select(vec!['٣', '３', '\u{a0}', '\u{2212}', '\u{200b}', '\0', '\x1b', '\n', '\t', '!']),
    ];
    (text, proptest::collection::vec((any::<proptest::sample::Index>(), 0u8..3, strange), 0..3)).prop_map(|(text, bends)| {
        let mut text: Vec<char> = text.chars().collect();
        for (at, how, with) in bends {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match how {
                0 => drop(text.remove(at)),
                1 => text.insert(at, with),
                _ => text[at] = with,
            }
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_time_means_what_a_second_reader_reads(text in a_time()) {
        agrees(&text)?;
    }

    #[test]
    fn a_bent_time_is_refused_or_means_what_it_says(text in bent(a_time())) {
        agrees(&text)?;
    }

    #[test]
    fn a_duration_means_what_a_second_reader_reads(text in bent(a_duration())) {
        duration_agrees(&text)?;
    }

    #[test]
    fn a_time_that_is_printed_for_scripts_is_read_back(ms in 0i64..253_402_207_200_000) {
        prop_assert_eq!(parse_instant(&utc(ms), &now()), Ok(ms));
    }
}
