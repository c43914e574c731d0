//! A careless or hostile program, in any language, cannot make a running job look like anything else.
//!
//! Each attack is tried through a plain connection of the SQLite that is built in, and through the stock `sqlite3` program where there is one (an
//! older SQLite, with other defaults). For each answer the running row must stay as it was; and where it refuses, it must say what to do.

use std::process::{Command, Stdio};

use rusqlite::Connection;
use tenure::store::{Role, Store, schema_differences};

use crate::store::harness::{Home, add, ask, count, open, start, text};

/// 1 is queued and has the key `k1`; 2 is running and has the key `k2`, in lane `l`; 3 is done; 4 waits for 2.
fn victim(home: &Home) -> Store {
    let client = home.open(Role::Client);
    client
        .write(|conn| {
            conn.execute_batch(
                r#"INSERT INTO job (command, unique_key) VALUES ('["true"]', 'k1');
                   INSERT INTO job (command, unique_key, lane) VALUES ('["true"]', 'k2', 'l');
                   INSERT INTO job (command) VALUES ('["true"]'), ('["true"]');"#,
            )?;
            Ok(())
        })
        .unwrap();
    start(&client, 2, 12);
    start(&client, 3, 13);
    client
        .write(|conn| {
            conn.execute_batch(
                "UPDATE run SET finished_at = 7, outcome = 'done', reason = 'exit', exit_code = 0 WHERE id = 13;
                 UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 7 WHERE id = 3;
                 INSERT INTO dependency (job_id, on_job) VALUES (4, 2);
                 INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('gpu', lower(hex(zeroblob(16))), '[]', 'b', 1);",
            )?;
            Ok(())
        })
        .unwrap();
    client
}

/// What must never change by the hand of a stranger.
const OWNED: &str = "SELECT id, command, state, reason, run_id, pid, started_at, finished_at, attempts, unique_key, lane, exit_code FROM job \
    WHERE id IN (2, 3) UNION ALL SELECT id, job_id, nonce, outcome, finished_at, 0, 0, 0, 0, 0, 0, 0 FROM run \
    UNION ALL SELECT key, running, max_running, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM lane";

/// Each attack, and a word that its refusal must contain. All are tried with CHECK constraints switched off as well.
const ATTACKS: &[(&str, &str)] = &[
    ("UPDATE job SET pid = 1 WHERE id = 1", "tenure: "),
    ("UPDATE job SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL WHERE id = 2", "tenure: "),
    ("UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 9 WHERE id = 2", "tenure: "),
    ("UPDATE job SET state = 'cancelled' WHERE id = 1", "tenure: "),
    ("UPDATE job SET run_id = 99 WHERE id = 2", "tenure: "),
    ("UPDATE job SET command = json_array('rm') WHERE id = 2", "tenure: "),
    ("UPDATE job SET attempts = 0 WHERE id = 2", "tenure: "),
    ("UPDATE job SET unique_key = 'k2' WHERE id = 1", "tenure: "),
    ("UPDATE OR REPLACE job SET unique_key = 'k2' WHERE id = 1", "tenure: "),
    ("UPDATE OR REPLACE job SET id = 2 WHERE id = 1", "tenure: "),
    ("UPDATE OR REPLACE job SET rowid = 2 WHERE id = 1", "an id does not change"),
    ("UPDATE OR REPLACE job SET _rowid_ = 2 WHERE id = 1", "an id does not change"),
    ("UPDATE job SET oid = 77 WHERE id = 2", "an id does not change"),
    ("UPDATE OR REPLACE run SET rowid = 12 WHERE id = 13", "tenure: "),
    ("UPDATE OR REPLACE event SET rowid = 1 WHERE id = 2", "events do not change"),
    ("UPDATE meta SET value = '1' WHERE key = 'run_id_limit'", "tenure: "),
    ("DELETE FROM meta", "tenure: "),
    ("DELETE FROM lease", "tenure: "),
    ("INSERT OR REPLACE INTO lease (name, nonce, command, boot_id, since) VALUES ('l', '', '[]', '', 1)", "tenure: "),
    ("UPDATE lane SET of_array = 1", "tenure: "),
    ("INSERT OR REPLACE INTO job (id, command) VALUES (2, json_array('x'))", "omit it"),
    ("REPLACE INTO job (id, command) VALUES (2, json_array('x'))", "omit it"),
    ("REPLACE INTO job (rowid, command) VALUES (2, json_array('x'))", "omit it"),
    ("REPLACE INTO job (command, unique_key) VALUES (json_array('x'), 'k2')", "use another key"),
    (
        "INSERT INTO job (command, unique_key) VALUES (json_array('x'), 'k2') ON CONFLICT DO UPDATE SET label = 'x'",
        "use another key",
    ),
    ("INSERT INTO job (id, command) VALUES (2, json_array('x')) ON CONFLICT (id) DO UPDATE SET label = 'x'", "omit it"),
    ("INSERT INTO job (id, command) VALUES (9223372036854775807, json_array('x'))", "omit it"),
    ("INSERT INTO job (id, command) VALUES (0, json_array('x'))", "omit it"),
    ("INSERT INTO job (command, state, run_id, started_at) VALUES (json_array('x'), 'running', 5, 5)", "omit state"),
    ("INSERT INTO job (command, pid) VALUES (json_array('x'), 5)", "omit state"),
    ("INSERT INTO job (command, attempts) VALUES (json_array('x'), -5)", "omit state"),
    ("INSERT INTO job (command) VALUES ('echo hi')", "json_array("),
    ("INSERT INTO job (command) VALUES ('[]')", "json_array("),
    ("INSERT INTO job (command) VALUES ('[1, 2]')", "must be a string"),
    ("INSERT INTO job (command) VALUES ('[\"\"]')", "must not be empty"),
    ("INSERT INTO job (command) VALUES ('[\"a\\u0000b\"]')", "NUL"),
    ("INSERT INTO job (command) VALUES (json_array('a', char(0)))", "NUL"),
    ("INSERT INTO job (command, env) VALUES (json_array('x'), '[]')", "JSON objects"),
    ("DELETE FROM job", "tenure: "),
    ("DELETE FROM job WHERE id = 2", "tenure: "),
    ("UPDATE run SET outcome = 'done', finished_at = 1 WHERE id = 12", "tenure: "),
    ("DELETE FROM run", "tenure: "),
    (
        "REPLACE INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (12, 1, 1, hex(zeroblob(16)), '', '', 1)",
        "tenure: ",
    ),
    ("UPDATE lane SET running = 0", "tenure: "),
    ("DELETE FROM lane", "tenure: "),
    ("INSERT INTO lane (key, running) VALUES ('m', -1)", "omit running"),
    ("UPDATE dependency SET state = 'met'", "only the state of"),
    ("UPDATE job SET unmet = 0 WHERE id = 4", "change those"),
    ("DELETE FROM dependency", "tenure: "),
    ("INSERT INTO dependency (job_id, on_job) VALUES (1, 4)", "added before it"),
    ("UPDATE event SET kind = 'x'", "events do not change"),
    ("DELETE FROM event", "tenure: "),
    ("DELETE FROM cancel", "tenure: "),
    ("INSERT INTO cancel (job_id) VALUES (3)", "the job has already"),
    ("INSERT INTO cancel (job_id) VALUES (77)", "the job does not"),
    ("UPDATE job SET label = 'x' WHERE id = 3", "does not change"),
];

/// What no trigger can refuse. It must do no harm to what runs, and be found.
const SILENT: &[&str] = &[
    "REPLACE INTO lane (key, max_running) VALUES ('l', 5)",
    "UPDATE job SET hold = NULL",
    "UPDATE job SET user_hold = 1, available_at = 9999999999999, priority = -5 WHERE id = 2",
    "UPDATE job SET lane_pass = 1, due_seen = 5 WHERE id = 2",
    "INSERT INTO job (command, label) VALUES (json_array('x'), 'y') ON CONFLICT DO NOTHING",
    "DELETE FROM tally",
    "UPDATE queue SET slots = 0, paused = 1",
];

#[test]
fn each_attack_is_refused_with_advice_and_changes_nothing() {
    for checks_off in [false, true] {
        let home = Home::new();
        let watcher = victim(&home);
        // A statement that meets no row refuses nothing.
        watcher
            .write(|conn| {
                Ok(conn.execute_batch("INSERT INTO cancel (job_id) VALUES (4); UPDATE job SET user_hold = 1 WHERE id = 4")?)
            })
            .unwrap();
        let before = ask(&watcher, OWNED);
        let jobs = count(&watcher);
        for client in clients(&home) {
            for (attack, advice) in ATTACKS {
                let refusal = client.run(attack, checks_off);
                assert!(refusal.contains(advice), "{}: {attack}\nanswered: {refusal}", client.name());
                assert_eq!(ask(&watcher, OWNED), before, "{}: {attack}", client.name());
                assert_eq!(count(&watcher), jobs, "{}: {attack}", client.name());
            }
            for attack in SILENT {
                let _ = client.run(attack, checks_off);
                let expected = before.replace("l|1|5|", "l|1|1|");
                assert_eq!(ask(&watcher, OWNED).replace("l|1|5|", "l|1|1|"), expected, "{}: {attack}", client.name());
            }
            let _ = client.run("DELETE FROM job WHERE label = 'y'", checks_off);
            // What went through adds one queued job per client, which is what an insert is for.
            assert!(count(&watcher) > jobs);
            break_off(&watcher, jobs);
        }
    }
}

/// Removes what an attack was allowed to add, as prune would.
fn break_off(store: &Store, jobs: i64) {
    store
        .write(move |conn| {
            conn.execute("UPDATE job SET state = 'cancelled', reason = 'cancelled', finished_at = 1 WHERE id > ?1", [jobs])?;
            conn.execute("DELETE FROM job WHERE id > ?1", [jobs])?;
            conn.execute("DELETE FROM sqlite_sequence WHERE name = 'job'", [])?;
            Ok(())
        })
        .unwrap();
}

#[test]
fn ids_used_up_by_hand_are_told_from_a_full_disk() {
    for role in [Role::Client, Role::Worker] {
        let home = Home::new();
        let store = home.open(role);
        add(&store, "a");
        home.foreign().execute_batch("UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'job'").unwrap();
        let error = store.write(|conn| crate::store::harness::insert(conn, "b")).unwrap_err().to_string();
        assert!(error.contains("doctor --fix"), "{error}");
        let health = store.health();
        assert!(health.disk_full_since_ms.is_none() && store.place().ballast().exists() == (role == Role::Worker), "{health:?}");
        home.foreign().execute_batch("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'job'").unwrap();
        assert_eq!(add(&store, "b"), 2);
    }
}

#[test]
fn a_client_may_cancel_hold_and_prioritise_and_read() {
    let home = Home::new();
    let watcher = victim(&home);
    for client in clients(&home) {
        for sql in [
            "INSERT INTO cancel (job_id) VALUES (2)",
            "INSERT INTO cancel (job_id, why) VALUES (2, 'again')",
            "UPDATE job SET priority = 5, label = 'mine', user_hold = 1, available_at = 7, expires_at = 9 WHERE id = 1",
            "UPDATE job SET user_hold = 0 WHERE id = 1",
            "UPDATE queue SET paused = 1",
            "UPDATE lane SET max_running = 3",
            "SELECT * FROM jobs; SELECT * FROM runs; SELECT * FROM history;",
        ] {
            let answer = client.run(sql, false);
            assert!(!answer.to_lowercase().contains("error"), "{}: {sql}\n{answer}", client.name());
        }
    }
    assert_eq!(ask(&watcher, "SELECT count(*) FROM cancel"), "1", "a second request is the same request");
    assert_eq!(ask(&watcher, "SELECT state, cancelling FROM jobs WHERE id = 2"), "running|1");
}

#[test]
fn a_dropped_guard_is_restored_by_the_next_worker() {
    let home = Home::new();
    drop(victim(&home));
    home.foreign().execute_batch("DROP TRIGGER job_owner_guard; DROP TRIGGER job_insert_guard").unwrap();
    let reader = home.open(Role::Reader);
    let told = reader.read(schema_differences).unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    let worker = home.open(Role::Worker);
    assert_eq!(worker.opened().problems.len(), 2, "{:?}", worker.opened());
    assert_eq!(reader.read(schema_differences).unwrap(), [""; 0]);
    assert!(home.foreign().execute_batch("UPDATE job SET pid = 1").is_err());
}

#[test]
fn rows_that_break_a_rule_do_not_stop_the_worker_and_are_told() {
    let home = Home::new();
    drop(victim(&home));
    // Nothing can refuse one who switches both triggers and checks off.
    let foreign = home.foreign();
    foreign.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    foreign.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE job SET pid = -1 WHERE id = 1").unwrap();
    let worker = home.open(Role::Worker);
    let problems = &worker.opened().problems;
    assert!(problems.iter().any(|problem| problem.contains("CHECK constraint failed in job")), "{problems:?}");
    assert_eq!(add(&worker, "a"), 5);
}

#[test]
fn our_own_connections_may_not_break_the_rules_either() {
    let home = Home::new();
    let client = victim(&home);
    let before = ask(&client, OWNED);
    for sql in [
        "UPDATE job SET state = 'queued' WHERE id = 2",
        "UPDATE job SET state = 'running', run_id = 5, started_at = 5 WHERE id = 3",
        "UPDATE job SET state = 'done', reason = 'exit', exit_code = 1, finished_at = 1, pid = NULL WHERE id = 2",
        "UPDATE job SET id = 9 WHERE id = 2",
        "DELETE FROM job WHERE id = 2",
        "UPDATE run SET nonce = hex(randomblob(16)) WHERE id = 12",
        "INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (12, 1, 1, hex(zeroblob(16)), '', '', 1)",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'job_owner_guard'",
    ] {
        let done = client.write(move |conn| Ok(conn.execute_batch(sql)?));
        assert!(done.is_err(), "{sql}");
        assert_eq!(ask(&client, OWNED), before, "{sql}");
    }
}

/// A program that is not tenure.
enum Client {
    Plain(Connection),
    /// The stock command line program.
    Shell(std::path::PathBuf),
}

fn clients(home: &Home) -> Vec<Client> {
    let mut clients = vec![Client::Plain(home.foreign())];
    match Command::new("sqlite3").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => clients.push(Client::Shell(home.db())),
        _ => crate::support::untested::not_tested("the stock shell of SQLite", "sqlite3: apt-get install sqlite3"),
    }
    clients
}

impl Client {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain(_) => "plain connection",
            Self::Shell(_) => "sqlite3",
        }
    }

    /// Runs a statement and returns what was said about it; nothing if it was done.
    fn run(&self, sql: &str, checks_off: bool) -> String {
        let sql = format!("PRAGMA ignore_check_constraints = {};\n{sql}", if checks_off { "ON" } else { "OFF" });
        match self {
            Self::Plain(conn) => conn.execute_batch(&sql).err().map(|error| error.to_string()).unwrap_or_default(),
            Self::Shell(db) => {
                let output = Command::new("sqlite3").arg("-batch").arg("-bail").arg(db).arg(&sql).output().unwrap();
                String::from_utf8_lossy(&output.stderr).into_owned()
            }
        }
    }
}

#[test]
fn a_file_that_tenure_made_is_whole_for_others() {
    let home = Home::new();
    drop(victim(&home));
    assert_eq!(text(&home.foreign(), "PRAGMA integrity_check"), "ok");
    assert_eq!(count(&open(&home.db(), Role::Reader)), 4);
}
