//! SQLite's own counter of changes made by other connections.

use rusqlite::Connection;

use crate::error::Result;
use crate::store::engine::connection::{Access, connect};
use crate::store::engine::options::Durability;
use crate::store::engine::store::Store;

/// A separate connection, because the counter belongs to a connection: it changes when any other
/// connection commits.
pub struct Changes(Connection);

impl Changes {
    /// Starts watching a file.
    pub fn of(store: &Store) -> Result<Self> {
        Ok(Self(connect(store.place(), Access::Read, Durability::default())?))
    }

    /// Returns the counter. Only its equality with an earlier value has a meaning.
    pub fn count(&self) -> Result<i64> {
        Ok(self.0.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
    }
}
