//! What the tests of the store share: a directory, a store in it, and this test binary as another process.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use tenure::error::Result;
use tenure::store::{Options, Role, Store};

/// A directory that goes away with the test.
pub struct Home {
    pub dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let _ = env_logger::builder().is_test(true).try_init();
        Self { dir: tempfile::Builder::new().prefix("tenure-store-").tempdir().unwrap() }
    }

    pub fn db(&self) -> PathBuf {
        self.dir.path().join("t.db")
    }

    pub fn open(&self, role: Role) -> Store {
        open(&self.db(), role)
    }

    /// A connection without the capability, as any other program has.
    pub fn foreign(&self) -> Connection {
        Connection::open(self.db()).unwrap()
    }
}

pub fn open(path: &Path, role: Role) -> Store {
    Store::open(path, Options::new(role)).unwrap()
}

/// Inserts a job in plain SQL; `label` tells it from others.
pub fn insert(conn: &Connection, label: &str) -> Result<i64> {
    Ok(conn
        .query_row("INSERT INTO job (command, label) VALUES (json_array('true'), ?1) RETURNING id", [label], |row| row.get(0))?)
}

pub fn add(store: &Store, label: &str) -> i64 {
    let label = label.to_owned();
    store.write(move |conn| insert(conn, &label)).unwrap()
}

pub fn count(store: &Store) -> i64 {
    store.read(|conn| Ok(conn.query_row("SELECT count(*) FROM job", [], |row| row.get(0))?)).unwrap()
}
