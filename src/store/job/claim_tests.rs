use super::*;
use crate::store::fixture;

const INSTANCE: &str = "w";

fn prepared(run: i64) -> Prepared {
    Prepared { run: RunId(run), nonce: Nonce([1; 16]) }
}

fn claim_all(conn: &Connection, runs: &[i64]) -> Vec<JobId> {
    let prepared: Vec<_> = runs.iter().map(|run| prepared(*run)).collect();
    let claims = claim(conn, &Scope::default(), &prepared, INSTANCE, "b", 5).unwrap();
    claims.iter().map(|claim| claim.job.id).collect()
}

fn text(conn: &Connection, sql: &str) -> String {
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A file in which the row of job 1 refuses to be claimed.
fn with_a_row_that_refuses(also_a_hold: bool) -> Connection {
    let conn = fixture::fresh();
    conn.execute_batch(r#"INSERT INTO job (command, priority) VALUES ('["a"]', 9), ('["b"]', 0), ('["c"]', 0)"#).unwrap();
    conn.execute_batch("CREATE TRIGGER bad BEFORE UPDATE OF state ON job WHEN NEW.id = 1 BEGIN SELECT RAISE(ABORT, 'bad'); END")
        .unwrap();
    if also_a_hold {
        conn.execute_batch(
            "CREATE TRIGGER worse BEFORE UPDATE OF user_hold ON job WHEN NEW.id = 1 BEGIN SELECT RAISE(ABORT, 'worse'); END",
        )
        .unwrap();
    }
    conn.execute_batch("BEGIN").unwrap();
    conn
}

#[test]
fn a_row_that_refuses_its_claim_is_held_and_others_are_claimed() {
    let conn = with_a_row_that_refuses(false);
    assert_eq!(claim_all(&conn, &[10, 11, 12]), [JobId(2), JobId(3)]);
    assert_eq!(text(&conn, "SELECT state || hold FROM job WHERE id = 1"), "queueduser");
    assert!(text(&conn, "SELECT detail FROM event WHERE job_id = 1 AND kind = 'quarantined'").contains("bad"));
    assert_eq!(text(&conn, "SELECT n || '' FROM counter WHERE name = 'impossible_total'"), "1");
    assert_eq!(text(&conn, "SELECT count(*) || '' FROM run"), "2", "nothing of the claim that failed is left");
}

#[test]
fn a_claim_that_fails_undoes_nothing_of_its_transaction() {
    for also_a_hold in [false, true] {
        let conn = with_a_row_that_refuses(also_a_hold);
        conn.execute_batch("UPDATE job SET label = 'settled' WHERE id = 3").unwrap();
        let claimed = claim_beside(&conn, &Scope::default(), prepared(10), INSTANCE, "b", 5).unwrap();
        assert_eq!(claimed.map(|claim| claim.job.id), (!also_a_hold).then_some(JobId(2)));
        conn.execute_batch("COMMIT").unwrap();
        assert_eq!(text(&conn, "SELECT label FROM job WHERE id = 3"), "settled");
    }
}

#[test]
fn a_job_with_invalid_utf8_is_claimed_and_marked_unreadable() {
    let conn = fixture::fresh();
    for column in ["label", "queue", "lane", "cwd", "unique_key"] {
        let sql = format!("INSERT INTO job (command, {column}) VALUES ('[\"a\"]', CAST(x'ff' AS TEXT))");
        conn.execute(&sql, []).unwrap();
        let claims = claim(&conn, &Scope::default(), &[prepared(conn.last_insert_rowid() + 10)], INSTANCE, "b", 5).unwrap();
        assert_eq!(claims[0].job.unreadable, Some(format!("{column} is not valid UTF-8")));
    }
    conn.execute("INSERT INTO job (command) VALUES ('[\"a\"]')", []).unwrap();
    let claims = claim(&conn, &Scope::default(), &[prepared(99)], INSTANCE, "b", 5).unwrap();
    assert_eq!(claims[0].job.unreadable, None);
}

/// A file whose only job is ready in a lane, and in which this was done behind the backs of the
/// triggers: the job is still said to be ready.
fn ready_but(done: &str) -> Connection {
    let conn = fixture::fresh();
    conn.execute_batch(r#"INSERT INTO job (command, lane) VALUES ('["a"]', 'l')"#).unwrap();
    conn.execute_batch(
        "INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 1, '{}', 1);
         INSERT INTO task (pipeline_id, pipeline, stage, created_at) VALUES (1, 'p', 's', 1)",
    )
    .unwrap();
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch(done).unwrap_or_else(|error| panic!("{done}: {error}"));
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
    conn
}

#[test]
fn the_claim_itself_asks_for_all_that_a_start_needs() {
    const RUN: &str = "INSERT INTO run (id, job_id, kind, attempt, nonce, instance, boot_id, claimed_at, finished_at, outcome)
                       VALUES (20, 1, 'job', 1, '00000000000000000000000000000000', 'w', 'b', 1, 2, 'failed')";
    const NOW_MS: i64 = 5;
    let is_taken = |done: &str| {
        let conn = ready_but(done);
        let by = Claimer { instance: INSTANCE, boot_id: "b", now_ms: NOW_MS };
        let row = || text(&conn, "SELECT group_concat(state || ' ' || attempts || ' ' || coalesce(run_id, '-')) FROM job");
        let before = row();
        let head =
            Head { queue: Key::of("default"), job: JobId(1), priority: 0, rank: 1.0, max_runtime_ms: None, is_launched: false };
        let taken = take(&conn, &head, prepared(21), i64::MAX, &by).unwrap_or_else(|error| panic!("{done}: {error}"));
        assert_eq!(row() == before, !taken, "{done}");
        taken
    };
    let kept = [
        "INSERT INTO cancel (job_id) VALUES (1)",
        "UPDATE job SET user_hold = 1",
        "UPDATE job SET lane_pass = 0",
        "UPDATE job SET state = 'running', run_id = 3, started_at = 1",
        "UPDATE job SET state = 'failed', reason = 'exit', finished_at = 1",
        "UPDATE job SET expires_at = 5",
        "UPDATE lane SET running = 1",
        "DELETE FROM lane",
        "UPDATE queue SET paused = 1",
        "UPDATE queue SET slots = 0",
        "UPDATE queue SET slots = 2; INSERT INTO tally VALUES ('running', '', 'default', 2)",
        "DELETE FROM queue",
        "UPDATE job SET task_id = 7",
        "UPDATE job SET task_id = 1; UPDATE task SET stop_at = 1",
        "UPDATE job SET task_id = 1; UPDATE task SET state = 'done', finished_at = 1",
    ];
    for done in kept {
        assert!(!is_taken(done), "{done}");
    }
    let of_runs = |change: &str| format!("{RUN}; {change}");
    for change in ["UPDATE run SET finished_at = NULL, outcome = NULL", "UPDATE run SET id = 21", "UPDATE run SET id = 22"] {
        assert!(!is_taken(&of_runs(change)), "{change}");
    }
    let taken = [
        "",
        "UPDATE job SET expires_at = 6",
        "UPDATE job SET expires_at = 5, attempts = 1",
        "UPDATE job SET expires_at = 5, deferrals = 1",
        "UPDATE lane SET running = 1, max_running = 2",
        "UPDATE queue SET slots = 2; INSERT INTO tally VALUES ('running', '', 'default', 1)",
        "UPDATE job SET task_id = 1",
    ];
    for done in taken {
        assert!(is_taken(done), "{done}");
    }
    assert!(is_taken(RUN));
    assert!(is_taken(&of_runs("UPDATE run SET kind = 'check', finished_at = NULL, outcome = NULL")));
}
