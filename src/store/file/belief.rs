//! What a worker knows about the content of the file, checked in each transaction that claims,
//! settles, or adds what a client has handed over.
//!
//! The content of an open file can be replaced (`.restore`, `cp`) without a change of its name or
//! inode. Then its rows are from another time: ended jobs are queued again. Each number here only
//! grows in one life of a file, and each change of a job's state is an event, so a file in which
//! one of them is lower than this worker has seen is another one. A higher generation means that
//! another worker has started.

use rusqlite::Connection;

use crate::error::{Error, Result};

/// Ids that tenure assigns are below this; a sequence beyond it was written by a client, and the
/// repair lowers it.
const HONEST_ID_MAX: i64 = 1 << 52;

/// The highest values that a worker has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belief {
    pub file_id: String,
    /// Of this worker.
    pub generation: i64,
    run_id_limit: i64,
    jobs: i64,
    /// Each change of the state of a job is one.
    events: i64,
}

/// Why the file differs from what the worker knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Another worker has started on it.
    Superseded(String),
    /// Its content was replaced.
    Replaced(String),
}

/// Reads the current values.
pub fn read(conn: &Connection) -> Result<Belief> {
    let mut is = conn.prepare_cached(sql!("belief.sql", "facts"))?;
    Ok(is.query_row([], |row| {
        Ok(Belief {
            file_id: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
            generation: row.get(1)?,
            run_id_limit: row.get(2)?,
            jobs: row.get(3)?,
            events: row.get(4)?,
        })
    })?)
}

/// Compares the file with what this worker has seen, and returns what it is now.
///
/// # Errors
/// [`Error::Replaced`] if the content is that of another file, or another worker has started on it.
pub fn check(conn: &Connection, believed: &Belief) -> Result<Belief> {
    let is = read(conn)?;
    match doubt(&is, believed) {
        None => Ok(is),
        Some(Doubt::Superseded(why)) => Err(Error::Replaced { why, superseded: true }),
        Some(Doubt::Replaced(why)) => Err(Error::Replaced { why, superseded: false }),
    }
}

fn doubt(is: &Belief, believed: &Belief) -> Option<Doubt> {
    if is.file_id != believed.file_id {
        return Some(Doubt::Replaced(format!("its id was {}, and is {}", believed.file_id, is.file_id)));
    }
    let numbers = [
        ("generation", believed.generation, is.generation),
        ("reserved run id", believed.run_id_limit, is.run_id_limit),
        ("last job", believed.jobs, is.jobs),
        ("last event", believed.events, is.events),
    ];
    if let Some((what, was, is)) = numbers.into_iter().find(|(_, was, is)| is < was) {
        return Some(Doubt::Replaced(format!("its {what} was {was}, and is {is}")));
    }
    (is.generation > believed.generation).then(|| {
        Doubt::Superseded(format!(
            "another worker has started on it (generation {}, this one is {})",
            is.generation, believed.generation
        ))
    })
}

impl Belief {
    /// Reads the last event again, after a change in the same transaction. The other values stay
    /// those before it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn with_events_now(self, conn: &Connection) -> Result<Self> {
        let events = conn.prepare_cached(sql!("belief.sql", "events"))?.query_row([], |row| row.get(0))?;
        Ok(Self { events, ..self })
    }

    /// Adopts the values of a later check; the generation stays that of this worker.
    pub fn learn(&mut self, later: &Self) {
        let honest = |was: i64, is: i64| if is <= HONEST_ID_MAX { was.max(is) } else { was };
        self.run_id_limit = honest(self.run_id_limit, later.run_id_limit);
        self.jobs = honest(self.jobs, later.jobs);
        self.events = honest(self.events, later.events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    fn believed() -> Belief {
        Belief { file_id: "f".into(), generation: 3, run_id_limit: 100, jobs: 7, events: 20 }
    }

    #[test]
    fn each_number_that_goes_back_is_noticed_and_none_that_grows() {
        assert_eq!(doubt(&believed(), &believed()), None);
        let grown = Belief { run_id_limit: 200, jobs: 8, events: 30, ..believed() };
        assert_eq!(doubt(&grown, &believed()), None);
        let back: [fn(&mut Belief); 5] =
            [|b| b.file_id = "g".into(), |b| b.generation = 2, |b| b.run_id_limit = 99, |b| b.jobs = 6, |b| b.events = 19];
        for change in back {
            let mut is = grown.clone();
            change(&mut is);
            assert!(matches!(doubt(&is, &believed()), Some(Doubt::Replaced(_))), "{is:?}");
        }
        let poisoned = Belief { jobs: i64::MAX, events: i64::MAX, ..grown.clone() };
        assert_eq!(doubt(&poisoned, &grown), None, "a client has poisoned a sequence");
        let mut learned = grown.clone();
        learned.learn(&poisoned);
        assert_eq!(learned, grown, "and the repair lowers it again");
        let next = Belief { generation: 4, ..grown };
        assert!(matches!(doubt(&next, &believed()), Some(Doubt::Superseded(_))));
    }

    #[test]
    fn each_change_is_seen_and_older_content_is_refused() {
        let conn = fixture::fresh();
        let before = read(&conn).unwrap();
        conn.execute("INSERT INTO job (command) VALUES ('[\"x\"]')", []).unwrap();
        let mut seen = before.clone();
        seen.learn(&read(&conn).unwrap());
        assert!(seen.jobs > before.jobs);
        let run = |id: i64| {
            format!(
                "UPDATE job SET state = 'running', run_id = {id}, started_at = 1;
                 INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES ({id}, 1, 1, printf('%032d', {id}), '', '', 1)"
            )
        };
        let moves = [
            run(1),
            "UPDATE job SET state = 'failed', reason = 'exit', finished_at = 1".into(),
            "UPDATE job SET state = 'queued', reason = NULL, run_id = NULL, started_at = NULL, finished_at = NULL".into(),
            run(2),
            "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 1;
             UPDATE run SET outcome = 'done', finished_at = 1 WHERE id = 2"
                .into(),
        ];
        for sql in moves {
            let before = seen.clone();
            conn.execute_batch(&sql).unwrap();
            seen.learn(&read(&conn).unwrap());
            assert!(seen.events > before.events, "{sql}");
        }
        check(&conn, &seen).unwrap();
        let older = fixture::fresh();
        assert!(matches!(
            check(&older, &Belief { file_id: before.file_id, ..seen }),
            Err(Error::Replaced { superseded: false, .. })
        ));
    }
}
