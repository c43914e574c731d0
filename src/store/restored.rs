//! After an older copy of the file was put back.
//!
//! What it says of the present is not true any more: a queued job may have run since, a running one may have ended. So every
//! job that was not at its end is held by `user`, with an event that says why, and a person decides. Its open runs are closed
//! as lost and given back: their trees are to be emptied.

use rusqlite::Connection;

use super::ended::{self, Aftermath};
use super::heal;
use crate::error::Result;
use crate::job::{JobId, Nonce, Reason, RunId};

/// What is held now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    pub jobs: usize,
    /// Runs that were open in the copy.
    pub runs: Vec<(RunId, Nonce)>,
    /// Names of files in `secrets/` of jobs that somebody had cancelled.
    pub freed: Vec<String>,
}

/// Holds every job that was not at its end. Done twice it does nothing more.
pub fn hold_all(conn: &Connection, why: &str, now_ms: i64) -> Result<Held> {
    let mut held = Held::default();
    let mut running = conn.prepare("SELECT id FROM job WHERE state = 'running' AND state <> 'done'")?;
    let running: Vec<JobId> = running.query_map([], |row| row.get(0).map(JobId))?.collect::<rusqlite::Result<_>>()?;
    for job in running {
        held.runs.extend(heal::take_back(conn, job, now_ms)?);
        note(conn, job, why, now_ms)?;
        held.jobs += 1;
    }
    let mut queued =
        conn.prepare("UPDATE job SET user_hold = 1 WHERE state = 'queued' AND state <> 'done' AND user_hold = 0 RETURNING id")?;
    let queued: Vec<JobId> = queued.query_map([], |row| row.get(0).map(JobId))?.collect::<rusqlite::Result<_>>()?;
    for job in queued {
        note(conn, job, why, now_ms)?;
        held.jobs += 1;
    }
    let mut cancelled = conn.prepare("SELECT job_id FROM cancel WHERE closed_at IS NULL")?;
    let cancelled: Vec<JobId> = cancelled.query_map([], |row| row.get(0).map(JobId))?.collect::<rusqlite::Result<_>>()?;
    let mut out = Aftermath::default();
    for job in cancelled {
        ended::end_queued(conn, job, Reason::Cancelled, "cancelled before it started", now_ms, &mut out)?;
    }
    held.freed = out.freed;
    Ok(held)
}

fn note(conn: &Connection, job: JobId, why: &str, now_ms: i64) -> Result<()> {
    conn.prepare_cached("INSERT INTO event (job_id, kind, detail, at) VALUES (?1, 'quarantined', ?2, ?3)")?
        .execute((job.0, why, now_ms))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::claim::{self, Prepared, Scope};
    use super::super::{control, enqueue, fixture, heal, mend, read};
    use super::*;
    use crate::job::{Argv, Hold, NewJob, State};

    #[test]
    fn whatever_was_not_at_its_end_is_held_and_nothing_starts() {
        let conn = fixture::fresh();
        let new = vec![NewJob::new(Argv::from_strs(&["true"]).unwrap()); 4];
        enqueue::add(&conn, &new, 1).unwrap();
        let prepared = [1, 2].map(|n| Prepared { run: RunId(n), nonce: Nonce([n as u8; 16]) });
        claim::claim(&conn, &Scope::default(), &prepared, "w", "b", 2).unwrap();
        control::cancel(&conn, JobId(2), None, 3).unwrap();
        let held = hold_all(&conn, "an older copy was put back", 9).unwrap();
        assert_eq!((held.jobs, held.runs.len()), (4, 2));
        let job = |id| read::job(&conn, JobId(id)).unwrap().unwrap();
        assert_eq!([1, 3, 4].map(|id| job(id).hold), [Some(Hold::User); 3]);
        assert_eq!(job(2).state, State::Cancelled);
        assert!(!claim::has_ready(&conn, &Scope::default()).unwrap());
        assert_eq!(hold_all(&conn, "again", 9).unwrap(), Held::default());
        assert_eq!(heal::heal(&conn, heal::Healers::default(), 9).unwrap(), []);
        assert!(mend::mend(&conn, 9).unwrap().is_nothing());
    }
}
