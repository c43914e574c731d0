//! What metrics are made of: the counts of jobs, and what became of runs since an event.

use rusqlite::Connection;

use crate::error::Result;
use crate::store::engine::text::text;

/// Jobs of a queue in a state, with a hold or without (empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub queue: String,
    pub state: String,
    pub hold: String,
    pub n: i64,
}

/// What a run of a job came to at an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured {
    /// It was claimed; how long its job could have started before, in milliseconds, if that is
    /// still known.
    Claimed { queue: String, waited_ms: Option<i64> },
    /// It has ended; how long it ran, in milliseconds, if it was started.
    Ended { queue: String, outcome: String, reason: String, ran_ms: Option<i64> },
}

/// Returns the counts of jobs, at most `most` rows.
pub fn tallies(conn: &Connection, most: usize) -> Result<Vec<Tally>> {
    let mut tally = conn.prepare_cached(sql!("measure.sql", "tally"))?;
    let rows = tally.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| {
        Ok(Tally { queue: text(row, 0)?, state: text(row, 1)?, hold: text(row, 2)?, n: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns what runs of jobs came to after an event, and the last event that was read; at most
/// `most` events.
pub fn since(conn: &Connection, event: i64, most: usize) -> Result<(Vec<Measured>, i64)> {
    let mut measured = conn.prepare_cached(sql!("measure.sql", "measured"))?;
    let mut rows = measured.query((event, i64::try_from(most).unwrap_or(i64::MAX)))?;
    let (mut all, mut last) = (Vec::new(), event);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        if text(row, 2)? != "job" {
            continue;
        }
        let (claimed_at, started_at, ended_at): (Option<i64>, Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?, row.get(6)?);
        let could_start_at: Option<i64> = row.get(9)?;
        let between = |from: Option<i64>, to: Option<i64>| from.zip(to).map(|(from, to)| to - from).filter(|ms| *ms >= 0);
        let queue = text(row, 3)?;
        match text(row, 1)?.as_str() {
            // A later attempt has another time from which it could start.
            "claimed" => all.push(Measured::Claimed { queue, waited_ms: between(could_start_at, claimed_at) }),
            "done" | "failed" | "cancelled" | "requeued" => all.push(Measured::Ended {
                queue,
                outcome: text(row, 7)?,
                reason: text(row, 8)?,
                ran_ms: between(started_at, ended_at),
            }),
            _ => {}
        }
    }
    Ok((all, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_begins_when_nothing_else_is_waited_for() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE job (id, queue, created_at, available_at, finished_at);
             CREATE TABLE run (id, job_id, kind, claimed_at, started_at, exited_at, finished_at, outcome, reason);
             CREATE TABLE event (id, at, job_id, run_id, kind);
             CREATE TABLE dependency (job_id, on_job);
             -- Added at 10; 1 is ready, 2 was released, 3 waited for a job that ended at 70, 4 was retried.
             INSERT INTO job VALUES (1, 'q', 10, 0, NULL), (2, 'q', 10, 0, NULL), (3, 'q', 10, 0, NULL), (4, 'q', 10, 20, NULL), (9, 'q', 1, 0, 70);
             INSERT INTO dependency VALUES (3, 9);
             INSERT INTO event VALUES (1, 60, 2, NULL, 'held'), (2, 65, 2, NULL, 'released'), (3, 90, 4, NULL, 'retried'), (9, 200, 2, NULL, 'released');
             INSERT INTO run (id, job_id, kind, claimed_at) VALUES (1, 1, 'job', 100), (2, 2, 'job', 100), (3, 3, 'job', 100), (4, 4, 'job', 100);
             INSERT INTO event SELECT 4 + id, 100, NULL, id, 'claimed' FROM run;",
        )
        .unwrap();
        let (all, last) = since(&conn, 4, 100).unwrap();
        let waits: Vec<Option<i64>> = all
            .into_iter()
            .map(|one| match one {
                Measured::Claimed { waited_ms, .. } => waited_ms,
                Measured::Ended { .. } => None,
            })
            .collect();
        assert_eq!((waits, last), (vec![Some(90), Some(35), Some(30), Some(10)], 9));
    }
}
