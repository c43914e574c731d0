//! A file of tenure in memory, for tests of the verbs alone.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// The function that only tenure's own connections have.
const CAPABILITY: &str = "tenure_owns_this_column__to_cancel_insert_into_cancel";

/// A fresh file with the schema and the rows that every file has.
pub fn fresh() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.pragma_update(None, "trusted_schema", false).unwrap();
    conn.set_prepared_statement_cache_capacity(256);
    register(&conn);
    conn.execute_batch(include_str!("../../schema.sql")).unwrap();
    conn.execute_batch("INSERT INTO meta VALUES ('file_id', 'f'), ('run_id_limit', '1'), ('generation', '0')").unwrap();
    conn
}

/// Makes the connection one of tenure's own.
pub fn register(conn: &Connection) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function(CAPABILITY, 0, flags, |_| Ok(1)).unwrap();
}
