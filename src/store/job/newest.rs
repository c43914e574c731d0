//! The newest job that a person or a program of theirs added, and the latest ends.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::JobId;
use crate::store::job::read;
use crate::store::job::rows::{self, Job};

/// Returns the newest job that neither a schedule nor a pipeline added. It reads the newer jobs of
/// schedules and pipelines one by one.
pub fn by_hand(conn: &Connection) -> Result<Option<JobId>> {
    Ok(conn.prepare_cached(sql!("newest.sql", "by_hand"))?.query_row([], |row| row.get(0)).optional()?.map(JobId))
}

/// Returns the number of the newest job.
pub fn id(conn: &Connection) -> Result<Option<JobId>> {
    Ok(conn.prepare_cached("SELECT max(id) FROM job")?.query_row([], |row| row.get::<_, Option<i64>>(0))?.map(JobId))
}

/// The jobs that have ended last, the latest first.
pub fn latest_ends(conn: &Connection, most: usize) -> Result<Vec<Job>> {
    let mut ended = conn.prepare_cached(sql!("newest.sql", "ended"))?;
    let ids = ended.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| rows::id(row, 0))?;
    let ids: Vec<JobId> = ids.collect::<rusqlite::Result<_>>()?;
    ids.into_iter().filter_map(|id| read::job(conn, id).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn jobs_of_schedules_are_passed_over() {
        let conn = fixture::fresh();
        assert_eq!(by_hand(&conn).unwrap(), None);
        let add = |env: &str| {
            conn.execute("INSERT INTO job (command, env) VALUES ('[\"x\"]', ?1)", [env]).unwrap();
            JobId(conn.last_insert_rowid())
        };
        add(r#"{"TENURE_SCHEDULED_FOR":"2026-12-01T03:00:00Z"}"#);
        assert_eq!(by_hand(&conn).unwrap(), None, "there is none");
        let by_hand_first = add("{}");
        add(r#"{"A":"b","TENURE_SCHEDULED_FOR":"2026-12-01T03:00:00Z"}"#);
        assert_eq!(by_hand(&conn).unwrap(), Some(by_hand_first));
        let says_so = add(r#"{"A":"\"TENURE_SCHEDULED_FOR\":"}"#);
        assert_eq!(by_hand(&conn).unwrap(), Some(says_so), "a value is not a name");
    }

    #[test]
    fn the_latest_end_is_first() {
        let conn = fixture::fresh();
        conn.execute_batch(
            "INSERT INTO job (command) VALUES ('[\"x\"]'), ('[\"x\"]'), ('[\"x\"]');
             UPDATE job SET state = 'failed', reason = 'expired', finished_at = 30 - id WHERE id < 3;",
        )
        .unwrap();
        let ends = |most: usize| latest_ends(&conn, most).unwrap().iter().map(|job| job.id.0).collect::<Vec<_>>();
        assert_eq!((ends(9), ends(1), ends(0)), (vec![1, 2], vec![1], vec![]));
        let plan = "EXPLAIN QUERY PLAN SELECT id FROM job WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 5";
        let plan: String = conn.query_row(plan, [], |row| row.get(3)).unwrap();
        assert!(plan.contains("job_ended"), "{plan}");
    }
}
