//! A file of an older release is upgraded by the worker, and its jobs continue.

use serde_json::json;

use crate::support::Nest;

fn older(name: &str) -> Nest {
    older_of(name, include_str!("../store/version-1.sql"))
}

fn older_of(name: &str, sql: &str) -> Nest {
    let nest = Nest::new();
    let conn = rusqlite::Connection::open(nest.file(name)).unwrap();
    conn.execute_batch(sql).unwrap();
    nest
}

#[test]
fn the_jobs_of_an_older_file_go_on_after_the_upgrade() {
    let nest = older("q.db");
    assert!(nest.say(&["ls"]).err.contains("tenure work"), "a reader says who upgrades");
    nest.work_until_idle(&[]);
    let state = |id: i64| nest.state(id);
    assert_eq!([6, 7, 8, 9].map(state), ["done", "done", "done", "done"].map(String::from));
    assert_eq!([1, 2, 12].map(state), ["done", "failed", "cancelled"].map(String::from));
    assert_eq!([10, 11, 13].map(|id| nest.show(id)["hold"].clone()), [json!("user"), json!("time"), json!(null)]);
    assert_eq!(nest.json(&["task", "show", "2", "--json"])["state"], "done", "its task walks to its end");
    assert_eq!(nest.show(9)["attempts"], 1);
    assert_eq!(nest.json(&["resource", "show", "1", "--json"])["state"], "released", "what job 9 held is torn down");
    nest.ok(&["schedule", "next", "nightly"]);
    assert_eq!(nest.json(&["schedule", "show", "nightly", "--json"])["overlap"], "allow", "as it was");
    assert_eq!(nest.sql().query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    let doctor = nest.say(&["doctor"]).out;
    assert!(doctor.contains("as they were made"), "{doctor}");
}

#[test]
fn doctor_fix_upgrades_an_older_file() {
    let nest = older("q.db");
    let _problems_are_told = nest.say(&["doctor", "--fix"]);
    assert_eq!(nest.json(&["ls", "-a", "--json"])["jobs"].as_array().map(Vec::len), Some(14));
}

#[test]
fn a_restored_backup_of_an_older_release_is_held() {
    let nest = older("old.db");
    nest.ok(&["restore", "old.db"]);
    nest.ok(&["release", "7"]);
    nest.work_until_idle(&[]);
    assert_eq!([1, 7, 9].map(|id| nest.state(id)), ["done", "done", "queued"].map(String::from));
}

#[test]
fn the_jobs_of_a_file_of_schema_2_go_on_after_the_upgrade() {
    let nest = older_of("q.db", include_str!("../store/version-2.sql"));
    nest.work_until_idle(&[]);
    let state = |id: i64| nest.state(id);
    assert_eq!([1, 2, 14].map(state), ["done", "failed", "cancelled"].map(String::from), "what had ended stays");
    assert_eq!([17, 23].map(state), ["failed", "cancelled"].map(String::from), "of what ran nothing is left");
    assert_eq!([15, 18, 25].map(state), ["done", "done", "done"].map(String::from));
    assert_eq!([16, 20, 21].map(|id| nest.show(id)["hold"].clone()), [json!("task"), json!("user"), json!("time")]);
    let kinds = |id: i64| -> Vec<String> {
        let events = nest.json(&["history", &id.to_string(), "--json"])["events"].clone();
        events.as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(3), ["added", "claimed", "requeued", "claimed", "done"]);
    assert_eq!(kinds(18), ["added", "claimed", "done"], "one that ended before reads like one that ended after");
    assert_eq!(nest.sql().query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}
