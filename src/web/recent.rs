//! How many jobs ended in each of the last 60 minutes. A minute that is over is read once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rusqlite::Connection;

use crate::error::Result;
use crate::store::job::recent;
use crate::sync::lock;

/// Minutes that are shown.
const MINUTES: i64 = 60;
const MINUTE_MS: i64 = 60_000;

/// What ended in a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minute {
    /// Its begin, in milliseconds UTC.
    pub at_ms: i64,
    pub ended: i64,
    pub failed: i64,
    /// How long the jobs that were looked at had waited before they started.
    pub wait_median_ms: Option<i64>,
    pub wait_longest_ms: Option<i64>,
    /// How many jobs those are.
    pub waits: usize,
}

/// The minutes that are over.
#[derive(Default)]
pub struct Minutes(Mutex<BTreeMap<i64, Minute>>);

impl Minutes {
    /// Returns the last minutes, the latest last; the last one is not over.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last(
        &self,
        now_ms: i64,
        read: impl FnOnce(&dyn Fn(&Connection) -> Result<Vec<Minute>>) -> Result<Vec<Minute>>,
    ) -> Result<Vec<Minute>> {
        let first = (now_ms.div_euclid(MINUTE_MS) - MINUTES + 1) * MINUTE_MS;
        let known = {
            let mut all = lock(&self.0);
            *all = all.split_off(&first);
            all.clone()
        };
        let minutes = read(&|conn| {
            let failures = recent::failures(conn, first)?;
            let all = (0..MINUTES).map(|n| first + n * MINUTE_MS);
            all.map(|at_ms| known.get(&at_ms).map_or_else(|| minute(conn, at_ms, &failures), |known| Ok(known.clone()))).collect()
        })?;
        // An end may be committed a little later than its instant.
        let over = minutes.iter().filter(|one| one.at_ms + 2 * MINUTE_MS <= now_ms);
        lock(&self.0).extend(over.map(|one| (one.at_ms, one.clone())));
        Ok(minutes)
    }

    /// Forgets all: another file has taken the place of the one that was read.
    pub fn forget(&self) {
        lock(&self.0).clear();
    }
}

fn minute(conn: &Connection, at_ms: i64, failures: &[i64]) -> Result<Minute> {
    let to_ms = at_ms + MINUTE_MS;
    let ended = recent::ended(conn, at_ms, to_ms)?;
    let failed = failures.iter().filter(|at| (at_ms..to_ms).contains(at)).count();
    Ok(Minute {
        at_ms,
        ended: ended.jobs,
        failed: i64::try_from(failed).unwrap_or(i64::MAX),
        wait_median_ms: ended.waits_ms.get(ended.waits_ms.len() / 2).copied(),
        wait_longest_ms: ended.waits_ms.last().copied(),
        waits: ended.waits_ms.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_that_is_over_is_read_once() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE job (finished_at, started_at, available_at, created_at, attempts);
             CREATE TABLE event (id, kind, at);
             INSERT INTO job VALUES (59 * 60000 + 5, 59 * 60000 + 5, 0, 59 * 60000 + 1, 1);
             INSERT INTO event VALUES (1, 'failed', 59 * 60000 + 5);",
        )
        .unwrap();
        let minutes = Minutes::default();
        let last = |now_ms: i64| minutes.last(now_ms, |look| look(&conn)).unwrap();
        let first = last(60 * MINUTE_MS - 1);
        assert_eq!((first.len(), first[59].at_ms), (60, 59 * MINUTE_MS));
        assert_eq!((first[59].ended, first[59].failed, first[59].wait_median_ms, first[59].waits), (1, 1, Some(4), 1));
        assert_eq!(last(61 * MINUTE_MS)[57].ended, 1);
        conn.execute("DELETE FROM job", []).unwrap();
        assert_eq!(last(61 * MINUTE_MS)[57].ended, 1, "it is over");
        minutes.forget();
        assert_eq!(last(61 * MINUTE_MS)[57].ended, 0);
    }
}
