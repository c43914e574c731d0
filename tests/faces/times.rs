//! A time means what it says, wherever one is given; what is not a time changes nothing.

use crate::support::{Nest, Said, said};

/// What is typed in Berlin, and what is meant.
const MEANT: &[(&str, &str)] = &[
    ("2036-12-24 03:00", "2036-12-24T02:00:00.000Z"),
    ("2036-12-24T03:00", "2036-12-24T02:00:00.000Z"),
    ("2036-12-24t03:00:30", "2036-12-24T02:00:30.000Z"),
    ("2036-12-24 03:00:30.25", "2036-12-24T02:00:30.250Z"),
    ("2036-12-24", "2036-12-23T23:00:00.000Z"),
    ("20361224T0300", "2036-12-24T02:00:00.000Z"),
    ("2036-12-24T03:00Z", "2036-12-24T03:00:00.000Z"),
    ("2036-12-24T03:00:00+05:30", "2036-12-23T21:30:00.000Z"),
    ("2036-12-24 03:00-08:00", "2036-12-24T11:00:00.000Z"),
    ("2036-12-24T03:00[Asia/Tokyo]", "2036-12-23T18:00:00.000Z"),
    ("2036-12-24T03:00+01:00[Europe/Berlin]", "2036-12-24T02:00:00.000Z"),
    ("  2036-12-24 03:00\n", "2036-12-24T02:00:00.000Z"),
    ("2036-02-29 12:00", "2036-02-29T11:00:00.000Z"),
    // Clocks are set forward at 02:00, and back at 03:00.
    ("2036-03-30 02:30", "2036-03-30T01:30:00.000Z"),
    ("2036-10-26 02:30", "2036-10-26T00:30:00.000Z"),
    ("9999-12-30", "9999-12-29T23:00:00.000Z"),
];

const REFUSED: &[&str] = &[
    "2037-02-29 03:00",
    "2036-12-24 25:00",
    "2036-12-24 03:60",
    "2036-12-24 03:00:60",
    "2036-12-24  03:00",
    "2036-12-24_03:00",
    "2036-12-24\u{a0}03:00",
    "2036-12-24 3:00",
    "24.12.2036 03:00",
    "2036-12-24 03:00 Berlin",
    "2036-12-24T03:00[Mars/Olympus]",
    "2036-12-24T03:00+05:00[Europe/Berlin]",
    "2036-12-24 03:00[u-ca=hebrew]",
    "03:00 2036-12-24",
    "٢٠٣٦-١٢-٢٤",
    "10000-01-01",
    "1969-12-31 00:00",
    "2036-12",
    "1e5s",
    "tomorrow",
    "10",
    "+10",
    "-10m",
    "1:2",
    "",
];

/// Where a time is given: how, and the name of what it becomes.
const PLACES: &[(&str, &str)] = &[
    ("add --at", "available_at"),
    ("add --expires", "expires_at"),
    ("add --from at", "available_at"),
    ("add --from expires", "expires_at"),
    ("set at", "available_at"),
    ("set expires", "expires_at"),
];

/// The newest row, as SQLite prints it.
fn written(nest: &Nest, column: &str) -> Option<String> {
    let sql =
        format!("SELECT strftime('%Y-%m-%dT%H:%M:%f', {column} / 1000.0, 'unixepoch') || 'Z' FROM job ORDER BY id DESC LIMIT 1");
    nest.sql().query_row(&sql, [], |row| row.get(0)).expect("a row")
}

fn count(nest: &Nest) -> i64 {
    nest.sql().query_row("SELECT count(*) FROM job", [], |row| row.get(0)).expect("a count")
}

fn give(nest: &Nest, place: &str, text: &str) -> Said {
    let berlin = |args: &[&str]| {
        let mut command = nest.tenure(args);
        command.env("TZ", "Europe/Berlin");
        said(command.output().expect("the program runs"))
    };
    if let Some(option) = place.strip_prefix("add --from ") {
        let line = serde_json::json!({"command": ["true"], option: text}).to_string();
        std::fs::write(nest.file("lines"), line).expect("a file");
        return berlin(&["add", "--from", "lines"]);
    }
    match place.split_once(' ') {
        Some(("set", key)) => {
            nest.add(&["--hold", "--", "true"]);
            berlin(&["set", "last", &format!("{key}={text}")])
        }
        Some((verb, option)) => berlin(&[verb, &format!("{option}={text}"), "--", "true"]),
        None => unreachable!("{place}"),
    }
}

#[test]
fn a_time_means_what_it_says_in_every_place() {
    let nest = Nest::new();
    for (place, column) in PLACES {
        for (text, meant) in MEANT {
            let said = give(&nest, place, text);
            assert_eq!(said.code, 0, "{place} {text:?}: {said:?}");
            assert_eq!(written(&nest, column).as_deref(), Some(*meant), "{place} {text:?}");
        }
    }
}

#[test]
fn an_invalid_time_is_refused_with_a_remedy() {
    let nest = Nest::new();
    nest.ok(&["add", "--hold", "--", "true"]);
    for (place, column) in PLACES {
        for text in REFUSED {
            let before = count(&nest);
            let said = give(&nest, place, text);
            assert_eq!(said.code, 2, "{place} {text:?}: {said:?}");
            assert!(said.err.contains("write ") || said.err.contains("give "), "{place} {text:?}: {}", said.err);
            let shown = text.trim_start_matches('+');
            assert!(said.err.contains(shown) || !shown.is_ascii(), "{place}: {}", said.err);
            let is_set = place.starts_with("set");
            assert_eq!(count(&nest) - i64::from(is_set), before, "{place} {text:?}");
            let untouched = if *column == "available_at" { Some("1970-01-01T00:00:00.000Z") } else { None };
            assert!(!is_set || written(&nest, column).as_deref() == untouched, "{place} {text:?}");
        }
    }
}
