//! The cost of a claim does not depend on how much else is in the file. Counted are the steps of
//! SQLite's machine, not time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use crate::job::{Nonce, RunId};
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::ids::Prepared;
use crate::store::job::read;
use crate::store::resource::teardown;
use crate::store::upkeep::{due, open_runs, recount, repair};
use crate::store::{fixture, schedule};

/// A file with this many jobs of each kind that must not matter, and the same few that do.
fn file_with(n: i64) -> Connection {
    let conn = fixture::fresh();
    let bulk = |count: i64, columns: &str, values: &str| {
        conn.execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO job (command, {columns}) SELECT '[\"x\"]', {values} FROM n"
        ))
        .unwrap();
    };
    conn.execute_batch("BEGIN").unwrap();
    bulk(n, "queue, priority", "'old', 0");
    conn.execute_batch(
        "UPDATE job SET state = 'running', run_id = id, started_at = 1;
         INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at, finished_at, outcome)
           SELECT id, id, 1, '00000000000000000000000000000000', '', '', 1, 2, 'done' FROM job;
         UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 2;",
    )
    .unwrap();
    bulk(n, "queue, priority, available_at", "'a', 9, 99999999");
    bulk(n, "queue, priority, user_hold", "'a', 9, 1");
    bulk(n, "queue, priority", "'paused', 9");
    bulk(n, "queue, priority, lane", "'a', 9, 'full'");
    bulk(n, "queue, priority", "'a', 0");
    conn.execute_batch(
        "UPDATE queue SET paused = 1 WHERE name = 'paused';
         INSERT INTO job (command, queue, lane) VALUES ('[\"x\"]', 'b', 'full');
         UPDATE job SET state = 'running', run_id = 1000000001, started_at = 1 WHERE queue = 'b';
         INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at)
           SELECT run_id, id, 1, '00000000000000000000000000000000', '', '', 1 FROM job WHERE queue = 'b';
         UPDATE meta SET value = '2000000000' WHERE key = 'run_id_limit';
         COMMIT",
    )
    .unwrap();
    conn
}

/// Steps that SQLite's machine makes while `f` runs.
pub(in crate::store) fn steps(conn: &Connection, f: impl Fn(&Connection)) -> u64 {
    // Once before, so that preparing statements is not counted.
    conn.execute_batch("SAVEPOINT warm").unwrap();
    f(conn);
    conn.execute_batch("ROLLBACK TO warm").unwrap();
    let counted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&counted);
    conn.progress_handler(1, Some(move || counter.fetch_add(1, Ordering::Relaxed) == u64::MAX)).unwrap();
    f(conn);
    conn.progress_handler(0, None::<fn() -> bool>).unwrap();
    conn.execute_batch("ROLLBACK TO warm; RELEASE warm").unwrap();
    counted.load(Ordering::Relaxed)
}

#[test]
fn each_turn_of_the_worker_costs_the_same_in_a_large_file() {
    type Verb = (&'static str, fn(&Connection));
    let verbs: [Verb; 9] = [
        ("claim", |conn| {
            let prepared: Vec<_> = (0..3).map(|n| Prepared { run: RunId(2_000_000_000 + n), nonce: Nonce([1; 16]) }).collect();
            assert_eq!(claim::claim(conn, &Scope::default(), &prepared, "w", "b", 5).unwrap().len(), 3);
        }),
        ("has_ready", |conn| assert!(claim::has_ready(conn, &Scope::default()).unwrap())),
        ("due", |conn| assert_eq!(due::process(conn, 5, 100).unwrap(), due::Processed::default())),
        ("next_due", |conn| assert_eq!(due::next_due_ms(conn).unwrap(), Some(99_999_999))),
        ("repair", |conn| assert_eq!(repair::repair(conn, 5).unwrap(), [])),
        ("recount", |conn| assert!(recount::all(conn, 5).unwrap().is_nothing())),
        ("open_runs", |conn| assert_eq!(open_runs::open_runs(conn).unwrap().len(), 1)),
        ("status", |conn| {
            read::counts(conn).unwrap();
            read::queues(conn).unwrap();
            assert!(read::oldest_ready_ms(conn).unwrap().is_some());
        }),
        ("ls", |conn| {
            let filter = read::Filter { limit: Some(10), ..read::Filter::default() };
            assert_eq!(read::jobs(conn, &filter).unwrap().len(), 10);
        }),
    ];
    let (small, large) = (file_with(30), file_with(3_000));
    let mut wrong = Vec::new();
    for (name, verb) in verbs {
        let (few, many) = (steps(&small, verb), steps(&large, verb));
        assert!(few > 10, "{name}: {few} steps; the counter counts nothing");
        // A deeper tree is a few steps more, a scan would be a hundred times as many.
        if many > few + few / 4 + 20 {
            wrong.push(format!("{name}: {few} steps in a small file, {many} in a large one"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A file with this many resources that are gone, each torn down by a run, and this many that have
/// failed and wait.
fn file_with_resources(n: i64) -> Connection {
    let conn = file_with(n);
    conn.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})
         INSERT INTO resource (name, job_id, teardown) SELECT 'gone ' || i, 1, '[\"x\"]' FROM n;
         INSERT INTO run (id, resource_id, kind, attempt, nonce, instance, boot_id, claimed_at, finished_at, outcome)
           SELECT 1100000000 + id, id, 'teardown', 1, '00000000000000000000000000000000', '', '', 1, 2, 'done' FROM resource;
         UPDATE resource SET state = 'released', released_at = 2, released_by = 'teardown';
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})
         INSERT INTO resource (name, job_id, teardown) SELECT 'waits ' || i, 1, '[\"x\"]' FROM n;
         UPDATE resource SET attempts = 1, next_at = 1000 WHERE state = 'releasing';
         COMMIT"
    ))
    .unwrap();
    conn
}

#[test]
fn resource_queries_of_each_turn_cost_the_same() {
    type Verb = (&'static str, fn(&Connection));
    let verbs: [Verb; 4] = [
        ("is_due", |conn| assert!(!teardown::is_due(conn, 5).unwrap())),
        ("due", |conn| assert_eq!(teardown::due(conn, 1_000, 5).unwrap().len(), 5)),
        ("next_due", |conn| assert_eq!(teardown::next_due_ms(conn, 5).unwrap(), Some(1_000))),
        ("open_auxiliaries", |conn| assert_eq!(open_runs::open_auxiliaries(conn).unwrap(), [])),
    ];
    let (small, large) = (file_with_resources(30), file_with_resources(3_000));
    for (name, verb) in verbs {
        let (few, many) = (steps(&small, verb), steps(&large, verb));
        assert!(few > 3 && many <= few + few / 4 + 20, "{name}: {few} steps in a small file, {many} in a large one");
    }
}

#[test]
fn no_statement_of_the_worker_scans_a_table() {
    let conn = fixture::fresh();
    let mut scans = Vec::new();
    for (name, sql) in [
        ("claim_heads", sql!("claim.sql", "heads")),
        ("claim_only", sql!("claim.sql", "only")),
        ("claim_head", sql!("claim.sql", "head")),
        ("claim_take", sql!("claim.sql", "take")),
        ("due_due", sql!("../upkeep/due.sql", "due")),
        ("due_cancelled", sql!("../upkeep/due.sql", "cancelled")),
        ("due_broken", sql!("../upkeep/due.sql", "broken")),
        ("ended_broken_by", sql!("ended.sql", "broken_by")),
        ("enqueue_live", sql!("insert.sql", "live")),
        ("control_latest_end", sql!("control.sql", "latest_end")),
        ("due_expired", sql!("../upkeep/due.sql", "expired")),
        ("ended_resolve", sql!("ended.sql", "resolve")),
        ("ended_broken", sql!("ended.sql", "broken")),
        ("settle_facts", sql!("settle.sql", "facts")),
        ("settle_end", sql!("settle.sql", "end")),
        ("settle_requeue", sql!("settle.sql", "requeue")),
        ("close_run", sql!("close_run.sql", "close")),
        ("retry_dependants", sql!("retry.sql", "dependants")),
        ("recount_lanes", sql!("../upkeep/recount.sql", "lanes")),
        ("inspect_cancels", sql!("../upkeep/inspect.sql", "cancels")),
        ("inspect_children", sql!("../upkeep/inspect.sql", "children")),
        ("inspect_empty_lanes", sql!("../upkeep/inspect.sql", "empty_lanes")),
        ("inspect_auxiliaries", sql!("../upkeep/inspect.sql", "auxiliaries")),
        ("inspect_held", sql!("../upkeep/inspect.sql", "held")),
        ("inspect_lanes", sql!("../upkeep/inspect.sql", "lanes")),
        ("inspect_parents", sql!("../upkeep/inspect.sql", "parents")),
        ("inspect_queues", sql!("../upkeep/inspect.sql", "queues")),
        ("inspect_ready", sql!("../upkeep/inspect.sql", "ready")),
        ("inspect_releasing", sql!("../upkeep/inspect.sql", "releasing")),
        ("inspect_running", sql!("../upkeep/inspect.sql", "running")),
        ("inspect_stranded", sql!("../upkeep/inspect.sql", "stranded")),
        ("inspect_tally", sql!("../upkeep/inspect.sql", "tally")),
        ("inspect_tasks", sql!("../upkeep/inspect.sql", "tasks")),
        ("inspect_unreleased", sql!("../upkeep/inspect.sql", "unreleased")),
        ("recount_queue", sql!("../upkeep/recount.sql", "queue")),
        ("recount_waiting", sql!("../upkeep/recount.sql", "waiting")),
        ("teardown_repair_orphan", sql!("../resource/teardown.sql", "repair_orphan")),
        ("teardown_clear_auxiliary", sql!("../resource/teardown.sql", "clear_auxiliary")),
        ("teardown_repair_job", sql!("../resource/teardown.sql", "repair_job")),
        ("teardown_job_of", sql!("../resource/teardown.sql", "job_of")),
        ("prune_jobs", sql!("../upkeep/prune.sql", "jobs")),
        ("prune_queue", sql!("../upkeep/prune.sql", "queue")),
        ("prune_tally", sql!("../upkeep/prune.sql", "tally")),
        ("due_clock", sql!("../upkeep/due.sql", "clock")),
        ("prune_lane", sql!("../upkeep/prune.sql", "lane")),
        ("why_ahead", sql!("why.sql", "ahead")),
        ("auxiliary_begin", sql!("auxiliary.sql", "begin")),
        ("teardown_due", sql!("../resource/teardown.sql", "due")),
        ("teardown_take", sql!("../resource/teardown.sql", "take")),
        ("teardown_gone", sql!("../resource/teardown.sql", "gone")),
        ("teardown_failed", sql!("../resource/teardown.sql", "failed")),
        ("teardown_forget", sql!("../resource/teardown.sql", "forget")),
        ("resource_replace", sql!("../resource/resource.sql", "replace")),
        ("prune_resources", sql!("../upkeep/prune.sql", "resources")),
        ("prune_gone", sql!("../upkeep/prune.sql", "gone")),
        ("plan_due", sql!("../schedule/plan.sql", "due")),
        ("plan_decided", sql!("../schedule/plan.sql", "decided")),
        ("plan_fired", sql!("../schedule/plan.sql", "fired")),
        ("plan_fired_after_all", sql!("../schedule/plan.sql", "fired_after_all")),
        ("plan_skipped", sql!("../schedule/plan.sql", "skipped")),
        ("plan_skipped_more", sql!("../schedule/plan.sql", "skipped_more")),
        ("plan_see_ends", sql!("../schedule/plan.sql", "see_ends")),
        ("plan_live", sql!("../schedule/plan.sql", "live")),
        ("schedule_with_old_occurrences", schedule::WITH_OLD_OCCURRENCES),
        ("schedule_prune", schedule::REMOVE_OLD_OCCURRENCES),
        ("advance_facts", sql!("../pipeline/advance.sql", "facts")),
        ("advance_step", sql!("../pipeline/advance.sql", "step")),
        ("advance_stuck", sql!("../pipeline/advance.sql", "stuck")),
        ("prune_tasks", sql!("../upkeep/prune.sql", "tasks")),
        ("lease_event", sql!("../lease/lease.sql", "event")),
        ("lease_take", sql!("../lease/lease.sql", "take")),
        ("lease_take_for_run", sql!("../lease/lease.sql", "take_for_run")),
        ("lease_of_ended_runs", sql!("../lease/lease.sql", "of_ended_runs")),
        ("workspace_enter", sql!("../workspace/workspace.sql", "enter")),
        ("workspace_made", sql!("../workspace/workspace.sql", "made")),
        ("workspace_makers", sql!("../workspace/workspace.sql", "makers")),
        ("workspace_may_be_made", sql!("../workspace/workspace.sql", "may_be_made")),
        ("workspace_to_measure", sql!("../workspace/workspace.sql", "to_measure")),
        ("ended_queued", sql!("ended.sql", "queued")),
        ("pending_runtime_limits", sql!("pending.sql", "runtime_limits")),
        ("cancel_open_cancels", sql!("cancel.sql", "open_cancels")),
        ("suspend_wanted", sql!("suspend.sql", "wanted")),
        ("inspect_suspensions", sql!("../upkeep/inspect.sql", "suspensions")),
        ("read_stuck", sql!("read.sql", "stuck")),
    ] {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.raw_bind_and_explain();
        for step in steps {
            // Read from end to end may be: an index that holds nothing but what is looked for (what
            // is open or under way), a list made by the statement itself, one row; and by the
            // retention, which runs seldom, the names of schedules.
            let small = [
                // Of this one the claim reads the first row.
                "USING INDEX queue_next",
                "USING COVERING INDEX cancel_open",
                "USING INDEX cancel_open",
                "USING INDEX suspend_open",
                "USING COVERING INDEX lane_busy",
                "USING INDEX lane_busy",
                "USING INDEX run_open",
                "USING INDEX task_live",
                "sqlite_autoindex_schedule_1",
                "SCAN parent",
                "SCAN ready",
                "SCAN counted",
                "SCAN pause",
                "SCAN running",
                "SCAN (subquery",
                "CONSTANT ROW",
                "USING INDEX task_live",
                "USING INDEX run_open",
            ]
            .iter()
            .any(|known| step.contains(known))
                // `SCAN run` would be one; a file has few workspaces.
                || ["SCAN r", "SCAN w", "SCAN workspace"].contains(&step.as_str())
                || step.contains("USING INDEX job_doomed")
                || step.contains("USING INDEX job_unreleased");
            if step.contains("SCAN") && !small {
                scans.push(format!("{name}: {step}"));
            }
        }
    }
    assert!(scans.is_empty(), "{scans:#?}");
}

trait Explain {
    fn raw_bind_and_explain(&mut self) -> Vec<String>;
}

impl Explain for rusqlite::Statement<'_> {
    fn raw_bind_and_explain(&mut self) -> Vec<String> {
        (1..=self.parameter_count()).for_each(|at| self.raw_bind_parameter(at, 1).unwrap());
        let mut rows = self.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        steps
    }
}

/// The statements of a trigger; a word replaces each column of the row.
fn statements_of(conn: &Connection, trigger: &str) -> Vec<String> {
    let sql: String = conn.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [trigger], |row| row.get(0)).unwrap();
    let body = sql.split_once("BEGIN").unwrap().1.trim_end().trim_end_matches("END");
    let words = body.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
    let bound: String = words
        .map(|word| {
            let name = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
            if name.starts_with("NEW.") || name.starts_with("OLD.") { word.replacen(name, "?1", 1) } else { word.to_owned() }
        })
        .collect();
    bound.split(';').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_end_of_an_owner_finds_what_it_has_to_free_without_a_scan() {
    let conn = fixture::fresh();
    for trigger in ["run_ends", "job_changes_state", "task_changes"] {
        for sql in statements_of(&conn, trigger) {
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            for step in plan.raw_bind_and_explain() {
                // Everything that is held is as good as a scan.
                let is_a_scan = step.contains("SCAN") && !["SCAN w", "SCAN CONSTANT ROW"].contains(&step.as_str());
                assert!(!is_a_scan && !step.contains("resource_live"), "{trigger}: {step}");
            }
        }
    }
}

/// Steps of the end of a job that holds nothing, was in no workspace and has no lease.
fn steps_of_a_settle(conn: &Connection) -> u64 {
    let run: i64 = conn.query_row("SELECT id FROM run WHERE finished_at IS NULL", [], |row| row.get(0)).unwrap();
    steps(conn, |conn| {
        conn.prepare_cached("UPDATE run SET finished_at = 9, outcome = 'failed' WHERE id = ?1").unwrap().execute([run]).unwrap();
        conn.prepare_cached(
            "UPDATE job SET state = 'failed', reason = 'exit', finished_at = 9 WHERE run_id = ?1 AND state = 'running'",
        )
        .unwrap()
        .execute([run])
        .unwrap();
    })
}

/// The triggers that SQLite compiles into a statement.
fn compiled_into(conn: &Connection, sql: &str) -> BTreeSet<String> {
    let mut explain = conn.prepare(&format!("EXPLAIN {sql}")).unwrap();
    let texts = explain.query_map([], |row| row.get::<_, Option<String>>("p4")).unwrap();
    texts.filter_map(|text| Some(text.unwrap()?.strip_prefix("-- TRIGGER ")?.to_owned())).collect()
}

#[test]
fn an_insert_of_a_job_compiles_no_effect_of_a_change_of_state() {
    let conn = fixture::fresh();
    let insert = compiled_into(&conn, "INSERT INTO job (command) VALUES ('[]')");
    assert!(insert.contains("job_enters") && insert.contains("job_moves_in_its_lane"), "{insert:?}");
    let state = compiled_into(&conn, "UPDATE job SET state = 'running'");
    assert!(state.contains("job_changes_state") && state.contains("resource_moves"), "{state:?}");
    let of_others = |name: &String| name.starts_with("resource_") || name.starts_with("event_") || name.starts_with("meta_");
    let strange: Vec<_> = insert.iter().filter(|name| of_others(name) || *name == "job_changes_state").collect();
    assert!(strange.is_empty(), "each client pays for compiling these: {strange:?}");
}

#[test]
fn a_job_without_resources_pays_nothing_for_those_of_others() {
    let conn = file_with(30);
    let with = steps_of_a_settle(&conn);
    let moves: String =
        conn.query_row("SELECT sql FROM sqlite_schema WHERE name = 'job_changes_state'", [], |row| row.get(0)).unwrap();
    let (head, body) = moves.split_once("BEGIN").unwrap();
    let of_lanes: Vec<&str> = body.split(";\n").filter(|statement| !statement.contains("resource")).collect();
    conn.execute_batch(&format!("DROP TRIGGER run_ends; DROP TRIGGER job_changes_state; {head} BEGIN {}", of_lanes.join(";\n")))
        .unwrap();
    let without = steps_of_a_settle(&conn);
    assert!(with - without <= 110, "{with} steps with the triggers, {without} without them");
}

/// Steps of the end of a run that holds this many resources and whose job has gone back to the
/// queue.
fn steps_of_an_end_with_resources(n: i64) -> u64 {
    let conn = file_with(3);
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})
         INSERT INTO resource (name, run_id, teardown) SELECT 'r' || i, 1000000001, '[\"x\"]' FROM n;
         UPDATE job SET state = 'queued', run_id = NULL, started_at = NULL, user_hold = 1 WHERE run_id = 1000000001"
    ))
    .unwrap();
    steps(&conn, |conn| {
        conn.execute_batch("UPDATE run SET finished_at = 9, outcome = 'failed' WHERE id = 1000000001").unwrap();
        let unreleased: i64 = conn.query_row("SELECT unreleased FROM job WHERE queue = 'b'", [], |row| row.get(0)).unwrap();
        assert_eq!(unreleased, n);
    })
}

#[test]
fn each_resource_of_a_run_costs_the_same_at_its_end() {
    let (few, many) = (steps_of_an_end_with_resources(50), steps_of_an_end_with_resources(500));
    assert!(many <= few * 11, "{few} steps for 50 resources, {many} for 500");
}

#[test]
fn a_requeue_costs_the_same_with_many_resources_of_others() {
    let requeue = |conn: &Connection| {
        let sql = "UPDATE job SET state = 'queued', run_id = NULL, started_at = NULL WHERE queue = 'b'";
        conn.prepare_cached(sql).unwrap().execute([]).unwrap();
    };
    let (few, many) = (steps(&file_with_resources(30), requeue), steps(&file_with_resources(300), requeue));
    // Among these are the jobs of a table without an index on the queue.
    let (few_jobs, many_jobs) = (steps(&file_with(30), requeue), steps(&file_with(300), requeue));
    assert!(many - many_jobs <= few - few_jobs + 20, "{few} steps where 30 wait, {many} where 300 do");
}
