//! What a script reads: each document field by field, against the contract.

use serde_json::{Value, json};

use crate::support::{Nest, until};

/// Keys of a job in JSON, and what each may be.
const JOB: &[(&str, Kind)] = &[
    ("schema", Number),
    ("id", Number),
    ("state", Text),
    ("reason", MaybeText),
    ("hold", MaybeText),
    ("queue", Text),
    ("lane", MaybeText),
    ("label", MaybeText),
    ("command", List),
    ("cwd", Text),
    ("priority", Number),
    ("slots", Number),
    ("uses", Anything),
    ("unique", MaybeText),
    ("attempts", Number),
    ("max_attempts", Number),
    ("deferrals", Number),
    ("available_at", Time),
    ("created_at", Time),
    ("run_id", MaybeNumber),
    ("pid", MaybeNumber),
    ("started_at", MaybeTime),
    ("finished_at", MaybeTime),
    ("exit_code", MaybeNumber),
    ("signal", MaybeNumber),
    ("error", MaybeText),
    ("progress", Anything),
    ("result", MaybeText),
];
const RUN: &[(&str, Kind)] = &[
    ("id", Number),
    ("attempt", Number),
    ("pid", MaybeNumber),
    ("started_at", MaybeTime),
    ("exited_at", MaybeTime),
    ("finished_at", MaybeTime),
    ("outcome", MaybeText),
    ("reason", MaybeText),
    ("exit_code", MaybeNumber),
    ("signal", MaybeNumber),
    ("max_rss_bytes", MaybeNumber),
    ("user_ms", MaybeNumber),
    ("system_ms", MaybeNumber),
    ("log", Text),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Number,
    Text,
    Time,
    List,
    MaybeNumber,
    MaybeText,
    MaybeTime,
    Anything,
}
use Kind::{Anything, List, MaybeNumber, MaybeText, MaybeTime, Number, Text, Time};

fn fits(value: &Value, kind: Kind) -> bool {
    let is_time =
        |text: &str| text.len() == 24 && text.ends_with('Z') && &text[19..20] == "." && text.parse::<jiff::Timestamp>().is_ok();
    match kind {
        Anything => true,
        MaybeNumber | MaybeText | MaybeTime if value.is_null() => true,
        Number | MaybeNumber => value.is_i64(),
        Text | MaybeText => value.is_string(),
        Time | MaybeTime => value.as_str().is_some_and(is_time),
        List => value.is_array(),
    }
}

fn check(document: &Value, keys: &[(&str, Kind)]) {
    for (key, kind) in keys {
        let value = document.get(key).unwrap_or_else(|| panic!("{key} is missing in {document}"));
        assert!(fits(value, *kind), "{key} is {value}, and should be {kind:?}");
    }
}

/// A document that begins with `"schema": 1` and has one line.
fn document(nest: &Nest, args: &[&str]) -> Value {
    let out = nest.ok(&[&["--json"], args].concat());
    assert!(out.starts_with("{\"schema\":1,"), "{args:?}: {out}");
    assert_eq!(out.lines().count(), 1, "{args:?}: {out}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
}

#[test]
fn a_suspended_job_has_its_suspension_in_its_document() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let id = nest.sh(&[], "exec sleep 600");
    nest.until_pid(id);
    let id = id.to_string();
    assert_eq!(nest.json(&["suspend", &id, "--json"]), json!({"schema": 1, "id": 1, "changed": "suspending"}));
    until("it to be suspended", || (nest.show(1)["suspension"]["state"] == "suspended").then_some(()));
    assert_eq!(nest.json(&["suspend", &id, "--json"])["changed"], "unchanged");
    let job = document(&nest, &["show", &id]);
    check(&job, JOB);
    check(&job, &[("suspended_ms", Number)]);
    check(&job["suspension"], &[("state", Text), ("asked_at", Time), ("since", Time)]);
    assert_eq!(document(&nest, &["ls"])["jobs"][0]["suspension"], job["suspension"]);
    assert_eq!(nest.json(&["resume", &id, "--json"]), json!({"schema": 1, "id": 1, "changed": "resuming"}));
    until("it to continue", || nest.show(1)["suspension"].is_null().then_some(()));
}

#[test]
fn a_job_in_each_state_has_the_fields_of_the_contract() {
    let nest = Nest::new();
    let failed = nest.sh(&["--retries", "1", "--backoff", "0s..0s", "-l", "nightly"], "exit 3");
    let done = nest.sh(&["--check", "true", "--unique", "k", "--lane", "l", "-o", "5"], "echo r >$TENURE_RESULT");
    nest.work_until_idle(&[]);
    let queued = nest.sh(&["--delay", "1h"], "true");
    let cancelled = nest.sh(&[], "true");
    nest.ok(&["cancel", &cancelled.to_string()]);
    let _worker = nest.work(&[]);
    let running = nest.sh(&[], "exec sleep 600");
    nest.until_pid(running);
    for id in [failed, done, queued, cancelled, running] {
        let job = document(&nest, &["show", &id.to_string()]);
        check(&job, JOB);
        for run in job["runs"].as_array().expect("runs") {
            check(run, RUN);
        }
    }
    let job = nest.show(failed);
    let expected = json!({"schema": 1, "id": failed, "state": "failed", "reason": "exit", "hold": null, "queue": "default", "lane": null,
        "label": "nightly", "command": ["/bin/sh", "-c", "exit 3"], "cwd": nest.path().to_str().unwrap(), "priority": 0, "slots": 1, "unique": null,
        "attempts": 2, "max_attempts": 2, "deferrals": 0, "pid": null, "exit_code": 3, "signal": null, "error": "exit status 3",
        "progress": null, "result": null});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&job[key], value, "{key}");
    }
    assert_eq!(job["runs"].as_array().unwrap().len(), 2);
    assert_eq!(job["runs"][1]["id"], job["run_id"]);
    assert!(std::path::Path::new(job["runs"][0]["log"].as_str().unwrap()).exists());
    assert!(
        job["finished_at"].as_str() >= job["started_at"].as_str() && job["started_at"].as_str() >= job["created_at"].as_str()
    );
    let job = nest.show(done);
    assert_eq!(
        (&job["result"], &job["unique"], &job["lane"], &job["priority"]),
        (&json!("r\n"), &json!("k"), &json!("l"), &json!(5))
    );
    let job = nest.show(queued);
    assert_eq!(
        (&job["hold"], &job["run_id"], &job["started_at"], &job["attempts"]),
        (&json!("time"), &Value::Null, &Value::Null, &json!(0))
    );
    let job = nest.show(running);
    assert!(job["pid"].is_i64() && job["finished_at"].is_null() && job["runs"][0]["outcome"].is_null(), "{job}");
    let listed = document(&nest, &["ls", "-a"]);
    let jobs = listed["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 5);
    for job in jobs {
        check(job, JOB);
        assert!(job.get("runs").is_none());
    }
    let several = nest.ok(&["show", "1,2", "--json"]);
    assert_eq!(several.lines().count(), 2, "several are JSON Lines");
    nest.ok(&["cancel", &running.to_string()]);
    nest.until_ended(running);
}

#[test]
fn status_says_how_things_stand() {
    let nest = Nest::new();
    nest.ok(&["queue", "set", "q", "--slots", "3", "--max-runtime", "1h"]);
    nest.sh(&["--hold"], "true");
    nest.sh(&["--delay", "1h", "-q", "q"], "true");
    let parent = nest.sh(&["--lane", "l", "-q", "q"], "exec sleep 600");
    nest.sh(&["--after", &parent.to_string()], "true");
    let without = document(&nest, &["status"]);
    assert!(without["worker"].is_null());
    assert_eq!(without["problems"][0]["code"], "no_worker", "{without}");
    nest.ok(&["pool", "set", "gpu", "--limit", "2"]);
    let worker = nest.work(&["--slots", "7"]);
    nest.until_pid(parent);
    nest.sh(&["--lane", "l", "-q", "q"], "true");
    let status = until("the lane to be told", || Some(document(&nest, &["status"])).filter(|s| s["counts"]["held"]["lane"] == 1));
    let counts = &status["counts"];
    let expected = json!({"queued": 4, "running": 1, "done": 0, "failed": 0, "cancelled": 0});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&counts[key], value, "{key}: {counts}");
    }
    assert_eq!(counts["resources"], json!({"held": 0, "releasing": 0}));
    assert_eq!(
        counts["held"],
        json!({"user": 1, "task": 0, "dependency": 1, "resource": 0, "time": 1, "slots": 0, "pool": 0, "lane": 1})
    );
    assert_eq!(
        (&status["worker"]["pid"], &status["worker"]["slots"], &status["worker"]["busy"]),
        (&json!(worker.pid()), &json!(7), &json!(1))
    );
    assert!(fits(&status["worker"]["since"], Time) && status["worker"]["instance"].is_string());
    for name in ["impossible_total", "adopted_total", "lost_total"] {
        assert_eq!(status["reaper"][name], 0, "{}", status["reaper"]);
    }
    assert!(status["leases"].is_array() && status["resources"].is_array() && status["wal_bytes"].is_u64());
    assert!(status["disk"]["free_bytes"].is_u64() && status["problems"].is_array());
    let queue = status["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == "q").expect("q");
    assert_eq!(
        (&queue["slots"], &queue["max_runtime_ms"], &queue["running"], &queue["paused"]),
        (&json!(3), &json!(3_600_000), &json!(1), &json!(false))
    );
    assert_eq!(status["lanes"][0], json!({"key": "l", "limit": 1, "running": 1, "waiting": 1}));
    assert_eq!(document(&nest, &[])["counts"], *counts, "no verb is status");
    let queues = document(&nest, &["queue", "ls"]);
    assert_eq!(queues["queues"], status["queues"]);
    assert_eq!(document(&nest, &["lane", "ls"])["lanes"], status["lanes"]);
    assert_eq!(status["pools"], json!([{"name": "gpu", "limit": 2, "taken": 0, "waiting": 0}]));
    assert_eq!(document(&nest, &["pool", "ls"])["pools"], status["pools"]);
    let text = nest.ok(&["status"]);
    assert!(text.contains("1 of 7 slots busy (set by --slots)") && text.contains("1 by user"), "{text}");
    assert_eq!(status["worker"]["slots_from"], "--slots");
    assert_eq!(document(&nest, &["slots"]), json!({"schema": 1, "slots": 7, "slots_from": "--slots", "worker": true}));
}

#[test]
fn every_other_document_has_its_shape() {
    let nest = Nest::new();
    let id = document(&nest, &["add", "--", "true"])["id"].as_i64().expect("an id");
    for line in nest.ok(&["events"]).lines() {
        let change = serde_json::from_str(line).unwrap();
        let keys = [("schema", Number), ("id", Text), ("at", Time), ("job", Number), ("run", MaybeNumber), ("event", Text)];
        check(&change, &keys);
        check(
            &change,
            &[("state", MaybeText), ("reason", MaybeText), ("detail", MaybeText), ("queue", Text), ("label", MaybeText)],
        );
    }
    let history = document(&nest, &["history", &id.to_string()]);
    check(
        &history["events"][0],
        &[
            ("seq", Number),
            ("at", Time),
            ("job", Number),
            ("run", MaybeNumber),
            ("kind", Text),
            ("reason", MaybeText),
            ("detail", MaybeText),
        ],
    );
    assert_eq!(history["events"][0]["kind"], "added");
    let why = document(&nest, &["why", &id.to_string()]);
    check(&why["obstacles"][0], &[("code", Text), ("text", Text), ("remedy", MaybeText)]);
    assert_eq!(why["obstacles"][0]["code"], "no_worker");
    document(&nest, &["set", &id.to_string(), "priority=3"]);
    assert_eq!(document(&nest, &["cancel", &id.to_string()])["id"], id);
    assert_eq!(document(&nest, &["retry", &id.to_string()])["id"], id);
    nest.work_until_idle(&[]);
    assert_eq!(document(&nest, &["wait", &id.to_string()])["state"], "done");
    let doctor = document(&nest, &["doctor"]);
    assert!(doctor.to_string().contains("integrity"), "{doctor}");
    assert!(document(&nest, &["config"])["settings"]["db"]["value"].is_string());
    nest.ok(&["backup", "copy.db"]);
    assert_eq!(document(&nest, &["restore", "copy.db"])["held"], 0);
    let plan = document(&nest, &["prune", "--state", "done", "--dry-run"]);
    check(
        &plan,
        &[("schema", Number), ("dry_run", Anything), ("jobs", Number), ("runs", Number), ("kept", Number), ("ids", List)],
    );
    assert_eq!(document(&nest, &["prune", "--older-than", "0s"])["jobs"], 1);
    let gone = nest.add(&["--", "true"]);
    nest.ok(&["cancel", &gone.to_string()]);
    let removed = document(&nest, &["rm", &gone.to_string()]);
    check(&removed, &[("schema", Number), ("jobs", Number), ("runs", Number), ("kept", List)]);
    let empty = document(&nest, &["ls"]);
    assert_eq!(empty["jobs"], json!([]));
}

#[test]
fn imports_and_schedules_have_their_shapes() {
    let nest = Nest::new();
    std::fs::write(nest.file("crontab"), "@daily true\nnonsense\n").unwrap();
    let imported = document(&nest, &["schedule", "import", "crontab"]);
    check(&imported, &[("schema", Number), ("applied", Anything), ("added", Number), ("unsupported", Number), ("lines", List)]);
    const LINE: &[(&str, Kind)] = &[
        ("line", Number),
        ("text", Text),
        ("action", Text),
        ("name", MaybeText),
        ("cron", MaybeText),
        ("zone", MaybeText),
        ("command", Anything),
        ("user", MaybeText),
        ("next_at", MaybeTime),
        ("detail", MaybeText),
        ("notes", List),
    ];
    imported["lines"].as_array().unwrap().iter().for_each(|line| check(line, LINE));

    let task = |id: u64, status: &str| json!({"id": id, "command": "true", "path": "/", "group": "g", "created_at": "x", "status": status});
    let state = json!({"tasks": {"1": task(1, "Queued"), "2": task(2, "Running")}, "groups": {"g": {"status": "Paused", "parallel_tasks": 2}}});
    std::fs::write(nest.file("state.json"), state.to_string()).unwrap();
    let imported = document(&nest, &["import", "pueue", "state.json", "--apply"]);
    check(&imported, &[("schema", Number), ("applied", Anything), ("tasks", List), ("queues", List)]);
    const TASK: &[(&str, Kind)] = &[
        ("task", Number),
        ("action", Text),
        ("job", MaybeNumber),
        ("command", Anything),
        ("queue", MaybeText),
        ("held", Anything),
        ("available_at", MaybeTime),
        ("after", List),
        ("detail", MaybeText),
        ("notes", List),
    ];
    imported["tasks"].as_array().unwrap().iter().for_each(|task| check(task, TASK));
    check(&imported["queues"][0], &[("name", Text), ("slots", MaybeNumber), ("paused", Anything)]);
}
