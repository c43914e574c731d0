//! Upgrades an older schema.
//!
//! There is one step per version, a function that may do anything in one transaction; a backup is
//! made first. A step that only changes tables is `rebuild_tables`. Afterwards triggers, views and
//! indexes are those of `schema.sql`, and a table that differs from a fresh file is an error: then
//! nothing is changed. Only the holder of the worker lock upgrades; all others ask for it.

use std::path::PathBuf;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::flush;
use crate::store::file::identity::USER_VERSION;
use crate::store::file::{backup, home};
use crate::store::schema;
use crate::store::schema::rebuild::{rebuild_tables, refuse_taken_names};

/// Brings the tables from the version before to the one that it is listed for.
pub(in crate::store) type Step = fn(&Connection) -> Result<()>;

/// The steps, each with the version that it leads to, in order. Triggers, views and indexes need no
/// step.
const STEPS: &[(i32, Step)] = &[
    (2, rebuild_tables),
    (3, derive_history),
    (4, rebuild_tables),
    (5, rebuild_tables),
    (6, rebuild_tables),
    (7, rebuild_tables),
    (8, rebuild_tables),
    (9, rebuild_tables),
    (10, rebuild_tables),
    (11, rebuild_tables),
    (12, rebuild_tables),
    (13, rebuild_tables),
    (14, rebuild_tables),
    (15, rebuild_tables),
];

/// What the rows of runs, jobs and counters record is no longer recorded in separate rows: events
/// of an added, a claimed and a done job, which run uses which workspace directory, and the number
/// of tasks.
fn derive_history(conn: &Connection) -> Result<()> {
    rebuild_tables(conn)?;
    Ok(conn.execute_batch(sql!("upgrade.sql", "derive_history"))?)
}

/// The error of every client except the worker for an older file.
pub(in crate::store) fn needed(version: i32) -> Error {
    Error::File(format!(
        "the file was made by an older tenure (schema {version}, this program needs {USER_VERSION}); start `tenure work`, which upgrades it \
         (or restart the worker, if one is running)"
    ))
}

/// Upgrades a file in use, after a backup beside it. `noted`: what the file records about its place
/// with the same commit. An older file without such a record is trusted for its version, which the
/// upgrade takes away: a crash in between would leave a file that cannot be told from a copy.
pub(in crate::store) fn upgrade(conn: &Connection, place: &Place, version: i32, noted: Option<&str>) -> Result<()> {
    refuse_taken_names(conn, version)?;
    let saved = saved_as(place, version);
    backup::backup(place, &saved, true)?;
    log::info!("upgrading from schema {version} to {USER_VERSION}; the file as it was is in {}", saved.display());
    steps(conn, version, USER_VERSION, STEPS, noted)?;
    flush::flush_journal(conn)
}

/// Upgrades a file that no other process knows, such as the copy that a restore works on.
pub(in crate::store) fn upgrade_copy(conn: &Connection, version: i32) -> Result<()> {
    refuse_taken_names(conn, version)?;
    steps(conn, version, USER_VERSION, STEPS, None)
}

fn saved_as(place: &Place, version: i32) -> PathBuf {
    let mut path = place.db().as_os_str().to_owned();
    path.push(format!(".before-upgrade-from-{version}"));
    path.into()
}

/// All steps after `from` up to `to`, in one transaction.
fn steps(conn: &Connection, from: i32, to: i32, steps: &[(i32, Step)], noted: Option<&str>) -> Result<()> {
    let transaction = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let version: i32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != from {
        return Err(Error::Busy("another process has upgraded the file just now; try again".into()));
    }
    for wanted in from + 1..=to {
        let Some((_, step)) = steps.iter().find(|(version, _)| *version == wanted) else {
            return Err(Error::File(format!("schema {from} is too old for this program; upgrade with an earlier tenure first")));
        };
        step(&transaction)?;
    }
    schema::repair_schema(&transaction)?;
    if let Some(noted) = noted {
        home::note(&transaction, noted)?;
    }
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::engine::connection::{Access, connect};
    use crate::store::engine::path::make_beside;
    use crate::store::engine::structure::set_wal_mode;
    use crate::store::schema::guard;
    use crate::store::{Durability, Options, Role, Store, create_schema};

    fn fail(_: &Connection) -> Result<()> {
        Err(Error::Internal("a step that fails".into()))
    }

    fn nothing(_: &Connection) -> Result<()> {
        Ok(())
    }

    fn older() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        guard::register(&conn).unwrap();
        create_schema(&conn, 1, "f").unwrap();
        conn.execute_batch(
            "INSERT INTO job (command, label) VALUES ('[\"a\"]', 'one'), ('[\"b\"]', 'two');
             DROP TRIGGER job_delete_guard; DELETE FROM job WHERE id = 2;
             DROP TABLE counter; CREATE TABLE counter (name TEXT PRIMARY KEY, gone TEXT) STRICT, WITHOUT ROWID; INSERT INTO counter VALUES ('lost_total', 'x');
             DROP TABLE lease;
             ALTER TABLE job ADD COLUMN extra TEXT; UPDATE job SET extra = 'x';
             DROP VIEW jobs; DROP TRIGGER job_enters;
             CREATE INDEX mine ON job (label); CREATE INDEX mine_too ON job (extra); CREATE VIEW runs_old AS SELECT extra FROM job;
             PRAGMA user_version = 1",
        )
        .unwrap();
        conn
    }

    fn version(conn: &Connection) -> i32 {
        conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_upgraded_file_equals_a_fresh_one() {
        let conn = older();
        steps(&conn, 1, 3, &[(2, rebuild_tables), (3, nothing)], None).unwrap();
        assert_eq!(version(&conn), 3);
        assert_eq!(schema::schema_differences(&conn).unwrap(), [""; 0]);
        let one = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(one("SELECT group_concat(id || label || command) FROM job"), "1one[\"a\"]");
        assert_eq!(one("SELECT name || n FROM counter"), "lost_total0");
        assert_eq!(
            one("SELECT group_concat(name) FROM sqlite_schema WHERE name IN ('mine', 'mine_too', 'runs_old')"),
            "runs_old,mine"
        );
        assert_eq!(one("SELECT count(*) || '' FROM sqlite_schema WHERE name LIKE 'tenure_before%'"), "0");
        conn.execute("INSERT INTO job (command) VALUES ('[\"c\"]')", []).unwrap();
        assert_eq!(conn.last_insert_rowid(), 3, "no id is given twice");
    }

    #[test]
    fn a_failed_step_of_an_upgrade_changes_nothing() {
        let cases: [&[(i32, Step)]; 3] =
            [&[(2, rebuild_tables), (3, fail)], &[(2, rebuild_tables)], &[(2, nothing), (3, nothing)]];
        for list in cases {
            let conn = older();
            let before = schema::schema_differences(&conn).unwrap();
            steps(&conn, 1, 3, list, None).unwrap_err();
            assert!(conn.is_autocommit());
            assert_eq!((version(&conn), schema::schema_differences(&conn).unwrap()), (1, before));
        }
    }

    #[test]
    fn a_second_upgrade_finds_that_it_is_too_late() {
        let conn = older();
        steps(&conn, 1, 2, &[(2, rebuild_tables)], None).unwrap();
        assert!(matches!(steps(&conn, 1, 2, &[(2, rebuild_tables)], None), Err(Error::Busy(_))));
    }

    #[test]
    fn the_old_file_is_kept_and_only_the_worker_upgrades() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let store = Store::open(&path, Options::new(Role::Client)).unwrap();
        let place = store.place().clone();
        drop(store);
        let conn = Connection::open(&path).unwrap();
        // There is no way from version 0: it shows that the backup comes first and that a failed
        // upgrade leaves the file alone.
        conn.execute_batch("PRAGMA user_version = 0").unwrap();
        assert!(upgrade(&conn, &place, 0, None).unwrap_err().to_string().contains("too old"));
        let saved = Connection::open(saved_as(&place, 0)).unwrap();
        assert_eq!((version(&saved), version(&conn)), (0, 0));
        assert!(needed(0).to_string().contains("tenure work"));
    }

    /// A file of an older release that has never had a directory beside it.
    fn older_file(path: &std::path::Path, sql: &str) -> (Connection, Place) {
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
        let place = Place::new(path.canonicalize().unwrap());
        make_beside(&place).unwrap();
        let conn = connect(&place, Access::Write, Durability::Full).unwrap();
        set_wal_mode(&conn).unwrap();
        (conn, place)
    }

    #[test]
    fn a_file_belongs_to_its_place_as_soon_as_it_is_upgraded() {
        let versions = [
            include_str!("../../../tests/store/version-1.sql"),
            include_str!("../../../tests/store/version-2.sql"),
            include_str!("../../../tests/store/version-3.sql"),
            include_str!("../../../tests/store/version-4.sql"),
            include_str!("../../../tests/store/version-5.sql"),
            include_str!("../../../tests/store/version-6.sql"),
            include_str!("../../../tests/store/version-7.sql"),
            include_str!("../../../tests/store/version-8.sql"),
            include_str!("../../../tests/store/version-9.sql"),
            include_str!("../../../tests/store/version-10.sql"),
            include_str!("../../../tests/store/version-11.sql"),
            include_str!("../../../tests/store/version-12.sql"),
            include_str!("../../../tests/store/version-13.sql"),
            include_str!("../../../tests/store/version-14.sql"),
        ];
        for (version, sql) in (1..).zip(versions) {
            let dir = tempfile::tempdir().unwrap();
            let (path, copy) = (dir.path().join("t.db"), dir.path().join("copy.db"));
            let (conn, place) = older_file(&path, sql);
            let commits = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&commits);
            let count = move || counted.fetch_add(1, Ordering::Relaxed) == usize::MAX;
            conn.commit_hook(Some(count)).unwrap();
            upgrade(&conn, &place, version, Some(&home::noted(&place).unwrap())).unwrap();
            assert_eq!(commits.load(Ordering::Relaxed), 1, "version {version}: a crash comes before it or after it");
            assert!(!place.home().exists() && !place.stamp().exists(), "version {version}");
            drop(conn);
            let worker = Store::open(&path, Options::new(Role::Worker));
            assert!(worker.is_ok(), "version {version}: {:?}", worker.err());
            drop(worker);
            std::fs::copy(&path, &copy).unwrap();
            let error = Store::open(&copy, Options::new(Role::Worker)).err().unwrap().to_string();
            assert!(error.contains("copy"), "a copy of it is one: {error}");
        }
    }

    #[test]
    fn a_copy_that_is_upgraded_to_be_declared_remains_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let (conn, place) = older_file(&path, include_str!("../../../tests/store/version-3.sql"));
        home::note(&conn, r#"{"path":"/was/q.db","file":1}"#).unwrap();
        upgrade(&conn, &place, 3, None).unwrap();
        drop(conn);
        let error = Store::open(&path, Options::new(Role::Worker)).err().unwrap().to_string();
        assert!(error.contains("is a copy of /was/q.db"), "{error}");
    }
}
