//! The number of slots that a person has set: it is kept in the file, so that a worker that was
//! killed does not lose it.
//!
//! The later of two explicit words counts: a worker that is given a number when it starts deletes
//! this one. Environment and configuration are only defaults.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::worker_limits::check_slots;
use crate::store::engine::text::text;

/// Returns the number of slots that a person has set. `None`: not set, or not a number of slots.
pub fn wanted(conn: &Connection) -> Result<Option<usize>> {
    let mut read = conn.prepare_cached("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'slots'")?;
    let n: Option<i64> = read.query_row([], |row| row.get(0)).optional()?;
    Ok(n.and_then(|n| usize::try_from(n).ok()).filter(|n| check_slots(*n).is_ok()))
}

/// Sets the number of slots of the running worker and of later ones; `None`: each has the number
/// that it is started with.
///
/// # Errors
/// [`Error::Invalid`] for a number out of range.
pub fn set(conn: &Connection, slots: Option<usize>) -> Result<()> {
    let Some(slots) = slots else {
        conn.execute("DELETE FROM meta WHERE key = 'slots'", [])?;
        return Ok(());
    };
    check_slots(slots).map_err(Error::Invalid)?;
    conn.execute(sql!("slots.sql", "set"), [slots.to_string()])?;
    Ok(())
}

/// Whether the file says that the worker has so many slots.
pub fn is_noted(conn: &Connection, slots: Option<usize>) -> Result<bool> {
    let mut noted = conn.prepare_cached("SELECT value FROM meta WHERE key = 'worker_slots'")?;
    let noted: Option<String> = noted.query_row([], |row| text(row, 0)).optional()?;
    Ok(noted == slots.map(|slots| slots.to_string()))
}

/// Notes how many slots the worker has, so that jobs that take more are not ready. `None`: it has
/// as many as each of its jobs takes.
pub fn note(conn: &Connection, slots: Option<usize>) -> Result<()> {
    match slots {
        Some(slots) => conn.execute(sql!("slots.sql", "note"), [slots.to_string()])?,
        None => conn.execute("DELETE FROM meta WHERE key = 'worker_slots'", [])?,
    };
    conn.execute(sql!("slots.sql", "wide"), [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn what_is_set_is_read_until_it_is_deleted() {
        let conn = fixture::fresh();
        assert_eq!(wanted(&conn).unwrap(), None);
        for slots in [Some(8), Some(1), None, None] {
            set(&conn, slots).unwrap();
            assert_eq!(wanted(&conn).unwrap(), slots);
        }
        for wrong in [0, usize::MAX] {
            assert!(matches!(set(&conn, Some(wrong)), Err(Error::Invalid(_))), "{wrong}");
        }
    }

    #[test]
    fn a_value_that_is_not_a_number_of_slots_is_ignored() {
        let conn = fixture::fresh();
        for wrong in ["", "x", "0", "-3", "10001", "99999999999999999999"] {
            conn.execute(sql!("slots.sql", "set"), [wrong]).unwrap();
            assert_eq!(wanted(&conn).unwrap(), None, "{wrong:?}");
        }
    }
}
