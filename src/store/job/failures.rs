//! Failures that a person has not looked at yet.
//!
//! What is new since a person said `tenure seen`: one number in `meta`, that of the last event that
//! was recorded then, and no mark at each job, so that no job changes after its end. By events,
//! because an end can be recorded long after it happened.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::JobId;
use crate::store::job::read;

/// The key in `meta`: up to this event all failures were looked at.
const SEEN_UNTIL: &str = "failures_seen_until";
/// Failures are counted up to this number.
pub const COUNTED_MAX: i64 = 1_000;

/// Failures since they were last looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// Failed jobs, up to [`COUNTED_MAX`].
    pub jobs: i64,
    /// The latest of them, newest first, up to the limit that was given.
    pub latest: Vec<JobId>,
    /// Hooks that were given up, up to [`COUNTED_MAX`].
    pub hooks: i64,
}

/// Returns the failures since they were last looked at. The cost depends on their number only.
pub fn unseen(conn: &Connection, named: usize) -> Result<Failures> {
    let since: i64 = read::meta(conn, SEEN_UNTIL)?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let counted = |sql: &str| conn.prepare_cached(sql)?.query_row((since, COUNTED_MAX), |row| row.get(0));
    let jobs = counted(sql!("failures.sql", "count"))?;
    // Many failures are told as a number; the newest few are among the last that were recorded.
    let mut latest = conn.prepare_cached(sql!("failures.sql", "latest"))?;
    let latest = latest
        .query_map((since, i64::try_from(named).unwrap_or(i64::MAX)), |row| row.get(0).map(JobId))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Failures { jobs, latest, hooks: counted(sql!("failures.sql", "given_up"))? })
}

/// Records that all failures that were recorded so far were looked at.
pub fn seen(conn: &Connection) -> Result<()> {
    conn.prepare_cached(sql!("failures.sql", "seen"))?.execute([SEEN_UNTIL])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Argv, Exit, NewJob, Nonce, RunEnd, RunId};
    use crate::store::fixture;
    use crate::store::job::claim::{self, Scope};
    use crate::store::job::close_run::RunRecord;
    use crate::store::job::ids::Prepared;
    use crate::store::job::settle::{Settle, settle};
    use crate::store::job::{control, enqueue, retry};

    fn run(conn: &Connection, run: i64, code: i32, at_ms: i64) -> JobId {
        let new = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        let job = enqueue::add(conn, &[new], 1_000).unwrap()[0].id;
        let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
        assert_eq!(claim::claim(conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().len(), 1);
        let end = RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false };
        settle(conn, &Settle { job, run: RunId(run), end, record: RunRecord::default(), chance: 0.0 }, at_ms).unwrap();
        job
    }

    #[test]
    fn failures_are_new_until_they_were_looked_at() {
        let conn = fixture::fresh();
        seen(&conn).unwrap();
        assert_eq!(unseen(&conn, 5).unwrap(), Failures::default());
        let (first, _done, second) = (run(&conn, 1, 1, 3_000), run(&conn, 2, 0, 3_500), run(&conn, 3, 1, 4_000));
        let new = unseen(&conn, 1).unwrap();
        assert_eq!((new.jobs, new.latest), (2, vec![second]));
        seen(&conn).unwrap();
        assert_eq!(unseen(&conn, 5).unwrap(), Failures::default());
        // It ended before, and that is recorded now.
        let third = run(&conn, 4, 1, 2_500);
        retry::retry(&conn, first, false, 5_000).unwrap();
        assert_eq!(unseen(&conn, 5).unwrap().latest, [third], "a job that waits again is not failed");
        control::cancel(&conn, first, None, 6_000).unwrap();
        assert_eq!(unseen(&conn, 5).unwrap().jobs, 1);
    }
}
