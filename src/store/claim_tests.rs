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
fn a_row_that_refuses_its_claim_is_held_and_the_others_are_claimed() {
    let conn = with_a_row_that_refuses(false);
    assert_eq!(claim_all(&conn, &[10, 11, 12]), [JobId(2), JobId(3)]);
    assert_eq!(text(&conn, "SELECT state || hold FROM job WHERE id = 1"), "queueduser");
    assert!(text(&conn, "SELECT detail FROM event WHERE job_id = 1 AND kind = 'quarantined'").contains("bad"));
    assert_eq!(text(&conn, "SELECT n || '' FROM counter WHERE name = 'impossible_unreadable'"), "1");
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
fn a_job_with_text_that_is_not_utf8_is_claimed_and_known_as_unreadable() {
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
