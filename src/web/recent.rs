//! How many jobs ended in each of the last 60 minutes. A minute that is over is read again only now
//! and then.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rusqlite::Connection;

use crate::error::Result;
use crate::store::job::recent::{self, Failures};
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
    /// `None`: too many have failed since to know it.
    pub failed: Option<i64>,
    /// How long the jobs that were looked at had waited before they started.
    pub wait_median_ms: Option<i64>,
    pub wait_longest_ms: Option<i64>,
    /// How many jobs those are.
    pub waits: usize,
}

/// Minutes that are read again in each look, those first that were read longest ago: after a crash
/// an end is recorded with the instant at which it was, which may be long over.
const READ_AGAIN: usize = 5;

/// What is known of the minutes that are over.
#[derive(Default)]
struct Known {
    /// How often all was forgotten.
    of: u64,
    /// When each was read, by its begin, both in milliseconds UTC.
    all: BTreeMap<i64, (i64, Minute)>,
}

/// The minutes that are over.
#[derive(Default)]
pub struct Minutes(Mutex<Known>);

impl Minutes {
    /// Returns the last minutes, the latest last; the last one is not over.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last(&self, conn: &Connection, now_ms: i64) -> Result<Vec<Minute>> {
        let first = (now_ms.div_euclid(MINUTE_MS) - MINUTES + 1) * MINUTE_MS;
        let (of, known) = {
            let mut known = lock(&self.0);
            // Also when the clock was set back.
            known.all.retain(|at_ms, _| (first..=now_ms - 2 * MINUTE_MS).contains(at_ms));
            (known.of, kept(&known.all))
        };
        let all = (0..MINUTES).map(|n| first + n * MINUTE_MS);
        let earliest = all.clone().find(|at_ms| !known.contains_key(at_ms)).unwrap_or(now_ms);
        let failures = recent::failures(conn, earliest)?;
        let one = |at_ms| known.get(&at_ms).map_or_else(|| minute(conn, at_ms, &failures), |known| Ok(known.clone()));
        let minutes: Vec<Minute> = all.map(one).collect::<Result<_>>()?;
        let mut now_known = lock(&self.0);
        // Otherwise they are those of another file.
        if now_known.of == of {
            for one in minutes.iter().filter(|one| one.at_ms + 2 * MINUTE_MS <= now_ms && !known.contains_key(&one.at_ms)) {
                // What was known once stays known.
                let failed = one.failed.or(now_known.all.get(&one.at_ms).and_then(|(_, before)| before.failed));
                now_known.all.insert(one.at_ms, (now_ms, Minute { failed, ..one.clone() }));
            }
        }
        Ok(minutes)
    }

    /// Forgets all: another file has taken the place of the one that was read.
    pub fn forget(&self) {
        let mut known = lock(&self.0);
        known.all.clear();
        known.of += 1;
    }
}

/// Returns the minutes that are not read again now.
fn kept(all: &BTreeMap<i64, (i64, Minute)>) -> BTreeMap<i64, Minute> {
    let mut by_age: Vec<(i64, i64)> = all.iter().map(|(at_ms, (read_at_ms, _))| (*read_at_ms, *at_ms)).collect();
    by_age.sort_unstable();
    let kept = by_age.into_iter().skip(READ_AGAIN);
    kept.filter_map(|(_, at_ms)| all.get(&at_ms).map(|(_, minute)| (at_ms, minute.clone()))).collect()
}

fn minute(conn: &Connection, at_ms: i64, failures: &Failures) -> Result<Minute> {
    let to_ms = at_ms + MINUTE_MS;
    let ended = recent::ended(conn, at_ms, to_ms)?;
    Ok(Minute {
        at_ms,
        ended: ended.jobs,
        failed: failures.between(at_ms, to_ms),
        wait_median_ms: ended.waits_ms.get(ended.waits_ms.len() / 2).copied(),
        wait_longest_ms: ended.waits_ms.last().copied(),
        waits: ended.waits_ms.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_that_is_over_is_read_again_now_and_then() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE job (id, finished_at, started_at, available_at, created_at, attempts);
             CREATE TABLE event (id, kind, at, job_id);
             CREATE TABLE dependency (job_id, on_job);
             INSERT INTO job VALUES (1, 59 * 60000 + 5, 59 * 60000 + 5, 0, 7, 1);
             INSERT INTO event VALUES (1, 'failed', 59 * 60000 + 5, 1), (2, 'retried', 59 * 60000 + 1, 1);",
        )
        .unwrap();
        let minutes = Minutes::default();
        let last = |now_ms: i64| minutes.last(&conn, now_ms).unwrap();
        let first = last(60 * MINUTE_MS - 1);
        assert_eq!((first.len(), first[59].at_ms), (60, 59 * MINUTE_MS));
        assert_eq!((first[59].ended, first[59].failed, first[59].wait_median_ms, first[59].waits), (1, Some(1), Some(4), 1));
        assert_eq!(last(61 * MINUTE_MS)[57].ended, 1);
        // A worker that was down records an end of then.
        conn.execute("INSERT INTO job SELECT * FROM job", []).unwrap();
        let later = (1..=12).map(|n| last(61 * MINUTE_MS + n)[57].ended).collect::<Vec<_>>();
        assert!(later.contains(&1) && later.last() == Some(&2), "read again, but not each time: {later:?}");
        assert_eq!(last(60 * MINUTE_MS - 1)[59].ended, 2, "the clock was set back");
        minutes.forget();
        conn.execute("DELETE FROM job", []).unwrap();
        assert_eq!(last(61 * MINUTE_MS)[57].ended, 0);
    }
}
