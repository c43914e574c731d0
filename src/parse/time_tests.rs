use jiff::civil::DateTime;

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
    assert_eq!(shown("2026-12-24 03:00", now), "2026-12-24T02:00:00.000Z");
    assert_eq!(shown("2026-12-24T03:00:05", now), "2026-12-24T02:00:05.000Z");
    assert_eq!(shown("2028-02-29 23:59", now), "2028-02-29T22:59:00.000Z");
    assert_eq!(shown("+10m", now), "2026-11-30T11:10:00.000Z");
    assert_eq!(shown("\t 2026-12-24 03:00\n", now), "2026-12-24T02:00:00.000Z");
}

#[test]
fn a_time_of_day_is_the_next_one() {
    assert_eq!(shown("03:00", "2026-11-30T02:59:59"), "2026-11-30T02:00:00.000Z");
    assert_eq!(shown("03:00", "2026-11-30T03:00:00"), "2026-12-01T02:00:00.000Z");
    assert_eq!(shown("23:59:30", "2026-12-31T23:59:59"), "2027-01-01T22:59:30.000Z");
    // It does not exist on the night of the change: the first instant after the gap's start,
    // shifted by the gap.
    assert_eq!(shown("02:30", "2026-03-28T12:00:00"), "2026-03-29T01:30:00.000Z");
    // It comes twice on the night of the other change; between the two, the second one is the next.
    let between_both = at("2026-10-25T02:45:00");
    assert_eq!(utc(parse_instant("02:30", &between_both).unwrap()), "2026-10-25T01:30:00.000Z");
    assert_eq!(shown("02:30", "2026-10-24T12:00:00"), "2026-10-25T00:30:00.000Z");
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
        "2026-02-29 03:00",
        "2026-12-24 24:00",
        "2026-12-31 23:59:60",
        "23:59:60",
        "2026-12-24  03:00",
        "2026-12-24\u{a0}03:00",
        "2026-12-24 3:00",
        "24-12-2026 03:00",
        "2026-12-24 03:00 pm",
        "2026-12-24 03:00 Europe/Berlin",
        "2026-12-24T03:00+05:00[Europe/Berlin]",
        "2026-12-24 03:00[u-ca=hebrew]",
        "２０２６-12-24 03:00",
        "٢٠٢٦-١٢-٢٤",
        "03:00 2026-12-24",
        "03:00Z",
        "T03:00",
        "10000-01-01 03:00",
        "+",
        "+10",
    ] {
        let error = parse_instant(text, &now).unwrap_err();
        assert!(error.contains("03:00") || error.contains("10s") || error.contains("10m"), "{error}");
        assert!(!error.contains('\x1b'), "{error:?}");
    }
    assert!(parse_instant(&"2".repeat(1 << 20), &now).unwrap_err().len() < 300);
}

#[test]
fn a_deadline_is_a_time_or_a_duration() {
    let now = at("2026-11-30T12:00:00");
    assert_eq!(utc(parse_deadline("2h", &now).unwrap()), "2026-11-30T13:00:00.000Z");
    assert_eq!(utc(parse_deadline("13:30", &now).unwrap()), "2026-11-30T12:30:00.000Z");
    assert_eq!(utc(parse_deadline("13:30:00", &now).unwrap()), "2026-11-30T12:30:00.000Z");
    assert_eq!(utc(parse_deadline("2026-12-24 03:00", &now).unwrap()), "2026-12-24T02:00:00.000Z");
    assert!(parse_deadline("later", &now).unwrap_err().contains("10m"));
    assert!(parse_deadline("1y", &now).unwrap_err().contains("30d"));
    assert!(parse_deadline("2026-13-01", &now).unwrap_err().contains("2h"));
}

#[test]
fn since_is_a_time_in_the_past_or_how_long_ago_it_was() {
    let now = at("2026-11-30T12:00:00");
    let since = |text: &str| utc(parse_since(text, &now).unwrap());
    assert_eq!(since("2h"), "2026-11-30T09:00:00.000Z");
    assert_eq!(since("03:00"), "2026-11-30T02:00:00.000Z");
    assert_eq!(since("13:30:00"), "2026-11-29T12:30:00.000Z", "yesterday's");
    assert_eq!(since("2026-11-29"), "2026-11-28T23:00:00.000Z");
    assert_eq!(since("2026-11-29 03:00"), "2026-11-29T02:00:00.000Z");
    assert_eq!(since("2026-11-29T03:00Z"), "2026-11-29T03:00:00.000Z");
    for (text, why) in [
        ("+1h", "future"),
        ("2026-12-01", "future"),
        ("soon", "not a time"),
        (" ", "missing"),
        ("1y", "not a time"),
        ("-1h", "not a time"),
    ] {
        let error = parse_since(text, &now).unwrap_err();
        assert!(error.contains(why) && error.contains("2h"), "{text}: {error}");
    }
    assert!(parse_since(&"2".repeat(1 << 20), &now).unwrap_err().len() < 300);
    assert!(!parse_since("\x1b[2J", &now).unwrap_err().contains('\x1b'));
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
