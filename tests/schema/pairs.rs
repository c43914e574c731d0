//! CHECK and guard of a rule agree: what one of them refuses, the other one refuses as well.
//!
//! A client can switch the CHECK constraints off, and a connection of tenure is not refused by the guards for plain clients.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::model::file;
use crate::schema::parts::{CHECK_CASES, constraints};
use crate::schema::raises::{CASES, full, spelled, statements, with_whole_raises};

/// Does it and undoes it. The error, if there is one.
fn tried(conn: &Connection, sql: &str) -> Option<String> {
    conn.execute_batch("SAVEPOINT one").unwrap();
    let error = conn.execute_batch(sql).err().map(|error| error.to_string());
    conn.execute_batch("ROLLBACK TO one; RELEASE one").unwrap();
    error
}

/// A full file with CHECK constraints and no triggers.
fn with_checks_alone() -> Connection {
    let conn = full();
    conn.execute_batch("PRAGMA ignore_check_constraints = OFF").unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn
}

/// A full file as a plain client has it that has switched the CHECK constraints off.
fn with_guards_alone() -> Connection {
    let conn = full();
    conn.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    file::make_plain(&conn);
    conn
}

fn broken_check(error: Option<String>) -> Option<String> {
    Some(error?.strip_prefix("CHECK constraint failed: ")?.split(' ').next()?.to_owned())
}

#[test]
fn a_guard_refuses_every_value_that_a_check_refuses() {
    let (checks, guards) = (with_checks_alone(), with_guards_alone());
    let all = CASES.iter().flat_map(|(_, _, statements)| statements.iter()).chain(CHECK_CASES);
    let (mut met, mut passed, mut walked) = (BTreeSet::new(), Vec::new(), 0);
    for sql in all.map(|sql| spelled(sql)) {
        let Some(check) = broken_check(tried(&checks, &sql)) else { continue };
        if !tried(&guards, &sql).is_some_and(|error| error.starts_with("tenure: ")) {
            passed.push(format!("{check}: {sql:.200}"));
        }
        met.insert(check);
        walked += 1;
    }
    assert!(passed.is_empty(), "no guard refuses:\n{}", passed.join("\n"));
    assert_eq!(met, constraints(), "each CHECK was broken");
    println!("{} CHECK constraints, {walked} statements", met.len());
}

/// Rules of values that a guard has and no CHECK: the guard and the beginning of its words. What a new row must omit, and an id that a client gives,
/// may be in a later row; and a table that does not change at all has no rule for values.
#[rustfmt::skip]
const OF_GUARDS_ALONE: &[(&str, &str)] = &[
    ("suspend_insert_guard", "a new suspension is a request;"), ("suspend_insert_guard", "the file assigns the id of a suspension;"),
    ("cancel_insert_guard", "a new cancel is open"), ("cancel_insert_guard", "the file assigns the id of a cancel;"), ("cancel_is_an_event", "no ids are left"),
    ("dependency_insert_guard", "a job waits only for jobs added before it"), ("dependency_insert_guard", "a new dependency is unmet"),
    ("event_insert_guard", "the file assigns the id of an event;"), ("event_update_guard", "events do not change"),
    ("job_enters", "no ids are left"), ("job_insert_guard", "a new job is queued"), ("job_insert_guard", "the file assigns the id;"),
    ("lane_insert_guard", "a new lane is empty"), ("lease_update_guard", "a lease cannot be updated; release"), ("pipeline_update_guard", "a revision of a pipeline does not"),
    ("queue_insert_guard", "head_id, head_priority, head_rank, is_full"), ("resource_enters", "no ids are left"), ("resource_enters", "the file assigns the id of a resource;"),
    ("pool_insert_guard", "head_id of a pool is derived"), ("pool_unit_update_guard", "a unit stays"),
    ("resource_insert_guard", "a new resource is held"), ("resource_insert_guard", "the file assigns the id of a resource;"), ("run_insert_guard", "a new run is in no workspace"),
    ("schedule_insert_guard", "the file assigns the id of a schedule;"), ("task_insert_guard", "a new task is running"), ("task_insert_guard", "the file assigns the id of a task;"),
    ("unresolved_update_guard", "unresolved is"),
    // What the program checks again when it starts the job.
    ("job_insert_guard", "a command cannot contain a NUL"), ("job_insert_guard", "policy: a text must"), ("job_insert_guard", "policy: a workspace is"), ("job_insert_guard", "policy: warn comes"),
];

#[test]
fn a_check_refuses_every_value_that_a_guard_refuses() {
    // A rule is about values alone if its condition reads no other row and not the row before.
    let mut of_values: BTreeMap<(String, String), bool> = BTreeMap::new();
    for (guard, statement) in statements(&full()) {
        let is_of_values = !["OLD.", "EXISTS", " FROM "].iter().any(|word| statement.contains(word));
        for raise in with_whole_raises(&statement).split("RAISE(ABORT, 'tenure: ").skip(1) {
            of_values.insert((guard.clone(), raise.split("')").next().unwrap().replace("''", "'")), is_of_values);
        }
    }
    let checks = with_checks_alone();
    let (mut alone, mut walked) = (BTreeSet::new(), 0);
    for (guard, words, statements) in CASES {
        let is_of_values = of_values.iter().any(|((name, text), is)| *is && name == guard && text.starts_with(words));
        for sql in statements.iter().filter(|_| is_of_values) {
            if broken_check(tried(&checks, &spelled(sql))).is_none() {
                alone.insert((*guard, *words));
            }
            walked += 1;
        }
    }
    assert_eq!(alone, OF_GUARDS_ALONE.iter().copied().collect());
    println!("{walked} statements");
}
