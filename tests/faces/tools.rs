//! What other programs do to the file beside rows: they hold its write lock, and they alter its tables. Each is tolerated, or named with its remedy.

use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Nest, Signal, kill, said, until};

fn nest() -> (Nest, Connection) {
    let nest = Nest::new();
    nest.ok(&["queue", "set", "default", "--slots", "none"]);
    let conn = nest.sql();
    (nest, conn)
}

/// The problem of that code in a document of `status` or `doctor`.
fn problem(document: &Value, code: &str) -> Option<Value> {
    document["problems"].as_array().expect("problems").iter().find(|one| one["code"] == code).cloned()
}

fn doctor(nest: &Nest) -> Value {
    serde_json::from_str(&nest.say(&["doctor", "--json"]).out).expect("a document")
}

/// How this test's process is named: it holds the lock.
fn me() -> String {
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    format!("pid {} ({})", std::process::id(), comm.trim_end())
}

/// Types a line that was printed.
fn typed(nest: &Nest, line: &str) -> crate::support::Said {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", line]).current_dir(nest.path()).stdin(Stdio::null());
    shell.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("TENURE_DB", nest.db()).env("HOME", nest.path());
    said(shell.output().unwrap())
}

/// Waits until the worker has started.
fn serving(nest: &Nest) {
    until("the worker to serve", || (nest.status()["worker"]["phase"] == "serving").then_some(()));
}

fn has_sqlite3() -> bool {
    let has = Command::new("sqlite3").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(has || std::env::var_os("TENURE_TEST_ALL").is_none(), "this test needs sqlite3: apt-get install sqlite3");
    if !has {
        eprintln!("NOT TESTED: there is no sqlite3");
    }
    has
}

#[test]
fn a_starting_worker_obeys_a_signal_while_a_client_writes() {
    let (nest, conn) = nest();
    for signal in [Signal::TERM, Signal::INT, Signal::USR1] {
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let log = std::fs::File::create(nest.file("starting.log")).unwrap();
        let mut worker = nest.tenure(&["work"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let told = until("status to name the holder", || {
            problem(&nest.status(), "writer_blocked").filter(|told| told["text"].as_str().unwrap().contains(&me()))
        });
        assert!(told["remedy"].as_str().unwrap().ends_with(&format!("kill {}", std::process::id())), "{told}");
        kill(i32::try_from(worker.id()).unwrap(), signal);
        let status = until("the worker to end", || worker.try_wait().unwrap());
        assert!(!conn.is_autocommit(), "the lock is still held");
        let text = std::fs::read_to_string(nest.file("starting.log")).unwrap();
        assert!(status.code() == Some(0) && text.contains(&me()), "{signal:?}: {status}: {text}");
        assert!(problem(&nest.status(), "writer_blocked").is_none(), "no process waits any more");
        conn.execute_batch("ROLLBACK").unwrap();
    }
    let id = nest.sh(&[], "true");
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(id), "done");
}

#[test]
fn the_holder_of_the_write_lock_is_named_for_an_idle_worker_too() {
    let (nest, conn) = nest();
    for has_worker in [false, true] {
        let worker = has_worker.then(|| nest.work(&[]));
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let told = nest.status();
        let found = problem(&told, "write_lock_held").or_else(|| problem(&told, "writer_blocked")).expect("it is told");
        assert!(found["text"].as_str().unwrap().contains(&me()), "{found}");
        let found = problem(&doctor(&nest), "writer").expect("it is told");
        assert!(found["text"].as_str().unwrap().contains(&me()), "{found}");
        conn.execute_batch("COMMIT").unwrap();
        until("nothing to be told", || {
            let told = nest.status();
            (problem(&told, "write_lock_held").is_none() && problem(&told, "writer_blocked").is_none()).then_some(())
        });
        drop(worker);
    }
}

#[test]
fn what_a_tool_adds_stops_no_worker() {
    let (nest, conn) = nest();
    for (n, change) in [
        "ALTER TABLE job ADD COLUMN note TEXT",
        "ALTER TABLE [job] ADD COLUMN [a b] INTEGER DEFAULT 5",
        "ALTER TABLE run ADD COLUMN note REAL",
        "ALTER TABLE tally ADD COLUMN note ANY",
        "CREATE INDEX mine ON job (cwd, label)",
        "CREATE TABLE mine_too (id INTEGER PRIMARY KEY, job_id INTEGER REFERENCES job(id) ON DELETE RESTRICT)",
        "CREATE VIEW my_view AS SELECT id, note FROM job",
        "INSERT INTO mine_too (job_id) SELECT id FROM job",
    ]
    .into_iter()
    .enumerate()
    {
        // While a worker works, and before one starts.
        let worker = nest.work(&[]);
        conn.execute_batch(change).unwrap_or_else(|error| panic!("{change}: {error}"));
        let id = nest.sh(&[], "true");
        nest.until_state(id, "done");
        assert_eq!(nest.status()["worker"]["conditions"].as_array().map_or(0, Vec::len), 0, "{change}");
        assert_eq!(worker.stop(), 0, "{change}");
        let id: i64 =
            conn.query_row("INSERT INTO job (command) VALUES (json_array('true')) RETURNING id", [], |row| row.get(0)).unwrap();
        nest.work_until_idle(&[]);
        assert_eq!(nest.state(id), "done", "{change}");
        let told = doctor(&nest);
        assert!(problem(&told, "schema").is_none(), "{change}: {told}");
        if n == 0 {
            assert!(told["checks"].to_string().contains("columns of other programs: job.note"), "{told}");
        }
    }
    nest.ok(&["prune", "--older-than", "0s"]);
    nest.ok(&["backup", "copy.db"]);
    nest.ok(&["restore", "copy.db"]);
    nest.work_until_idle(&[]);
}

#[test]
fn a_change_of_the_schema_is_named_with_its_repair() {
    if !has_sqlite3() {
        return;
    }
    let (nest, _) = nest();
    for change in [
        "ALTER TABLE job ADD COLUMN note TEXT CHECK (note <> 'x')",
        "ALTER TABLE job ADD COLUMN note TEXT CHECK (note <> 'x'); CREATE INDEX mine ON job (note)",
        "ALTER TABLE run ADD COLUMN \"let's\" TEXT AS ('x')",
        "ALTER TABLE job RENAME COLUMN label TO title",
        "ALTER TABLE event RENAME TO old_events",
    ] {
        let worker = nest.work(&["--tick", "200ms"]);
        serving(&nest);
        nest.sql().execute_batch(change).unwrap_or_else(|error| panic!("{change}: {error}"));
        let held = until(&format!("the worker to hold back: {change}"), || {
            let said = nest.say(&["status", "--json"]);
            let status: Value = serde_json::from_str(&said.out).ok()?;
            problem(&status, "schema_changed")
        });
        let told = problem(&doctor(&nest), "schema").expect("doctor tells");
        let line = told["remedy"].as_str().unwrap().to_owned();
        assert_eq!(held["remedy"], line.as_str(), "{change}: the worker says the same");
        worker.kill();
        let refused = nest.say(&["work", "--until-idle"]);
        assert!(refused.code == 4 && refused.err.contains(&line), "{change}: {refused:?}");
        let fixed = nest.say(&["doctor", "--fix"]);
        assert!(fixed.code == 4 && fixed.err.contains(&line), "{change}: {fixed:?}");
        assert!(!doctor(&nest)["problems"].to_string().contains("--fix"), "{change}: {}", doctor(&nest));
        let repaired = typed(&nest, &line);
        assert_eq!(repaired.code, 0, "{change}: {line}: {repaired:?}");
        let id = nest.sh(&[], "true");
        nest.work_until_idle(&[]);
        assert_eq!(nest.state(id), "done", "{change}");
        assert!(problem(&doctor(&nest), "schema").is_none(), "{change}: {}", doctor(&nest));
    }
}

#[test]
fn doctor_advises_fix_only_where_it_helps() {
    let (nest, conn) = nest();
    nest.sh(&["--hold"], "true");
    let remedies = |nest: &Nest| -> Vec<String> {
        let told = doctor(nest);
        let problems = told["problems"].as_array().unwrap().clone();
        problems.iter().filter_map(|one| one["remedy"].as_str().map(str::to_owned)).collect()
    };
    let advises = |nest: &Nest| remedies(nest).iter().any(|remedy| remedy.starts_with("tenure doctor --fix"));
    let spoil = "DROP TRIGGER counter_delete_guard";
    // Without an obstacle it is advised, and it helps.
    conn.execute_batch(spoil).unwrap();
    assert!(advises(&nest));
    nest.ok(&["doctor", "--fix"]);
    assert!(!remedies(&nest).iter().any(|remedy| remedy.contains("--fix")), "{:?}", remedies(&nest));
    // A lock that is held.
    conn.execute_batch(spoil).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!advises(&nest) && remedies(&nest).contains(&"first see writer".to_owned()), "{:?}", remedies(&nest));
    conn.execute_batch("ROLLBACK").unwrap();
    // A table that was altered.
    conn.execute_batch("ALTER TABLE counter ADD COLUMN x INTEGER CHECK (x > 1)").unwrap();
    assert!(!advises(&nest), "{:?}", remedies(&nest));
    conn.execute_batch("ALTER TABLE counter DROP COLUMN x").unwrap();
    assert!(advises(&nest));
    // A worker, which has the lock that --fix needs, and does the same: at its next write, as its next tick is far away.
    nest.ok(&["doctor", "--fix"]);
    let worker = nest.work(&["--tick", "1h"]);
    serving(&nest);
    conn.execute_batch(spoil).unwrap();
    assert!(
        !advises(&nest) && remedies(&nest).iter().any(|remedy| remedy.starts_with("the worker repairs that")),
        "{:?}",
        remedies(&nest)
    );
    assert_eq!(nest.say(&["doctor", "--fix"]).code, 6);
    let ran = nest.sh(&["--priority", "5"], "true");
    until("the worker to repair it", || (!remedies(&nest).iter().any(|remedy| remedy.contains("--fix"))).then_some(()));
    // A ready job without a worker would be a problem as well.
    nest.until_state(ran, "done");
    worker.kill();
    // A page that is damaged: only a backup helps.
    nest.ok(&["doctor", "--fix"]);
    let page: i64 = conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'run_of_job'", [], |row| row.get(0)).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);
    let mut bytes = std::fs::read(nest.db()).unwrap();
    let at = usize::try_from(page - 1).unwrap() * 4096;
    bytes[at + 8..at + 4096].fill(0xff);
    std::fs::write(nest.db(), bytes).unwrap();
    let told = remedies(&nest);
    assert!(
        told.iter().any(|remedy| remedy.contains("tenure restore")) && !told.iter().any(|remedy| remedy.contains("--fix")),
        "{told:?}"
    );
}
