//! Plain SQL from a client that knows nothing of tenure: it may add, cancel, order and hold, and what it writes wrongly is told.

use rusqlite::{Connection, params};

use crate::faces::said::end;
use crate::support::{Nest, lives, until};

fn insert(conn: &Connection, command: &str) -> i64 {
    conn.query_row("INSERT INTO job (command) VALUES (?1) RETURNING id", [command], |row| row.get(0)).unwrap()
}

fn sh(conn: &Connection, line: &str) -> i64 {
    conn.query_row("INSERT INTO job (command) VALUES (json_array('/bin/sh', '-c', ?1)) RETURNING id", [line], |row| row.get(0))
        .unwrap()
}

/// A file that has its schema, and a worker or none.
fn nest() -> (Nest, Connection) {
    let nest = Nest::new();
    nest.ok(&["queue", "set", "default", "--slots", "none"]);
    let conn = nest.sql();
    (nest, conn)
}

#[test]
fn a_row_becomes_a_job_at_once_in_the_root_directory() {
    let (nest, conn) = nest();
    let _worker = nest.work(&[]);
    let begun = std::time::Instant::now();
    let id = sh(&conn, "pwd; echo $TENURE_JOB");
    assert_eq!(end(&nest.until_ended(id)), "done/exit");
    assert!(begun.elapsed().as_secs() < 10, "no client had to wait for a slow look: {:?}", begun.elapsed());
    assert_eq!(nest.log(id), format!("/\n{id}"));
    let view: (String, String) =
        conn.query_row("SELECT state, reason FROM jobs WHERE id = ?1", [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(view, ("done".into(), "exit".into()));
    let runs: i64 = conn.query_row("SELECT count(*) FROM runs WHERE job_id = ?1", [id], |row| row.get(0)).unwrap();
    assert_eq!(runs, 1);
}

#[test]
fn a_cancel_row_ends_a_queued_job_and_the_worker_settles_it() {
    let (nest, conn) = nest();
    let parent = insert(&conn, r#"["true"]"#);
    let child = nest.sh(&["--after", &parent.to_string()], "true");
    conn.execute("INSERT INTO cancel (job_id, why) VALUES (?1, 'by sql')", [parent]).unwrap();
    let state: String = conn.query_row("SELECT state FROM jobs WHERE id = ?1", [parent], |row| row.get(0)).unwrap();
    assert_eq!(state, "cancelled");
    assert_eq!(nest.state(parent), "cancelled", "and every other view agrees");
    assert!(nest.ok(&["ls", "-a"]).lines().nth(1).unwrap().contains("cancelled"));
    nest.work_until_idle(&[]);
    assert_eq!((end(&nest.show(parent)), end(&nest.show(child))), ("cancelled/cancelled".into(), "failed/dependency".into()));
    let state: String = conn.query_row("SELECT state FROM job WHERE id = ?1", [parent], |row| row.get(0)).unwrap();
    assert_eq!(state, "cancelled");
}

#[test]
fn a_cancel_row_stops_a_running_job_with_its_tree() {
    let (nest, conn) = nest();
    let _worker = nest.work(&[]);
    let id = sh(&conn, "setsid sleep 600 & exec sleep 600");
    let pid = nest.until_pid(id);
    conn.execute("INSERT INTO cancel (job_id) VALUES (?1)", [id]).unwrap();
    assert_eq!(end(&nest.until_ended(id)), "cancelled/cancelled");
    assert!(!lives(pid) && nest.of_runs().is_empty());
}

#[test]
fn priorities_dependencies_queues_and_holds_by_sql_are_kept() {
    let (nest, conn) = nest();
    let note = |name: &str| format!("echo {name} >>{}/order", nest.path().display());
    let (low, high) = (sh(&conn, &note("low")), sh(&conn, &note("high")));
    conn.execute("UPDATE job SET priority = 9 WHERE id = ?1", [high]).unwrap();
    let child = sh(&conn, &note("child"));
    conn.execute("INSERT INTO dependency (job_id, on_job) VALUES (?1, ?2)", [child, low]).unwrap();
    let held = sh(&conn, &note("held"));
    conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1", [held]).unwrap();
    let laned = "INSERT INTO job (command, lane, queue, max_attempts, policy) VALUES (json_array('sh', '-c', 'exit $((TENURE_ATTEMPT - 2))'), 'l', 'q', 2, ?1)";
    conn.execute(laned, params![r#"{"backoff_ms": [0, 0]}"#]).unwrap();
    assert_eq!(nest.show(child)["hold"], "dependency");
    nest.work_until_idle(&["--slots", "1"]);
    let order = std::fs::read_to_string(nest.file("order")).unwrap();
    assert_eq!(order, "high\nlow\nchild\n");
    assert_eq!(nest.show(held)["hold"], "user");
    let last = nest.json(&["show", "last", "--json"]);
    assert_eq!((end(&last).as_str(), &last["attempts"], &last["lane"]), ("done/exit", &2.into(), &"l".into()), "{last}");
}

#[test]
fn a_wrong_value_ends_as_spawn_and_the_error_names_the_key() {
    let (nest, conn) = nest();
    let cases = [
        ("policy", r#"{"stdin": {"kept": "../../x"}}"#, "stdin"),
        ("policy", r#"{"secrets": {"A": "../../../etc/passwd"}}"#, "secret A"),
        ("policy", r#"{"secrets": {"A": "0123456789abcdef"}}"#, "secret A"),
        ("env", r#"{"A": 1}"#, "env"),
        ("env", r#"{"A=B": "x"}"#, "env"),
        ("env", r#"{"": "x"}"#, "env"),
        ("env", r#"{"TENURE_LANE": "x"}"#, "TENURE_LANE"),
        ("env", r#"{"A": "x\u0000y"}"#, "env"),
        ("cwd", "relative/path", "relative/path"),
        ("cwd", "", "directory"),
    ];
    let mut ids = Vec::new();
    for (column, value, word) in cases {
        let sql = format!("INSERT INTO job (command, max_attempts, {column}) VALUES (json_array('true'), 3, ?1) RETURNING id");
        let id: i64 = conn.query_row(&sql, [value], |row| row.get(0)).unwrap_or_else(|e| panic!("{column} {value}: {e}"));
        ids.push((id, column, value, word));
    }
    for argv in [r#"[{"hex": "zz"}]"#, r#"[{"hex": "00"}]"#, r#"[{"text": "x"}]"#] {
        if let Ok(id) = conn.query_row("INSERT INTO job (command) VALUES (?1) RETURNING id", [argv], |row| row.get(0)) {
            ids.push((id, "command", argv, ""));
        }
    }
    let good = insert(&conn, r#"["true"]"#);
    nest.work_until_idle(&[]);
    for (id, column, value, word) in ids {
        let job = nest.show(id);
        assert_eq!(end(&job), "failed/spawn", "{column} {value}: {job}");
        let error = job["error"].as_str().unwrap_or_default();
        assert!(error.contains(word), "{column} {value}: {error}");
        assert_eq!(job["runs"].as_array().unwrap().len(), 1, "it is not tried three times: {job}");
        assert!(nest.ok(&["why", &id.to_string()]).contains(word));
    }
    assert_eq!(nest.state(good), "done", "no other job is harmed");
}

#[test]
fn a_broken_promise_is_refused_with_the_remedy() {
    let (nest, conn) = nest();
    let _worker = nest.work(&[]);
    let id = sh(&conn, "exec sleep 600");
    nest.until_pid(id);
    // So that there is an event to be removed.
    conn.execute("INSERT INTO resource (name, job_id, teardown) VALUES ('x', ?1, json_array('true'))", [id]).unwrap();
    let hostile = [
        "UPDATE job SET state = 'queued'",
        "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0",
        "UPDATE job SET run_id = 99",
        "UPDATE job SET priority = 5",
        "DELETE FROM job",
        "INSERT OR REPLACE INTO job (id, command) VALUES (1, json_array('true'))",
        "INSERT INTO job (command, state) VALUES (json_array('true'), 'running')",
        "INSERT INTO job (command) VALUES ('true')",
        "INSERT INTO job (command) VALUES ('[]')",
        "INSERT INTO job (command) VALUES (json_array(''))",
        r#"INSERT INTO job (command, policy) VALUES (json_array('true'), '{"timout_ms": 5}')"#,
        r#"INSERT INTO job (command, policy) VALUES (json_array('true'), '{"retry_on": [999]}')"#,
        "UPDATE run SET nonce = 'x'",
        "DELETE FROM run",
        "UPDATE meta SET value = 'x'",
        "DELETE FROM event",
    ];
    for sql in hostile {
        let error = conn.execute(sql, []).expect_err(sql).to_string();
        assert!(error.contains("tenure"), "{sql}: {error}");
    }
    let job = nest.show(id);
    assert_eq!((&job["state"], &job["priority"]), (&"running".into(), &0.into()), "{job}");
    assert_eq!(nest.status()["reaper"]["impossible_total"], 0);
    nest.ok(&["cancel", &id.to_string()]);
    nest.until_ended(id);
}

#[test]
fn ten_thousand_rows_by_sql_are_ten_thousand_jobs() {
    let (nest, conn) = nest();
    conn.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO job (command, priority, label) SELECT json_array('true'), i % 7, 'bulk' FROM n;",
    )
    .unwrap();
    let counts = || nest.status()["counts"].clone();
    assert_eq!(counts()["queued"], 10_000);
    let listed = nest.json(&["ls", "--json", "-n", "20000"]);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 10_000);
    let first = nest.sh(&["-o", "99"], "true");
    let worker = nest.work(&["--slots", "2"]);
    nest.until_state(first, "done");
    until("a few hundred of them to be done", || (counts()["done"].as_i64()? > 300).then_some(()));
    let cancelled = nest.say(&["cancel", "--label", "bulk", "--state", "queued"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.err.lines().last().unwrap_or_default());
    until("the rest to end", || (counts()["running"] == 0 && counts()["queued"] == 0).then_some(()));
    let after = counts();
    let sum: i64 = ["done", "failed", "cancelled"].iter().map(|state| after[*state].as_i64().unwrap()).sum();
    assert_eq!((sum, after["failed"].as_i64()), (10_001, Some(0)), "{after}");
    let counted: i64 = conn.query_row("SELECT count(*) FROM job WHERE state = 'done'", [], |row| row.get(0)).unwrap();
    assert_eq!(after["done"], counted, "counts are kept, and they are right");
    worker.stop();
}
