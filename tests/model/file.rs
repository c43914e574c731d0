//! A file of tenure in memory, for tests of the verbs alone.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// The function that says 1 on tenure's own connections alone.
const CAPABILITY: &str = "sqlite_compileoption_used";

/// A fresh file with the schema and the rows that every file has.
pub fn fresh() -> Connection {
    made(include_str!("../../schema.sql"))
}

/// The same with another schema.
pub fn made(schema: &str) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.pragma_update(None, "trusted_schema", false).unwrap();
    // As each connection of tenure: a plan does not depend on what is bound.
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    conn.set_prepared_statement_cache_capacity(256);
    register(&conn);
    conn.execute_batch(schema).unwrap();
    conn.execute_batch("INSERT INTO meta VALUES ('file_id', 'f'), ('run_id_limit', '1'), ('generation', '0')").unwrap();
    conn
}

/// Makes the connection one of tenure's own.
pub fn register(conn: &Connection) {
    says(conn, true);
}

/// Makes it that of a plain client: SQLite's own function says so of every option that it does not know.
pub fn make_plain(conn: &Connection) {
    says(conn, false);
}

fn says(conn: &Connection, owner: bool) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function(CAPABILITY, 1, flags, move |_| Ok(owner)).unwrap();
}
