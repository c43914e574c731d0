//! Run ids with their nonces, and the sequences that must never decrease.
//!
//! A run id is the fencing token, so none is ever used twice: not after a power cut, and not after
//! an older copy of the file was restored. They come in blocks; the caller reserves a block with a
//! flushed write before it uses it.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::{Nonce, RunId};
use crate::store::engine::text::text;

/// Greatest id that the file accepts; the CHECK on `run.id` has the same number.
pub const ID_MAX: i64 = 1 << 52;

/// Reserves `n` run ids. They may be used once the transaction is durable.
///
/// # Errors
/// [`Error::Refused`] when the ids are exhausted, which takes longer than a machine lasts.
pub fn reserve_runs(conn: &Connection, n: i64) -> Result<Range<i64>> {
    let first = next_run(conn)?;
    let end = first.checked_add(n).filter(|end| *end <= ID_MAX && n > 0);
    let end = end.ok_or_else(|| Error::Refused(format!("there are no {n} run ids above {first}; start a new file")))?;
    set_meta(conn, "run_id_limit", end)?;
    Ok(first..end)
}

/// Raises both sequences: the next run id is above `above_run`, the next job id above `above_job`.
/// Never lowers one.
pub fn raise_sequences(conn: &Connection, above_run: i64, above_job: i64) -> Result<()> {
    let next = next_run(conn)?.max(above_run.saturating_add(1));
    set_meta(conn, "run_id_limit", next.min(ID_MAX))?;
    let raised = conn
        .prepare_cached("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'job'")?
        .execute([above_job.min(ID_MAX)])?;
    if raised == 0 {
        conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('job', ?1)", [above_job.clamp(0, ID_MAX)])?;
    }
    Ok(())
}

/// Counts one more start of a worker on this file, and returns its number.
pub fn start_generation(conn: &Connection) -> Result<i64> {
    let generation = number(conn, "generation")?.unwrap_or(0).saturating_add(1);
    set_meta(conn, "generation", generation)?;
    Ok(generation)
}

/// Returns the lowest run id that was certainly never used. Reads the rows as well, in case the
/// limit was tampered with.
fn next_run(conn: &Connection) -> Result<i64> {
    let limit = number(conn, "run_id_limit")?.unwrap_or(1);
    let used: i64 = conn.prepare_cached("SELECT coalesce(max(id), 0) FROM run")?.query_row([], |row| row.get(0))?;
    Ok(limit.max(used + 1).max(1))
}

fn number(conn: &Connection, key: &str) -> Result<Option<i64>> {
    let text = crate::store::job::read::meta(conn, key)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

fn set_meta(conn: &Connection, key: &str, value: i64) -> Result<()> {
    conn.prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?
        .execute((key, value.to_string()))?;
    Ok(())
}

/// A run that could start immediately: its file exists and is locked.
pub use crate::job::RunKey as Prepared;

/// Returns the nonce of a run; `None`: the run does not exist.
pub fn nonce_of(conn: &Connection, run: RunId) -> Result<Option<Nonce>> {
    let mut nonce = conn.prepare_cached("SELECT nonce FROM run WHERE id = ?1")?;
    let nonce: Option<String> = nonce.query_row([run.0], |row| text(row, 0)).optional()?;
    Ok(nonce.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn a_block_is_given_out_once() {
        let conn = fixture::fresh();
        assert_eq!(reserve_runs(&conn, 10).unwrap(), 1..11);
        assert_eq!(reserve_runs(&conn, 5).unwrap(), 11..16);
        raise_sequences(&conn, 40, 7).unwrap();
        raise_sequences(&conn, 3, 2).unwrap();
        assert_eq!(reserve_runs(&conn, 1).unwrap(), 41..42);
        conn.execute("INSERT INTO job (command) VALUES ('[\"x\"]')", []).unwrap();
        assert_eq!(conn.last_insert_rowid(), 8);
        assert!(reserve_runs(&conn, i64::MAX).is_err());
        assert!(reserve_runs(&conn, 0).is_err());
    }

    #[test]
    fn a_limit_that_was_set_back_repeats_no_id() {
        let conn = fixture::fresh();
        conn.execute_batch(
            "INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at)
             VALUES (99, 1, 1, '00000000000000000000000000000000', '', '', 0)",
        )
        .unwrap();
        assert_eq!(reserve_runs(&conn, 1).unwrap(), 100..101);
    }

    #[test]
    fn each_start_of_a_worker_is_a_new_generation() {
        let conn = fixture::fresh();
        assert_eq!([start_generation(&conn).unwrap(), start_generation(&conn).unwrap()], [1, 2]);
    }
}
