//! The newest job that a person or a program of theirs added.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::JobId;

/// Returns the newest job that neither a schedule nor a pipeline added. It reads the newer jobs of
/// schedules and pipelines one by one.
pub fn by_hand(conn: &Connection) -> Result<Option<JobId>> {
    Ok(conn.prepare_cached(sql!("newest.sql", "by_hand"))?.query_row([], |row| row.get(0)).optional()?.map(JobId))
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
}
