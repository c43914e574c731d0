//! A file with a row of each kind, and for each RAISE a statement that it refuses.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::model::file;

/// A file with a row of each kind. Jobs: 1 queued with a key, 2 running in lane `l` with a key, 3 done, 4 waits for 2, 5 queued in the full lane, 6 queued
/// and being cancelled, 7 queued and of task 1, 8 impossible: queued with a pid, 9 failed and of the stopped task 3. Task 4 is about
/// to make its first job, and run 30 is a probe. 10 to 13 use pools, and another engine
/// runs 10. 14 running and suspended.
pub(super) const FULL: &str = r#"
INSERT INTO job (command, unique_key) VALUES ('["true"]', 'k1');
INSERT INTO job (command, unique_key, lane) VALUES ('["true"]', 'k2', 'l');
INSERT INTO job (command) VALUES ('["true"]'), ('["true"]');
UPDATE job SET state = 'running', run_id = id + 10, started_at = 5, attempts = 1 WHERE id IN (2, 3);
INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) SELECT run_id, id, 1, lower(hex(zeroblob(16))), 'w', 'b', 5 FROM job WHERE id IN (2, 3);
INSERT INTO dependency (job_id, on_job) VALUES (4, 2);
INSERT INTO job (command, lane) VALUES ('["true"]', 'l');
INSERT INTO job (command) VALUES ('["true"]');
INSERT INTO cancel (job_id) VALUES (6);
INSERT INTO resource (name, job_id, teardown) VALUES ('held', 1, '["true"]'), ('gone', 1, '["true"]'), ('other', 1, '["true"]');
UPDATE resource SET state = 'releasing' WHERE id IN (2, 3);
UPDATE resource SET state = 'released', released_at = 1, released_by = 'force' WHERE id = 2;
UPDATE run SET finished_at = 7, outcome = 'done', reason = 'exit', exit_code = 0 WHERE id = 13;
UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 7 WHERE id = 3;
INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('held', lower(hex(zeroblob(16))), '[]', 'b', 1);
INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('k', 'k-1', 0, 0, 'b'), ('n', 'n-1', 0, 0, 'b');
UPDATE run SET dir = 'k-1' WHERE id = 12;
INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('n', '* * * * *', 'UTC', '{}', 0, 0);
INSERT INTO occurrence (schedule_id, at, last_at, state, job_id, decided_at) VALUES (1, 10, 10, 'fired', 3, 1);
INSERT INTO occurrence (schedule_id, at, last_at, state, reason, decided_at) VALUES (1, 20, 20, 'skipped', 'missed', 1);
INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 1, '{}', 1);
INSERT INTO task (pipeline_id, pipeline, key, stage, created_at) VALUES (1, 'p', 't1', 's', 1);
INSERT INTO job (command, task_id) VALUES ('["true"]', 1);
UPDATE task SET job_id = 7 WHERE id = 1;
INSERT INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (1, 1, 's', 7, 1);
INSERT INTO task (pipeline_id, pipeline, key, stage, created_at) VALUES (1, 'p', 't2', 's', 1);
UPDATE task SET state = 'done', finished_at = 1 WHERE id = 2;
INSERT INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (2, 1, 's', 3, 1);
UPDATE task_step SET ended_at = 1, outcome = 'done' WHERE task_id = 2;
INSERT INTO job (command) VALUES ('["true"]');
INSERT INTO task (pipeline_id, pipeline, key, stage, created_at) VALUES (1, 'p', 't3', 's', 1);
INSERT INTO job (command, task_id) VALUES ('["true"]', 3);
UPDATE task SET job_id = 9 WHERE id = 3;
UPDATE job SET state = 'failed', reason = 'exit', finished_at = 1 WHERE id = 9;
UPDATE task SET stop_at = 1 WHERE id = 3;
INSERT INTO task (pipeline_id, pipeline, key, stage, created_at) VALUES (1, 'p', 't4', 's', 1);
INSERT INTO run (id, kind, attempt, nonce, instance, boot_id, claimed_at) VALUES (30, 'probe', 1, lower(hex(zeroblob(16))), 'w', 'b', 5);
INSERT INTO counter (name, n) VALUES ('lost_total', 1);
INSERT INTO unresolved VALUES (3), (9);
INSERT INTO pause DEFAULT VALUES;
INSERT INTO receipt VALUES (1, zeroblob(16), '{}');
INSERT INTO hook_rule (name, event, command) VALUES ('r', 'on_failure', '["true"]');
INSERT INTO hook (job_id, event, command, state, ended_at) VALUES (3, 'on_end', '["true"]', 'done', 7), (3, 'on_success', '["true"]', 'done', 7);
UPDATE hook SET outcome = 'done', closed_at = 8 WHERE id = 2;
INSERT INTO resource (name, run_id, teardown) VALUES ('of-run', 30, '["true"]');
INSERT INTO resource (name, task_id, teardown) VALUES ('of-task', 1, '["true"]');
INSERT INTO pool (name, size) VALUES ('gpu', 2);
INSERT INTO job (command, uses) VALUES ('["true"]', '{"gpu": 1}'), ('["true"]', '{"gpu": 2}');
UPDATE job SET state = 'running', run_id = 20, started_at = 5, attempts = 1 WHERE id = 10;
INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (20, 10, 1, lower(hex(zeroblob(16))), 'w', 'b', 5);
INSERT INTO job (command, uses) VALUES ('["true"]', '{"gpu": 2}');
UPDATE job SET state = 'cancelled', reason = 'cancelled', finished_at = 5 WHERE id = 12;
INSERT INTO pool (name, size) VALUES ('x', 1);
INSERT INTO job (command, uses) VALUES ('["true"]', '{"x": 1}');
INSERT INTO suspend (job_id) VALUES (2);
UPDATE suspend SET closed_at = 8, suspended_ms = 1 WHERE id = 1;
INSERT INTO job (command) VALUES ('["true"]');
UPDATE job SET state = 'running', run_id = 40, started_at = 5, attempts = 1 WHERE id = 14;
INSERT INTO suspend (job_id, why) VALUES (14, 'open');
INSERT INTO launched (run_id, launcher, options, state) VALUES (20, '/l', '{}', 'sent');
UPDATE queue SET slots = 9;
"#;

pub(crate) fn full() -> Connection {
    full_of(crate::schema::SCHEMA)
}

/// The same in a file of another schema.
pub(crate) fn full_of(schema: &str) -> Connection {
    let conn = file::made(schema);
    conn.execute_batch(FULL).unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE job SET pid = 5 WHERE id = 8").unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
    conn
}

pub(super) const J: &str = "INSERT INTO job (command) VALUES";
pub(super) const ARGV: &str = r#"'["x"]'"#;

/// The guard, the beginning of its words, and statements of which each must be refused with them. `J` and `A` stand for the beginning of an insert and for a command.
#[rustfmt::skip]
pub(crate) const CASES: &[(&str, &str, &[&str])] = &[
    ("job_insert_guard", "the file assigns the id;", &["INSERT INTO job (id, command) VALUES (1, A)", "REPLACE INTO job (rowid, command) VALUES (99, A)"]),
    ("job_insert_guard", "a new job is queued", &[
        "INSERT INTO job (command, state) VALUES (A, 'done')", "INSERT INTO job (command, reason) VALUES (A, 'exit')", "INSERT INTO job (command, run_id) VALUES (A, 1)",
        "INSERT INTO job (command, pid) VALUES (A, 1)", "INSERT INTO job (command, started_at) VALUES (A, 1)", "INSERT INTO job (command, finished_at) VALUES (A, 1)",
        "INSERT INTO job (command, attempts) VALUES (A, 1)", "INSERT INTO job (command, deferrals) VALUES (A, 1)", "INSERT INTO job (command, failed_starts) VALUES (A, 1)",
        "INSERT INTO job (command, unmet) VALUES (A, 1)", "INSERT INTO job (command, broken) VALUES (A, 1)", "INSERT INTO job (command, unreleased) VALUES (A, 1)",
        "INSERT INTO job (command, due_seen) VALUES (A, 1)", "INSERT INTO job (command, lane_pass) VALUES (A, 1)", "INSERT INTO job (command, too_wide) VALUES (A, 1)", "INSERT INTO job (command, pool_pass) VALUES (A, 1)", "INSERT INTO job (command, exit_code) VALUES (A, 0)",
        "INSERT INTO job (command, signal) VALUES (A, 9)", "INSERT INTO job (command, last_reason) VALUES (A, 'exit')", "INSERT INTO job (command, result) VALUES (A, 'x')",
        "INSERT INTO job (command, error) VALUES (A, 'x')", "INSERT INTO job (command, progress) VALUES (A, 'x')", "INSERT INTO job (command, key_taken) VALUES (A, 1)"]),
    ("job_insert_guard", "queue and lane have 1 to 200", &[
        "INSERT INTO job (command, queue) VALUES (A, '')", "INSERT INTO job (command, queue) VALUES (A, printf('%201s', ''))", "INSERT INTO job (command, lane) VALUES (A, '')",
        "INSERT INTO job (command, label) VALUES (A, printf('%1001s', ''))", "INSERT INTO job (command, unique_key) VALUES (A, '')", "INSERT INTO job (command, unique_key) VALUES (A, printf('%1001s', ''))"]),
    ("job_insert_guard", "queue and lane have at most", &["INSERT INTO job (command, queue) VALUES (A, W)", "INSERT INTO job (command, lane) VALUES (A, W)",
        "INSERT INTO job (command, label) VALUES (A, W)", "INSERT INTO job (command, unique_key) VALUES (A, W)"]),
    ("job_insert_guard", "command, env and policy have", &["INSERT INTO job (command, cwd) VALUES (A, printf('%4097s', ''))", "INSERT INTO job (command) VALUES (json_array(printf('%4000001s', '')))",
        "INSERT INTO job (command, env) VALUES (A, json_object('A', printf('%4000001s', '')))", "INSERT INTO job (command, policy) VALUES (A, json_object('A', printf('%4000001s', '')))"]),
    ("job_insert_guard", "max_attempts is 1 to 1000000", &["INSERT INTO job (command, max_attempts) VALUES (A, 0)", "INSERT INTO job (command, slots) VALUES (A, 0)", "INSERT INTO job (command, slots) VALUES (A, 10001)", "INSERT INTO job (command, user_hold) VALUES (A, 2)",
        "INSERT INTO job (command, available_at) VALUES (A, -1)", "INSERT INTO job (command, created_at) VALUES (A, -1)", "INSERT INTO job (command, task_id, task_hold) VALUES (A, 4, 2)"]),
    ("job_insert_guard", "owner is the uid of a user", &["INSERT INTO job (command, owner) VALUES (A, 0)", "INSERT INTO job (command, owner) VALUES (A, -1)", "INSERT INTO job (command, owner) VALUES (A, 4294967295)"]),
    ("job_insert_guard", "a live job has this unique_key", &["INSERT INTO job (command, unique_key) VALUES (A, 'k1')", "REPLACE INTO job (command, unique_key) VALUES (A, 'k2')"]),
    ("job_insert_guard", "command must be a JSON array", &["J ('echo')", "J ('{}')", "J ('[]')"]),
    ("job_insert_guard", "each element of command", &[r#"J ('[""]')"#, "J ('[1]')", r#"J ('["a", null]')"#]),
    ("job_insert_guard", "a command cannot contain a NUL", &[r#"J ('["a\u0000"]')"#]),
    ("job_insert_guard", "env and policy must be", &["INSERT INTO job (command, env) VALUES (A, '[]')", "INSERT INTO job (command, env) VALUES (A, 'x')", "INSERT INTO job (command, policy) VALUES (A, '1')", "INSERT INTO job (command, policy) VALUES (A, 'x')"]),
    ("job_insert_guard", "policy: timeout_ms must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"timeout_ms": 0}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"timeout_ms": "soon"}')"#]),
    ("job_insert_guard", "policy: grace_ms must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"grace_ms": -1}')"#]),
    ("job_insert_guard", "policy: warn must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"warn": {"signal": 0, "before_ms": 1}}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"warn": 10}')"#]),
    ("job_insert_guard", "policy: idle_timeout_ms must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"idle_timeout_ms": 0}')"#]),
    ("job_insert_guard", "policy: backoff_ms must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"backoff_ms": [2, 1]}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"backoff_ms": 5}')"#]),
    ("job_insert_guard", "policy: retry_on must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"retry_on": [999]}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"retry_on": ["later"]}')"#]),
    ("job_insert_guard", "policy: no_retry_on must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"no_retry_on": [256]}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"no_retry_on": 7}')"#]),
    ("job_insert_guard", "policy: max_deferrals must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"max_deferrals": -1}')"#]),
    ("job_insert_guard", "policy: memory_bytes must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"memory_bytes": 0}')"#]),
    ("job_insert_guard", "policy: nice must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"nice": 20}')"#]),
    ("job_insert_guard", "policy: user must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"user": ""}')"#]),
    ("job_insert_guard", "policy: log_limit_bytes must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"log_limit_bytes": 65535}')"#]),
    ("job_insert_guard", "policy: stdin must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"stdin": "x"}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"stdin": {"file": 1}}')"#]),
    ("job_insert_guard", "policy: check must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"check": []}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"check": "true"}')"#]),
    ("job_insert_guard", "policy: hooks must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"hooks": []}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"hooks": {"on_fail": ["true"]}}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"hooks": {"on_end": "true"}}')"#]),
    ("job_insert_guard", "policy: workspace must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"workspace": {}}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"workspace": {"key": ""}}')"#]),
    ("job_insert_guard", "policy: secrets must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"secrets": []}')"#, r#"INSERT INTO job (command, policy) VALUES (A, '{"secrets": {"A": 1}}')"#]),
    ("job_insert_guard", "policy: unknown key; docs/sql.md lists the", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"timout_ms": 5}')"#]),
    ("job_insert_guard", "policy: a key is given twice", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"nice": 1, "nice": 2}')"#]),
    ("job_insert_guard", "policy: a text must", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"user": "a\u0000"}')"#]),
    ("job_insert_guard", "policy: warn comes", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"warn": {"signal": 10, "before_ms": 1}}')"#]),
    ("job_insert_guard", "policy: a workspace is", &[r#"INSERT INTO job (command, policy) VALUES (A, '{"user": "nobody", "workspace": {"key": "k"}}')"#]),
    ("job_keeps_its_owner", "the owner of a job does not", &["UPDATE job SET owner = 7 WHERE id = 1"]),
    ("job_owner_guard", "a job cannot change from its", &["UPDATE job SET state = 'done' WHERE id = 1", "UPDATE job SET state = 'running' WHERE id = 3"]),
    ("job_fault_guard", "state is queued, running, done,", &["UPDATE job SET state = 'x' WHERE id = 8"]),
    ("job_fault_guard", "a queued job has no run_id,", &["UPDATE job SET pid = 5 WHERE id = 1", "UPDATE job SET run_id = 5 WHERE id = 1", "UPDATE job SET started_at = 5 WHERE id = 1", "UPDATE job SET finished_at = 5 WHERE id = 1", "UPDATE job SET reason = 'exit' WHERE id = 1"]),
    ("job_fault_guard", "a running job has run_id and", &["UPDATE job SET state = 'running', run_id = 20 WHERE id = 1", "UPDATE job SET state = 'running', started_at = 20 WHERE id = 1", "UPDATE job SET finished_at = 1 WHERE id = 2", "UPDATE job SET reason = 'exit' WHERE id = 2"]),
    ("job_fault_guard", "an ended job has reason and", &["UPDATE job SET state = 'failed', finished_at = 1 WHERE id = 2", "UPDATE job SET state = 'failed', reason = 'exit' WHERE id = 2", "UPDATE job SET state = 'failed', reason = 'exit', finished_at = 1, pid = 5 WHERE id = 2"]),
    ("job_fault_guard", "a done job has", &["UPDATE job SET state = 'done', reason = 'exit', exit_code = 1, finished_at = 1 WHERE id = 2", "UPDATE job SET state = 'done', reason = 'signal', exit_code = 0, finished_at = 1 WHERE id = 2"]),
    ("job_form_guard", "command must be a JSON array", &["UPDATE job SET command = '{}' WHERE id = 1", "UPDATE job SET env = '[]' WHERE id = 1", "UPDATE job SET policy = 'x' WHERE id = 1"]),
    ("job_form_guard", "command, env and policy have", &["UPDATE job SET command = json_array(printf('%4000001s', '')) WHERE id = 1", "UPDATE job SET result = printf('%65537s', '') WHERE id = 2",
        "UPDATE job SET env = json_object('A', printf('%4000001s', '')) WHERE id = 1", "UPDATE job SET policy = json_object('A', printf('%4000001s', '')) WHERE id = 1"]),
    ("job_fault_guard", "counts must not be", &["UPDATE job SET attempts = -1 WHERE id = 1", "UPDATE job SET deferrals = -1 WHERE id = 1", "UPDATE job SET failed_starts = -1 WHERE id = 1", "UPDATE job SET max_attempts = 0 WHERE id = 1"]),
    ("job_owner_guard", "a cancelled job does not start", &["UPDATE job SET state = 'running', run_id = 20, started_at = 1 WHERE id = 6"]),
    ("job_owner_guard", "the lane of this job is full", &["UPDATE job SET state = 'running', run_id = 20, started_at = 1 WHERE id = 5"]),
    ("job_update_guard", "an id does not", &["UPDATE job SET rowid = 77 WHERE id = 1", "UPDATE OR REPLACE job SET id = 2 WHERE id = 1"]),
    ("job_update_guard", "a job keeps its unique_key", &["UPDATE job SET key_taken = 1 WHERE id = 1"]),
    ("job_client_guard", "only a queued job can be changed", &["UPDATE job SET priority = 1 WHERE id = 2"]),
    ("pool_insert_guard", "the name of a pool", &["INSERT INTO pool (name, size) VALUES (printf('%65s', 'a'), 1)", "INSERT INTO pool (name, size) VALUES (replace(printf('%065d', 0), '0', 'a'), 1)", "INSERT INTO pool (name, size) VALUES ('1', 1)",
        "INSERT INTO pool (name, size) VALUES ('', 1)", "INSERT INTO pool (name, size) VALUES ('aG', 1)"]),
    ("pool_insert_guard", "the size of a pool", &["INSERT INTO pool (name, size) VALUES ('a', -1)", "INSERT INTO pool (name, size) VALUES ('a', 10001)"]),
    ("pool_insert_guard", "head_id of a pool is derived", &["INSERT INTO pool (name, size, head_id) VALUES ('a', 1, 11)"]),
    ("pool_insert_guard", "IGNORE", &["REPLACE INTO pool (name, size) VALUES ('gpu', 9)"]),
    ("pool_update_guard", "a pool keeps its name", &["UPDATE pool SET name = 'b'"]),
    ("pool_update_guard", "the size of a pool", &["UPDATE pool SET size = -1", "UPDATE pool SET size = 10001"]),
    ("pool_update_guard", "head_id of a pool is derived", &["UPDATE pool SET head_id = 3"]),
    ("pool_use_insert_guard", "pool_use follows", &["INSERT INTO pool_use VALUES (1, 'gpu', 1, 'default', '', 0, 1.0, 1)"]),
    ("pool_use_update_guard", "pool_use follows", &["UPDATE pool_use SET amount = 7"]),
    ("pool_use_delete_guard", "pool_use follows", &["DELETE FROM pool_use"]),
    ("pool_unit_insert_guard", "a unit belongs", &["INSERT INTO pool_unit VALUES ('gpu', 1, 11)", "INSERT INTO pool_unit VALUES ('gpu', 1, 10)", "INSERT INTO pool_unit VALUES ('none', 1, 10)"]),
    ("pool_unit_update_guard", "a unit stays", &["UPDATE pool_unit SET unit = 1"]),
    ("pool_unit_delete_guard", "a unit stays", &["DELETE FROM pool_unit"]),
    ("job_uses_insert_guard", "uses must be a JSON object", &["INSERT INTO job (command, uses) VALUES (A, 'x')", "INSERT INTO job (command, uses) VALUES (A, '[]')",
        "INSERT INTO job (command, uses) VALUES (A, json_object('gpu', 1, printf('%4097s', ''), 1))"]),
    ("job_uses_insert_guard", "uses must name each pool once", &["INSERT INTO job (command, uses) VALUES (A, '{}')", "INSERT INTO job (command, uses) VALUES (A, '{\"gpu\": 0}')", "INSERT INTO job (command, uses) VALUES (A, '{\"gpu\": \"1\"}')",
        "INSERT INTO job (command, uses) VALUES (A, '{\"gpu\": 1, \"gpu\": \"x\"}')"]),
    ("job_uses_insert_guard", "uses names a pool", &["INSERT INTO job (command, uses) VALUES (A, '{\"none\": 1}')"]),
    ("job_uses_update_guard", "uses must be a JSON object", &["UPDATE job SET uses = 'x' WHERE id = 1", "UPDATE job SET uses = '[]' WHERE id = 1", "UPDATE job SET uses = json_object('gpu', 1, printf('%4097s', ''), 1) WHERE id = 1"]),
    ("job_uses_update_guard", "uses must name each pool once", &["UPDATE job SET uses = '{}' WHERE id = 1", "UPDATE job SET uses = '{\"gpu\": 0}' WHERE id = 1", "UPDATE job SET uses = '{\"gpu\": 1, \"gpu\": \"x\"}' WHERE id = 1"]),
    ("job_uses_update_guard", "uses names a pool", &["UPDATE job SET uses = '{\"none\": 1}' WHERE id = 1"]),
    ("job_owner_guard", "a pool that this job uses", &["UPDATE job SET state = 'running', run_id = 99, started_at = 5 WHERE id = 11"]),
    ("job_update_guard", "pool_pass is derived", &["UPDATE job SET pool_pass = 1 WHERE id = 1", "UPDATE job SET pool_pass = 7 WHERE id = 13"]),
    ("job_update_guard", "too_wide is derived", &["UPDATE job SET too_wide = 1 WHERE id = 1", "UPDATE job SET too_wide = 7 WHERE id = 1"]),
    ("job_client_guard", "user_hold and lane_pass", &["UPDATE job SET user_hold = 2 WHERE id = 1", "UPDATE job SET lane_pass = 7 WHERE id = 5"]),
    ("job_client_guard", "available_at is in", &["UPDATE job SET available_at = -1 WHERE id = 1"]),
    ("job_client_guard", "a label has at", &["UPDATE job SET label = printf('%1001s', '') WHERE id = 1", "UPDATE job SET label = W WHERE id = 1"]),
    ("job_update_guard", "an ended job does not change", &["UPDATE job SET priority = 1 WHERE id = 3", "UPDATE job SET error = 'x' WHERE id = 3"]),
    ("job_delete_guard", "the job is live;", &["DELETE FROM job WHERE id = 1", "DELETE FROM job WHERE id = 2"]),
    ("job_enters", "the file assigns the id;", &["INSERT INTO job (id, command) VALUES (-1, A)"]),
    ("job_enters", "no ids are left", &["UPDATE sqlite_sequence SET seq = 4503599627370496 WHERE name = 'job'; INSERT INTO job (command) VALUES (A)"]),
    ("cancel_is_an_event", "no ids are left", &["UPDATE sqlite_sequence SET seq = 9223372036854775806 WHERE name = 'cancel'; INSERT INTO cancel (job_id) VALUES (1)"]),
    ("event_insert_guard", "no ids are left", &["UPDATE sqlite_sequence SET seq = 9223372036854775806 WHERE name = 'event'; INSERT INTO event (job_id, kind) VALUES (1, 'x')"]),
    ("resource_enters", "no ids are left", &["UPDATE sqlite_sequence SET seq = 4503599627370496 WHERE name = 'resource'; INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, A)"]),
    ("run_insert_guard", "a run id is used once only", &["REPLACE INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (12, 1, 1, lower(hex(zeroblob(16))), '', '', 1)"]),
    ("run_update_guard", "an ended run does not", &["UPDATE run SET exit_code = 1 WHERE id = 13"]),
    ("run_update_guard", "a run keeps its id", &["UPDATE run SET rowid = 99 WHERE id = 12", "UPDATE run SET job_id = 1 WHERE id = 12", "UPDATE run SET nonce = lower(hex(randomblob(16))) WHERE id = 12"]),
    ("cancel_insert_guard", "the file assigns the id of a cancel;", &["INSERT INTO cancel (id, job_id) VALUES (1, 1)", "REPLACE INTO cancel (id, job_id) VALUES (1, 1)"]),
    ("cancel_insert_guard", "a new cancel is open", &["INSERT INTO cancel (job_id, closed_at) VALUES (1, 1)"]),
    ("cancel_insert_guard", "why has at most", &["INSERT INTO cancel (job_id, why) VALUES (1, printf('%4001s', ''))"]),
    ("cancel_insert_guard", "the job does", &["INSERT INTO cancel (job_id) VALUES (99)"]),
    ("cancel_insert_guard", "the job has already ended", &["INSERT INTO cancel (job_id) VALUES (3)"]),
    ("suspend_insert_guard", "the file assigns the id of a suspension;", &["INSERT INTO suspend (id, job_id) VALUES (7, 2)", "REPLACE INTO suspend (id, job_id) VALUES (1, 2)"]),
    ("suspend_insert_guard", "a new suspension is a request;", &["INSERT INTO suspend (job_id, run_id) VALUES (2, 12)", "INSERT INTO suspend (job_id, suspended_at) VALUES (2, 1)",
        "INSERT INTO suspend (job_id, resume_at) VALUES (2, 1)", "INSERT INTO suspend (job_id, closed_at) VALUES (2, 1)", "INSERT INTO suspend (job_id, suspended_ms) VALUES (2, 1)"]),
    ("suspend_insert_guard", "why has at most", &["INSERT INTO suspend (job_id, why) VALUES (2, printf('%4001s', ''))"]),
    ("suspend_insert_guard", "the job does", &["INSERT INTO suspend (job_id) VALUES (99)"]),
    ("suspend_insert_guard", "the job has not started;", &["INSERT INTO suspend (job_id) VALUES (1)", "REPLACE INTO suspend (job_id) VALUES (4)"]),
    ("suspend_insert_guard", "the job has already ended", &["INSERT INTO suspend (job_id) VALUES (3)"]),
    ("suspend_insert_guard", "the job is being", &["INSERT INTO suspend (job_id) VALUES (6)"]),
    ("suspend_insert_guard", "IGNORE", &["INSERT INTO suspend (job_id, why) VALUES (14, 'again')", "REPLACE INTO suspend (job_id, why) VALUES (14, 'again')"]),
    ("suspend_update_guard", "a suspension that is over", &["UPDATE suspend SET why = 'x' WHERE id = 1", "UPDATE suspend SET resume_at = 1 WHERE id = 1"]),
    ("suspend_update_guard", "a suspension keeps its id", &["UPDATE suspend SET id = 9 WHERE id = 2", "UPDATE suspend SET job_id = 1 WHERE id = 2"]),
    ("cancel_insert_guard", "IGNORE", &["INSERT INTO cancel (job_id, why) VALUES (6, 'again')", "REPLACE INTO cancel (job_id, why) VALUES (6, 'again')"]),
    ("dependency_insert_guard", "this dependency exists already", &["REPLACE INTO dependency (job_id, on_job, need) VALUES (4, 2, 'any')"]),
    ("dependency_insert_guard", "only a queued job", &["INSERT INTO dependency (job_id, on_job) VALUES (3, 1)", "INSERT INTO dependency (job_id, on_job) VALUES (99, 1)"]),
    ("dependency_insert_guard", "the job to wait for does not exist", &["INSERT INTO dependency (job_id, on_job) VALUES (4, 99)"]),
    ("dependency_insert_guard", "a job waits only for jobs added before it", &["INSERT INTO dependency (job_id, on_job) VALUES (1, 4)", "INSERT INTO dependency (job_id, on_job) VALUES (1, 1)"]),
    ("dependency_insert_guard", "a new dependency is unmet", &["INSERT INTO dependency (job_id, on_job, state) VALUES (4, 1, 'met')"]),
    ("dependency_insert_guard", "need is done", &["INSERT INTO dependency (job_id, on_job, need) VALUES (4, 1, 'x')"]),
    ("dependency_update_guard", "only the state of a dependency", &["UPDATE dependency SET state = 'met'", "UPDATE dependency SET need = 'any'", "UPDATE dependency SET on_job = 1", "UPDATE dependency SET job_id = 5"]),
    ("unresolved_update_guard", "unresolved is", &["UPDATE unresolved SET job_id = 4", "UPDATE OR REPLACE unresolved SET job_id = 9 WHERE job_id = 3"]),
    ("job_update_guard", "unmet and broken count", &["UPDATE job SET unmet = 0 WHERE id = 4", "UPDATE job SET unmet = -1 WHERE id = 1", "UPDATE job SET broken = -1 WHERE id = 1", "UPDATE job SET unmet = -1 WHERE id = 4", "UPDATE job SET broken = 1 WHERE id = 4"]),
    ("event_insert_guard", "the file assigns the id of an event;", &["REPLACE INTO event (id, job_id, kind) VALUES (1, 1, 'x')"]),
    ("event_insert_guard", "kind and reason of an event", &["INSERT INTO event (job_id, kind) VALUES (1, printf('%101s', ''))", "INSERT INTO event (job_id, kind, reason) VALUES (1, 'x', printf('%101s', ''))", "INSERT INTO event (job_id, kind, detail) VALUES (1, 'x', printf('%1000001s', ''))"]),
    ("event_insert_guard", "IGNORE", &["INSERT INTO event (job_id, kind) VALUES (99, 'x')", "INSERT INTO event (kind) VALUES ('x')"]),
    ("event_update_guard", "events do not change", &["UPDATE event SET kind = 'x'", "UPDATE OR REPLACE event SET rowid = 1 WHERE id = 2"]),
    ("tally_insert_guard", "tally is maintained by triggers;", &["INSERT INTO tally VALUES ('queued', '', 'x', 9223372036854775807)", "INSERT INTO tally VALUES (printf('%21s', ''), '', 'x', 1)", "INSERT INTO tally VALUES ('queued', '', printf('%801s', ''), 1)", "INSERT INTO tally VALUES ('queued', printf('%21s', ''), 'x', 1)"]),
    ("tally_update_guard", "tally is maintained by triggers;", &["UPDATE tally SET n = -9223372036854775808", "UPDATE tally SET queue = 'x'", "UPDATE tally SET state = 'x'", "UPDATE tally SET hold = 'x'"]),
    ("lane_update_guard", "max_running of a lane is at least 1;", &["UPDATE lane SET max_running = 0"]),
    ("lane_insert_guard", "a new lane is empty", &["INSERT INTO lane (key, running) VALUES ('m', 1)"]),
    ("lane_insert_guard", "of_array is 0 or 1", &["INSERT INTO lane (key, of_array) VALUES ('m', 2)"]),
    ("lane_insert_guard", "a lane has a key", &["INSERT INTO lane (key) VALUES ('')", "INSERT INTO lane (key) VALUES (W)", "INSERT INTO lane (key, max_running) VALUES ('m', 0)"]),
    ("lane_insert_guard", "IGNORE", &["REPLACE INTO lane (key, max_running) VALUES ('l', 9)"]),
    ("queue_insert_guard", "the name of a queue", &["INSERT INTO queue (name) VALUES ('')", "INSERT INTO queue (name) VALUES (W)"]),
    ("queue_insert_guard", "slots of a queue", &["INSERT INTO queue (name, slots) VALUES ('m', -1)", "INSERT INTO queue (name, paused) VALUES ('m', 2)", "INSERT INTO queue (name, max_runtime_ms) VALUES ('m', 0)"]),
    ("queue_insert_guard", "on_failure of a queue is none or pause", &["INSERT INTO queue (name, on_failure) VALUES ('m', 'x')"]),
    ("queue_update_guard", "on_failure of a queue is none or pause", &["UPDATE queue SET on_failure = 'x'"]),
    ("queue_insert_guard", "launcher of a queue is a directory", &["INSERT INTO queue (name, slots, launcher) VALUES ('m', 1, '')", "INSERT INTO queue (name, slots, launcher) VALUES ('m', 1, printf('%4097s', ''))"]),
    ("queue_update_guard", "launcher of a queue is a directory", &["UPDATE queue SET slots = 1, launcher = ''", "UPDATE queue SET slots = 1, launcher = printf('%4097s', '')"]),
    ("queue_insert_guard", "a queue with a launcher needs slots", &["INSERT INTO queue (name, launcher) VALUES ('m', '/x')"]),
    ("queue_update_guard", "a queue with a launcher needs slots", &["UPDATE queue SET launcher = '/x', slots = NULL"]),
    ("queue_insert_guard", "launcher_options of a queue", &["INSERT INTO queue (name, launcher_options) VALUES ('m', '[]')", "INSERT INTO queue (name, launcher_options) VALUES ('m', 'x')",
        "INSERT INTO queue (name, launcher_options) VALUES ('m', json_object('a', printf('%65537s', '')))"]),
    ("queue_update_guard", "launcher_options of a queue", &["UPDATE queue SET launcher_options = '[]'", "UPDATE queue SET launcher_options = 'x'",
        "UPDATE queue SET launcher_options = json_object('a', printf('%65537s', ''))"]),
    ("launched_insert_guard", "a run is given to an engine once", &["INSERT INTO launched (run_id, launcher, options) VALUES (20, '/l', '{}')", "REPLACE INTO launched (run_id, launcher, options) VALUES (20, '/l', '{}')"]),
    ("launched_update_guard", "a launched run keeps its launcher", &["UPDATE launched SET run_id = 12", "UPDATE launched SET launcher = '/x'", "UPDATE launched SET options = '[]'", "UPDATE launched SET state = 'new'"]),
    ("suspend_insert_guard", "the job runs on another engine", &["INSERT INTO suspend (job_id) VALUES (10)"]),
    ("pause_insert_guard", "IGNORE", &["INSERT INTO pause DEFAULT VALUES", "REPLACE INTO pause VALUES (2)"]),
    ("pause_insert_guard", "at is in milliseconds", &["INSERT INTO pause VALUES (-1)"]),
    ("job_insert_guard", "place of a job is between", &["INSERT INTO job (command, place) VALUES ('[\"x\"]', 1e17)"]),
    ("job_place_guard", "only a queued job can be moved", &["UPDATE job SET place = 1 WHERE id = 2"]),
    ("job_place_guard", "place of a job is between", &["UPDATE job SET place = -1e17 WHERE id = 1"]),
    ("pause_update_guard", "a pause does not change", &["UPDATE pause SET at = 2"]),
    ("queue_insert_guard", "head_id, head_priority, head_rank, is_full", &["INSERT INTO queue (name, head_rank) VALUES ('m', 1)", "INSERT INTO queue (name, paused_by) VALUES ('m', 1)", "INSERT INTO queue (name, paused_at) VALUES ('m', 1)", "INSERT INTO queue (name, head_id) VALUES ('m', 1)", "INSERT INTO queue (name, head_priority) VALUES ('m', 1)", "INSERT INTO queue (name, is_full) VALUES ('m', 1)"]),
    ("queue_changes", "head_id, head_priority", &["UPDATE queue SET head_rank = 9", "UPDATE queue SET head_id = 4", "UPDATE queue SET head_priority = 9", "UPDATE queue SET is_full = 1", "UPDATE queue SET head_id = NULL, head_priority = NULL"]),
    ("queue_insert_guard", "IGNORE", &["REPLACE INTO queue (name, slots) VALUES ('default', 9)"]),
    ("queue_update_guard", "slots of a queue", &["UPDATE queue SET slots = -1", "UPDATE queue SET paused = 2", "UPDATE queue SET max_runtime_ms = 0"]),
    ("lease_insert_guard", "the lease is held", &["REPLACE INTO lease (name, nonce, command, boot_id, since) VALUES ('held', lower(hex(zeroblob(16))), '[]', 'b', 1)"]),
    ("lease_insert_guard", "a lease has a name", &["INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('', lower(hex(zeroblob(16))), '[]', 'b', 1)", "INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('a', 'x', '[]', 'b', 1)", "INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('a', lower(hex(zeroblob(16))), '{}', 'b', 1)", "INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('a', 'abc', '[]', 'b', 1)", "INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('a', 'x' || substr(hex(zeroblob(16)), 2), '[]', 'b', 1)", "INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('a', lower(hex(zeroblob(16))), 'x', 'b', 1)", "INSERT INTO lease (name, nonce, command, boot_id, since, why) VALUES ('a', lower(hex(zeroblob(16))), '[]', 'b', 1, printf('%1001s', ''))"]),
    ("lease_insert_guard", "only a run that has not ended", &["INSERT INTO lease (name, nonce, run_id, command, boot_id, since) VALUES ('a', lower(hex(zeroblob(16))), 13, '[]', 'b', 1)"]),
    ("lease_update_guard", "a lease cannot be updated; release", &["UPDATE lease SET since = 2"]),
    ("workspace_insert_guard", "this workspace exists", &["REPLACE INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('k', 'k-2', 0, 0, 'b')"]),
    ("workspace_insert_guard", "this directory belongs to", &["REPLACE INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('m', 'k-1', 0, 0, 'b')"]),
    ("workspace_insert_guard", "a workspace has a key", &["INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('', 'x', 0, 0, 'b')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('m', '../x', 0, 0, 'b')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('m', '.x', 0, 0, 'b')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id, prepare_command) VALUES ('m', 'x', 0, 0, 'b', 'x')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id, prepare_command) VALUES ('m', 'x', 0, 0, 'b', '{}')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('m', printf('%101s', ''), 0, 0, 'b')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('m', '', 0, 0, 'b')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('m', 'a/b', 0, 0, 'b')", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id, bytes) VALUES ('m', 'x', 0, 0, 'b', -1)", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id, synced) VALUES ('m', 'x', 0, 0, 'b', 2)", "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('m', replace(printf('%101s', ''), ' ', 'a'), 0, 0, 'b')"]),
    ("workspace_update_guard", "key, dir and prepare_command of", &["UPDATE workspace SET dir = 'x'", "UPDATE workspace SET key = 'x'", "UPDATE workspace SET prepare_command = '[]'"]),
    ("workspace_update_guard", "bytes must not be negative", &["UPDATE workspace SET bytes = -1"]),
    ("run_insert_guard", "a new run is in no workspace", &["INSERT INTO run (id, job_id, dir, attempt, nonce, instance, boot_id, claimed_at) VALUES (31, 1, 'k-1', 1, lower(hex(zeroblob(16))), '', '', 1)"]),
    ("run_update_guard", "a run enters an existing", &["UPDATE run SET dir = 'n-1' WHERE id = 12", "UPDATE run SET dir = 'x' WHERE id = 30"]),
    ("resource_insert_guard", "the file assigns the id of a resource;", &["REPLACE INTO resource (id, name, job_id, teardown) VALUES (1, 'a', 1, A)"]),
    ("resource_insert_guard", "a new resource is held", &["INSERT INTO resource (name, job_id, teardown, state) VALUES ('a', 1, A, 'releasing')", "INSERT INTO resource (name, job_id, teardown, torn) VALUES ('a', 1, A, 1)", "INSERT INTO resource (name, job_id, teardown, auxiliary_run_id) VALUES ('a', 1, A, 1)", "INSERT INTO resource (name, job_id, teardown, attempts) VALUES ('a', 1, A, 1)", "INSERT INTO resource (name, job_id, teardown, next_at) VALUES ('a', 1, A, 1)", "INSERT INTO resource (name, job_id, teardown, again) VALUES ('a', 1, A, 1)", "INSERT INTO resource (name, job_id, teardown, last_error) VALUES ('a', 1, A, 'x')", "INSERT INTO resource (name, job_id, teardown, releasing_since) VALUES ('a', 1, A, 1)", "INSERT INTO resource (name, job_id, teardown, released_at) VALUES ('a', 1, A, 1)", "INSERT INTO resource (name, job_id, teardown, released_by) VALUES ('a', 1, A, 'force')"]),
    ("resource_insert_guard", "a resource has one owner", &["INSERT INTO resource (name, teardown) VALUES ('a', A)", "INSERT INTO resource (name, job_id, run_id, teardown) VALUES ('a', 1, 12, A)"]),
    ("resource_insert_guard", "the job that is to own", &["INSERT INTO resource (name, job_id, teardown) VALUES ('a', 99, A)"]),
    ("resource_insert_guard", "the task that is to own", &["INSERT INTO resource (name, task_id, teardown) VALUES ('a', 99, A)"]),
    ("resource_insert_guard", "the name of a resource", &["INSERT INTO resource (name, job_id, teardown) VALUES ('', 1, A)", "INSERT INTO resource (name, job_id, teardown) VALUES ('a' || char(0), 1, A)", "INSERT INTO resource (name, job_id, teardown) VALUES (W, 1, A)"]),
    ("resource_insert_guard", "cwd has at most", &["INSERT INTO resource (name, job_id, teardown, cwd) VALUES ('a', 1, A, printf('%4097s', ''))"]),
    ("resource_insert_guard", "env must be", &["INSERT INTO resource (name, job_id, teardown, env) VALUES ('a', 1, A, '[]')", "INSERT INTO resource (name, job_id, teardown, env) VALUES ('a', 1, A, 'x')", "INSERT INTO resource (name, job_id, teardown, env) VALUES ('a', 1, A, json_object('A', printf('%4000001s', '')))"]),
    ("resource_insert_guard", "teardown and probe must be", &["INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, '{}')", "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('a', 1, A, '[]')", "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('a', 1, A, 'x')", "INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, 'x')", "INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, '[]')", "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('a', 1, A, '{}')", "INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, json_array(printf('%4000001s', '')))", "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('a', 1, A, json_array(printf('%4000001s', '')))", r#"INSERT INTO resource (name, job_id, teardown, probe) VALUES ('a', 1, A, '["a\u0000"]')"#, r#"INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, '[""]')"#, r#"INSERT INTO resource (name, job_id, teardown, probe) VALUES ('a', 1, A, '[""]')"#, r#"INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, '["a\u0000"]')"#]),
    ("resource_insert_guard", "each element of teardown", &["INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, '[1]')", "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('a', 1, A, '[1]')"]),
    ("resource_insert_guard", "timeout_ms must be", &["INSERT INTO resource (name, job_id, teardown, timeout_ms) VALUES ('a', 1, A, 0)"]),
    ("resource_insert_guard", "the owner has a resource", &["REPLACE INTO resource (name, job_id, teardown) VALUES ('held', 1, A)", "REPLACE INTO resource (name, run_id, teardown) VALUES ('of-run', 30, A)", "REPLACE INTO resource (name, task_id, teardown) VALUES ('of-task', 1, A)"]),
    ("resource_owner_guard", "a resource keeps its name", &["UPDATE resource SET name = 'x' WHERE id = 1", "UPDATE resource SET job_id = 2 WHERE id = 1", "UPDATE resource SET run_id = 2 WHERE id = 1", "UPDATE resource SET task_id = 2 WHERE id = 1"]),
    ("resource_fault_guard", "teardown and probe must be", &["UPDATE resource SET teardown = '{}' WHERE id = 1", "UPDATE resource SET env = '[]' WHERE id = 1", "UPDATE resource SET probe = '[]' WHERE id = 1", "UPDATE resource SET cwd = printf('%4097s', '') WHERE id = 1", "UPDATE resource SET env = json_object('A', printf('%4000001s', '')) WHERE id = 1", "UPDATE resource SET teardown = json_array(printf('%4000001s', '')) WHERE id = 1", "UPDATE resource SET probe = json_array(printf('%4000001s', '')) WHERE id = 1"]),
    ("resource_fault_guard", "counts must not be", &["UPDATE resource SET attempts = -1 WHERE id = 1", "UPDATE resource SET torn = 2 WHERE id = 1", "UPDATE resource SET again = 2 WHERE id = 1", "UPDATE resource SET timeout_ms = 0 WHERE id = 1"]),
    ("resource_state_guard", "an id does not", &["UPDATE resource SET rowid = 99 WHERE id = 1"]),
    ("resource_state_guard", "a released resource does", &["UPDATE resource SET next_at = 5 WHERE id = 2"]),
    ("resource_state_guard", "a resource goes from held", &["UPDATE resource SET state = 'held' WHERE id = 3", "UPDATE resource SET state = 'x' WHERE id = 3"]),
    ("resource_fault_guard", "a released resource has", &["UPDATE resource SET state = 'released' WHERE id = 3", "UPDATE resource SET released_by = 'force' WHERE id = 3", "UPDATE resource SET released_at = 1 WHERE id = 3", "UPDATE resource SET state = 'released', released_by = 'force' WHERE id = 3", "UPDATE resource SET state = 'released', released_at = 1 WHERE id = 3", "UPDATE resource SET state = 'released', released_at = 1, released_by = 'x' WHERE id = 3"]),
    ("resource_fault_guard", "only a resource that is", &["UPDATE resource SET auxiliary_run_id = 5 WHERE id = 1"]),
    ("resource_state_guard", "next_at is in", &["UPDATE resource SET next_at = -1 WHERE id = 3"]),
    ("resource_delete_guard", "tear the resource down", &["DELETE FROM resource WHERE id = 1"]),
    ("resource_enters", "the file assigns the id of a resource;", &["INSERT INTO resource (id, name, job_id, teardown) VALUES (-1, 'a', 1, A)"]),
    ("hook_update_guard", "a hook that has ended does not", &["UPDATE hook SET attempts = 5 WHERE id = 2"]),
    ("hook_update_guard", "a hook keeps its id", &["UPDATE hook SET id = 9 WHERE id = 1", "UPDATE hook SET job_id = 4 WHERE id = 1", "UPDATE hook SET command = '[]' WHERE id = 1"]),
    ("job_update_guard", "unreleased counts", &["UPDATE job SET unreleased = 5 WHERE id = 1"]),
    ("schedule_insert_guard", "the file assigns the id of a schedule;", &["REPLACE INTO schedule (id, name, cron, zone, template, decided_until, created_at) VALUES (1, 'm', '* * * * *', 'UTC', '{}', 0, 0)"]),
    ("schedule_insert_guard", "a schedule of this name exists;", &["REPLACE INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('n', '* * * * *', 'UTC', '{}', 0, 0)"]),
    ("schedule_insert_guard", "a schedule needs a catch_up", &["INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('m', '* * * * *', 'UTC', '[]', 0, 0)", "INSERT INTO schedule (name, cron, zone, catch_up, template, decided_until, created_at) VALUES ('m', '* * * * *', 'UTC', 'x', '{}', 0, 0)", "INSERT INTO schedule (name, cron, zone, catch_up_max, template, decided_until, created_at) VALUES ('m', '* * * * *', 'UTC', 0, '{}', 0, 0)", "INSERT INTO schedule (name, cron, zone, template, decided_until, created_at, paused) VALUES ('m', '* * * * *', 'UTC', '{}', 0, 0, 2)", "INSERT INTO schedule (name, cron, zone, template, decided_until, created_at, overlap) VALUES ('m', '* * * * *', 'UTC', '{}', 0, 0, 'x')", "INSERT INTO schedule (name, cron, zone, template, decided_until, created_at, jitter_ms) VALUES ('m', '* * * * *', 'UTC', '{}', 0, 0, -1)", "INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('m', '* * * * *', 'UTC', 'x', 0, 0)"]),
    ("schedule_update_guard", "a schedule keeps its id", &["UPDATE schedule SET name = 'x'", "UPDATE schedule SET rowid = 9"]),
    ("schedule_update_guard", "paused is 0 or 1", &["UPDATE schedule SET paused = 2"]),
    ("occurrence_insert_guard", "this occurrence is already", &["REPLACE INTO occurrence (schedule_id, at, last_at, state, job_id, decided_at) VALUES (1, 10, 10, 'fired', 4, 1)"]),
    ("occurrence_insert_guard", "an occurrence is fired", &["INSERT INTO occurrence (schedule_id, at, last_at, state, decided_at) VALUES (1, 30, 30, 'fired', 1)", "INSERT INTO occurrence (schedule_id, at, last_at, state, decided_at) VALUES (1, 30, 30, 'skipped', 1)", "INSERT INTO occurrence (schedule_id, at, last_at, state, decided_at) VALUES (1, 30, 30, 'x', 1)", "INSERT INTO occurrence (schedule_id, at, last_at, state, reason, decided_at) VALUES (1, 30, 30, 'x', 'missed', 1)"]),
    ("occurrence_update_guard", "an occurrence that was fired", &["UPDATE occurrence SET job_id = 4 WHERE at = 10"]),
    ("occurrence_update_guard", "an occurrence keeps its schedule", &["UPDATE occurrence SET at = 21 WHERE at = 20", "UPDATE occurrence SET schedule_id = 2 WHERE at = 20"]),
    ("pipeline_insert_guard", "this revision of the pipeline exists already", &["REPLACE INTO pipeline (id, name, revision, spec, applied_at) VALUES (1, 'q', 1, '{}', 1)", "REPLACE INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 1, '{}', 1)"]),
    ("pipeline_update_guard", "a revision of a pipeline does not", &["UPDATE pipeline SET spec = '{}'"]),
    ("pipeline_delete_guard", "a task uses this revision", &["DELETE FROM pipeline"]),
    ("task_insert_guard", "the file assigns the id of a task;", &["REPLACE INTO task (id, pipeline_id, pipeline, stage, created_at) VALUES (1, 1, 'p', 's', 1)"]),
    ("task_insert_guard", "a new task is running", &["INSERT INTO task (pipeline_id, pipeline, stage, created_at, job_id) VALUES (1, 'p', 's', 1, 1)", "INSERT INTO task (pipeline_id, pipeline, stage, created_at, state) VALUES (1, 'p', 's', 1, 'done')", "INSERT INTO task (pipeline_id, pipeline, stage, created_at, stop_at) VALUES (1, 'p', 's', 1, 1)", "INSERT INTO task (pipeline_id, pipeline, stage, created_at, finished_at) VALUES (1, 'p', 's', 1, 1)"]),
    ("task_insert_guard", "a running task of this pipeline", &["REPLACE INTO task (pipeline_id, pipeline, key, stage, created_at) VALUES (1, 'p', 't1', 's', 1)"]),
    ("task_insert_guard", "params must be", &["INSERT INTO task (pipeline_id, pipeline, stage, created_at, params) VALUES (1, 'p', 's', 1, '[]')", "INSERT INTO task (pipeline_id, pipeline, stage, created_at, params) VALUES (1, 'p', 's', 1, 'x')"]),
    ("task_update_guard", "an ended task does not", &["UPDATE task SET error = 'x' WHERE id = 2", "UPDATE task SET state = 'running', finished_at = NULL, job_id = NULL WHERE id = 2"]),
    ("task_update_guard", "a task is running", &["UPDATE task SET state = 'done' WHERE id = 1", "UPDATE task SET finished_at = 1 WHERE id = 1", "UPDATE task SET state = 'x', finished_at = 1 WHERE id = 1"]),
    ("task_update_guard", "a task keeps its id", &["UPDATE task SET rowid = 9 WHERE id = 1", "UPDATE task SET pipeline = 'x' WHERE id = 1", "UPDATE task SET key = 'x' WHERE id = 1", "UPDATE task SET params = '{\"a\": 1}' WHERE id = 1", "UPDATE task SET pipeline_id = 2 WHERE id = 1", "UPDATE task SET created_at = 2 WHERE id = 1"]),
    ("task_update_guard", "a task with a stop request enters", &["UPDATE task SET stop_at = NULL WHERE id = 3", "UPDATE task SET stage = 'x' WHERE id = 3", "UPDATE task SET state = 'done', finished_at = 1 WHERE id = 3"]),
    ("task_delete_guard", "the task is running;", &["DELETE FROM task WHERE id = 1"]),
    ("task_step_insert_guard", "a task is in one stage", &["REPLACE INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (1, 1, 's', 4, 1)", "INSERT INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (1, 2, 's', 4, 1)", "INSERT INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (3, 1, 's', 7, 1)", "INSERT INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (2, 1, 's', 4, 1)"]),
    ("task_step_update_guard", "an ended step does", &["UPDATE task_step SET outcome = 'lost' WHERE task_id = 2", "UPDATE task_step SET stage = 'x' WHERE task_id = 1", "UPDATE task_step SET seq = 9 WHERE task_id = 1", "UPDATE task_step SET task_id = 3 WHERE task_id = 1", "UPDATE task_step SET job_id = 4 WHERE task_id = 1", "UPDATE task_step SET entered_at = 2 WHERE task_id = 1"]),
    ("task_step_delete_guard", "the steps of a running task", &["DELETE FROM task_step WHERE task_id = 1"]),
    ("job_insert_guard", "a task adds its own jobs;", &["INSERT INTO job (command, task_id) VALUES (A, 1)", "INSERT INTO job (command, task_id) VALUES (A, 99)", "INSERT INTO job (command, task_hold) VALUES (A, 1)"]),
    ("job_owner_guard", "the task of this job has ended", &["UPDATE job SET state = 'queued', reason = NULL, finished_at = NULL WHERE id = 9"]),
];

/// The statements of each trigger, with its name; and the condition under which it runs at all.
pub(crate) fn statements(conn: &Connection) -> Vec<(String, String)> {
    let mut triggers = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name").unwrap();
    let triggers: Vec<(String, String)> =
        triggers.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut found = Vec::new();
    for (name, sql) in triggers {
        let (head, body) = sql.split_once("BEGIN").unwrap();
        let (mut is_quoted, mut from) = (false, 0);
        for (at, byte) in body.bytes().enumerate() {
            is_quoted ^= byte == b'\'';
            if byte == b';' && !is_quoted {
                let when = if head.contains("sqlite_compileoption_used") { " -- WHEN NOT sqlite_compileoption_used" } else { "" };
                found.push((name.clone(), format!("{}{when}", &body[from..at])));
                from = at + 1;
            }
        }
    }
    found
}

/// The text of a statement with each RAISE and its message on one line.
pub(crate) fn with_whole_raises(sql: &str) -> String {
    let mut parts = sql.split("RAISE(ABORT,");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + "RAISE(ABORT, " + part.trim_start())
}
