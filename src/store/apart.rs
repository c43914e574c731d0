//! Does something that one row may refuse, without undoing what was done for others.

use rusqlite::Connection;

use crate::error::{Error, Result};

/// Runs `act` in a savepoint of its own. Where a row refuses it, that alone is undone, and the inner error says why. What has nothing to do with
/// rows (a full disk, a damaged file) goes up.
pub(super) fn apart<T>(conn: &Connection, act: impl FnOnce() -> Result<T>) -> Result<std::result::Result<T, String>> {
    run(conn, "SAVEPOINT apart")?;
    let why = match act() {
        Ok(value) => {
            run(conn, "RELEASE apart")?;
            return Ok(Ok(value));
        }
        Err(Error::Refused(why) | Error::Usage(why) | Error::NoSuch(why) | Error::Internal(why)) => why,
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
