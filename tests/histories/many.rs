//! An end that concerns many jobs touches few of them in each transaction, and is complete in the end, whichever process continues it and with any writes in between.

use rusqlite::Connection;
use tenure::job::{Exit, JobId, RunEnd, RunId};
use tenure::store::job::settle::{self, RunRecord, Settle};
use tenure::store::{job::control, job::retry, upkeep::due, upkeep::inspect, upkeep::recount};

use crate::model::{file, truths};

/// Those who wait, in a case.
const MANY: i64 = 2_300;
/// Most rows that one transaction may change, triggers included. One job that ends changes up to some ten.
const ROWS_MAX: i64 = 25_000;

/// Makes the jobs that wait for job 1.
type Shape = (&'static str, fn(&Connection));

const SHAPES: [Shape; 3] = [
    ("all wait for one", |conn| {
        jobs(conn, MANY);
        sql(conn, "INSERT INTO dependency (job_id, on_job) SELECT id, 1 FROM job WHERE id > 1");
    }),
    ("each waits for the one before", |conn| {
        jobs(conn, MANY);
        sql(conn, "INSERT INTO dependency (job_id, on_job) SELECT id, id - 1 FROM job WHERE id > 1");
    }),
    ("a tree with two levels", |conn| {
        jobs(conn, MANY);
        sql(conn, "INSERT INTO dependency (job_id, on_job) SELECT id, iif(id <= 50, 1, 2 + id % 49) FROM job WHERE id > 1");
    }),
];

fn sql(conn: &Connection, text: &str) {
    conn.execute_batch(text).unwrap();
}

fn jobs(conn: &Connection, n: i64) {
    sql(
        conn,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) INSERT INTO job (command, queue) SELECT '[\"x\"]', 'q' FROM n"
        ),
    );
}

/// How job 1 ends, and the state of those who wait for it then.
type End = (&'static str, fn(&Connection), &'static str);

const ENDS: [End; 4] = [
    ("cancelled by a client", |conn| drop(control::cancel(conn, JobId(1), None, 5).unwrap()), "failed"),
    ("fails", |conn| run_of_one(conn, 3), "failed"),
    ("is done", |conn| run_of_one(conn, 0), "queued"),
    (
        "expires",
        |conn| {
            sql(conn, "UPDATE job SET expires_at = 2 WHERE id = 1");
            due::process(conn, 5, 500).unwrap();
        },
        "failed",
    ),
];

fn run_of_one(conn: &Connection, code: i32) {
    let end = RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false };
    let news = Settle { job: JobId(1), run: RunId(11), end, record: RunRecord::default(), chance: 0.0 };
    settle::settle(conn, &news, 5).unwrap();
}

/// The process that continues, a transaction at a time. False: nothing is left.
type Finish = (&'static str, fn(&Connection) -> bool);

const GO_ON: [Finish; 2] = [
    ("a worker", |conn| due::process(conn, 6, 500).unwrap().more),
    ("a client", |conn| due::continue_ends(conn, 6, 1_000).unwrap().more),
];

fn one(conn: &Connection, text: &str) -> i64 {
    conn.query_row(text, [], |row| row.get(0)).unwrap()
}

/// Does it in a transaction, which must change few rows, and looks whether the file is whole at its end: there a crash may come.
fn step(conn: &Connection, what: &str, is_looked_at: bool, f: impl FnOnce() -> bool) -> bool {
    let before = one(conn, "SELECT total_changes()");
    sql(conn, "BEGIN IMMEDIATE");
    let more = f();
    sql(conn, "COMMIT");
    let rows = one(conn, "SELECT total_changes()") - before;
    assert!(rows <= ROWS_MAX, "{what}: {rows} rows in one transaction");
    if is_looked_at {
        truths::check(conn);
    }
    more
}

fn file_with(shape: Shape, end: End) -> Connection {
    let conn = file::fresh();
    sql(&conn, "UPDATE meta SET value = '1000' WHERE key = 'run_id_limit'; BEGIN");
    shape.1(&conn);
    sql(&conn, "COMMIT");
    if ["fails", "is done"].contains(&end.0) {
        sql(
            &conn,
            "UPDATE job SET state = 'running', run_id = 11, started_at = 4, attempts = 1 WHERE id = 1;
             INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (11, 1, 1, lower(hex(zeroblob(16))), 'w', 'b', 4)",
        );
    }
    conn
}

#[test]
fn an_end_that_concerns_many_is_told_in_small_transactions() {
    let (mut steps, mut cases) = (0, 0);
    for shape in SHAPES {
        for end in ENDS {
            // A client continues with what it has ended itself, a worker with all; the other shapes with one end.
            let is_first = |who: &str| who == "a worker" && shape.0 == SHAPES[0].0;
            for (who, go_on) in GO_ON.into_iter().filter(|(who, _)| end.0 == ENDS[0].0 || is_first(who)) {
                cases += 1;
                let what = format!("{}, job 1 {}, {who} continues", shape.0, end.0);
                let conn = file_with(shape, end);
                step(&conn, &what, true, || {
                    end.1(&conn);
                    true
                });
                // The reaper looks halfway, and finds nothing to repair.
                let found = inspect::find(&conn, &mut inspect::Cursor::default(), 100_000).unwrap();
                assert!(found.lagging.is_empty() && found.waiting.is_empty(), "{what}: {found:?}");
                let mut n = 0;
                while step(&conn, &what, n == 0, || go_on(&conn)) {
                    n += 1;
                }
                truths::check(&conn);
                steps += n + 1;
                let of_others = format!("SELECT count(*) FROM job WHERE id > 1 AND state = '{}'", end.2);
                let expected = MANY - 1;
                assert_eq!(one(&conn, &of_others), expected, "{what}");
                assert_eq!(one(&conn, "SELECT count(*) FROM unresolved"), 0, "{what}");
                let ready = one(&conn, "SELECT count(*) FROM job WHERE state = 'queued' AND hold IS NULL");
                assert_eq!(ready > 0, end.2 == "queued", "{what}");
            }
        }
    }
    println!("{cases} cases, {steps} transactions");
}

#[test]
fn a_parent_that_is_put_back_halfway_is_waited_for_again() {
    for shape in SHAPES {
        let conn = file_with(shape, ENDS[0]);
        step(&conn, shape.0, false, || {
            control::cancel(&conn, JobId(1), None, 5).unwrap();
            true
        });
        step(&conn, shape.0, false, || due::process(&conn, 6, 500).unwrap().more);
        // Halfway; the jobs that have ended go back with it, a step at a time.
        let mut back = retry::Back::default();
        step(&conn, shape.0, false, || {
            back = retry::retry_step(&conn, JobId(1), true, 7).unwrap();
            true
        });
        let mut n = back.back.len();
        while !back.parents.is_empty() {
            step(&conn, shape.0, false, || {
                back = retry::requeue_dependants(&conn, std::mem::take(&mut back.parents), 7).unwrap();
                n += back.back.len();
                true
            });
        }
        while step(&conn, shape.0, false, || due::process(&conn, 8, 500).unwrap().more) {}
        assert_eq!(one(&conn, "SELECT count(*) FROM job WHERE state = 'queued'"), MANY, "{}: {n} went back", shape.0);
        assert_eq!(one(&conn, "SELECT count(*) FROM job WHERE state = 'queued' AND hold IS NULL"), 1, "{}", shape.0);
        recount::all(&conn, 9).unwrap();
        truths::check(&conn);
    }
}
