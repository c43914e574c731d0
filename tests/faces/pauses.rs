//! The pause of all queues, and what of failures is refused.

use serde_json::{Value, json};
use tenure::Queue;

use crate::support::Nest;

#[test]
fn a_pause_of_all_queues_gives_back_what_was_before() {
    let nest = Nest::new();
    nest.ok(&["queue", "pause", "own"]);
    let before = nest.add(&["--", "true"]);
    assert!(nest.say(&["pause"]).err.contains("until tenure resume"));
    assert!(nest.say(&["pause"]).err.contains("were paused already since"));
    let (later, own) = (nest.add(&["-q", "later", "--", "true"]), nest.add(&["-q", "own", "--", "true"]));
    nest.work_until_idle(&[]);
    assert_eq!([before, later, own].map(|id| nest.state(id)), ["queued", "queued", "queued"]);
    let why = nest.json(&["why", &later.to_string(), "--json"])["obstacles"][0].clone();
    assert_eq!((&why["code"], &why["remedy"]), (&json!("all_paused"), &json!("tenure resume")));
    let status = nest.status();
    let problem = status["problems"].as_array().unwrap().iter().find(|one| one["code"] == "all_paused").expect("a problem");
    assert_eq!(problem["remedy"], "tenure resume");
    let queues = nest.json(&["queue", "ls", "--json"]);
    assert!(queues["all_paused_at"].is_string() && queues["all_paused_at"] == status["all_paused_at"], "{queues}");
    assert!(nest.say(&["queue", "ls"]).err.contains("all queues are paused since"));
    let said = nest.say(&["resume"]);
    assert!(said.err.contains("still paused by themselves: own (tenure queue resume own)"), "{said:?}");
    assert!(nest.say(&["resume"]).err.contains("there was no pause"));
    nest.work_until_idle(&[]);
    assert_eq!([before, later, own].map(|id| nest.state(id)), ["done", "done", "queued"]);
    assert_eq!(nest.json(&["queue", "ls", "--json"])["all_paused_at"], Value::Null);
    assert_eq!(nest.json(&["resume", "--json"]), json!({"schema": 1, "all_paused_at": null}));
}

#[test]
fn any_client_and_any_program_may_pause_and_resume_all() {
    let nest = Nest::new();
    let job = nest.add(&["--", "true"]);
    let sql = nest.sql();
    sql.execute_batch(
        "INSERT INTO pause DEFAULT VALUES; INSERT INTO pause DEFAULT VALUES; INSERT OR REPLACE INTO pause VALUES (5)",
    )
    .unwrap();
    assert_eq!(sql.query_row("SELECT count(*) FROM pause", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    let worker = nest.work(&[]);
    let running = nest.add(&["--", "true"]);
    assert_eq!([job, running].map(|id| nest.state(id)), ["queued", "queued"]);
    let queue = Queue::open(nest.db()).unwrap();
    assert!(!queue.pause_all().unwrap() && queue.resume_all().unwrap() && !queue.resume_all().unwrap());
    nest.until_state(running, "done");
    sql.execute_batch("INSERT INTO pause DEFAULT VALUES").unwrap();
    let waits = nest.add(&["--", "true"]);
    sql.execute_batch("DELETE FROM pause").unwrap();
    nest.until_state(waits, "done");
    assert_eq!(worker.stop(), 0);
}

#[test]
fn what_a_setting_of_failures_does_not_mean_is_refused() {
    let nest = Nest::new();
    let refused = |args: &[&str], word: &str| {
        let said = nest.say(args);
        assert!(said.code == 2 && said.err.contains(word), "{args:?}: {said:?}");
    };
    refused(&["queue", "set", "q", "--on-failure", "stop"], "pause");
    refused(&["queue", "set", "q"], "--on-failure");
    refused(&["add", "--stop-on-failure", "--", "true"], "--array");
    refused(&["schedule", "add", "n", "@daily", "--stop-on-failure", "--", "true"], "--array");
    std::fs::write(nest.file("lines"), json!({"command": ["true"], "stop_on_failure": true}).to_string()).unwrap();
    refused(&["add", "--from", "lines"], "--on-failure pause");
    std::fs::write(nest.file("lines"), json!({"command": ["true"], "array": "0-2", "stop_on_failure": true}).to_string())
        .unwrap();
    assert_eq!(nest.ok(&["add", "--from", "lines"]).lines().count(), 3);
    let groups: i64 = nest.sql().query_row("SELECT count(DISTINCT stop_group) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!(groups, 1);
    assert!(nest.ok(&["show", "1"]).contains("--stop-on-failure"));
    nest.ok(&["queue", "set", "kept", "--on-failure", "pause"]);
    nest.ok(&["set", "2", "priority=3"]);
    assert_eq!(nest.add(&["--like", "2"]), 4, "a copy is not of that array");
    assert!(!nest.ok(&["show", "4"]).contains("--stop-on-failure"));
    nest.work_until_idle(&[]);
    nest.ok(&["prune", "--older-than", "0s"]);
    assert!(nest.ok(&["queue", "ls"]).contains("pauses on failure"), "a queue with that setting stays");
}

/// Reproduces: a list of jobs that waited in a paused queue looked like any other list.
#[test]
fn a_list_says_which_queues_of_its_jobs_are_paused() {
    let nest = Nest::new();
    let said = |args: &[&str]| nest.say(args).err;
    nest.add(&["-q", "open", "--", "true"]);
    nest.ok(&["queue", "pause", "own"]);
    assert!(!said(&["ls"]).contains("paused"), "no listed job waits in it");
    let held = nest.add(&["-q", "own", "--hold", "--", "true"]);
    assert!(!said(&["ls"]).contains("paused"), "a hold comes first");
    nest.ok(&["release", &held.to_string()]);
    assert!(said(&["ls"]).contains("queue \"own\" is paused: tenure queue resume own"), "{}", said(&["ls"]));
    assert!(!said(&["ls", "-q", "open"]).contains("paused"));
    assert!(!said(&["ls", "--json"]).contains("paused"));
    nest.ok(&["pause"]);
    assert!(said(&["ls"]).contains("all queues are paused: tenure resume"));
}
