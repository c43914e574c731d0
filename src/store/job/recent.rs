//! What happened lately: the newest runs, and how many jobs ended in each minute and how long they
//! had waited. Each read is bounded, however many jobs there are.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::{JobId, RunId, State};
use crate::store::engine::text::{maybe, text};
use crate::store::job::read;
use crate::store::job::rows::{self, Job};

/// Most jobs of a minute that are counted.
pub const ENDED_MAX: i64 = 100_000;
/// Jobs of a minute whose waiting time is read.
pub const WAITS_MAX: i64 = 50;
/// Jobs of a minute that are looked at for that.
const WAITS_LOOKED_MAX: i64 = 1_000;
/// Most failures that are read.
const FAILURES_MAX: i64 = 20_000;
/// Most failures that are looked at for those that are shown.
const FAILURES_LOOKED_MAX: i64 = 200;

/// A run of a job, with what is shown of its job. Times are in milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentRun {
    pub id: RunId,
    pub job: JobId,
    pub attempt: u32,
    pub claimed_at: i64,
    pub started_at: Option<i64>,
    /// When its process ended, or else its end was recorded.
    pub ended_at: Option<i64>,
    pub is_open: bool,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    /// A later worker has taken it over.
    pub is_adopted: bool,
    pub queue: String,
    pub lane: Option<String>,
    pub label: Option<String>,
    /// The beginning of the command as JSON.
    pub command: String,
    pub state: String,
}

/// Returns the newest runs of jobs before a run (`None`: all), the newest first.
pub fn runs(conn: &Connection, before: Option<RunId>, most: usize) -> Result<Vec<RecentRun>> {
    let mut runs = conn.prepare_cached(sql!("recent.sql", "runs"))?;
    let (before, most) = (before.map_or(i64::MAX, |run| run.0), i64::try_from(most).unwrap_or(i64::MAX));
    let rows = runs.query_map([before, most], |row| {
        Ok(RecentRun {
            id: RunId(row.get(0)?),
            job: JobId(row.get(1)?),
            attempt: row.get(2)?,
            claimed_at: row.get(3)?,
            started_at: row.get(4)?,
            ended_at: row.get(5)?,
            is_open: row.get(6)?,
            outcome: maybe(row, 7)?,
            reason: maybe(row, 8)?,
            is_adopted: row.get(9)?,
            queue: text(row, 10)?,
            lane: maybe(row, 11)?,
            label: maybe(row, 12)?,
            command: text(row, 13)?,
            state: text(row, 14)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many jobs ended in a time, and how long some of them had waited, in milliseconds, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// At most [`ENDED_MAX`].
    pub jobs: i64,
    /// At most [`WAITS_MAX`], of jobs that needed one attempt.
    pub waits_ms: Vec<i64>,
}

/// Looks at the jobs that ended from one instant until before another.
pub fn ended(conn: &Connection, from_ms: i64, to_ms: i64) -> Result<Ended> {
    let mut count = conn.prepare_cached(sql!("recent.sql", "ended"))?;
    let jobs = count.query_row([from_ms, to_ms, ENDED_MAX], |row| row.get(0))?;
    let mut waits = conn.prepare_cached(sql!("recent.sql", "waits"))?;
    let mut waits_ms: Vec<i64> =
        waits.query_map([from_ms, to_ms, WAITS_MAX, WAITS_LOOKED_MAX], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    waits_ms.sort_unstable();
    Ok(Ended { jobs, waits_ms })
}

/// When jobs failed, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    at_ms: Vec<i64>,
    /// Those before this instant are not all there, as there were too many later ones.
    known_from_ms: i64,
}

impl Failures {
    /// Returns how many jobs failed from one instant until before another; `None`: it is not known.
    pub fn between(&self, from_ms: i64, to_ms: i64) -> Option<i64> {
        let n = self.at_ms.iter().filter(|at| (from_ms..to_ms).contains(at)).count();
        (from_ms >= self.known_from_ms).then(|| i64::try_from(n).unwrap_or(i64::MAX))
    }
}

/// Returns when jobs failed at or after an instant; at most 20,000 are looked at, the newest.
pub fn failures(conn: &Connection, since_ms: i64) -> Result<Failures> {
    failures_within(conn, since_ms, FAILURES_MAX)
}

fn failures_within(conn: &Connection, since_ms: i64, most: i64) -> Result<Failures> {
    let mut failed = conn.prepare_cached(sql!("recent.sql", "failed"))?;
    let mut rows = failed.query([most])?;
    let (mut all, mut read) = (Failures { at_ms: Vec::new(), known_from_ms: i64::MIN }, 0);
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(0)?;
        if at < since_ms {
            return Ok(all);
        }
        all.at_ms.push(at);
        read += 1;
    }
    if read == most {
        all.known_from_ms = all.at_ms.last().map_or(i64::MIN, |at| at + 1);
    }
    Ok(all)
}

/// Returns the jobs that failed last and are failed, the latest first.
pub fn latest_failures(conn: &Connection, most: usize) -> Result<Vec<Job>> {
    let mut failed = conn.prepare_cached(sql!("recent.sql", "latest_failures"))?;
    let ids: Vec<JobId> = failed.query_map([FAILURES_LOOKED_MAX], |row| rows::id(row, 0))?.collect::<rusqlite::Result<_>>()?;
    let mut found: Vec<Job> = Vec::new();
    for id in ids {
        if found.len() < most
            && found.iter().all(|job| job.id != id)
            && let Some(job) = read::job(conn, id)?.filter(|job| job.state == State::Failed)
        {
            found.push(job);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn the_ends_of_a_time_are_counted_by_an_index() {
        let conn = fixture::fresh();
        conn.execute_batch(
            "INSERT INTO job (command) VALUES ('[\"x\"]'), ('[\"x\"]'), ('[\"x\"]');
             UPDATE job SET state = 'failed', reason = 'expired', finished_at = 1000 * id;",
        )
        .unwrap();
        assert_eq!(ended(&conn, 1_000, 3_000).unwrap(), Ended { jobs: 2, waits_ms: vec![] });
        for (name, values) in [(sql!("recent.sql", "ended"), 3), (sql!("recent.sql", "waits"), 4)] {
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {name}")).unwrap();
            let values = rusqlite::params_from_iter(vec![1; values]);
            let lines: Vec<String> = plan.query_map(values, |row| row.get(3)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
            assert!(lines.iter().any(|line| line.contains("job_ended (finished_at>? AND finished_at<?)")), "{lines:?}");
        }
        let now = crate::clock::Clock::System.now_ms();
        assert_eq!(failures(&conn, 0).unwrap().between(0, i64::MAX), Some(3));
        assert_eq!(failures(&conn, now + 60_000).unwrap().between(0, i64::MAX), Some(0));
        // Of two that were looked at, it is not known how many there were before.
        let two = failures_within(&conn, 0, 2).unwrap();
        assert_eq!((two.between(0, i64::MAX), two.between(now + 60_000, i64::MAX)), (None, Some(0)));
        assert_eq!(runs(&conn, None, 9).unwrap(), []);
    }

    #[test]
    fn the_latest_failures_are_not_those_of_the_highest_numbers() {
        let conn = fixture::fresh();
        conn.execute_batch(
            "INSERT INTO job (command) VALUES ('[\"x\"]'), ('[\"x\"]'), ('[\"x\"]');
             UPDATE job SET state = 'failed', reason = 'expired', finished_at = 1000 WHERE id = 3;
             UPDATE job SET state = 'failed', reason = 'expired', finished_at = 2000 WHERE id = 1;
             UPDATE job SET state = 'failed', reason = 'expired', finished_at = 3000 WHERE id = 2;
             UPDATE job SET state = 'queued', reason = NULL, finished_at = NULL WHERE id = 2;",
        )
        .unwrap();
        let latest = |most: usize| latest_failures(&conn, most).unwrap().iter().map(|job| job.id.0).collect::<Vec<_>>();
        assert_eq!((latest(9), latest(1)), (vec![1, 3], vec![1]));
    }

    #[test]
    fn jobs_that_never_started_are_not_searched_through_for_waits() {
        let conn = fixture::fresh();
        conn.execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
             INSERT INTO job (command) SELECT '[\"x\"]' FROM n;
             UPDATE job SET state = 'failed', reason = 'expired', finished_at = 1000 + id, attempts = id < 3,
                    started_at = CASE WHEN id < 3 THEN 900 END;",
        )
        .unwrap();
        let waits = |from_ms: i64, to_ms: i64| ended(&conn, from_ms, to_ms).unwrap().waits_ms;
        assert_eq!((waits(1_000, 9_000), waits(1_000, 1_500)), (vec![0], vec![0, 0]));
    }
}
