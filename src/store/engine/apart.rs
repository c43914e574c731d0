//! Runs work that a single row may refuse, without undoing the work done for other rows.

use rusqlite::Connection;

use crate::error::{Error, Result};

/// Runs `act` in a savepoint of its own. If a row refuses it, only that savepoint is rolled back,
/// and the inner error says why. An error that is not about rows (a full disk, a damaged file) is
/// returned as such.
pub(in crate::store) fn apart<T>(conn: &Connection, act: impl FnOnce() -> Result<T>) -> Result<std::result::Result<T, String>> {
    run(conn, "SAVEPOINT apart")?;
    let why = match act() {
        Ok(value) => {
            run(conn, "RELEASE apart")?;
            return Ok(Ok(value));
        }
        Err(Error::Refused(why) | Error::Invalid(why) | Error::NotFound(why) | Error::Internal(why)) => why,
        Err(Error::Sqlite(why)) => why.to_string(),
        Err(other) => return Err(other),
    };
    run(conn, "ROLLBACK TO apart")?;
    run(conn, "RELEASE apart")?;
    Ok(Err(why))
}

fn run(conn: &Connection, sql: &str) -> Result<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Returns the content of the table after an act that writes 2 and then ends like this, in a
    /// transaction that has written 1 before.
    fn after(end: impl FnOnce() -> Result<()>) -> (Result<std::result::Result<(), String>>, Vec<i64>) {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (n); BEGIN; INSERT INTO t VALUES (1)").unwrap();
        let came = apart(&conn, || {
            conn.execute("INSERT INTO t VALUES (2)", [])?;
            end()
        });
        if came.is_ok() {
            conn.execute("INSERT INTO t VALUES (3)", []).unwrap();
            conn.execute_batch("COMMIT").unwrap();
        }
        let mut rows = conn.prepare("SELECT n FROM t ORDER BY n").unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap().map(std::result::Result::unwrap).collect();
        (came, rows)
    }

    #[test]
    fn what_one_row_refuses_is_undone_alone() {
        let (came, rows) = after(|| Ok(()));
        assert_eq!((came.unwrap(), rows), (Ok(()), vec![1, 2, 3]));
        let of_a_row: [fn() -> Error; 5] = [
            || Error::Refused("why".into()),
            || Error::Invalid("why".into()),
            || Error::NotFound("why".into()),
            || Error::Internal("why".into()),
            || Error::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(19), Some("why".into()))),
        ];
        for error in of_a_row {
            let (came, rows) = after(|| Err(error()));
            assert_eq!((came.unwrap(), rows), (Err("why".to_owned()), vec![1, 3]), "{:?}", error());
        }
        let of_the_file: [fn() -> Error; 4] = [
            || Error::DiskFull("why".into()),
            || Error::Busy("why".into()),
            || Error::File("why".into()),
            || Error::io("what", io::Error::from_raw_os_error(5)),
        ];
        for error in of_the_file {
            assert!(after(|| Err(error())).0.is_err(), "{:?}", error());
        }
    }
}
