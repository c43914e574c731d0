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

/// Makes a queued job running, as the claim does.
pub fn start(store: &Store, job: i64, run: i64) {
    store
        .write(move |conn| {
            conn.execute(
                "UPDATE job SET state = 'running', run_id = ?2, started_at = 5, attempts = 1 WHERE id = ?1",
                [job, run],
            )?;
            conn.execute(
                "INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (?2, ?1, 1, ?3, 'w', 'b', 5)",
                (job, run, "0".repeat(32)),
            )?;
            Ok(())
        })
        .unwrap();
}

/// One value, as text.
pub fn ask(store: &Store, sql: &str) -> String {
    store.read(|conn| Ok(text(conn, sql))).unwrap()
}

/// The rows of a query, as text: columns with `|`, rows with a space between them.
pub fn text(conn: &Connection, sql: &str) -> String {
    use rusqlite::types::ValueRef;
    let mut select = conn.prepare(sql).unwrap();
    let columns = select.column_count();
    let show = |value: ValueRef<'_>| match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    };
    let rows =
        select.query_map([], |row| Ok((0..columns).map(|i| show(row.get_ref_unwrap(i))).collect::<Vec<_>>().join("|"))).unwrap();
    rows.collect::<rusqlite::Result<Vec<_>>>().unwrap().join(" ")
}
