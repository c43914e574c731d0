//! The stamp: the highest ids and the generation of the file, recorded in the directory beside it.
//!
//! If the file is behind its stamp, it was replaced by an older copy. Then its ids would be used
//! again, and its running rows name runs that have long ended: [`crate::store::adopt_older_copy`].

use std::fs;
use std::io::ErrorKind;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::job::RunId;
use crate::place::Place;
use crate::store::engine::small_file::replace_file;

/// Ids above this were not assigned by tenure: a client has changed the sequence.
const HONEST_ID_MAX: i64 = 1 << 52;

/// The highest values of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Workers that have started on the file.
    pub generation: i64,
    /// The first run id that has not been reserved.
    pub run_id_limit: i64,
    /// The highest job id that was assigned.
    pub max_job_id: i64,
}

/// Reads the stamp in the directory; `None` if there is none or it cannot be parsed.
pub fn read(place: &Place) -> Result<Option<Stamp>> {
    let path = place.stamp();
    match fs::read(&path) {
        Ok(text) => Ok(serde_json::from_slice(&text)
            .inspect_err(|error| log::warn!("{} cannot be understood and is ignored: {error}", path.display()))
            .ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("reading {}", path.display()), error)),
    }
}

/// Writes the stamp. Call it after a flush that covers it: a stamp must never be ahead of the disk.
pub fn write(place: &Place, stamp: &Stamp) -> Result<()> {
    let text = serde_json::to_vec(stamp).map_err(|error| Error::Internal(error.to_string()))?;
    replace_file(&place.stamp(), place.dir(), &text)
}

/// Reads the current values of the file.
pub fn current(conn: &Connection) -> Result<Stamp> {
    let given = last_job(conn)?;
    let max_job_id = if given <= HONEST_ID_MAX {
        given
    } else {
        conn.query_row("SELECT coalesce(max(id), 0) FROM job", [], |row| row.get(0))?
    };
    Ok(Stamp { generation: number(conn, "generation")?, run_id_limit: number(conn, "run_id_limit")?, max_job_id })
}

/// Whether the file is behind its stamp, or behind the logs beside it.
pub fn older_copy_was_restored(conn: &Connection, stamp: Option<&Stamp>, highest_log: Option<RunId>) -> Result<bool> {
    let is = Stamp { max_job_id: last_job(conn)?, ..current(conn)? };
    let behind_stamp = stamp.is_some_and(|was| {
        is.generation < was.generation || is.run_id_limit < was.run_id_limit || is.max_job_id < was.max_job_id
    });
    Ok(behind_stamp || highest_log.is_some_and(|run| run.0 >= is.run_id_limit))
}

/// Whether one of these runs, each of which has certainly been claimed in this file, is unknown to
/// it. Then it is an older copy, even if all its numbers are as high as the stamp: ids are reserved
/// ahead.
pub fn has_forgotten(conn: &Connection, claimed: &[RunId]) -> Result<bool> {
    let forgiven_below = number(conn, "runs_forgiven_below")?;
    let mut known = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM run WHERE id = ?1)")?;
    for run in claimed.iter().filter(|run| run.0 >= forgiven_below) {
        if !known.query_row([run.0], |row| row.get::<_, bool>(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// From now on an unknown run below this one means nothing: it was pruned, or it came after a copy
/// that was restored.
pub(in crate::store) fn forgive_below(conn: &Connection, run: i64) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO meta (key, value) VALUES ('runs_forgiven_below', ?1) ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), ?1)",
    )?
    .execute([run])?;
    Ok(())
}

fn last_job(conn: &Connection) -> Result<i64> {
    let seq =
        conn.query_row("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'job'", [], |row| row.get(0)).optional()?;
    Ok(seq.unwrap_or(0))
}

fn number(conn: &Connection, key: &str) -> Result<i64> {
    let value = conn.query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    Ok(value.unwrap_or(0))
}

pub(in crate::store) fn raise_sequence(conn: &Connection, table: &str, at_least: i64) -> Result<()> {
    if conn.execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = ?2", (at_least, table))? == 0 {
        conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?2, ?1)", (at_least, table))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::create_schema;
    use crate::store::schema::guard;

    #[test]
    fn a_stamp_is_read_back_and_a_broken_or_missing_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("t.db"));
        fs::create_dir(place.dir()).unwrap();
        assert_eq!(read(&place).unwrap(), None);
        let stamp = Stamp { generation: 3, run_id_limit: 200, max_job_id: 17 };
        write(&place, &stamp).unwrap();
        assert_eq!(read(&place).unwrap(), Some(stamp));
        fs::write(place.stamp(), "{").unwrap();
        assert_eq!(read(&place).unwrap(), None);
    }

    #[test]
    fn a_file_behind_its_stamp_is_an_older_copy() {
        let conn = Connection::open_in_memory().unwrap();
        guard::register(&conn).unwrap();
        create_schema(&conn, 1, "f").unwrap();
        conn.execute_batch(
            "UPDATE meta SET value = '5' WHERE key = 'generation'; UPDATE meta SET value = '101' WHERE key = 'run_id_limit'",
        )
        .unwrap();
        conn.execute_batch("INSERT INTO job (command) VALUES ('[\"a\"]'), ('[\"b\"]')").unwrap();
        let is = current(&conn).unwrap();
        assert_eq!(is, Stamp { generation: 5, run_id_limit: 101, max_job_id: 2 });
        let older = |stamp: Option<&Stamp>, log| older_copy_was_restored(&conn, stamp, log).unwrap();
        assert!(!older(None, None));
        assert!(!older(Some(&is), Some(RunId(100))));
        assert!(!older(Some(&Stamp { generation: 4, run_id_limit: 1, max_job_id: 1 }), None));
        assert!(older(Some(&Stamp { generation: 6, ..is }), None));
        assert!(older(Some(&Stamp { run_id_limit: 102, ..is }), None));
        assert!(older(Some(&Stamp { max_job_id: 3, ..is }), None));
        assert!(older(Some(&is), Some(RunId(101))));
    }

    #[test]
    fn a_forgotten_run_is_a_sign_unless_it_is_forgiven() {
        let conn = Connection::open_in_memory().unwrap();
        guard::register(&conn).unwrap();
        create_schema(&conn, 1, "f").unwrap();
        conn.execute_batch(
            "INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at)
             VALUES (7, 1, 1, '00000000000000000000000000000000', '', '', 0)",
        )
        .unwrap();
        assert!(!has_forgotten(&conn, &[]).unwrap() && !has_forgotten(&conn, &[RunId(7)]).unwrap());
        assert!(has_forgotten(&conn, &[RunId(7), RunId(8)]).unwrap());
        forgive_below(&conn, 9).unwrap();
        forgive_below(&conn, 2).unwrap();
        assert!(!has_forgotten(&conn, &[RunId(8)]).unwrap());
        assert!(has_forgotten(&conn, &[RunId(9)]).unwrap());
    }

    #[test]
    fn a_poisoned_sequence_is_not_stamped() {
        let conn = Connection::open_in_memory().unwrap();
        guard::register(&conn).unwrap();
        create_schema(&conn, 1, "f").unwrap();
        conn.execute_batch("INSERT INTO job (command) VALUES ('[\"a\"]'); UPDATE sqlite_sequence SET seq = 9223372036854775807")
            .unwrap();
        assert_eq!(current(&conn).unwrap().max_job_id, 1);
    }
}
