//! The capability: an SQL function that tells tenure's own connections from all others.
//!
//! The triggers of `schema.sql` call it before they let anybody touch a column of the owner. A client that has not registered it can not even
//! prepare such a statement, and the name of the function is the message that it gets. It guards against accidents; whoever may write the
//! file can register a function of that name, and could as well kill the worker.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::error::Result;

/// The name, which is also the advice.
pub const CAPABILITY: &str = "tenure_owns_this_column__to_cancel_insert_into_cancel";

/// Registers the capability on one of our own connections.
pub fn register(conn: &Connection) -> Result<()> {
    Ok(register_plain(conn)?)
}

/// INNOCUOUS, because with `trusted_schema=OFF` a trigger may call nothing else. Not DETERMINISTIC: that would allow the function in an index or
/// a generated column, and a file with such an index could be read by nobody else.
pub(super) fn register_plain(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function(CAPABILITY, 0, flags, |_| Ok(1))
}
