use super::*;
use crate::store::fixture;

/// Job 1, and four jobs that wait for it. The row of job 2 refuses each change of `refused`.
fn with_a_row_that_refuses(refused: &str) -> Connection {
    let conn = fixture::fresh();
    conn.execute_batch(
        r#"INSERT INTO job (command) VALUES ('["a"]'), ('["b"]'), ('["c"]'), ('["d"]'), ('["e"]');
           INSERT INTO dependency (job_id, on_job) VALUES (2, 1), (3, 1), (4, 1), (5, 3)"#,
    )
    .unwrap();
    conn.execute_batch(&format!(
        "CREATE TRIGGER bad BEFORE UPDATE OF {refused} ON job WHEN NEW.id = 2 BEGIN SELECT RAISE(ABORT, 'bad'); END"
    ))
    .unwrap();
    conn
}

fn states(conn: &Connection) -> String {
    conn.query_row("SELECT group_concat(state, ' ') FROM (SELECT state FROM job ORDER BY id)", [], |row| row.get(0)).unwrap()
}

fn fail_first(conn: &Connection) -> Result<Aftermath> {
    let mut out = advance::aftermath();
    ended::end_queued(conn, JobId(1), Reason::Spawn, "no", 5, &mut out)?;
    Ok(out)
}

#[test]
fn a_row_that_refuses_its_end_keeps_no_other_from_its_own() {
    for refused in ["state", "broken", "unmet"] {
        let conn = with_a_row_that_refuses(refused);
        let mut out = fail_first(&conn).unwrap();
        out.ended.sort_unstable();
        assert_eq!(out.ended, [1, 3, 4, 5].map(JobId), "{refused}");
        assert_eq!(states(&conn), "failed queued failed failed failed", "{refused}");
        // Once the row is sound, it ends as well: found by itself, or by those who look for what
        // lags.
        conn.execute_batch("DROP TRIGGER bad").unwrap();
        crate::store::upkeep::recount::all(&conn, 6).unwrap();
        process(&conn, 6, 100).unwrap();
        assert_eq!(states(&conn), "failed failed failed failed failed", "{refused}");
    }
}

#[test]
fn a_round_goes_on_after_a_job_that_refuses_its_end() {
    let conn = fixture::fresh();
    conn.execute_batch(
        r#"INSERT INTO job (command, expires_at) VALUES ('["a"]', NULL), ('["b"]', NULL), ('["c"]', NULL), ('["d"]', 2), ('["e"]', 2)"#,
    )
    .unwrap();
    fail_first(&conn).unwrap();
    conn.execute_batch(
        "INSERT INTO dependency (job_id, on_job) VALUES (2, 1), (3, 1);
         CREATE TRIGGER bad BEFORE UPDATE OF state ON job WHEN NEW.id IN (2, 4) BEGIN SELECT RAISE(ABORT, 'bad'); END",
    )
    .unwrap();
    for _ in 0..2 {
        process(&conn, 9, 100).unwrap();
        assert_eq!(states(&conn), "failed queued failed queued failed");
    }
    conn.execute_batch("DROP TRIGGER bad").unwrap();
    assert_eq!(process(&conn, 9, 100).unwrap().ended, [JobId(2), JobId(4)]);
}

#[test]
fn a_job_ends_with_more_dependants_than_a_step_and_a_wider_file() {
    for table in ["job", "dependency", "unresolved", "event"] {
        let conn = fixture::fresh();
        let waiting = i64::try_from(ended::STEP_MAX).unwrap() + 1;
        conn.execute_batch(&format!(
            r#"ALTER TABLE {table} ADD COLUMN tool_note TEXT;
               WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {waiting})
               INSERT INTO job (command) SELECT '["a"]' FROM n;
               INSERT INTO dependency (job_id, on_job) SELECT id, 1 FROM job WHERE id > 1"#
        ))
        .unwrap();
        fail_first(&conn).unwrap();
        let unresolved = || conn.query_row("SELECT count(*) FROM unresolved", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(unresolved(), 1, "{table}: the rest is noted");
        for _ in 0..4 {
            process(&conn, 6, 2_000).unwrap();
        }
        let failed: i64 = conn.query_row("SELECT count(*) FROM job WHERE state = 'failed'", [], |row| row.get(0)).unwrap();
        assert_eq!((failed, unresolved()), (waiting + 1, 0), "{table}");
    }
}
