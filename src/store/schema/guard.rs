//! The capability: an SQL function by which the guards recognize tenure's own connections.
//!
//! The triggers of `schema.sql` call `sqlite_compileoption_used('TENURE')` before they let a client
//! change a column of tenure. Every SQLite has a function of that name, which returns 0; tenure's
//! connections replace it by one that returns 1. So a trigger can refuse with `RAISE(ABORT, ...)`:
//! the message is the remedy for the column at hand, and the error is a constraint
//! (`SQLITE_CONSTRAINT_TRIGGER`), not the class that clients treat as "database is locked". It
//! protects against accidents; a user who may write the file can do the same, and could also kill
//! the worker.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::error::Result;

/// The function of SQLite that is replaced.
pub const CAPABILITY: &str = "sqlite_compileoption_used";
/// The argument for which tenure's function returns 1.
pub const OWNER: &str = "TENURE";

/// Registers the capability on one of our own connections.
pub fn register(conn: &Connection) -> Result<()> {
    Ok(register_plain(conn)?)
}

/// INNOCUOUS, because with `trusted_schema=OFF` a trigger may call nothing else. Not DETERMINISTIC:
/// that would allow the function in an index or a generated column, which other clients would
/// compute differently.
pub(in crate::store) fn register_plain(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function(CAPABILITY, 1, flags, |call| Ok(call.get_raw(0).as_str().is_ok_and(|option| option == OWNER)))
}
