//! A job or a task that is being cancelled has released its key: a new request is accepted in each form.

use crate::faces::said::end;
use crate::support::{Nest, Worker, until};

/// How the job that has the key is being cancelled.
const ENDING: &[&str] =
    &["queued, cancelled by SQL", "running, cancelled by SQL", "running, being stopped", "running, being replaced"];

/// How the key is asked for.
const ASKED: &[&str] = &["add", "add --replace", "add --from", "run", "plain SQL", "INSERT OR REPLACE", "schedule", "retry"];

/// It says that it was told to end, does not, and its grace is longer than the test.
const STUBBORN: &str = "trap ': > told' TERM; : > begun; while :; do sleep 0.1; done";

struct Case {
    nest: Nest,
    worker: Option<Worker>,
    old: i64,
    /// One with the key that has ended before, for a retry.
    before: Option<i64>,
}

/// A job with the key `k` that is being cancelled.
fn begin(ending: &str, asked: &str) -> Case {
    let nest = Nest::new();
    let before = (asked == "retry").then(|| {
        let id = nest.sh(&["--unique", "k"], "test -e again");
        nest.work_until_idle(&[]);
        std::fs::write(nest.file("again"), "").unwrap();
        id
    });
    if ending.starts_with("queued") {
        let old = nest.sh(&["--unique", "k"], "true");
        nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [old]).unwrap();
        return Case { nest, worker: None, old, before };
    }
    let worker = nest.work(&["--slots", "4"]);
    let old = nest.sh(&["--unique", "k", "--grace", "10m"], STUBBORN);
    until("the job to begin", || nest.file("begun").exists().then_some(()));
    match ending {
        "running, cancelled by SQL" => drop(nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [old]).unwrap()),
        "running, being replaced" => drop(nest.sh(&["--unique", "k", "--replace", "--hold"], "true")),
        _ => drop(nest.ok(&["cancel", &old.to_string()])),
    }
    if ending == "running, being replaced" {
        nest.sql().execute("INSERT INTO cancel (job_id) SELECT max(id) FROM job", []).unwrap();
    }
    Case { nest, worker: Some(worker), old, before }
}

/// Asks for the key; the new job.
fn ask(case: &Case, asked: &str) -> i64 {
    let nest = &case.nest;
    let sql = |or: &str| -> i64 {
        let insert = format!("INSERT {or} INTO job (command, unique_key) VALUES ('[\"true\"]', 'k') RETURNING id");
        nest.sql().query_row(&insert, [], |row| row.get(0)).expect("a plain client may add it")
    };
    match asked {
        "add" => nest.sh(&["--unique", "k"], "true"),
        "add --replace" => nest.sh(&["--unique", "k", "--replace"], "true"),
        "add --from" => {
            std::fs::write(nest.file("lines"), r#"{"command": ["true"], "unique": "k"}"#).unwrap();
            nest.ok(&["add", "--from", "lines"]).parse().unwrap()
        }
        "run" => {
            let said = nest.say(&["run", "--unique", "k", "--", "true"]);
            assert_eq!(said.code, 0, "{said:?}");
            newest(nest)
        }
        "plain SQL" => sql(""),
        "INSERT OR REPLACE" => sql("OR REPLACE"),
        "schedule" => {
            nest.ok(&["schedule", "add", "s", "* * * * *", "--unique", "k", "--", "true"]);
            nest.sleep_through("s", 2);
            if case.worker.is_none() {
                nest.work_until_idle(&[]);
            }
            until("the occurrence to be fired", || {
                let fired = "SELECT job_id FROM occurrence WHERE state = 'fired' ORDER BY at DESC LIMIT 1";
                let skipped: i64 = nest
                    .sql()
                    .query_row("SELECT count(*) FROM occurrence WHERE reason = 'unique'", [], |row| row.get(0))
                    .unwrap();
                assert_eq!(skipped, 0, "an occurrence was skipped for a job that is being cancelled");
                rusqlite::OptionalExtension::optional(nest.sql().query_row(fired, [], |row| row.get(0))).unwrap()
            })
        }
        "retry" => {
            let before = case.before.expect("one that has ended");
            nest.ok(&["retry", &before.to_string()]);
            before
        }
        other => unreachable!("{other}"),
    }
}

fn newest(nest: &Nest) -> i64 {
    nest.sql().query_row("SELECT max(id) FROM job", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_job_that_is_being_cancelled_does_not_have_its_key() {
    for ending in ENDING {
        for asked in ASKED {
            let case = begin(ending, asked);
            let new = ask(&case, asked);
            assert_ne!(new, case.old, "{ending}, {asked}");
            if case.worker.is_none() {
                case.nest.work_until_idle(&[]);
            }
            let job = case.nest.until_ended(new);
            assert_eq!(end(&job), "done/exit", "{ending}, {asked}: {job}");
            let old = case.nest.show(case.old);
            if case.worker.is_some() {
                assert_eq!(old["state"], "running", "{ending}, {asked}: {old}");
                // Otherwise it ends by a signal that has nothing to do with the cancel.
                until("the job to be told to end", || case.nest.file("told").exists().then_some(()));
                crate::support::kill(i32::try_from(old["pid"].as_i64().unwrap()).unwrap(), crate::support::Signal::KILL);
            }
            assert_eq!(case.nest.until_ended(case.old)["state"], "cancelled", "{ending}, {asked}");
            // The key is one job's at a time, then as before.
            let third = case.nest.sh(&["--unique", "k", "--hold"], "true");
            assert_eq!(case.nest.sh(&["--unique", "k"], "true"), third, "{ending}, {asked}");
        }
    }
}

#[test]
fn a_cancelled_job_is_not_retried_beside_the_owner_of_its_key() {
    let nest = Nest::new();
    let old = nest.sh(&["--unique", "k"], "true");
    nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [old]).unwrap();
    let new = nest.sh(&["--unique", "k", "--hold"], "true");
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(old), "cancelled");
    let said = nest.say(&["retry", &old.to_string()]);
    assert!(said.code == 6 && said.err.contains(&format!("job {new}")), "{said:?}");
    nest.ok(&["cancel", &new.to_string()]);
    nest.ok(&["retry", &old.to_string()]);
    assert_eq!(nest.sh(&["--unique", "k"], "true"), old, "and has its key again");
}

#[test]
fn no_client_takes_the_key_of_a_job_that_goes_on() {
    let nest = Nest::new();
    let old = nest.sh(&["--unique", "k", "--hold"], "true");
    let conn = nest.sql();
    for sql in [
        "UPDATE job SET key_taken = 1",
        "UPDATE OR REPLACE job SET key_taken = 1",
        "UPDATE job SET key_taken = 7",
        "INSERT INTO job (command, unique_key) VALUES ('[\"true\"]', 'k')",
        "INSERT OR REPLACE INTO job (command, unique_key) VALUES ('[\"true\"]', 'k')",
        "INSERT INTO job (command, unique_key, key_taken) VALUES ('[\"true\"]', 'k', 1)",
    ] {
        assert!(conn.execute(sql, []).is_err(), "{sql}");
    }
    assert_eq!(nest.sh(&["--unique", "k"], "true"), old);
}

const PIPELINE: &str = "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; : > begun; while ! test -e go; do sleep 0.1; done\"]\ngrace = \"10m\"\n";

#[test]
fn a_task_that_is_being_stopped_does_not_have_its_key() {
    for critical in [false, true] {
        for how in ["task stop", "cancel", "SQL", "not begun"] {
            let nest = Nest::new();
            let extra = if critical { "critical = true\n" } else { "" };
            std::fs::write(nest.file("p.toml"), format!("{PIPELINE}{extra}")).unwrap();
            nest.ok(&["pipeline", "apply", "p.toml"]);
            let worker = (how != "not begun").then(|| nest.work(&["--slots", "4"]));
            let first = nest.ok(&["task", "start", "p", "--key", "k"]);
            let task = nest.json(&["task", "show", &first, "--json"]);
            let job = task["job"].as_i64().or_else(|| task["job_id"].as_i64()).unwrap_or_else(|| panic!("{task}"));
            if how == "not begun" {
                nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [job]).unwrap();
            } else {
                until("the job to begin", || nest.file("begun").exists().then_some(()));
            }
            match how {
                "task stop" => drop(nest.ok(&["task", "stop", &first])),
                "cancel" => drop(nest.ok(&["cancel", &job.to_string()])),
                _ => drop(nest.sql().execute("INSERT OR IGNORE INTO cancel (job_id) VALUES (?1)", [job]).unwrap()),
            }
            let second = nest.ok(&["task", "start", "p", "--key", "k"]);
            assert_ne!(first, second, "{how}, critical {critical}");
            assert_eq!(nest.ok(&["task", "start", "p", "--key", "k"]), second, "{how}: one task has it at a time");
            std::fs::write(nest.file("go"), "").unwrap();
            if worker.is_none() {
                nest.work_until_idle(&[]);
            }
            let state = |task: &str| nest.json(&["task", "show", task, "--json"])["state"].as_str().unwrap().to_owned();
            until("both tasks to end", || (state(&first) != "running" && state(&second) != "running").then_some(()));
            assert_eq!((state(&first).as_str(), state(&second).as_str()), ("cancelled", "done"), "{how}, critical {critical}");
        }
    }
}
