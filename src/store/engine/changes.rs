//! SQLite's own counter of changes by others.

use rusqlite::Connection;

use crate::error::Result;
use crate::store::engine::connection::{Access, connect};
use crate::store::engine::options::Durability;
use crate::store::engine::store::Store;

/// A connection of its own, since the counter is one of a connection: it changes when anybody else
/// commits.
pub struct Changes(Connection);

impl Changes {
    /// Starts to watch a file.
    pub fn of(store: &Store) -> Result<Self> {
        Ok(Self(connect(store.place(), Access::Read, Durability::default())?))
    }

    /// The counter. Only whether it is the same as before means anything.
    pub fn count(&self) -> Result<i64> {
        Ok(self.0.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
    }
}
