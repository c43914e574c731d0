//! The tasks of another queue become jobs: none starts before its task would have, none is lost, and none is added twice.

use serde_json::{Value, json};

use crate::support::Nest;

fn task(id: u64, command: &str, dependencies: &[u64], status: &Value) -> (String, Value) {
    let task = json!({"id": id, "created_at": format!("2026-11-20T10:00:0{id}.5+01:00"), "original_command": command, "command": command,
                      "path": "/", "envs": {"COLOUR": "blue"}, "group": "slow", "dependencies": dependencies, "priority": id,
                      "label": null, "status": status});
    (id.to_string(), task)
}

/// As version 4 writes it: a queue of all kinds of tasks, in a group that is paused.
fn state(nest: &Nest) {
    let queued = json!({"Queued": {"enqueued_at": "2026-11-20T10:00:00+01:00"}});
    let done = json!({"Done": {"enqueued_at": "x", "start": "x", "end": "x", "result": "Success"}});
    let tasks = [
        task(0, "false", &[], &done),
        task(1, "sleep 600", &[], &json!({"Running": {"enqueued_at": "x", "start": "x"}})),
        task(2, "echo $COLOUR", &[0], &queued),
        task(3, "echo three", &[2], &queued),
        task(4, "echo four", &[1], &queued),
        task(5, "echo \u{1b}[2Jfive", &[], &json!({"Stashed": {"enqueue_at": null}})),
    ];
    let groups =
        json!({"slow": {"status": "Paused", "parallel_tasks": 3}, "default": {"status": "Running", "parallel_tasks": 1}});
    let state = json!({"tasks": tasks.into_iter().collect::<serde_json::Map<_, _>>(), "groups": groups});
    std::fs::write(nest.file("state.json"), state.to_string()).unwrap();
}

#[test]
fn tasks_of_pueue_become_jobs_and_run() {
    let nest = Nest::new();
    state(&nest);
    let shown = nest.say(&["import", "pueue", "state.json"]);
    assert!(shown.code == 0 && !nest.db().exists(), "it is only shown: {shown:?}");
    assert!(!shown.out.contains('\x1b') && shown.out.contains("queue slow: 3 slots, paused"), "{}", shown.out);

    let applied = nest.json(&["import", "pueue", "state.json", "--apply", "--json"]);
    let actions: Vec<&str> = applied["tasks"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["ended", "left", "add", "add", "add", "add"]);
    let job = |task: usize| applied["tasks"][task]["job"].as_i64().unwrap();
    let held: Vec<bool> = (2..6).map(|task| nest.show(job(task))["hold"] == "user").collect();
    assert_eq!(held, [false, false, true, true], "one waits for what pueue runs, one is stashed");
    let queue =
        nest.json(&["queue", "ls", "--json"])["queues"].as_array().unwrap().iter().find(|one| one["name"] == "slow").cloned();
    assert_eq!(queue.map(|one| (one["slots"].clone(), one["paused"].clone())), Some((json!(3), json!(true))));

    nest.ok(&["queue", "resume", "slow"]);
    nest.work_until_idle(&[]);
    assert_eq!((nest.log(job(2)), nest.log(job(3))), ("blue".to_owned(), "three".to_owned()));
    assert_eq!((nest.state(job(4)), nest.state(job(5))), ("queued".to_owned(), "queued".to_owned()));
}

#[test]
fn a_second_import_finds_the_jobs_and_changes_no_queue() {
    let nest = Nest::new();
    state(&nest);
    let first = nest.json(&["import", "pueue", "state.json", "--apply", "--json"]);
    nest.ok(&["queue", "set", "slow", "--slots", "9"]);
    let again = nest.json(&["import", "pueue", "state.json", "--apply", "--json"]);
    assert_eq!(first["tasks"], again["tasks"]);
    assert_eq!(nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len(), 4);
    assert_eq!(nest.sql().query_row("SELECT slots FROM queue WHERE name = 'slow'", [], |row| row.get(0)), Ok(9));
}

#[test]
fn the_environment_of_tasks_can_be_left_out() {
    let nest = Nest::new();
    state(&nest);
    let applied = nest.json(&["import", "pueue", "state.json", "--apply", "--without-env", "--json"]);
    assert_eq!(nest.show(applied["tasks"][2]["job"].as_i64().unwrap())["env"], json!({}));
}

#[test]
fn what_is_not_a_state_of_pueue_creates_nothing() {
    let nest = Nest::new();
    std::fs::write(nest.file("gz"), b"\x1f\x8b\x08\0").unwrap();
    let deep = "[".repeat(100_000);
    let long = json!({"tasks": {}, "groups": {"g".repeat(900): {"status": "Running", "parallel_tasks": 1}}}).to_string();
    for (name, text) in [("empty", ""), ("list", "[]"), ("deep", &deep), ("long", &long), ("yaml", "tasks: {}\n")] {
        std::fs::write(nest.file(name), text).unwrap();
    }
    for file in ["empty", "list", "deep", "long", "yaml", "gz", "none", "/"] {
        let said = nest.say(&["import", "pueue", file, "--apply"]);
        assert!(said.code == 2 && said.err.contains(file) && !nest.db().exists(), "{file}: {said:?}");
    }
    std::fs::write(nest.file("none.json"), r#"{"tasks": {}, "groups": {}}"#).unwrap();
    assert_eq!(nest.json(&["import", "pueue", "none.json", "--apply", "--json"])["tasks"], json!([]));
}
