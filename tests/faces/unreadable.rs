//! A row with text that is not UTF-8 is named by `doctor`, with the command that removes it; and that command does.

use serde_json::Value;

use crate::support::Nest;

const BAD: &str = "CAST(x'636166e9' AS TEXT)";

/// Each kind of row, and what `doctor` calls it.
const ROWS: &[(&str, &str)] = &[
    ("INSERT INTO job (command, user_hold, label) VALUES (json_array('true'), 1, {})", "label of job"),
    ("INSERT INTO job (command, user_hold, cwd) VALUES (json_array('true'), 1, {})", "cwd of job"),
    ("INSERT INTO job (command, user_hold, unique_key) VALUES (json_array('true'), 1, {})", "unique_key of job"),
    ("INSERT INTO job (command, user_hold) VALUES (json_array('echo', {}), 1)", "command of job"),
    ("INSERT INTO job (command, user_hold, env) VALUES (json_array('true'), 1, json_object('A', {}))", "env of job"),
    ("INSERT INTO job (command, user_hold, policy) VALUES (json_array('true'), 1, json_object('user', {}))", "policy of job"),
    ("INSERT INTO queue (name, slots) VALUES ({}, 3)", "name of queue"),
    ("INSERT INTO lane (key, max_running) VALUES ({}, 3)", "key of lane"),
    ("INSERT INTO resource (name, job_id, teardown) VALUES ({}, 1, json_array('true'))", "name of resource"),
    ("INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, json_array('true', {}))", "teardown of resource"),
    (
        "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('b', 1, json_array('true'), json_array({}))",
        "probe of resource",
    ),
    ("INSERT INTO resource (name, job_id, teardown, cwd) VALUES ('c', 1, json_array('true'), {})", "cwd of resource"),
    (
        "INSERT INTO resource (name, job_id, teardown, env) VALUES ('d', 1, json_array('true'), json_object('A', {}))",
        "env of resource",
    ),
    ("INSERT INTO cancel (job_id, why) VALUES (1, {})", "why of cancel"),
    ("INSERT INTO event (job_id, kind) VALUES (1, {})", "kind of event"),
    ("INSERT INTO event (job_id, kind, reason) VALUES (1, 'x', {})", "reason of event"),
    ("INSERT INTO event (job_id, kind, detail) VALUES (1, 'x', {})", "detail of event"),
    ("INSERT INTO tally VALUES ({}, '', 'default', 1)", "state of tally"),
    ("INSERT INTO tally VALUES ('queued', {}, 'default', 1)", "hold of tally"),
];

fn findings(nest: &Nest) -> Vec<Value> {
    let said = nest.say(&["doctor", "--json"]);
    let doctor: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let problems = doctor["problems"].as_array().expect("a list").iter();
    problems.filter(|problem| problem["code"] == "values").cloned().collect()
}

/// What a person types after `tenure`.
fn words(remedy: &str) -> Vec<String> {
    let command = remedy.strip_prefix("tenure ").expect("a command of tenure");
    let command = command.split(" removes ").next().and_then(|text| text.split(" counts ").next()).expect("words");
    command.split(' ').map(|word| word.trim_matches(['\'', '"']).to_owned()).collect()
}

#[test]
fn doctor_names_each_unreadable_row_and_its_remedy_removes_it() {
    for (sql, name) in ROWS {
        let nest = Nest::new();
        nest.add(&["--hold", "--", "true"]);
        nest.sql().execute(&sql.replace("{}", BAD), []).unwrap();
        let found = findings(&nest);
        assert!(found.iter().any(|one| one["text"].to_string().contains(name)), "{sql}: {found:?}");
        let mut typed = Vec::new();
        // An ending is a row of history, and history goes with its job: at most one remedy leads to another.
        for _ in 0..3 {
            for one in findings(&nest) {
                let remedy = words(one["remedy"].as_str().expect("a remedy"));
                let said = nest.say(&remedy.iter().map(String::as_str).collect::<Vec<_>>());
                assert!(matches!(said.code, 0 | 1 | 6), "{sql}: {remedy:?}: {said:?}");
                typed.push(remedy);
            }
            if name.ends_with("cancel") || name.ends_with("event") {
                // What belongs to a live job goes when that has ended.
                nest.say(&["cancel", "1"]);
            }
            if name.ends_with("resource") {
                nest.say(&["cancel", "1"]);
                nest.say(&["prune", "--older-than", "0s"]);
            }
        }
        assert_eq!(findings(&nest), [Value::Null; 0], "{sql}: after {typed:?}");
    }
}

#[test]
fn verbs_work_on_a_job_that_cannot_be_read() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    for column in ["label", "queue", "lane", "cwd", "unique_key"] {
        let sql = format!("INSERT INTO job (command, {column}) VALUES (json_array('true'), {BAD}) RETURNING id");
        let id: i64 = nest.sql().query_row(&sql, [], |row| row.get(0)).unwrap();
        let id = id.to_string();
        for args in [
            vec!["show", &id],
            vec!["why", &id],
            vec!["history", &id],
            vec!["hold", &id],
            vec!["release", &id],
            vec!["set", &id, "priority=3"],
            vec!["cancel", &id],
            vec!["wait", &id],
            vec!["retry", &id],
            vec!["cancel", &id],
            vec!["ls", "-a"],
            vec!["queue", "ls"],
            vec!["lane", "ls"],
        ] {
            let said = nest.say(&args);
            assert!(said.code <= 1 && !said.err.contains("sqlite"), "{column}: tenure {args:?}: {said:?}");
        }
    }
    nest.ok(&["queue", "pause", "caf\u{fffd}"]);
    nest.ok(&["queue", "rm", "caf\u{fffd}"]);
    nest.ok(&["lane", "set", "caf\u{fffd}", "--limit", "2"]);
    nest.ok(&["lane", "rm", "caf\u{fffd}"]);
    nest.ok(&["prune", "--older-than", "0s"]);
    assert_eq!(findings(&nest), [Value::Null; 0]);
}

#[test]
fn a_queue_or_a_lane_with_live_jobs_is_not_removed() {
    let nest = Nest::new();
    let job = nest.add(&["-q", "slow", "--lane", "db", "--", "true"]);
    for what in ["queue", "lane"] {
        let name = if what == "queue" { "slow" } else { "db" };
        let said = nest.say(&[what, "rm", name]);
        assert_eq!(said.code, 6, "{said:?}");
        assert_eq!(nest.say(&[what, "rm", "no such"]).code, 3);
    }
    nest.ok(&["cancel", &job.to_string()]);
    nest.ok(&["queue", "rm", "slow"]);
    nest.ok(&["lane", "rm", "db"]);
    nest.ok(&["retry", &job.to_string()]);
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(job), "done", "its queue and its lane are made anew");
}
