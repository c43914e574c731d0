use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;

use super::*;

fn calendar(cron: &str, zone: &str) -> Calendar {
    Calendar::new(cron, TimeZone::get(zone).unwrap()).unwrap()
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// Returns the occurrences between two instants, found forwards; backwards they must be the same.
fn occurrences(cron: &str, zone: &str, after: &str, before: &str) -> Vec<String> {
    let calendar = calendar(cron, zone);
    let (after, before) = (ms(after), ms(before));
    let forwards: Vec<i64> =
        std::iter::successors(calendar.next(after), |at| calendar.next(*at)).take_while(|at| *at < before).collect();
    let mut backwards: Vec<i64> =
        std::iter::successors(calendar.last(before - 1), |at| calendar.last(*at - 1)).take_while(|at| *at > after).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards, "{cron} {zone}");
    forwards.iter().map(|at| calendar.text(*at)).collect()
}

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const APIA: &str = "Pacific/Apia";

#[test]
fn in_a_gap_a_fixed_hour_is_due_at_the_first_instant_after_it() {
    let berlin = |cron| occurrences(cron, BERLIN, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(berlin("30 2 * * *"), ["2026-03-29T03:00:00+02:00"]);
    assert_eq!(berlin("0 2 * * *"), ["2026-03-29T03:00:00+02:00"]);
    assert_eq!(berlin("0,20,40 2 * * *"), ["2026-03-29T03:00:00+02:00"], "one instant is one occurrence");
    assert_eq!(berlin("0 2,3 * * *"), ["2026-03-29T03:00:00+02:00"], "the hour after it is not a second one");
    assert_eq!(berlin("59 1 * * *"), ["2026-03-29T01:59:00+01:00"]);
    assert_eq!(berlin("0 3 * * *"), ["2026-03-29T03:00:00+02:00"]);
    assert_eq!(berlin("30 2 29 3 *"), ["2026-03-29T03:00:00+02:00"]);
    assert_eq!(berlin("30 2 28 3 *"), [""; 0]);
    let york = occurrences("30 2 * * *", NEW_YORK, "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z");
    assert_eq!(york, ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]);
    let howe = occurrences("15 2 * * *", LORD_HOWE, "2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z");
    assert_eq!(howe, ["2026-10-04T02:30:00+11:00"], "a gap of half an hour");
    assert_eq!(
        occurrences("30 2 * * *", LORD_HOWE, "2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z"),
        ["2026-10-04T02:30:00+11:00"]
    );
}

#[test]
fn in_a_gap_a_wildcard_hour_is_skipped() {
    let berlin = occurrences("30 * * * *", BERLIN, "2026-03-28T23:45:00Z", "2026-03-29T02:00:00Z");
    assert_eq!(berlin, ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]);
    let even = occurrences("0 */2 * * *", BERLIN, "2026-03-28T22:30:00Z", "2026-03-29T03:00:00Z");
    assert_eq!(even, ["2026-03-29T00:00:00+01:00", "2026-03-29T04:00:00+02:00"]);
    let york = occurrences("0 * * * *", NEW_YORK, "2026-03-08T05:30:00Z", "2026-03-08T08:30:00Z");
    assert_eq!(york, ["2026-03-08T01:00:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-08T04:00:00-04:00"]);
    let howe = occurrences("*/15 * * * *", LORD_HOWE, "2026-10-03T15:20:00Z", "2026-10-03T15:50:00Z");
    assert_eq!(howe, ["2026-10-04T02:30:00+11:00", "2026-10-04T02:45:00+11:00"], "02:00 and 02:15 are not on the clock");
    assert_eq!(occurrences("0 * 30 12 *", APIA, "2011-12-29T00:00:00Z", "2012-01-02T00:00:00Z"), [""; 0]);
}

#[test]
fn a_repeated_hour_is_due_once_if_fixed_and_twice_if_wildcard() {
    let berlin = |cron| occurrences(cron, BERLIN, "2026-10-24T22:30:00Z", "2026-10-25T02:30:00Z");
    assert_eq!(berlin("30 2 * * *"), ["2026-10-25T02:30:00+02:00"]);
    assert_eq!(berlin("*/30 2 * * *"), ["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00"]);
    assert_eq!(
        berlin("0 * * * *"),
        ["2026-10-25T01:00:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]
    );
    let york = |cron| occurrences(cron, NEW_YORK, "2026-11-01T04:45:00Z", "2026-11-01T06:45:00Z");
    assert_eq!(york("30 1 * * *"), ["2026-11-01T01:30:00-04:00"]);
    assert_eq!(york("30 * * * *"), ["2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"]);
    let howe = |cron| occurrences(cron, LORD_HOWE, "2026-04-04T14:20:00Z", "2026-04-04T15:35:00Z");
    assert_eq!(howe("45 1 * * *"), ["2026-04-05T01:45:00+11:00"]);
    assert_eq!(howe("45 * * * *"), ["2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"]);
    assert_eq!(howe("0 2 * * *"), ["2026-04-05T02:00:00+10:30"], "the second 02:00 is the only one");
}

#[test]
fn a_search_inside_the_repeated_hour_finds_the_next_instants() {
    let first = ms("2026-10-25T00:30:00Z"); // 02:30+02:00
    let second = ms("2026-10-25T01:30:00Z"); // 02:30+01:00
    let (fixed, wild) = (calendar("30 2 * * *", BERLIN), calendar("30 * * * *", BERLIN));
    assert_eq!((fixed.next(first - 1), wild.next(first)), (Some(first), Some(second)));
    assert_eq!(fixed.text(fixed.next(first).unwrap()), "2026-10-26T02:30:00+01:00");
    assert_eq!(fixed.text(fixed.next(second - 1).unwrap()), "2026-10-26T02:30:00+01:00", "not again in the second pass");
    assert_eq!((fixed.last(second), wild.last(second), wild.last(second - 1)), (Some(first), Some(second), Some(first)));
}

#[test]
fn a_day_that_a_zone_skipped_is_a_gap_of_a_day() {
    let apia = occurrences("30 2 * * *", APIA, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z");
    assert_eq!(
        apia,
        ["2011-12-29T02:30:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T02:30:00+14:00", "2012-01-01T02:30:00+14:00"]
    );
    let that_day = occurrences("0 12 30 12 *", APIA, "2011-12-01T00:00:00Z", "2012-01-02T00:00:00Z");
    assert_eq!(that_day, ["2011-12-31T00:00:00+14:00"]);
    let hourly = occurrences("0 * * * *", APIA, "2011-12-30T08:30:00Z", "2011-12-30T11:30:00Z");
    assert_eq!(hourly, ["2011-12-29T23:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T01:00:00+14:00"]);
}

/// A slow second implementation of the rule: each reading of the wall clock, one after the other.
fn by_rule(calendar: &Calendar, from: &str, minutes: i64) -> BTreeSet<i64> {
    let Rule::Wall(calendar) = &calendar.rule else { panic!("{calendar:?}") };
    let first: DateTime = from.parse().unwrap();
    let mut occurrences = BTreeSet::new();
    for minute in 0..minutes {
        let reading = first + jiff::SignedDuration::from_mins(minute);
        if !calendar.cron.is_time_matching(&reading.to_zoned(TimeZone::UTC).unwrap()).unwrap() {
            continue;
        }
        let instant = |offset: Offset| offset.to_timestamp(reading).unwrap().as_millisecond();
        match calendar.zone.to_ambiguous_timestamp(reading).offset() {
            AmbiguousOffset::Unambiguous { offset } => occurrences.extend([instant(offset)]),
            AmbiguousOffset::Gap { before, after } if calendar.hour_is_fixed => {
                let in_gap = Timestamp::from_millisecond(instant(after)).unwrap();
                let end = calendar.zone.following(in_gap).find(|change| change.offset() == after).unwrap();
                assert!(end.timestamp().as_millisecond() <= instant(before));
                occurrences.extend([end.timestamp().as_millisecond()]);
            }
            AmbiguousOffset::Gap { .. } => {}
            AmbiguousOffset::Fold { before, .. } if calendar.hour_is_fixed => occurrences.extend([instant(before)]),
            AmbiguousOffset::Fold { before, after } => occurrences.extend([instant(before), instant(after)]),
        }
    }
    occurrences
}

#[test]
fn both_directions_agree_around_the_changes_of_many_zones() {
    const DAY_MS: i64 = 86_400_000;
    let lines = [
        "30 2 * * *",
        "*/20 1-3 * * *",
        "15 * * * *",
        "0 */2 * * *",
        "45 1 * * 0",
        "0 0 * * *",
        "10,50 0,23 28-31 * *",
        "@hourly",
    ];
    for zone in [BERLIN, NEW_YORK, LORD_HOWE, APIA, "America/Havana", "Africa/Casablanca", "Asia/Tehran"] {
        let tz = TimeZone::get(zone).unwrap();
        let changes = ["2011-03-01T00:00:00Z", "2026-01-01T00:00:00Z"]
            .map(|from| tz.following(from.parse().unwrap()).take(2).collect::<Vec<_>>());
        for (change, line) in changes.iter().flatten().flat_map(|change| lines.map(|line| (change.timestamp(), line))) {
            let calendar = calendar(line, zone);
            let day = change.to_zoned(TimeZone::UTC).date().to_string();
            let begin = ms(&format!("{day}T00:00:00Z")) - 4 * DAY_MS;
            let first = Timestamp::from_millisecond(begin).unwrap().to_zoned(TimeZone::UTC).datetime().to_string();
            // Without the days at the ends, where the rule sees only one side of a change.
            let inside = begin + 2 * DAY_MS..begin + 7 * DAY_MS;
            let expected: Vec<i64> =
                by_rule(&calendar, &first, 9 * 24 * 60).into_iter().filter(|at| inside.contains(at)).collect();
            let forwards = std::iter::successors(calendar.next(inside.start - 1), |at| calendar.next(*at));
            assert_eq!(forwards.take_while(|at| inside.contains(at)).collect::<Vec<_>>(), expected, "{line} {zone} {change}");
            let backwards = std::iter::successors(calendar.last(inside.end - 1), |at| calendar.last(*at - 1));
            let mut backwards: Vec<i64> = backwards.take_while(|at| inside.contains(at)).collect();
            backwards.reverse();
            assert_eq!(backwards, expected, "backwards: {line} {zone} {change}");
        }
    }
}

#[test]
fn instants_between_two_seconds_miss_and_repeat_no_occurrence() {
    let calendar = calendar("* * * * *", "UTC");
    for (after, next) in [(59_999, 60_000), (60_000, 120_000), (60_001, 120_000), (-1, 0)] {
        assert_eq!(calendar.next(after), Some(next), "{after}");
    }
    for (up_to, last) in [(59_999, Some(0)), (60_000, Some(60_000)), (60_999, Some(60_000)), (0, Some(0)), (-1, None)] {
        assert_eq!(calendar.last(up_to), last, "{up_to}");
    }
}

#[test]
fn a_line_that_names_no_day_is_found_to_be_never_due() {
    for zone in ["UTC", BERLIN] {
        let never = calendar("0 0 30 2 *", zone);
        assert_eq!((never.next(0), never.last(ms("2026-01-01T00:00:00Z"))), (None, None));
        let leap = calendar("0 0 29 2 *", zone);
        assert!(leap.text(leap.next(ms("2096-03-01T00:00:00Z")).unwrap()).starts_with("2104-02-29T00:00:00"));
    }
    assert_eq!(calendar("* * * * *", "UTC").next(i64::MAX / 2), None);
    assert_eq!(calendar("* * * * *", BERLIN).last(i64::MIN), None);
}

#[test]
fn an_invalid_line_is_refused_with_an_example() {
    let huge = "*/1,".repeat(100_000);
    for bad in [
        "",
        " ",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "0 0 0 * *",
        "@never",
        "@every 5",
        "@every 0s",
        "0~60 * * * *",
        "x",
        "\x1b[2J",
        "0 0 * * 8",
        &huge,
    ] {
        let error = Calendar::new(bad, TimeZone::UTC).unwrap_err();
        assert!(error.contains("30 3 * * 1-5") && error.len() < 600 && !error.contains('\x1b'), "{bad:?}: {error}");
    }
    for good in [
        "@daily",
        "@midnight",
        "@hourly",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
        "@reboot",
        "@every 90m",
        "0~30 3 * * *",
        "0 0 L * *",
        "0 9 * * MON-FRI",
        "0 0 * * 7",
        " 5  4 * * * ",
    ] {
        assert!(Calendar::new(good, TimeZone::UTC).is_ok(), "{good}");
    }
}

#[test]
fn every_is_a_fixed_distance_from_the_creation() {
    let created = ms("2026-03-28T22:10:07.500Z");
    let every = |line: &str| Calendar::of(line, TimeZone::get(BERLIN).unwrap(), Origin::new("n", created)).unwrap();
    let calendar = every("@every 90m");
    let first = calendar.next(created).unwrap();
    assert_eq!(calendar.text(first), "2026-03-29T00:40:07+01:00");
    let all: Vec<String> =
        std::iter::successors(Some(first), |at| calendar.next(*at)).take(4).map(|at| calendar.text(at)).collect();
    assert_eq!(all[1..], ["2026-03-29T03:10:07+02:00", "2026-03-29T04:40:07+02:00", "2026-03-29T06:10:07+02:00"]);
    assert_eq!(
        (calendar.last(first), calendar.last(first + 1), calendar.last(first - 1)),
        (Some(first), Some(first), Some(first - 5_400_000))
    );
    let before = calendar.next(ms("2020-01-01T00:00:00Z")).unwrap();
    assert_eq!((first - before) % 5_400_000, 0, "a clock that was ahead at the creation postpones nothing");
    assert!(before - ms("2020-01-01T00:00:00Z") <= 5_400_000);
    for line in ["@every 1s", "@every 36600d"] {
        for at in [i64::MIN, -1, 0, created, i64::MAX] {
            let _no_panic = (every(line).next(at), every(line).last(at));
        }
    }
}

#[test]
fn a_boot_is_due_once() {
    let boot = |at| Calendar::of("@reboot", TimeZone::UTC, Origin { booted_at_ms: at, ..Origin::default() }).unwrap();
    assert_eq!((boot(None).next(0), boot(None).last(i64::MAX)), (None, None));
    assert_eq!(
        (boot(Some(7)).next(6), boot(Some(7)).next(7), boot(Some(7)).last(7), boot(Some(7)).last(6)),
        (Some(7), None, Some(7), None)
    );
    assert!(boot(None).is_of_boots() && !calendar("@daily", "UTC").is_of_boots());
}

#[test]
fn one_day_field_is_enough_unless_one_begins_with_a_star() {
    let days = |line: &str| -> Vec<String> {
        occurrences(line, "UTC", "2026-06-30T23:59:00Z", "2026-07-14T00:00:01Z").iter().map(|at| at[8..10].to_owned()).collect()
    };
    assert_eq!(days("0 0 3 * 1"), ["03", "06", "13"], "the third and each Monday");
    assert_eq!(days("0 0 * * 1"), ["06", "13"]);
    assert_eq!(days("0 0 */2 * 1"), ["13"], "Mondays with an odd date");
    assert_eq!(days("0 0 1-7 * */2"), ["02", "04", "05", "07"]);
    assert_eq!(days("0 0 */5 * *"), ["01", "06", "11"]);
}

#[test]
fn a_step_beyond_its_range_is_the_first_value() {
    let hourly = occurrences("*/90 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z");
    assert_eq!(hourly.len(), 2, "{hourly:?}");
}
