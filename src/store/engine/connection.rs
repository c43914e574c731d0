//! Opens connections with tenure's pragmas, limits and capability.

use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::error::Result;
use crate::place::Place;
use crate::store::engine::options::Durability;
use crate::store::schema::guard;

/// How long a statement waits for another program's write lock, in milliseconds.
pub(in crate::store) const BUSY_TIMEOUT_MS: u64 = 5_000;
/// Number of statements that a connection keeps prepared.
const STATEMENTS_KEPT: usize = 256;
/// Size to which SQLite truncates the log when it restarts, in bytes.
const WAL_KEPT_BYTES: u64 = 16 << 20;
/// Largest page cache of a connection that writes, in KiB; it grows as needed. A claim and a settle
/// touch a dozen indexes.
const CACHE_KIB: u64 = 65_536;

/// Access mode of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Access {
    Read,
    Write,
    /// Only copies the log into the file. Such a connection does not read the schema, which takes
    /// about a megabyte of its memory.
    Checkpoint,
}

/// Opens a connection. The file must exist: SQLite would create it readable by other users.
pub(in crate::store) fn connect(place: &Place, access: Access, durability: Durability) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(place.db(), flags(access))?;
    prepare(&conn, access, durability)?;
    Ok(conn)
}

/// Links are resolved already, so a link here is an attack or a mistake.
pub(in crate::store) fn flags(access: Access) -> OpenFlags {
    let mode = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write | Access::Checkpoint => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

/// Applies the settings of every connection. None of them writes to the file.
pub(in crate::store) fn prepare(conn: &Connection, access: Access, durability: Durability) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Any program may have written the file: its schema is not trusted to call functions, and no
    // client may edit sqlite_schema.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // Otherwise a statement whose plan depends on a parameter, such as that of a LIMIT, is compiled
    // again, with all triggers of its tables, whenever the parameter is bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // SQLITE_LIMIT_LENGTH keeps its default: another client may have written a value of any size,
    // and that row must not make a statement fail.
    conn.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20)?;
    conn.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 200)?;
    conn.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 50)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?; // VACUUM needs one
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;
         PRAGMA recursive_triggers = OFF; PRAGMA ignore_check_constraints = OFF;",
    )?;
    match access {
        Access::Read => conn.execute_batch("PRAGMA query_only = ON"),
        Access::Checkpoint => Ok(()),
        Access::Write => {
            let synchronous = match durability {
                Durability::Flush => "NORMAL",
                Durability::Full => "FULL",
            };
            conn.execute_batch(&format!(
                "PRAGMA synchronous = {synchronous}; PRAGMA journal_size_limit = {WAL_KEPT_BYTES}; PRAGMA cache_size = -{CACHE_KIB}"
            ))?;
            guard::register_plain(conn)
        }
    }
}

/// Runs `f` in a read transaction, which ends even if `f` panics; within a transaction, in that.
pub(in crate::store) fn snapshot<T>(conn: &Connection, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    if !conn.is_autocommit() {
        return f(conn);
    }
    let open = Snapshot::begin(conn)?;
    let value = f(conn)?;
    open.end()?;
    Ok(value)
}

/// An open read transaction. Its two statements are kept prepared: a worker reads often, and little
/// each time.
struct Snapshot<'a>(&'a Connection);

impl<'a> Snapshot<'a> {
    fn begin(conn: &'a Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self(conn))
    }

    fn end(&self) -> rusqlite::Result<()> {
        // Some errors have ended it, and so has `end`.
        match self.0.is_autocommit() {
            true => Ok(()),
            false => self.0.prepare_cached("ROLLBACK")?.execute([]).map(drop),
        }
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let _the_connection_may_be_broken = self.end();
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
