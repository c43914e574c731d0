//! A schedule is shown, changed in place, and run by hand; and what its line says besides five fields.

use serde_json::{Value, json};

use crate::support::{Nest, until};

fn show(nest: &Nest, name: &str) -> Value {
    nest.json(&["schedule", "show", name, "--json"])
}

fn add(nest: &Nest, options: &[&str]) {
    let base = ["schedule", "add", "n", "30 3 * * *", "--tz", "UTC", "-q", "slow", "--lane", "l", "-r", "2", "-t", "1h"];
    nest.ok(&[&base[..], options, &["--", "true"]].concat());
}

#[test]
fn a_schedule_is_shown_with_options_calendar_and_jobs() {
    let nest = Nest::new();
    nest.ok(&["schedule", "add", "n", "* * * * *", "--tz", "Asia/Kolkata", "-t", "1h", "-e", "A=b c", "--", "/bin/false"]);
    nest.sleep_through("n", 10);
    nest.work_until_idle(&[]);
    let shown = show(&nest, "n");
    assert_eq!((&shown["name"], &shown["cron"], &shown["zone"]), (&json!("n"), &json!("* * * * *"), &json!("Asia/Kolkata")));
    assert_eq!(
        (&shown["template"]["command"], &shown["template"]["policy"]["timeout_ms"]),
        (&json!(["/bin/false"]), &json!(3_600_000))
    );
    assert_eq!(shown["next"].as_array().map(Vec::len), Some(10));
    let latest = shown["latest"].as_array().unwrap();
    let (skipped, fired) = (&latest[0], latest.last().unwrap());
    assert_eq!(
        (&skipped["state"], &skipped["reason"], &skipped["job_state"]),
        (&json!("skipped"), &json!("missed"), &Value::Null)
    );
    assert_eq!((&fired["state"], &fired["job_state"]), (&json!("fired"), &json!("failed")));
    assert_eq!((&fired["job_reason"], &fired["job_exit_code"]), (&json!("exit"), &json!(1)));
    let text = nest.ok(&["schedule", "show", "n", "-n", "2"]);
    for word in ["* * * * *", "Asia/Kolkata", "/bin/false", "1h", "'A=b c'", "+05:30", "failed (exit), exit 1", "catch up"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    nest.ok(&["schedule", "pause", "n"]);
    assert!(nest.ok(&["schedule", "show", "n"]).contains("tenure schedule resume n"));
}

#[test]
fn set_changes_only_what_is_given_and_keeps_the_history() {
    let nest = Nest::new();
    add(&nest, &["-e", "A=1", "-e", "B=2"]);
    nest.sleep_through("n", 24 * 60);
    nest.work_until_idle(&[]);
    let before = show(&nest, "n");
    assert!(!before["latest"].as_array().unwrap().is_empty());
    nest.ok(&["schedule", "set", "n", "--unset", "timeout", "--unset", "lane", "-e", "B=3", "--", "echo", "x"]);
    let after = show(&nest, "n");
    let mut expected = before.clone();
    let template = &mut expected["template"];
    (template["command"], template["env"]["B"]) = (json!(["echo", "x"]), json!("3"));
    template.as_object_mut().unwrap().remove("lane");
    template["policy"].as_object_mut().unwrap().remove("timeout_ms");
    expected["command"] = json!(["echo", "x"]);
    assert_eq!(after, expected);
    let said = nest.say(&["schedule", "set", "n", "--cron", "0 4 * * *", "--tz", "Europe/Berlin", "--catch-up", "none"]);
    assert!(said.code == 0 && said.err.contains("the next occurrence of n is") && said.err.contains("T04:00:00+0"), "{said:?}");
    let moved = show(&nest, "n");
    assert_eq!(
        (&moved["id"], &moved["created_at"], &moved["latest"][0]["at"].as_str().map(|at| at.len())),
        (&before["id"], &before["created_at"], &Some(25))
    );
    assert_eq!(
        (&moved["cron"], &moved["zone"], &moved["catch_up"]),
        (&json!("0 4 * * *"), &json!("Europe/Berlin"), &json!("none"))
    );
    assert_eq!(moved["template"], after["template"]);
    assert!(moved["next_at"].as_str().unwrap() > before["latest"][0]["utc"].as_str().unwrap());
}

#[test]
fn another_line_catches_nothing_up_and_records_it() {
    let nest = Nest::new();
    nest.ok(&["schedule", "add", "n", "0 * * * *", "--catch-up", "all", "--", "true"]);
    nest.sleep_through("n", 300);
    nest.ok(&["schedule", "set", "n", "--cron", "@yearly"]);
    let latest = show(&nest, "n")["latest"].clone();
    let missed = latest.as_array().unwrap().iter().find(|one| one["reason"] == "missed").expect("a record");
    assert!((4..=5).contains(&missed["n"].as_i64().unwrap()), "{missed}");
    nest.work_until_idle(&[]);
    assert!(nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len() <= 1);
}

#[test]
fn a_wrong_change_is_refused_and_changes_nothing() {
    let nest = Nest::new();
    add(&nest, &[]);
    let before = show(&nest, "n");
    let huge = "x".repeat(100_000);
    for (args, code, told) in [
        (vec!["n"], 2, "nothing to change"),
        (vec!["none", "--cron", "@daily"], 3, "schedule ls"),
        (vec!["n", "--cron", "61 * * * *"], 2, "30 3 * * 1-5"),
        (vec!["n", "--cron", ""], 2, "30 3 * * 1-5"),
        (vec!["n", "--cron", &huge], 2, "200"),
        (vec!["n", "--cron", "\x1b[2J"], 2, "30 3 * * 1-5"),
        (vec!["n", "--tz", "Mars/Olympus"], 2, "Europe/Berlin"),
        (vec!["n", "--catch-up", "some"], 2, "none, latest or all"),
        (vec!["n", "--overlap", "some"], 2, "skip, queue or allow"),
        (vec!["n", "--overlap", ""], 2, "overlap"),
        (vec!["n", "--jitter", "10"], 2, "unit"),
        (vec!["n", "--jitter", "25h"], 2, "24h"),
        (vec!["n", "--jitter=-5m"], 2, "in the past"),
        (vec!["n", "--jitter", &huge], 2, "duration"),
        (vec!["n", "--unset", "command"], 2, "unset"),
        (vec!["n", "--unset", "lane", "--lane", "k"], 2, "give one of them"),
        (vec!["n", "--at", "03:00"], 2, "--delay"),
        (vec!["n", "--warn", "USR1@2h"], 2, "timeout"),
        (vec!["n", "--expires", "0s"], 2, "expire"),
        (vec!["n", "-q", ""], 2, "queue"),
        (vec!["n", "--array", "0-9"], 2, "--array"),
        (vec!["n", "-c", "x", "--", "y"], 2, "not both"),
        (vec!["n", "--cwd", &huge], 2, "cwd"),
    ] {
        let said = nest.say(&[&["schedule", "set"], args.as_slice()].concat());
        assert!(said.code == code && said.err.contains(told), "{:.60?}: {}", args, said.err.get(..600).unwrap_or(&said.err));
        assert!(said.err.len() < 4_000 && !said.err.contains('\x1b'), "{}", said.err.len());
    }
    assert_eq!(show(&nest, "n"), before);
    for verb in ["show", "run"] {
        let said = nest.say(&["schedule", verb, "x\x1b[2J"]);
        assert!(said.code == 3 && said.err.contains("schedule ls") && !said.err.contains('\x1b'), "{verb}: {said:?}");
    }
}

#[test]
fn a_schedule_is_run_by_hand_also_while_it_is_paused() {
    let nest = Nest::new();
    nest.ok(&[
        "schedule",
        "add",
        "n",
        "@yearly",
        "--tz",
        "Asia/Kolkata",
        "--overlap",
        "allow",
        "--",
        "/bin/sh",
        "-c",
        "echo $TENURE_SCHEDULED_FOR",
    ]);
    nest.ok(&["schedule", "pause", "n"]);
    let id: i64 = nest.ok(&["schedule", "run", "n"]).trim().parse().unwrap();
    let other = nest.json(&["schedule", "run", "n", "--json"]);
    assert_eq!((other["existing"].as_bool(), other["id"].as_i64() > Some(id)), (Some(false), true));
    nest.work_until_idle(&[]);
    let log = nest.log(id);
    let now = jiff::Timestamp::now().as_second();
    let at: jiff::Timestamp = log.trim().parse().unwrap();
    assert!((now - at.as_second()).abs() < 600 && log.contains("+05:30"), "{log}");
    let made = format!("by schedule n, by hand at {}", log.trim());
    for verb in ["show", "history"] {
        assert!(nest.ok(&[verb, &id.to_string()]).contains(&made), "{verb}");
    }
    let shown = show(&nest, "n");
    assert_eq!(shown["latest"].as_array().unwrap().iter().filter(|one| one["job_state"] == "done").count(), 2, "{shown}");
    assert_eq!((&shown["paused"], &shown["last_job"]), (&json!(true), &other["id"]));
}

#[test]
fn a_unique_job_is_not_run_twice_by_hand() {
    let nest = Nest::new();
    nest.ok(&["schedule", "add", "n", "@yearly", "--overlap", "allow", "--unique", "k", "--", "true"]);
    let id = nest.ok(&["schedule", "run", "n"]);
    let again = nest.say(&["schedule", "run", "n"]);
    assert!(again.out.trim() == id.trim() && again.err.contains("has the unique key"), "{again:?}");
}

#[test]
fn names_distances_and_random_minutes_are_due() {
    let nest = Nest::new();
    let next = |line: &str| {
        nest.ok(&["schedule", "add", "n", line, "--tz", "UTC", "--", "true"]);
        let listed = nest.json(&["schedule", "next", "n", "-n", "3", "--json"])["occurrences"].clone();
        nest.ok(&["schedule", "rm", "n"]);
        listed.as_array().unwrap().iter().map(|one| one["utc"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (line, end) in [("@midnight", "T00:00:00.000Z"), ("@annually", "-01-01T00:00:00.000Z"), ("@hourly", ":00:00.000Z")] {
        assert!(next(line).iter().all(|at| at.ends_with(end)), "{line}");
    }
    let ms = |at: &String| at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let every = next("@every 1h30m");
    assert!(every.windows(2).all(|two| ms(&two[1]) - ms(&two[0]) == 5_400_000), "{every:?}");
    nest.ok(&["schedule", "add", "r", "0~59 3 * * *", "--tz", "UTC", "--", "true"]);
    let random = nest.json(&["schedule", "next", "r", "-n", "20", "--json"])["occurrences"].clone();
    let minutes: std::collections::BTreeSet<&str> =
        random.as_array().unwrap().iter().map(|one| &one["utc"].as_str().unwrap()[11..]).collect();
    assert_eq!(minutes.len(), 1, "one minute, which stays: {minutes:?}");
}

#[test]
fn a_step_that_is_no_distance_is_warned_of() {
    let nest = Nest::new();
    let said = nest.say(&["schedule", "add", "n", "*/90 * * * *", "--", "true"]);
    assert!(
        said.code == 0 && said.err.contains("*/90 in the minutes is 0 alone") && said.err.contains("'@every 90m'"),
        "{said:?}"
    );
    let said = nest.say(&["schedule", "set", "n", "--cron", "*/7 * * * *"]);
    assert!(said.code == 0 && said.err.contains("the last step is shorter"), "{said:?}");
    assert!(!nest.say(&["schedule", "set", "n", "--cron", "*/15 * * * *"]).err.contains("warning"));
}

#[test]
fn the_default_overlap_fits_the_other_options() {
    let nest = Nest::new();
    for (options, overlap) in [
        (&[][..], "skip"),
        (&["--catch-up", "none"], "skip"),
        (&["--catch-up", "all"], "queue"),
        (&["--unique", "k", "--replace"], "allow"),
        (&["--unique", "k", "--replace", "--overlap", "skip"], "skip"),
        (&["--catch-up", "all", "--overlap", "allow"], "allow"),
    ] {
        nest.ok(&[&["schedule", "add", "n", "@daily"], options, &["--", "true"]].concat());
        assert_eq!(show(&nest, "n")["overlap"], overlap, "{options:?}");
        nest.ok(&["schedule", "rm", "n"]);
    }
}

#[test]
fn an_occurrence_that_overlaps_is_skipped_and_told() {
    let nest = Nest::new();
    nest.ok(&["schedule", "add", "n", "* * * * *", "--tz", "UTC", "--hold", "--", "true"]);
    for _ in 0..2 {
        nest.sleep_through("n", 5);
        nest.work_until_idle(&[]);
    }
    let jobs = nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len();
    assert_eq!(jobs, 1);
    let latest = show(&nest, "n")["latest"].clone();
    let overlap = latest.as_array().unwrap().iter().find(|one| one["reason"] == "overlap").expect("one is skipped");
    assert_eq!((&overlap["job"], &overlap["job_state"]), (&json!(1), &json!("queued")));
    for verb in ["show", "history"] {
        assert!(nest.ok(&["schedule", verb, "n"]).contains("skipped (overlap)"), "{verb}");
    }
    let refused = nest.say(&["schedule", "run", "n"]);
    assert!(refused.code == 6 && refused.err.contains("tenure wait 1"), "{refused:?}");
    nest.ok(&["schedule", "set", "n", "--overlap", "queue"]);
    let id = nest.ok(&["schedule", "run", "n"]);
    assert!(nest.ok(&["why", id.trim()]).contains("job 1"), "{}", nest.ok(&["why", id.trim()]));
    let shown = show(&nest, "n");
    assert_eq!(
        (&shown["overlap"], &shown["latest"].as_array().unwrap().last().unwrap()["by_hand"]),
        (&json!("queue"), &json!(true))
    );
}

#[test]
fn a_jitter_is_shown_and_obeyed() {
    let nest = Nest::new();
    nest.ok(&["schedule", "add", "n", "* * * * *", "--tz", "UTC", "--jitter", "23h", "--", "true"]);
    let next = nest.json(&["schedule", "next", "n", "--json"])["occurrences"].clone();
    let ms = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let late: Vec<i64> = next.as_array().unwrap().iter().map(|one| ms(&one["starts_at"]) - ms(&one["utc"])).collect();
    assert!(late.iter().all(|late| (0..82_800_000).contains(late)) && late.iter().any(|late| *late > 60_000), "{late:?}");
    assert!(nest.ok(&["schedule", "next", "n"]).lines().next().unwrap().ends_with("STARTS"));
    assert!(nest.ok(&["schedule", "show", "n"]).contains("below 23h"));
    nest.sleep_through("n", 1);
    nest.work_until_idle(&[]);
    let shown = show(&nest, "n");
    let fired = shown["latest"].as_array().unwrap().last().unwrap();
    assert_eq!((&fired["state"], nest.show(1)["hold"].as_str()), (&json!("fired"), Some("time")), "{fired}");
    assert!(ms(&nest.show(1)["available_at"]) > ms(&fired["utc"]));
    nest.ok(&["schedule", "set", "n", "--jitter", "0s"]);
    assert_eq!(show(&nest, "n")["jitter_ms"], 0);
}

#[test]
fn a_boot_of_the_machine_makes_one_job() {
    let nest = Nest::new();
    let said = nest.say(&["schedule", "add", "n", "@reboot", "--", "/bin/sh", "-c", "echo $TENURE_SCHEDULED_FOR"]);
    assert!(said.code == 0 && said.err.contains("once in each boot"), "{said:?}");
    let jobs = || nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len();
    nest.work_until_idle(&[]);
    assert_eq!(jobs(), 0, "it was added in this boot");
    for text in [nest.ok(&["schedule", "ls"]), nest.ok(&["schedule", "show", "n"]), nest.say(&["schedule", "next", "n"]).err] {
        assert!(text.contains("boot") && !text.contains("never"), "{text}");
    }
    // As if the machine had been booted again since.
    nest.owner().execute("UPDATE schedule SET boot_id = 'an earlier one'", []).unwrap();
    for _ in 0..3 {
        nest.work_until_idle(&[]);
        let worker = nest.work(&[]);
        until("its job", || (jobs() == 1).then_some(()));
        worker.kill();
    }
    assert_eq!((jobs(), nest.state(1).as_str()), (1, "done"));
    assert!(nest.log(1).starts_with("20"), "{}", nest.log(1));
}
