//! What a client without the capability is told: the remedy for the column at hand, as a constraint and never as "locked".

use std::collections::BTreeSet;

use rusqlite::{Connection, ErrorCode, ffi};

use crate::model::file;
use crate::schema::SCHEMA;
use crate::schema::raises::{dump, full, statements, with_whole_raises};

/// The guard, the beginning of its words, and statements of which each must be refused with them.
#[rustfmt::skip]
const CASES: &[(&str, &str, &[&str])] = &[
    ("job_owner_guard", "an ended job does not change", &["UPDATE job SET state = 'queued', reason = NULL, finished_at = NULL WHERE id = 3", "UPDATE job SET queue = 'x' WHERE id = 3"]),
    ("job_owner_guard", "a job reports its progress", &["UPDATE job SET progress = '{}' WHERE id = 1", "UPDATE job SET progress = '{}' WHERE id = 2"]),
    ("job_owner_guard", "a running job does not change", &["UPDATE job SET queue = 'x' WHERE id = 2", "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 9, pid = NULL WHERE id = 2"]),
    ("job_owner_guard", "use tenure set ID queue=NAME", &["UPDATE job SET queue = 'x' WHERE id = 1", "UPDATE OR IGNORE job SET queue = 'x' WHERE id = 1", "UPDATE OR REPLACE job SET queue = 'x' WHERE id = 1"]),
    ("job_owner_guard", "use tenure set ID retries=N", &["UPDATE job SET max_attempts = 3 WHERE id = 1"]),
    ("job_owner_guard", "use tenure set ID KEY=VALUE to change the policy", &["UPDATE job SET policy = json_object('timeout_ms', 5) WHERE id = 1"]),
    ("job_owner_guard", "due_seen is derived; to", &["UPDATE job SET due_seen = 5 WHERE id = 1"]),
    ("job_owner_guard", "a job stays in its task", &["UPDATE job SET task_id = 5 WHERE id = 1", "UPDATE job SET task_hold = 1 WHERE id = 7"]),
    ("job_owner_guard", "use tenure set ID KEY=VALUE to change command", &["UPDATE job SET command = '[\"y\"]' WHERE id = 1", "UPDATE job SET cwd = '/x' WHERE id = 1", "UPDATE job SET env = '{\"A\": \"b\"}' WHERE id = 1",
        "UPDATE job SET lane = 'x' WHERE id = 1", "UPDATE job SET slots = 2 WHERE id = 1", "UPDATE job SET uses = '{\"gpu\": 1}' WHERE id = 1", "UPDATE job SET unique_key = 'x' WHERE id = 1"]),
    ("job_owner_guard", "the worker sets the state", &["UPDATE job SET state = 'cancelled', reason = 'cancelled', finished_at = 5 WHERE id = 1", "UPDATE job SET state = 'running' WHERE id = 1",
        "INSERT INTO job (command, unique_key) VALUES ('[\"x\"]', 'free') ON CONFLICT DO NOTHING; UPDATE job SET state = 'done' WHERE unique_key = 'free'"]),
    ("job_owner_guard", "the worker sets this column;", &["UPDATE job SET array_index = 5 WHERE id = 1", "UPDATE job SET created_at = 5 WHERE id = 1", "UPDATE job SET error = 'x' WHERE id = 1", "UPDATE job SET attempts = 5 WHERE id = 1", "UPDATE job SET queue = queue WHERE id = 1", "UPDATE job SET exit_code = 0 WHERE id = 1",
        "UPDATE job SET result = 'x' WHERE id = 1", "UPDATE job SET pid = 5 WHERE id = 1"]),
    ("job_delete_guard", "to end a job", &["DELETE FROM job WHERE id = 1", "DELETE FROM job WHERE id = 3"]),
    ("run_insert_guard", "the worker writes the rows of run; to queue", &["INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (99, 1, 1, '', '', '', 0)"]),
    ("run_update_guard", "the worker writes the rows of run; to end", &["UPDATE run SET pid = 1"]),
    ("run_delete_guard", "a run is removed with its", &["DELETE FROM run"]),
    ("launched_insert_guard", "the worker writes the rows of launched; to queue", &["INSERT INTO launched (run_id, launcher, options) VALUES (12, '/l', '{}')"]),
    ("launched_update_guard", "the worker writes the rows of launched; to end", &["UPDATE launched SET says = 'ended'"]),
    ("launched_delete_guard", "a launched run is removed with its", &["DELETE FROM launched"]),
    ("cancel_update_guard", "a stop request does not change", &["UPDATE cancel SET why = 'x'"]),
    ("cancel_delete_guard", "a stop request cannot be withdrawn; use", &["DELETE FROM cancel"]),
    ("suspend_update_guard", "the worker writes the rows of suspend;", &["UPDATE suspend SET why = 'x' WHERE id = 2", "UPDATE suspend SET at = 1 WHERE id = 2", "UPDATE suspend SET suspended_at = 1 WHERE id = 2",
        "UPDATE suspend SET closed_at = 1 WHERE id = 2", "UPDATE suspend SET suspended_ms = 1 WHERE id = 2", "UPDATE suspend SET run_id = 1 WHERE id = 2"]),
    ("suspend_delete_guard", "a suspension is removed", &["DELETE FROM suspend"]),
    ("dependency_delete_guard", "a dependency cannot", &["DELETE FROM dependency"]),
    ("queue_update_guard", "paused_by and paused_at are derived", &["UPDATE queue SET paused_by = 1", "UPDATE queue SET paused_at = 1"]),
    ("unresolved_insert_guard", "unresolved is", &["INSERT INTO unresolved (job_id) VALUES (1)"]),
    ("unresolved_delete_guard", "unresolved is", &["DELETE FROM unresolved"]),
    ("hook_rule_insert_guard", "hook_rule is", &["INSERT INTO hook_rule (name, event, command) VALUES ('a', 'on_end', '[\"x\"]')"]),
    ("hook_rule_update_guard", "hook_rule is", &["UPDATE hook_rule SET command = '[\"x\"]'"]),
    ("hook_rule_delete_guard", "hook_rule is", &["DELETE FROM hook_rule"]),
    ("hook_insert_guard", "the worker writes the rows of hook;", &["INSERT INTO hook (job_id, event, command, state, ended_at) VALUES (3, 'on_end', '[\"x\"]', 'done', 1)"]),
    ("hook_update_guard", "the worker writes the rows of hook;", &["UPDATE hook SET next_at = 1"]),
    ("hook_delete_guard", "hooks are removed with their", &["DELETE FROM hook"]),
    ("receipt_insert_guard", "receipt is", &["INSERT INTO receipt VALUES (2, zeroblob(16), '{}')"]),
    ("receipt_update_guard", "receipt is", &["UPDATE receipt SET answer = '{\"a\": 1}'"]),
    ("receipt_delete_guard", "receipt is", &["DELETE FROM receipt"]),
    ("event_delete_guard", "history is removed with its", &["DELETE FROM event"]),
    ("meta_insert_guard", "meta is", &["INSERT INTO meta (key, value) VALUES ('x', 'y')", "REPLACE INTO meta (key, value) VALUES ('file_id', 'y')"]),
    ("meta_update_guard", "meta is", &["UPDATE meta SET value = 'x'"]),
    ("meta_delete_guard", "meta is", &["DELETE FROM meta"]),
    ("counter_insert_guard", "counter is written by", &["INSERT INTO counter (name) VALUES ('x')"]),
    ("counter_update_guard", "counter is written by", &["UPDATE counter SET n = 5"]),
    ("counter_delete_guard", "counter is written by", &["DELETE FROM counter"]),
    ("lane_update_guard", "key, running and of_array", &["UPDATE lane SET running = 0", "UPDATE lane SET key = 'x'", "UPDATE lane SET of_array = 1"]),
    ("lane_delete_guard", "use tenure lane rm", &["DELETE FROM lane"]),
    ("pool_delete_guard", "use tenure pool rm", &["DELETE FROM pool"]),
    ("queue_update_guard", "a queue keeps its name", &["UPDATE queue SET name = 'x'"]),
    ("queue_delete_guard", "use tenure queue rm", &["DELETE FROM queue"]),
    ("lease_insert_guard", "use tenure lease run", &["INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('gpu', lower(hex(zeroblob(16))), '[]', 'b', 1)"]),
    ("lease_delete_guard", "use tenure lease release", &["DELETE FROM lease"]),
    ("workspace_insert_guard", "use tenure workspace ensure", &["INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('l', 'l-1', 0, 0, 'b')"]),
    ("workspace_update_guard", "the worker writes the rows of workspace;", &["UPDATE workspace SET bytes = 5"]),
    ("workspace_delete_guard", "use tenure workspace rm", &["DELETE FROM workspace"]),
    ("resource_owner_guard", "use tenure resource add", &["UPDATE resource SET teardown = '[\"x\"]' WHERE id = 1", "UPDATE resource SET probe = '[\"x\"]' WHERE id = 1", "UPDATE resource SET cwd = '/x' WHERE id = 1",
        "UPDATE resource SET env = '{\"A\": \"b\"}' WHERE id = 1", "UPDATE resource SET timeout_ms = 5 WHERE id = 1"]),
    ("resource_owner_guard", "a resource keeps its name", &["UPDATE resource SET name = 'x' WHERE id = 1", "UPDATE resource SET job_id = 2 WHERE id = 1"]),
    ("resource_owner_guard", "the worker sets this column;", &["UPDATE resource SET attempts = 5 WHERE id = 1", "UPDATE resource SET last_error = 'x' WHERE id = 1", "UPDATE resource SET torn = 1 WHERE id = 1"]),
    ("resource_state_guard", "use tenure resource release ID", &["UPDATE resource SET state = 'released' WHERE id = 3"]),
    ("resource_delete_guard", "to tear a resource down", &["DELETE FROM resource WHERE id = 1", "DELETE FROM resource WHERE id = 2"]),
    ("schedule_insert_guard", "use tenure schedule add", &["INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('m', '* * * * *', 'UTC', '{}', 0, 0)"]),
    ("schedule_update_guard", "use tenure schedule set", &["UPDATE schedule SET cron = 'x'", "UPDATE schedule SET template = '{\"a\": 1}'"]),
    ("schedule_delete_guard", "use tenure schedule rm to", &["DELETE FROM schedule"]),
    ("occurrence_insert_guard", "the worker decides the occurrences", &["INSERT INTO occurrence (schedule_id, at, last_at, state, job_id, decided_at) VALUES (1, 30, 30, 'fired', 4, 1)"]),
    ("occurrence_update_guard", "the worker decides the occurrences", &["UPDATE occurrence SET n = 5"]),
    ("occurrence_delete_guard", "the worker decides the occurrences", &["DELETE FROM occurrence"]),
    ("pipeline_insert_guard", "use tenure pipeline apply", &["INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 2, '{}', 1)"]),
    ("pipeline_delete_guard", "a revision of a pipeline is", &["DELETE FROM pipeline"]),
    ("task_insert_guard", "use tenure task start", &["INSERT INTO task (pipeline_id, pipeline, key, stage, created_at) VALUES (1, 'p', 't9', 's', 1)"]),
    ("task_update_guard", "use tenure task stop, hold", &["UPDATE task SET held = 1 WHERE id = 1"]),
    ("task_delete_guard", "use tenure task stop to", &["DELETE FROM task"]),
    ("task_step_insert_guard", "the worker writes the steps", &["INSERT INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (3, 1, 's', 9, 1)"]),
    ("task_step_update_guard", "the worker writes the steps", &["UPDATE task_step SET stage = 'x'"]),
    ("task_step_delete_guard", "steps are removed with their task;", &["DELETE FROM task_step"]),
];

/// The guard and the words of each refusal of a client without the capability.
fn refusals() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (name, statement) in statements(&file::fresh()).into_iter().filter(|(_, one)| one.contains("sqlite_compileoption_used")) {
        for raise in with_whole_raises(&statement).split("RAISE(ABORT, 'tenure: ").skip(1) {
            found.insert((name.clone(), raise.split("')").next().unwrap().replace("''", "'")));
        }
    }
    found
}

/// Whether a refusal is what a retry loop must not take for a lock: SQLite's code, and the words that such loops look for.
pub fn is_for_good(error: &rusqlite::Error) -> bool {
    let text = error.to_string().to_lowercase();
    let failure = error.sqlite_error();
    failure.is_some_and(|failure| {
        failure.code == ErrorCode::ConstraintViolation && failure.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER
    }) && !speaks_of_a_lock(&text)
}

fn speaks_of_a_lock(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| ["lock", "locks", "locked", "busy"].contains(&word)) || text.contains("try again")
}

/// Whether the words name something to do: a statement, a verb of the command line, or to leave it alone.
pub fn names_a_remedy(words: &str) -> bool {
    ["INSERT INTO ", "UPDATE ", "use tenure ", "tenure prune", "do not change it", "name the workspace"]
        .iter()
        .any(|way| words.contains(way))
}

fn refused(conn: &Connection, sql: &str) -> rusqlite::Error {
    conn.execute_batch(sql).err().unwrap_or_else(|| panic!("{sql}: it was done"))
}

#[test]
fn each_refusal_names_its_remedy_and_is_not_a_lock() {
    let refusals = refusals();
    let is_of = |(guard, words): &(&str, &str), refusal: &(String, String)| refusal.0 == *guard && refusal.1.starts_with(words);
    for refusal in &refusals {
        let n = CASES.iter().filter(|(guard, words, _)| is_of(&(guard, words), refusal)).count();
        assert_eq!(n, 1, "{refusal:?} has {n} cases");
        assert!(names_a_remedy(&refusal.1), "{refusal:?}");
    }
    let conn = full();
    file::make_plain(&conn);
    let mut walked = 0;
    for trusted in [true, false] {
        for checks in ["OFF", "ON"] {
            conn.pragma_update(None, "trusted_schema", trusted).unwrap();
            conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).unwrap();
            let before = dump(&conn);
            for (guard, words, statements) in CASES {
                assert!(
                    refusals.iter().any(|refusal| is_of(&(guard, words), refusal)),
                    "{guard} does not say {words:?} any more"
                );
                for sql in *statements {
                    conn.execute_batch("SAVEPOINT before").unwrap();
                    let error = refused(&conn, sql);
                    assert!(error.to_string().contains(&format!("tenure: {words}")), "{guard}: {sql}: {error}");
                    assert!(is_for_good(&error), "{guard}: {sql}: {error:?}");
                    conn.execute_batch("ROLLBACK TO before; RELEASE before").unwrap();
                    assert_eq!(dump(&conn), before, "{guard}: {sql}");
                    walked += 1;
                }
            }
        }
    }
    println!("{} refusals, {walked} statements", refusals.len());
}

#[test]
fn the_words_of_every_rule_are_none_of_a_lock() {
    let schema = with_whole_raises(SCHEMA);
    let rules = schema.split("RAISE(ABORT, 'tenure: ").skip(1).map(|rule| rule.split("')").next().unwrap().to_lowercase());
    let mut walked = 0;
    for rule in rules {
        assert!(!speaks_of_a_lock(&rule), "{rule}");
        walked += 1;
    }
    assert!(walked > 100, "{walked}");
}
