//! SQLite's own counter of changes made by other connections.

use rusqlite::Connection;

use crate::error::Result;
use crate::place::Place;
use crate::store::engine::connection::{Access, connect};
use crate::store::engine::options::Durability;

/// A separate connection, because the counter belongs to a connection: it changes when any other
/// connection commits.
pub struct Changes(Connection);

impl Changes {
    /// Starts watching a file.
    pub fn of(place: &Place) -> Result<Self> {
        Ok(Self(connect(place, Access::Read, Durability::default())?))
    }

    /// Returns the counter. Only its equality with an earlier value has a meaning.
    pub fn count(&self) -> Result<i64> {
        count(&self.0)
    }
}

/// Returns a connection's counter. Only its equality with an earlier value has a meaning.
pub(in crate::store) fn count(conn: &Connection) -> Result<i64> {
    Ok(conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}
