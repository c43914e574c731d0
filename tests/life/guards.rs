//! A trigger, an index or a view that is dropped or added while a worker works: the worker repairs it before it does anything else, or claims nothing.

use rusqlite::Connection;

use crate::model::hostile::drop_guards;
use crate::support::{Nest, each, until};

const TICK: &str = "300ms";

/// All triggers, indexes and views, with their kinds.
fn objects(conn: &Connection) -> Vec<(String, String)> {
    let mut all = conn
        .prepare("SELECT type, name FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY type, name")
        .expect("SQL");
    all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows").collect::<rusqlite::Result<_>>().expect("names")
}

fn tables(conn: &Connection) -> Vec<String> {
    let mut all = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
        .expect("SQL");
    all.query_map([], |row| row.get(0)).expect("rows").collect::<rusqlite::Result<_>>().expect("names")
}

fn is_there(conn: &Connection, name: &str) -> bool {
    conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)", [name], |row| row.get(0)).expect("a number")
}

fn starts(nest: &Nest) -> usize {
    std::fs::read_to_string(nest.file("starts")).map_or(0, |text| text.lines().count())
}

#[test]
fn each_dropped_guard_is_created_again_by_the_worker() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let worker = nest.work(&["--tick", TICK]);
    // What is missing when a worker starts is repaired in other words.
    crate::life::left::after_a_tick(&nest);
    let conn = nest.sql();
    let objects = objects(&conn);
    assert!(objects.len() > 100, "{} objects", objects.len());
    let mut jobs = Vec::new();
    for (kind, name) in &objects {
        conn.execute_batch(&format!("DROP {kind} {name}")).unwrap();
        // With an index or a trigger missing even this may be refused; then the tick repairs it.
        let added = conn.query_row(
            "INSERT INTO job (command, cwd) VALUES (json_array('sh', '-c', 'echo $TENURE_JOB >> starts'), ?1) RETURNING id",
            [nest.path().to_str()],
            |row| row.get::<_, i64>(0),
        );
        jobs.extend(added.ok());
        until(&format!("{kind} {name} to be made again"), || is_there(&conn, name).then_some(()));
    }
    for job in &jobs {
        nest.until_state(*job, "done");
    }
    let mut ran: Vec<i64> =
        std::fs::read_to_string(nest.file("starts")).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, jobs, "each job ran once");
    let said = worker.said();
    for (_, name) in &objects {
        let of_view = "SELECT sql LIKE '%INSTEAD OF %' FROM sqlite_schema WHERE name = ?1";
        // The trigger of a view goes with the view, so it was dropped twice.
        let dropped = if conn.query_row(of_view, [name], |row| row.get(0)).unwrap() { 2 } else { 1 };
        assert_eq!(
            said.matches(&format!(" {name} is missing; it was repaired")).count(),
            dropped,
            "{name} is told once:\n{said}"
        );
    }
    assert!(nest.counter("guards_repaired_total") >= objects.len() as i64, "{}", nest.status());
    println!("{} objects", objects.len());
}

#[test]
fn a_foreign_trigger_is_removed_from_each_table() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let worker = nest.work(&["--tick", TICK]);
    let conn = nest.sql();
    for table in tables(&conn) {
        conn.execute_batch(&format!("CREATE TRIGGER spy_{table} AFTER UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'spy'); END"))
            .unwrap();
        until(&format!("the trigger on {table} to be removed"), || (!is_there(&conn, &format!("spy_{table}"))).then_some(()));
    }
    let job = nest.add(&["--", "true"]);
    nest.until_state(job, "done");
    assert!(worker.said().contains("spy_job on job is not tenure's"), "{}", worker.said());
    // What a person adds for his own use stays.
    conn.execute_batch("CREATE TABLE mine (a); CREATE INDEX my_index ON job (cwd); CREATE TRIGGER my_trigger AFTER INSERT ON mine BEGIN SELECT 1; END")
        .unwrap();
    let job = nest.add(&["--", "true"]);
    nest.until_state(job, "done");
    assert!(is_there(&conn, "my_index") && is_there(&conn, "my_trigger"));
}

/// Drops all guards and adds a trigger on a table, which puts job 1 back into the queue whenever that table is written.
fn put_back(conn: &Connection, table: &str) {
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop_guards(conn, "%guard");
    let mut sql = String::new();
    for event in ["INSERT", "UPDATE"] {
        sql += &format!(
            "CREATE TRIGGER again_{event} AFTER {event} ON {table} BEGIN
               UPDATE job SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL, finished_at = NULL, reason = NULL,
                      exit_code = NULL, attempts = 0 WHERE id = 1 AND state <> 'queued';
               UPDATE run SET finished_at = 1, outcome = 'lost' WHERE job_id = 1 AND finished_at IS NULL;
             END;"
        );
    }
    conn.execute_batch(&(sql + "COMMIT")).unwrap();
}

/// When the worker says that its reaper was round; `None` where its report is just being written.
fn reaper_at_ms(nest: &Nest) -> Option<u64> {
    let text = std::fs::read_to_string(nest.beside().join("worker.json")).ok()?;
    let report: serde_json::Value = serde_json::from_str(text.split_once('\n')?.1.trim_end_matches('\0')).ok()?;
    report["reaper_at_ms"].as_u64()
}

#[test]
fn a_trigger_that_puts_a_job_back_starts_it_no_second_time() {
    let tables = ["job", "run", "event", "tally", "queue", "counter"];
    let cells: Vec<_> = tables.into_iter().flat_map(|table| [(table, true), (table, false)]).collect();
    each(&cells, |&(table, before_its_claim)| {
        let nest = Nest::new();
        let line = format!("echo x >> {}; sleep 0.2", nest.file("starts").display());
        let job = nest.sh(if before_its_claim { &["--hold"] } else { &[] }, &line);
        let worker = nest.work(&["--tick", TICK]);
        if before_its_claim {
            put_back(&nest.sql(), table);
            until("the trigger to be removed", || (!is_there(&nest.sql(), "again_UPDATE")).then_some(()));
            nest.ok(&["release", "1"]);
        } else {
            until("the job to begin", || (starts(&nest) == 1).then_some(()));
            put_back(&nest.sql(), table);
        }
        nest.until_ended(job);
        // Two more rounds of the reaper: nothing starts it again.
        for _ in 0..2 {
            let before = reaper_at_ms(&nest);
            let other = nest.add(&["--", "true"]);
            nest.until_state(other, "done");
            until("a round of the reaper", || reaper_at_ms(&nest).filter(|at| Some(*at) > before));
        }
        assert_eq!(starts(&nest), 1, "{table}, before its claim: {before_its_claim}\n{}", worker.said());
    });
    assert_eq!(cells.len(), 12);
}

#[test]
fn a_table_that_was_altered_stops_claims_and_is_told() {
    let nest = Nest::new();
    let running = nest.sh(&[], "while ! test -e go; do sleep 0.02; done");
    let worker = nest.work(&["--tick", TICK]);
    nest.until_pid(running);
    // (A column without a rule is left alone.)
    nest.owner().execute_batch("ALTER TABLE job ADD COLUMN mine TEXT CHECK (mine <> 'x')").unwrap();
    let waiting = nest.add(&["--", "true"]);
    const TOLD: &str = "nothing is claimed: the schema of the file was changed: the table job was altered";
    until("the change to be told", || worker.said().contains(TOLD).then_some(()));
    assert!(nest.say(&["doctor"]).out.contains("the table job was altered"));
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_state(running, "done");
    assert_eq!(nest.state(waiting), "queued", "nothing is claimed");
    nest.owner().execute_batch("ALTER TABLE job DROP COLUMN mine").unwrap();
    nest.until_state(waiting, "done");
    assert_eq!(worker.said().matches(TOLD).count(), 1, "told once:\n{}", worker.said());
}
