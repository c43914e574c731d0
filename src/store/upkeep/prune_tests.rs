//! A transaction that has had its time gives way, and the next one continues where it ended.

use super::*;
use crate::store::fixture;

/// A file with so many ended jobs, a task and an occurrence that are as old.
fn old_history(jobs: i64) -> Connection {
    let conn = fixture::fresh();
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})
           INSERT INTO job (command, queue, lane) SELECT '[\"x\"]', 'old', 'l' || i FROM n;
         UPDATE job SET state = 'failed', reason = 'expired', finished_at = 3, lane_pass = 0;
         INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('s', '* * * * *', 'UTC', '{{}}', 9, 0);
         INSERT INTO occurrence (schedule_id, at, last_at, state, reason, decided_at) VALUES (1, 1, 1, 'skipped', 'missed', 1)"
    ))
    .unwrap();
    conn
}

fn count(conn: &Connection, table: &str) -> i64 {
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_step_gives_way_when_its_time_is_over() {
    let conn = old_history(7);
    let mut next = Some(Cursor::default());
    let mut removed = Vec::new();
    while let Some(from) = next {
        let mut asked = 0;
        let goes_on = || {
            asked += 1;
            asked < 3
        };
        let pruned;
        (pruned, next) = prune_from(&conn, 9, from, 100, goes_on).unwrap();
        removed.push((pruned.jobs, pruned.occurrences));
        assert_eq!(count(&conn, "lane"), count(&conn, "job"), "each lane goes with its last job");
    }
    assert_eq!(removed, [(3, 0), (3, 0), (1, 1)], "what is not a job goes last");
    assert_eq!((count(&conn, "job"), count(&conn, "queue"), count(&conn, "occurrence")), (0, 0, 0));
}

#[test]
fn a_step_removes_one_job_even_without_any_time() {
    let conn = old_history(2);
    let (first, next) = prune_from(&conn, 9, Cursor::default(), 100, || false).unwrap();
    assert_eq!(first.jobs, 1);
    let (second, next) = prune_from(&conn, 9, next.unwrap(), 100, || false).unwrap();
    assert_eq!((second.jobs, second.occurrences, next), (1, 1, None));
}
