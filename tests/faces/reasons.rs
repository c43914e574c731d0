//! Twelve reasons to wait, each told by `why` with a command, and that very command clears it.

use serde_json::Value;

use crate::faces::obstacles::{cleared, codes, obstacle, remedy};
use crate::support::{Nest, until};

/// Makes a job that waits.
type Waiting = fn(&Nest) -> i64;

/// Each with the code that scripts read, and how a job comes to wait for it.
const REASONS: [(&str, Waiting); 12] = [
    ("user", |nest| nest.sh(&["--hold"], "true")),
    ("task", held_by_its_task),
    ("dependency", behind_a_job_that_runs),
    ("dependency_broken", behind_a_job_that_failed),
    ("resource", behind_a_teardown_that_fails),
    ("time", |nest| nest.sh(&["--delay", "1h"], "true")),
    ("lane", in_a_full_lane),
    ("queue_paused", in_a_paused_queue),
    ("queue_full", in_a_full_queue),
    ("position", behind_others),
    ("cancelled", |nest| {
        let id = nest.sh(&[], "true");
        nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [id]).unwrap();
        id
    }),
    ("no_worker", |nest| nest.sh(&[], "true")),
];

fn held_by_its_task(nest: &Nest) -> i64 {
    std::fs::write(nest.file("p.toml"), "[pipeline.p]\nstart = 'a'\n[pipeline.p.stage.a]\ncommand = ['true']\n").unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    let task = nest.ok(&["task", "start", "p"]);
    nest.ok(&["task", "hold", &task]);
    nest.json(&["task", "show", &task, "--json"])["jobs"][0].as_i64().unwrap()
}

/// A job that runs until there is a file `go`.
fn running(nest: &Nest, options: &[&str]) -> i64 {
    let id = nest.sh(options, "until [ -e go ]; do sleep 0.02; done");
    nest.until_pid(id);
    id
}

/// A job that runs until a `tenure wait` waits for it.
pub fn waited_for(nest: &Nest, options: &[&str]) -> i64 {
    // It ends when a `tenure wait` on this very file waits for it; other tests wait on files of their own.
    let asked = "for p in /proc/[0-9]*; do grep -qsz '^wait$' $p/cmdline && grep -qszFx \"TENURE_DB=$TENURE_DB\" $p/environ && break; done";
    let id = nest.sh(options, &format!("until {asked}; do sleep 0.02; done"));
    nest.until_pid(id);
    id
}

fn behind_a_job_that_runs(nest: &Nest) -> i64 {
    let parent = waited_for(nest, &[]);
    nest.sh(&["--after", &parent.to_string()], "true")
}

fn behind_a_job_that_failed(nest: &Nest) -> i64 {
    let parent = nest.sh(&[], "exit 1");
    nest.work_until_idle(&[]);
    let sql = nest.sql();
    sql.execute("INSERT INTO job (command) VALUES (json_array('true'))", []).unwrap();
    let id = sql.last_insert_rowid();
    sql.execute("INSERT INTO dependency (job_id, on_job) VALUES (?1, ?2)", [id, parent]).unwrap();
    id
}

fn behind_a_teardown_that_fails(nest: &Nest) -> i64 {
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let line = format!("{tenure} resource add thing --teardown 'exit 1'; exit 3");
    let id = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], &line);
    nest.work_until_idle(&[]);
    id
}

fn in_a_full_lane(nest: &Nest) -> i64 {
    waited_for(nest, &["--lane", "l"]);
    nest.sh(&["--lane", "l"], "true")
}

fn in_a_paused_queue(nest: &Nest) -> i64 {
    nest.ok(&["queue", "pause", "q"]);
    nest.sh(&["-q", "q"], "true")
}

fn in_a_full_queue(nest: &Nest) -> i64 {
    nest.ok(&["queue", "set", "q", "--slots", "1"]);
    running(nest, &["-q", "q"]);
    nest.sh(&["-q", "q"], "true")
}

fn behind_others(nest: &Nest) -> i64 {
    nest.sh(&["-o", "3"], "true");
    nest.sh(&["-o", "7"], "true");
    nest.sh(&[], "true")
}

/// These need a worker that runs what holds them; the others are told without a worker too.
const WITH_A_WORKER: [&str; 3] = ["dependency", "lane", "queue_full"];

#[test]
fn each_of_twelve_reasons_is_shown_with_the_command_to_clear_it() {
    for (code, wait) in REASONS {
        let nest = Nest::new();
        let mut worker = WITH_A_WORKER.contains(&code).then(|| nest.work(&["--slots", "4"]));
        let id = wait(&nest);
        until(&format!("{code} to be told"), || obstacle(&nest, id, code));
        if code == "no_worker" {
            assert_eq!(remedy(&nest, id, code), "tenure work");
            worker = Some(nest.work(&[]));
            until("there to be a worker", || obstacle(&nest, id, code).is_none().then_some(()));
        } else {
            cleared(&nest, id, code);
        }
        // Nothing that was told is without a code, a text and, where a command helps, that command.
        let why = nest.json(&["why", &id.to_string(), "--json"]);
        for one in why["obstacles"].as_array().unwrap() {
            assert!(one["code"].is_string() && one["text"].is_string(), "{one}");
            assert!(matches!(one["remedy"], Value::Null | Value::String(_)), "{one}");
        }
        assert!(!codes(&nest, id).contains(&code.to_owned()), "{code}");
        std::fs::write(nest.file("go"), "").unwrap();
        drop(worker);
    }
}
