//! Schedules as people and scripts meet them.

use serde_json::{Value, json};

use crate::support::{Nest, until};

fn add(nest: &Nest, name: &str, cron: &str, options: &[&str]) {
    nest.ok(&[&["schedule", "add", name, cron], options, &["--", "/bin/sh", "-c", "echo $TENURE_SCHEDULED_FOR"]].concat());
}

fn schedule(nest: &Nest, name: &str) -> Value {
    let listed = nest.json(&["schedule", "ls", "--json"]);
    listed["schedules"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}

fn occurrences(nest: &Nest, verb: &str, name: &str, n: &str) -> Vec<Value> {
    nest.json(&["schedule", verb, name, "-n", n, "--json"])["occurrences"].as_array().unwrap().clone()
}

#[test]
fn a_schedule_is_listed_with_its_next_occurrence_and_removed() {
    let nest = Nest::new();
    add(&nest, "nightly", "30 3 * * *", &["--tz", "Europe/Berlin", "-q", "slow", "--catch-up", "all", "--catch-up-max", "7"]);
    let one = schedule(&nest, "nightly");
    assert_eq!(
        (&one["cron"], &one["zone"], &one["catch_up"], &one["catch_up_max"]),
        (&json!("30 3 * * *"), &json!("Europe/Berlin"), &json!("all"), &json!(7))
    );
    assert_eq!(
        (&one["paused"], &one["last_at"], &one["queue"], &one["error"]),
        (&json!(false), &Value::Null, &json!("slow"), &Value::Null)
    );
    assert!(one["next_at"].as_str().unwrap().ends_with(":30:00.000Z"), "{one}");
    let text = nest.ok(&["schedule", "ls"]);
    assert!(text.lines().count() == 2 && text.contains("nightly") && text.contains("30 3 * * *"), "{text}");
    let status = nest.status();
    assert_eq!((&status["schedules"]["count"], &status["schedules"]["next"]), (&json!(1), &json!("nightly")));
    assert!(nest.ok(&["status"]).contains("cron    1 schedule; next occurrence"), "{}", nest.ok(&["status"]));
    assert_eq!(status["problems"][0]["code"], "no_worker", "a schedule waits for a worker: {status}");
    assert_eq!(nest.say(&["schedule", "rm", "nightly"]).code, 0);
    assert_eq!(nest.json(&["schedule", "ls", "--json"]), json!({"schema": 1, "schedules": []}));
    assert!(nest.say(&["schedule", "ls"]).err.contains("tenure schedule add"));
    add(&nest, "nightly", "@daily", &[]);
    assert_eq!(schedule(&nest, "nightly")["zone"], "UTC", "the zone here");
}

#[test]
fn the_calendar_shows_zone_and_utc_and_clock_changes() {
    let nest = Nest::new();
    add(&nest, "b", "30 2 * * *", &["--tz", "Europe/Berlin"]);
    let occurrences = occurrences(&nest, "next", "b", "800");
    assert_eq!(occurrences.len(), 800);
    let at: Vec<&str> = occurrences.iter().map(|occurrence| occurrence["at"].as_str().unwrap()).collect();
    let changed: Vec<_> = at.iter().filter(|at| at.contains("T03:00:00+02:00")).collect();
    assert!((2..=3).contains(&changed.len()) && changed.iter().all(|at| at.contains("-03-")), "{changed:?}");
    for occurrence in &occurrences {
        let (at, utc) = (occurrence["at"].as_str().unwrap(), occurrence["utc"].as_str().unwrap());
        assert_eq!(at.parse::<jiff::Timestamp>().unwrap(), utc.parse::<jiff::Timestamp>().unwrap());
        assert!(utc.ends_with(".000Z"), "{utc}");
    }
    assert!(nest.ok(&["schedule", "next", "b", "-n", "1"]).starts_with("AT"));
}

#[test]
fn invalid_arguments_end_with_2_and_leave_no_file() {
    let nest = Nest::new();
    let huge = "x".repeat(100_000);
    for (args, remedy) in [
        (vec!["n", "* * * *", "--", "x"], "30 3 * * 1-5"),
        (vec!["n", "* * * * * *", "--", "x"], "30 3 * * 1-5"),
        (vec!["n", "61 * * * *", "--", "x"], "30 3 * * 1-5"),
        (vec!["n", "\x1b[2J", "--", "x"], "30 3 * * 1-5"),
        (vec!["n", &huge, "--", "x"], "30 3 * * 1-5"),
        (vec!["n", "@daily", "--tz", "Mars/Olympus", "--", "x"], "Europe/Berlin"),
        (vec!["n", "@daily", "--tz", "../../etc/passwd", "--", "x"], "Europe/Berlin"),
        (vec!["n", "@daily", "--tz", &huge, "--", "x"], "Europe/Berlin"),
        (vec!["a b", "@daily", "--", "x"], "nightly-backup"),
        (vec!["", "@daily", "--", "x"], "nightly-backup"),
        (vec!["\x1b]0;x\x07", "@daily", "--", "x"], "nightly-backup"),
        (vec![&huge, "@daily", "--", "x"], "nightly-backup"),
        (vec!["n", "@daily", "--catch-up", "some", "--", "x"], "none, latest or all"),
        (vec!["n", "@daily", "--catch-up-max", "0", "--", "x"], "1"),
        (vec!["n", "@daily"], "after --"),
    ] {
        let said = nest.say(&[&["schedule", "add"], args.as_slice()].concat());
        assert!(said.code == 2 && said.err.contains(remedy), "{:?}: {said:?}", &args[0].get(..20));
        assert!(said.err.len() < 4_000 && !said.err.contains('\x1b'), "{}", said.err);
        assert!(!nest.db().exists());
    }
    for (options, remedy) in [
        (vec!["--at", "03:00"], "--delay"),
        (vec!["--after", "1"], "omit it"),
        (vec!["--stdin", "-"], "file"),
        (vec!["--secret", "HOME"], "file"),
        (vec!["--array", "0-9"], "--array"),
        (vec!["--expires", "2040-01-01"], "duration"),
    ] {
        let said = nest.say(&[&["schedule", "add", "n", "@daily"], options.as_slice(), &["--", "x"]].concat());
        assert!(said.code == 2 && said.err.contains(remedy), "{options:?}: {said:?}");
    }
    assert!(nest.json(&["schedule", "ls", "--json"])["schedules"].as_array().unwrap().is_empty());
}

#[test]
fn a_missing_schedule_is_3_and_an_existing_one_is_6() {
    let nest = Nest::new();
    assert_eq!(nest.say(&["schedule", "rm", "x"]).code, 4, "no file");
    add(&nest, "n", "@daily", &[]);
    for verb in ["rm", "pause", "resume", "next", "history"] {
        let said = nest.say(&["schedule", verb, "x\x1b[2J"]);
        assert!(said.code == 3 && said.err.contains("schedule ls") && !said.err.contains('\x1b'), "{verb}: {said:?}");
    }
    let said = nest.say(&["schedule", "rm", "n", "x"]);
    assert_eq!((said.code, schedule(&nest, "n")["name"].as_str()), (3, Some("n")), "all or none");
    let again = nest.say(&["schedule", "add", "n", "@daily", "--", "true"]);
    assert!(again.code == 6 && again.err.contains("tenure schedule rm n"), "{again:?}");
}

#[test]
fn a_line_that_is_never_due_says_so() {
    let nest = Nest::new();
    let said = nest.say(&["schedule", "add", "never", "0 0 30 2 *", "--", "true"]);
    assert!(said.code == 0 && said.err.contains("never due"), "{said:?}");
    let next = nest.say(&["schedule", "next", "never"]);
    assert!(next.code == 0 && next.out.is_empty() && next.err.contains("never due"), "{next:?}");
    assert!(nest.ok(&["schedule", "ls"]).contains("never"));
    assert_eq!(nest.json(&["schedule", "next", "never", "--json"])["occurrences"], json!([]));
}

#[test]
fn a_job_of_a_schedule_knows_its_occurrence_and_its_schedule() {
    let nest = Nest::new();
    add(&nest, "often", "*/10 * * * *", &["--tz", "Asia/Kolkata"]);
    nest.sleep_through("often", 60);
    // A worker that is to end makes what is due, and does not wait for the next occurrence.
    nest.work_until_idle(&[]);
    let job = nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().first().cloned().expect("its job");
    let id = job["id"].as_i64().unwrap();
    assert_eq!((nest.until_ended(id)["state"].as_str(), job["label"].as_str()), (Some("done"), Some("often")));
    let occurrences = occurrences(&nest, "history", "often", "10");
    let fired = occurrences.iter().find(|occurrence| occurrence["state"] == "fired").unwrap();
    assert_eq!((fired["job"].as_i64(), fired["at"].as_str().unwrap()), (Some(id), nest.log(id).trim()));
    assert!(fired["at"].as_str().unwrap().ends_with("+05:30"));
    let skipped = &occurrences[0];
    assert_eq!((&skipped["state"], &skipped["reason"]), (&json!("skipped"), &json!("missed")));
    assert!((4..=6).contains(&skipped["n"].as_i64().unwrap()), "{skipped}");
    let told = format!("by schedule often, occurrence {}", nest.log(id).trim());
    assert!(nest.ok(&["show", &id.to_string()]).contains(&told));
    assert!(nest.ok(&["history", &id.to_string()]).contains(&told));
    let listed = schedule(&nest, "often");
    assert_eq!((&listed["last_job"], &listed["skipped"]["n"]), (&json!(id), &skipped["n"]));
    assert!(nest.ok(&["schedule", "ls"]).contains("(missed)"));
    assert!(nest.ok(&["schedule", "history", "often"]).contains("skipped (missed)"));
}

/// What was missed between a backup and its return has been done, or not, by another life of the file.
#[test]
fn a_restored_file_makes_no_job_of_a_missed_occurrence() {
    for put_back in ["restore", "copy", "nothing"] {
        let nest = Nest::new();
        add(&nest, "often", "0 * * * *", &["--catch-up", "all"]);
        nest.sleep_through("often", 300);
        let backup = nest.file("backup");
        nest.ok(&["backup", backup.to_str().unwrap()]);
        match put_back {
            "restore" => drop(nest.ok(&["restore", backup.to_str().unwrap()])),
            "copy" => {
                // The worker has been further than the copy, as the directory beside the file remembers.
                nest.work_until_idle(&[]);
                nest.add(&["--", "true"]);
                nest.work_until_idle(&[]);
                for beside in ["q.db-wal", "q.db-shm"] {
                    let _not_there_after_a_clean_end = std::fs::remove_file(nest.file(beside));
                }
                std::fs::copy(&backup, nest.db()).unwrap();
            }
            _ => {}
        }
        nest.work_until_idle(&[]);
        let jobs = nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len();
        let expected = if put_back == "nothing" { 4..=6 } else { 0..=0 };
        assert!(expected.contains(&jobs), "{put_back}: {jobs} jobs were made");
    }
}

#[test]
fn a_plain_client_pauses_a_schedule_and_reads_the_view() {
    let nest = Nest::new();
    add(&nest, "often", "* * * * *", &["--catch-up", "all"]);
    let _worker = nest.work(&[]);
    let sql = nest.sql();
    sql.execute("UPDATE schedule SET paused = 1 WHERE name = 'often'", []).unwrap();
    assert_eq!((&schedule(&nest, "often")["paused"], &schedule(&nest, "often")["next_at"]), (&json!(true), &Value::Null));
    assert!(nest.ok(&["schedule", "ls"]).contains("paused"));
    assert!(nest.say(&["schedule", "next", "often"]).err.contains("tenure schedule resume often"));
    assert!(nest.say(&["schedule", "pause", "often"]).err.contains("already"));
    // It was paused an hour ago.
    nest.sleep_through("often", 60);
    sql.execute("UPDATE schedule SET paused_at = paused_at - 3600000", []).unwrap();
    sql.execute("UPDATE schedule SET paused = 0 WHERE name = 'often'", []).unwrap();
    let skipped = until("the pause to be told", || {
        occurrences(&nest, "history", "often", "100").into_iter().find(|occurrence| occurrence["reason"] == "paused")
    });
    assert!(skipped["n"].as_i64().unwrap() >= 59, "{skipped}");
    let (name, next): (String, Option<i64>) =
        sql.query_row("SELECT name, next_at FROM schedules", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(name == "often" && next.is_some());
}

#[test]
fn a_schedule_that_was_bent_by_hand_is_a_problem_with_a_remedy() {
    let nest = Nest::new();
    add(&nest, "bent", "* * * * *", &[]);
    nest.sleep_through("bent", 10);
    nest.owner().execute("UPDATE schedule SET template = json_set(template, '$.qeueu', 'x')", []).unwrap();
    let _worker = nest.work(&[]);
    let problem = until("the problem", || {
        nest.status()["problems"].as_array().unwrap().iter().find(|problem| problem["code"] == "schedule_failed").cloned()
    });
    assert!(
        problem["text"].as_str().unwrap().contains("qeueu")
            && problem["remedy"].as_str().unwrap().contains("tenure schedule rm bent")
    );
    assert!(schedule(&nest, "bent")["error"].as_str().unwrap().contains("qeueu"));
    assert_eq!(nest.say(&["schedule", "next", "bent"]).code, 0);
    let doctor = nest.say(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("bent: occurrence "), "{doctor:?}");
}

#[test]
fn old_occurrences_are_pruned_and_a_restore_continues_from_now() {
    let nest = Nest::new();
    add(&nest, "often", "0 * * * *", &["--catch-up", "all"]);
    nest.sleep_through("often", 24 * 60);
    let worker = nest.work(&[]);
    until("the last job", || (nest.status()["counts"]["done"].as_i64() >= Some(24)).then_some(()));
    worker.stop();
    let pruned = nest.json(&["prune", "--older-than", "12h", "--json"]);
    assert!((11..=13).contains(&pruned["occurrences"].as_i64().unwrap()), "{pruned}");
    nest.sleep_through("often", 24 * 60);
    nest.ok(&["backup", "copy.db"]);
    nest.ok(&["restore", "copy.db"]);
    let before = nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len();
    let worker = nest.work(&[]);
    nest.sh(&[], "true");
    until("a round of the worker", || (nest.state(i64::try_from(before).unwrap() + 1) == "done").then_some(()));
    worker.stop();
    assert!(occurrences(&nest, "history", "often", "1000").iter().all(|occurrence| occurrence["reason"] != "missed"));
}
