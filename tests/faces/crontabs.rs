//! A crontab becomes schedules: what is made of each line, and the same calendar by a second reading of cron's rules.

use std::fmt::Write;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::Nest;

/// Lines as they are found on servers.
const REAL: &str = include_str!("crontab.txt");
const MINUTE_MS: i64 = 60_000;
const WEEK_MINUTES: i64 = 7 * 24 * 60;

fn import(nest: &Nest, text: &str, options: &[&str]) -> Value {
    std::fs::write(nest.file("crontab"), text).unwrap();
    nest.json(&[&["schedule", "import", "crontab", "--tz", "UTC", "--json"], options].concat())
}

fn lines(document: &Value) -> Vec<Value> {
    document["lines"].as_array().unwrap().clone()
}

fn names(nest: &Nest) -> Vec<String> {
    let listed = nest.json(&["schedule", "ls", "--json"])["schedules"].clone();
    listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// The values of a field, read as crontab(5) says.
fn values(field: &str, first: u32, last: u32, named: &[&str]) -> Vec<u32> {
    let number = |text: &str| -> u32 {
        let named = named.iter().position(|name| name.eq_ignore_ascii_case(text));
        named.map_or_else(|| text.parse().unwrap(), |at| at as u32 + first)
    };
    let mut values = Vec::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (first, last),
            Some((low, high)) => (number(low), number(high)),
            None => (number(range), number(range)),
        };
        values.extend((low..=high).step_by(step));
    }
    values
}

/// Whether a line is due in a minute: each field names its value, and of the two day fields one is enough unless one of them begins with `*`.
fn is_due(line: &str, at: &jiff::civil::DateTime) -> bool {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let line = match line {
        "@daily" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        other => other,
    };
    let fields: Vec<&str> = line.split(' ').collect();
    let has = |field: usize, first, last, names, value: i8| values(fields[field], first, last, names).contains(&(value as u32));
    let weekday = at.weekday().to_sunday_zero_offset();
    let day = has(2, 1, 31, &[], at.day());
    let of_week = has(4, 0, 7, &DAYS, weekday) || (weekday == 0 && has(4, 0, 7, &DAYS, 7));
    let days = if fields[2].starts_with('*') || fields[4].starts_with('*') { day && of_week } else { day || of_week };
    days && has(0, 0, 59, &[], at.minute()) && has(1, 0, 23, &[], at.hour()) && has(3, 1, 12, &MONTHS, at.month())
}

#[test]
fn the_calendar_is_the_one_that_cron_has() {
    let nest = Nest::new();
    let shown = import(&nest, REAL, &[]);
    assert_eq!((&shown["applied"], &shown["added"], &shown["unsupported"]), (&json!(false), &json!(0), &json!(0)));
    assert!(!nest.db().exists(), "nothing is made without --apply");
    let applied = import(&nest, REAL, &["--apply"]);
    let jobs: Vec<Value> = lines(&applied).into_iter().filter(|line| line["action"] == "add").collect();
    assert_eq!((applied["added"].as_i64(), jobs.len(), names(&nest).len()), (Some(20), 20, 20));
    let mut compared = 0;
    for job in &jobs {
        let (name, line) = (job["name"].as_str().unwrap(), job["cron"].as_str().unwrap());
        let next = nest.json(&["schedule", "next", name, "-n", "10000", "--json"])["occurrences"].clone();
        if line == "@reboot" {
            assert_eq!(next, json!([]));
            continue;
        }
        let ms = |one: &Value| one["utc"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let next: Vec<i64> = next.as_array().unwrap().iter().map(ms).collect();
        // After what the list may have begun with, and not beyond its end.
        let from = (jiff::Timestamp::now().as_millisecond() / MINUTE_MS + 1) * MINUTE_MS;
        let to = (from + WEEK_MINUTES * MINUTE_MS).min(if next.len() == 10_000 { next[9_999] } else { i64::MAX });
        let minutes = (from..to).step_by(MINUTE_MS as usize);
        let expected: Vec<i64> = minutes
            .filter(|at| {
                let at = jiff::Timestamp::from_millisecond(*at).unwrap();
                is_due(line, &at.to_zoned(jiff::tz::TimeZone::UTC).datetime())
            })
            .collect();
        let found: Vec<i64> = next.into_iter().filter(|at| (from..to).contains(at)).collect();
        assert_eq!(found, expected, "{line}");
        compared += found.len();
    }
    assert!(compared > 9_000, "{compared} occurrences were compared");
}

#[test]
fn a_second_import_changes_nothing() {
    let nest = Nest::new();
    import(&nest, REAL, &["--apply"]);
    let before = nest.json(&["schedule", "ls", "--json"]);
    let again = import(&nest, REAL, &["--apply"]);
    assert_eq!((again["added"].as_i64(), nest.json(&["schedule", "ls", "--json"])), (Some(0), before));
    assert_eq!(lines(&again).iter().filter(|line| line["action"] == "unchanged").count(), 20);
    let name = lines(&again)[3]["name"].as_str().unwrap().to_owned();
    nest.ok(&["schedule", "set", &name, "--retries", "2"]);
    let changed = import(&nest, &format!("5 5 * * * new\n{REAL}"), &["--apply"]);
    assert_eq!((changed["added"].as_i64(), &lines(&changed)[4]["action"]), (Some(1), &json!("differs")));
    assert_eq!(nest.json(&["schedule", "show", &name, "--json"])["template"]["max_attempts"], 3);
}

#[test]
fn shell_variables_and_input_reach_the_job() {
    let nest = Nest::new();
    let home = nest.file("home");
    std::fs::create_dir(&home).unwrap();
    let mut text = format!("HOME={}\nA = \"b c\"\nSHELL=/bin/sh\n", home.display());
    let _text_takes_all = writeln!(text, "* * * * * pwd; echo \"$A\" $0; cat%one%\\%two");
    let new = import(&nest, &text, &["--apply", "--overlap", "allow"]);
    let name = lines(&new)[3]["name"].as_str().unwrap().to_owned();
    let id: i64 = nest.ok(&["schedule", "run", &name]).trim().parse().unwrap();
    nest.work_until_idle(&[]);
    assert_eq!(nest.log(id), format!("{}\nb c /bin/sh\none\n%two", home.display()));
    assert_eq!(nest.json(&["schedule", "show", &name, "--json"])["overlap"], "allow");
}

#[test]
fn what_cannot_be_done_is_told_and_nothing_is_added() {
    let nest = Nest::new();
    let text = "MAILTO=ops@example.org\n@daily good\n61 * * * * bad\n* * * * *\n0 0 * * 8 x\n@daily good\n@fortnightly x\nTENURE_JOB=7\nCRON_TZ=Mars/X\nRANDOM_DELAY=x\nnonsense\n";
    let shown = import(&nest, text, &[]);
    let actions: Vec<String> = lines(&shown).iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect();
    let expected = ["unsupported", "add"].into_iter().chain(std::iter::repeat_n("unsupported", 9));
    assert_eq!((actions, shown["unsupported"].as_i64()), (expected.map(String::from).collect(), Some(10)));
    for (line, told) in [
        (0, "no mail"),
        (2, "out of range"),
        (3, "command is missing"),
        (5, "line 2"),
        (6, "@reboot"),
        (7, "TENURE"),
        (8, "Mars"),
    ] {
        assert!(lines(&shown)[line]["detail"].as_str().unwrap().contains(told), "{told}: {}", lines(&shown)[line]);
    }
    let refused = nest.say(&["schedule", "import", "crontab", "--apply"]);
    assert!(refused.code == 6 && refused.err.contains("--skip-unsupported") && !nest.db().exists(), "{refused:?}");
    assert!(refused.out.contains("line 3: 61 * * * * bad\n  cannot be done: "), "{}", refused.out);
    let applied = import(&nest, text, &["--apply", "--skip-unsupported"]);
    assert_eq!((applied["added"].as_i64(), names(&nest).len()), (Some(1), 1));
}

#[test]
fn hostile_and_empty_crontabs_are_read() {
    let nest = Nest::new();
    for text in ["", "\n\n# only a comment\n", "\r\n"] {
        assert_eq!(import(&nest, text, &["--apply"])["lines"], json!([]), "{text:?}");
    }
    let hostile = "* * * * * echo \x1b[2J\x07 \u{202e}\n\x1b]0;x\x07=y\n* * * * * a\0b\n";
    std::fs::write(nest.file("crontab"), [hostile.as_bytes(), b"0 0 * * * \xff\xfe\n"].concat()).unwrap();
    let said = nest.say(&["schedule", "import", "crontab"]);
    assert!(said.code == 0 && !said.out.contains(['\x1b', '\x07', '\0']), "{said:?}");
    assert!(said.out.contains("NUL byte") && said.out.contains("not UTF-8"), "{}", said.out);
    std::fs::write(nest.file("crontab"), "x".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(nest.say(&["schedule", "import", "crontab"]).code, 2, "too large");
    let long = format!("* * * * * {}", "x".repeat(200_000));
    assert_eq!(import(&nest, &long, &[])["unsupported"], 1);
    let many: String = (0..2_000).fold(String::new(), |text, n| text + &format!("{} {} * * * job-{n}\n", n % 60, n % 24));
    assert_eq!(import(&nest, &many, &["--apply"])["added"], 2_000);
    for file in ["none", "/"] {
        let said = nest.say(&["schedule", "import", file]);
        assert!(said.code == 2 && said.err.contains(file), "{said:?}");
    }
}

#[test]
fn a_system_crontab_names_users() {
    let nest = Nest::new();
    let own = std::fs::read_to_string("/etc/passwd").unwrap();
    let uid = rustix::process::geteuid().as_raw().to_string();
    let own = own.lines().find(|line| line.split(':').nth(2) == Some(&uid)).unwrap().split(':').next().unwrap().to_owned();
    let text = format!(
        "0 1 * * * {own} own\n0 2 * * * no-such-user x\n0 3 * * * daemon theirs\nRANDOM_DELAY=30\nCRON_TZ=Asia/Kolkata\n0 4 * * * {own} later\n"
    );
    let shown = import(&nest, &text, &["--system-crontab"]);
    let all = lines(&shown);
    assert_eq!(
        (&all[0]["action"], &all[0]["user"], &all[0]["command"]),
        (&json!("add"), &Value::Null, &json!(["/bin/sh", "-c", "own"]))
    );
    assert!(all[1]["detail"].as_str().unwrap().contains("does not exist here"), "{}", all[1]);
    match uid.as_str() {
        "0" => assert_eq!((&all[2]["action"], &all[2]["user"]), (&json!("add"), &json!("daemon"))),
        _ => assert!(all[2]["detail"].as_str().unwrap().contains("worker of root"), "{}", all[2]),
    }
    assert_eq!(all[5]["zone"], "Asia/Kolkata");
    let applied = import(&nest, &text, &["--system-crontab", "--apply", "--skip-unsupported"]);
    let name = lines(&applied)[5]["name"].as_str().unwrap().to_owned();
    assert_eq!(nest.json(&["schedule", "show", &name, "--json"])["jitter_ms"], 30 * MINUTE_MS);
}

#[test]
fn a_crontab_comes_from_standard_input() {
    let nest = Nest::new();
    let mut command = nest.tenure(&["schedule", "import", "-", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"@hourly date\n").unwrap();
    let document: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(lines(&document)[0]["action"], "add");
}
