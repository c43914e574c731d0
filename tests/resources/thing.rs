//! A thing outside: a file `thing` in the nest, with a ledger of who was asked for what; and a provider whose commands fail as a test
//! wants.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Nest, until};

pub const TICK: [&str; 2] = ["--tick", "50ms"];

/// The program under test, for the lines of a job.
pub fn tenure() -> &'static str {
    env!("CARGO_BIN_EXE_tenure")
}

pub fn lines(nest: &Nest, name: &str) -> Vec<String> {
    std::fs::read_to_string(nest.file(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A shell line that makes the thing and writes it down, with this teardown and perhaps more options.
pub fn make(teardown: &str, more: &str) -> String {
    format!("{} resource add thing --teardown '{teardown}' {more} >>ids && touch thing", tenure())
}

/// A teardown that takes note and removes the thing.
pub const REMOVE: &str = "echo removed >>ledger; rm -f thing";

/// A teardown that fails so many times first.
pub fn fail_first(times: usize) -> String {
    format!("echo asked >>asked; [ $(wc -l <asked) -gt {times} ] && {{ {REMOVE}; }}")
}

pub fn resource(nest: &Nest, id: i64) -> Value {
    nest.json(&["resource", "show", &id.to_string(), "--json"])
}

/// Those that are listed; with `-a` what is gone as well.
pub fn listed(nest: &Nest, all: bool) -> Vec<Value> {
    let args: &[&str] = if all { &["resource", "ls", "-a", "--json"] } else { &["resource", "ls", "--json"] };
    nest.json(args)["resources"].as_array().expect("resources").clone()
}

pub fn until_gone(nest: &Nest, id: i64) -> Value {
    until(&format!("resource {id} to be gone"), || {
        let one = resource(nest, id);
        (one["state"] == "released").then_some(one)
    })
}

/// What the wait between two tries is, is tested elsewhere: here it is over at once, by plain SQL.
pub fn hurry(nest: &Nest) {
    nest.sql().execute("UPDATE resource SET next_at = 0 WHERE state = 'releasing' AND next_at > 0", []).expect("each client may");
}

/// Adds a resource of a job.
pub fn of_job(nest: &Nest, job: i64, name: &str, teardown: &str, more: &[&str]) -> i64 {
    let job = job.to_string();
    let args = [&["resource", "add", name, "--teardown", teardown, "--job", &job], more].concat();
    nest.ok(&args).parse().expect("resource add prints the id alone")
}

/// A job that has ended, whose resources are torn down at once.
pub fn ended_job(nest: &Nest) -> i64 {
    let job = nest.sh(&[], "true");
    nest.ok(&["cancel", &job.to_string()]);
    job
}

/// No process of a run and no run file is left.
pub fn nothing_is_left(nest: &Nest) {
    until("no process of a run", || nest.of_runs().is_empty().then_some(()));
    let runs = nest.beside().join("runs");
    let files = || -> Vec<PathBuf> {
        std::fs::read_dir(&runs).map_or_else(|_| Vec::new(), |all| all.flatten().map(|e| e.path()).collect())
    };
    until("no run file with a row", || {
        let conn = nest.sql();
        let ids = files().into_iter().filter_map(|path| path.file_name()?.to_str()?.parse::<i64>().ok()).collect::<Vec<_>>();
        let known =
            |id: &i64| conn.query_row("SELECT count(*) FROM run WHERE id = ?1", [id], |row| row.get::<_, i64>(0)).unwrap() > 0;
        (!ids.iter().any(known)).then_some(())
    });
}

/// The kinds and outcomes of the runs of a resource, in their order.
pub fn steps(nest: &Nest, id: i64) -> Vec<String> {
    let runs = resource(nest, id)["runs"].as_array().expect("runs").clone();
    runs.iter().map(|run| format!("{} {}", run["kind"].as_str().unwrap(), run["outcome"].as_str().unwrap_or("open"))).collect()
}
