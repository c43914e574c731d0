//! `tenure move`: the order in which queued jobs start.

use serde_json::json;
use tenure::{Error, JobId, Queue};

use crate::support::Nest;

/// The order in which the jobs of a queue start: each says its number.
fn started(nest: &Nest) -> Vec<i64> {
    nest.work_until_idle(&["--slots", "1"]);
    let text = std::fs::read_to_string(nest.file("order")).unwrap();
    std::fs::remove_file(nest.file("order")).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn add(nest: &Nest, options: &[&str]) -> i64 {
    nest.sh(options, "echo $TENURE_JOB >>order")
}

#[test]
fn jobs_start_in_the_order_to_which_they_were_moved() {
    let nest = Nest::new();
    for _ in 0..5 {
        add(&nest, &[]);
    }
    nest.ok(&["move", "5", "--first"]);
    nest.ok(&["move", "2", "--after", "4"]);
    nest.ok(&["move", "4", "3", "--before", "1"]);
    assert_eq!(started(&nest), [5, 4, 3, 1, 2]);
    assert!(nest.ok(&["history", "2"]).contains("after job 4"));
    let high = add(&nest, &["--priority", "7"]);
    let (low, front) = (add(&nest, &[]), add(&nest, &[]));
    let said = nest.say(&["move", &front.to_string(), "--first"]);
    assert!(said.err.contains("with priority 7 (was 0)"), "{said:?}");
    let json = nest.json(&["move", &high.to_string(), "--after", &low.to_string(), "--json"]);
    assert_eq!(json, json!({"schema": 1, "id": high, "priority": 0, "was": 7}));
    assert!(nest.ok(&["history", &high.to_string()]).contains(&format!("after job {low}; its priority was 7 and is 0 now")));
    let why = nest.json(&["why", &high.to_string(), "--json"])["obstacles"].clone();
    let behind = why.as_array().unwrap().iter().find(|one| one["code"] == "position").expect("it is behind others").clone();
    assert_eq!(behind["remedy"], json!(format!("tenure move {high} --first")));
    assert!(behind["text"].as_str().unwrap().starts_with("2 ready jobs"), "{behind}");
    assert_eq!(started(&nest), [front, low, high]);
}

#[test]
fn a_place_outlives_a_backup_and_a_restore() {
    let nest = Nest::new();
    add(&nest, &["--priority", "1"]);
    let moved = add(&nest, &[]);
    add(&nest, &[]);
    nest.ok(&["move", &moved.to_string(), "--first"]);
    nest.ok(&["backup", "copy.db"]);
    assert_eq!(started(&nest), [2, 1, 3]);
    nest.ok(&["restore", "copy.db"]);
    nest.ok(&["release", "1-3"]);
    assert_eq!(started(&nest), [2, 1, 3]);
}

#[test]
fn what_cannot_be_moved_is_refused_as_a_whole() {
    let nest = Nest::new();
    for _ in 0..3 {
        add(&nest, &[]);
    }
    add(&nest, &["-q", "other"]);
    let done = nest.add(&["-q", "gone", "--", "true"]);
    nest.work_until_idle(&["--queue", "gone"]);
    let refused = |args: &[&str], code: i32, word: &str| {
        let said = nest.say(args);
        assert!(said.code == code && said.err.contains(word), "{args:?}: {said:?}");
        assert!(!said.err.contains('\x1b'), "{said:?}");
    };
    refused(&["move", "3", "4", "--before", "1"], 6, "is in queue \"other\"");
    refused(&["move", "3", "--before", "3"], 2, "itself");
    refused(&["move", &done.to_string(), "--first"], 6, "has ended");
    refused(&["move", "3", "--after", &done.to_string()], 6, "has ended");
    refused(&["move", "3", "--after", "99"], 3, "no job 99");
    refused(&["move", "3", "--after", "1-2"], 2, "take one job");
    refused(&["move", "3", "--after", "\x1b[2J"], 2, "is not a job");
    refused(&["move", "3"], 2, "");
    refused(&["move", "3", "--first", "--before", "1"], 2, "");
    assert_eq!(started(&nest), [1, 2, 3, 4]);
}

#[test]
fn a_plain_client_and_a_program_may_move_jobs() {
    let nest = Nest::new();
    for _ in 0..4 {
        add(&nest, &[]);
    }
    let (sql, queue) = (nest.sql(), Queue::open(nest.db()).unwrap());
    sql.execute("UPDATE job SET place = 1.5 WHERE id = 4", []).unwrap();
    for wrong in ["1e300", "9e999", "-1e17", "'x'"] {
        assert!(sql.execute(&format!("UPDATE OR REPLACE job SET place = {wrong} WHERE id = 3"), []).is_err(), "{wrong}");
        assert!(sql.execute(&format!("INSERT INTO job (command, place) VALUES ('[\"x\"]', {wrong})"), []).is_err(), "{wrong}");
    }
    assert!(sql.execute("UPDATE job SET rank = 1", []).is_err(), "it is computed");
    queue.move_before(JobId(3), JobId(1)).unwrap();
    queue.move_after(JobId(1), JobId(2)).unwrap();
    queue.move_first(JobId(2)).unwrap();
    assert!(matches!(queue.move_before(JobId(3), JobId(9)), Err(Error::NotFound(_))));
    assert_eq!(started(&nest), [2, 3, 4, 1]);
}
