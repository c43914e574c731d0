//! What a person does and reads, and what bad input comes to.

use serde_json::Value;

use crate::resources::thing::{TICK, ended_job, hurry, listed, make, of_job, resource, until_gone};
use crate::support::{Nest, Said, pid_in, until};

fn obey(nest: &Nest, command: &str) -> Said {
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &command.replacen("tenure", env!("CARGO_BIN_EXE_tenure"), 1)]).current_dir(nest.path()).env_clear();
    shell.env("PATH", "/usr/bin:/bin").env("TENURE_DB", nest.db()).env("HOME", nest.path());
    crate::support::said(shell.stdin(std::process::Stdio::null()).output().unwrap())
}

fn obstacle(nest: &Nest, job: i64) -> Option<Value> {
    let why = nest.json(&["why", &job.to_string(), "--json"]);
    why["obstacles"].as_array().unwrap().iter().find(|one| one["code"] == "resource").cloned()
}

#[test]
fn a_job_that_waits_for_a_teardown_prints_the_remedy() {
    let nest = Nest::new();
    let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], &format!("{}; exit 1", make("exit 5", "")));
    let _worker = nest.work(&TICK);
    let told = until("a failure to be told", || {
        hurry(&nest);
        obstacle(&nest, job).filter(|told| told["text"].as_str().unwrap().contains("2 times"))
    });
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("resource 1 \"thing\" of run") && text.contains("exit status 5"), "{text}");
    let remedy = told["remedy"].as_str().unwrap();
    let done = obey(&nest, remedy);
    assert_eq!(done.code, 0, "{remedy}: {done:?}");
    assert_eq!(resource(&nest, 1)["released_by"], "force");
    assert!(until("the next attempt", || Some(nest.show(job)["attempts"] == 2).filter(|is| *is)));
    nest.until_ended(job);
    nest.ok(&["resource", "release", "2", "--force"]);
}

#[test]
fn the_last_error_of_a_repeated_failure_is_shown() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let id = of_job(&nest, job, "vm", "echo no quota; exit 9", &[]);
    let doctor = |nest: &Nest| {
        let doctor = nest.say(&["doctor", "--json"]);
        let all: Value = serde_json::from_str(&doctor.out).unwrap();
        all["checks"].as_array().unwrap().iter().find(|one| one["code"] == "resources").unwrap().clone()
    };
    let waiting = doctor(&nest);
    assert_eq!((&waiting["ok"], &waiting["remedy"]), (&false.into(), &"tenure work".into()), "{waiting}");
    assert!(nest.ok(&["status"]).contains("1 resource waits to be torn down, and there is no worker"));
    for _ in 0..5 {
        nest.work_until_idle(&[]);
        hurry(&nest);
    }
    let problems = nest.status()["problems"].clone();
    let problem = problems.as_array().unwrap().iter().find(|one| one["code"] == "resource").expect("a problem");
    assert!(problem["text"].as_str().unwrap().contains("failed 5 times, the last time: teardown: exit status 9"), "{problem}");
    let wrong = doctor(&nest);
    assert!(wrong["text"].as_str().unwrap().contains("exit status 9"), "{wrong}");
    assert!(nest.ok(&["resource", "ls"]).contains("exit status 9"));
    let shown = nest.ok(&["resource", "show", &id.to_string()]);
    let log =
        shown.lines().find_map(|line| line.strip_prefix("log of run ")?.split_once(": ")).expect("names the log").1.to_owned();
    assert_eq!(std::fs::read_to_string(log).unwrap(), "no quota\n");
    nest.ok(&["resource", "release", &id.to_string(), "--force"]);
    assert_eq!(doctor(&nest)["ok"], true);
    assert!(listed(&nest, false).is_empty());
    assert_eq!(listed(&nest, true)[0]["released_by"], "force");
}

#[test]
fn a_list_has_the_keys_of_the_contract() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let id = of_job(&nest, job, "vm", "exit 1", &["--probe", "exit 0"]);
    nest.work_until_idle(&[]);
    let one = listed(&nest, false)[0].clone();
    for (key, value) in
        [("id", id.into()), ("name", "vm".into()), ("job", job.into()), ("task", Value::Null), ("run", Value::Null)]
    {
        assert_eq!(one[key], value, "{key}");
    }
    assert_eq!((&one["state"], &one["attempts"]), (&"releasing".into(), &1.into()));
    assert_eq!(one["teardown"], serde_json::json!(["/bin/sh", "-c", "exit 1"]));
    for time in ["created_at", "releasing_since", "next_at"] {
        assert!(one[time].as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 24), "{time}: {one}");
    }
    let shown = nest.json(&["--json", "resource", "show", "last"]);
    assert_eq!((&shown["schema"], shown["runs"].as_array().unwrap().len()), (&1.into(), 2));
}

#[test]
fn release_tears_down_now_and_refuses_what_is_gone() {
    let nest = Nest::new();
    let job = nest.sh(&[], &format!("{}; echo $$ >pid; exec sleep 600", make("rm -f thing", "")));
    let _worker = nest.work(&TICK);
    pid_in(&nest.file("pid"));
    nest.ok(&["resource", "release", "1"]);
    until_gone(&nest, 1);
    assert_eq!(nest.state(job), "running");
    for args in [&["resource", "release", "1"][..], &["resource", "release", "1", "--force"]] {
        let said = nest.say(args);
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.err.contains("gone already"), "{said:?}");
    }
    for args in [&["resource", "release", "77"][..], &["resource", "show", "77"], &["resource", "release", "5-9"]] {
        assert_eq!(nest.say(args).code, 3, "{args:?}");
    }
    nest.ok(&["cancel", &job.to_string()]);
    nest.until_ended(job);
}

#[test]
fn invalid_arguments_are_refused_and_leave_nothing_behind() {
    let nest = Nest::new();
    let job = nest.sh(&["--hold"], "true").to_string();
    let long = "ü".repeat(201);
    let huge = "x".repeat(100_000);
    for (args, code) in [
        (vec!["add", "x", "--teardown", "true"], 2),
        (vec!["add", "", "--teardown", "true", "--job", &job], 2),
        (vec!["add", &long, "--teardown", "true", "--job", &job], 2),
        (vec!["add", "x", "--job", &job], 2),
        (vec!["add", "x", "--teardown", "", "--job", &job], 2),
        (vec!["add", "x", "--teardown", "  ", "--job", &job], 2),
        (vec!["add", &huge, "--teardown", "true", "--job", &job], 2),
        (vec!["add", "x", "--teardown", "true", "--probe", "", "--job", &job], 2),
        (vec!["add", "x", "--teardown", "true", "--job", "x"], 2),
        (vec!["add", "x", "--teardown", "true", "--job", "-1"], 2),
        (vec!["add", "x", "--teardown", "true", "--job", &job, "--task", "1"], 2),
        (vec!["add", "x", "--teardown", "true", "--job", &job, "-e", "TENURE_RUN=1"], 2),
        (vec!["add", "x", "--teardown", "true", "--job", &job, "--pass-env", "NOT_SET_ANYWHERE"], 2),
        (vec!["add", "x", "--teardown", "true", "--job", &job, "--timeout", "0s"], 2),
        (vec!["add", "x", "--teardown", "true", "--job", "99"], 3),
        (vec!["add", "x", "--teardown", "true", "--job", "9223372036854775807"], 3),
        (vec!["release", "x"], 2),
        (vec!["release", "99999999999999999999"], 2),
        (vec!["show", "1"], 3),
    ] {
        let said = nest.say(&[&["resource"], &args[..]].concat());
        assert_eq!(said.code, code, "{args:?}: {said:?}");
        assert!(!said.err.is_empty() && said.err.len() < 2_000 && !said.err.contains("panicked"), "{args:?}: {said:?}");
    }
    assert!(listed(&nest, true).is_empty());
    let other =
        nest.tenure(&["resource", "add", "x", "--teardown", "true"]).env("TENURE_RUN", "1").env("TENURE_DB", "/no/db").output();
    assert_ne!(crate::support::said(other.unwrap()).code, 0);
}

#[test]
fn the_run_of_another_file_owns_nothing_here() {
    let (nest, other) = (Nest::new(), Nest::new());
    nest.sh(&["--hold"], "true");
    other.sh(&["--hold"], "true");
    let db = nest.db();
    let mut add = other.tenure(&["resource", "add", "x", "--teardown", "true", "--db", db.to_str().unwrap()]);
    let said = crate::support::said(add.env("TENURE_RUN", "1").output().unwrap());
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("--job ID"), "{said:?}");
    assert!(listed(&nest, true).is_empty());
}

#[test]
fn no_name_and_no_error_commands_a_terminal() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let name = "vm\u{1b}]0;x\u{7}\n\u{9b}2J\u{202e}";
    let id = of_job(&nest, job, name, "printf '\\033[2J'; exit 1", &[]);
    nest.work_until_idle(&[]);
    let shows: [&[&str]; 6] = [
        &["resource", "ls"],
        &["resource", "show", &id.to_string()],
        &["resource", "ls", "--json"],
        &["status"],
        &["doctor"],
        &["history", &job.to_string()],
    ];
    for args in shows {
        let said = nest.say(args);
        let is_bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.out.contains(is_bad) && !said.err.contains(is_bad), "{args:?}: {said:?}");
    }
    assert_eq!(resource(&nest, id)["name"], name, "and a script reads the name as it is");
}

#[test]
fn plain_sql_may_record_and_release_but_not_close_a_resource() {
    let nest = Nest::new();
    let job = nest.sh(&["--hold"], "true");
    let sql = nest.sql();
    let id: i64 = sql
        .query_row(
            "INSERT INTO resource (name, job_id, teardown, cwd) VALUES ('x', ?1, json_array('touch', 'gone'), ?2) RETURNING id",
            (job, nest.path().to_str().unwrap()),
            |row| row.get(0),
        )
        .unwrap();
    for refused in [
        "UPDATE resource SET state = 'released'",
        "UPDATE resource SET state = 'released', released_at = 1, released_by = 'force'",
        "UPDATE resource SET teardown = json_array('true')",
        "UPDATE resource SET auxiliary_run_id = 1",
        "UPDATE resource SET attempts = 0",
        "UPDATE resource SET job_id = NULL, run_id = 1",
        "UPDATE resource SET rowid = 99",
        "UPDATE resource SET next_at = -1",
        "DELETE FROM resource",
        "INSERT OR REPLACE INTO resource (id, name, job_id, teardown) VALUES (1, 'y', 1, json_array('true'))",
        "INSERT OR REPLACE INTO resource (name, job_id, teardown) VALUES ('x', 1, json_array('true'))",
        "INSERT INTO resource (name, teardown) VALUES ('y', json_array('true'))",
        "INSERT INTO resource (name, job_id, run_id, teardown) VALUES ('y', 1, 1, json_array('true'))",
        "INSERT INTO resource (name, job_id, teardown) VALUES ('y', 99, json_array('true'))",
        "INSERT INTO resource (name, job_id, teardown) VALUES ('y', 1, 'rm -rf x')",
        "INSERT INTO resource (name, job_id, teardown) VALUES ('y', 1, '[]')",
        "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('y', 1, json_array('true'), '[1]')",
        "INSERT INTO resource (name, job_id, teardown, state) VALUES ('y', 1, json_array('true'), 'released')",
        "INSERT INTO resource (name, job_id, teardown) VALUES ('', 1, json_array('true'))",
        "INSERT INTO resource (id, name, job_id, teardown) VALUES (-5, 'y', 1, json_array('true'))",
        "UPDATE job SET unreleased = 5",
    ] {
        for checks in ["OFF", "ON"] {
            sql.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).unwrap();
            assert!(sql.execute_batch(refused).is_err(), "{refused}");
        }
    }
    sql.execute("UPDATE resource SET state = 'releasing' WHERE id = ?1", [id]).expect("each client may ask");
    assert!(sql.execute("UPDATE resource SET state = 'held' WHERE id = ?1", [id]).is_err(), "and not take it back");
    nest.work_until_idle(&[]);
    until_gone(&nest, id);
    assert!(nest.file("gone").exists());
}

#[test]
fn history_is_pruned_with_teardowns_and_live_resources_stay() {
    let nest = Nest::new();
    let (gone, there) = (ended_job(&nest), ended_job(&nest));
    of_job(&nest, gone, "x", "true", &[]);
    let kept = of_job(&nest, there, "x", "exit 1", &[]);
    nest.work_until_idle(&[]);
    nest.ok(&["prune", "--older-than", "0s"]);
    assert_eq!(nest.say(&["show", &gone.to_string()]).code, 3);
    assert_eq!(listed(&nest, true).iter().map(|one| one["id"].as_i64().unwrap()).collect::<Vec<_>>(), [kept]);
    assert_eq!(nest.state(there), "cancelled");
    let runs: i64 = nest.sql().query_row("SELECT count(*) FROM run", [], |row| row.get(0)).unwrap();
    assert_eq!(runs, 1, "that of the resource that is still there");
}
