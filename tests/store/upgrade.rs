//! A file of schema 1 is brought to the present schema in place, with all its rows.

use rusqlite::Connection;
use tenure::store::{Opened, Options, Role, Store, schema_differences};

use crate::harness::{Home, ask, text};

/// A file that the release with schema 1 has made: ended, queued and held jobs, a lane, a schedule, a resource, a pipeline and two tasks.
pub const VERSION_1: &str = include_str!("version-1.sql");

fn older() -> Home {
    let home = Home::new();
    home.foreign().execute_batch(VERSION_1).unwrap();
    home
}

fn tables(conn: &Connection) -> Vec<String> {
    text(conn, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").split(' ').map(str::to_owned).collect()
}

/// All values of the columns that tables of schema 1 have.
fn rows(conn: &Connection, like: &Connection) -> Vec<String> {
    tables(like)
        .iter()
        .map(|table| {
            let columns = text(like, &format!("SELECT group_concat('\"' || name || '\"') FROM pragma_table_info('{table}')"));
            format!("{table}: {}", text(conn, &format!("SELECT {columns} FROM {table} ORDER BY 1, 2")))
        })
        .collect()
}

#[test]
fn a_worker_upgrades_a_file_of_schema_1_in_place() {
    let home = older();
    let foreign = home.foreign();
    foreign
        .execute_batch("CREATE INDEX mine ON job (cwd); CREATE VIEW my_jobs AS SELECT id FROM job; CREATE TABLE my_notes (a)")
        .unwrap();
    let before = Connection::open_in_memory().unwrap();
    before.execute_batch(VERSION_1).unwrap();
    assert_eq!(rows(&foreign, &before), rows(&before, &before));

    let worker = home.open(Role::Worker);
    assert_eq!(*worker.opened(), Opened { upgraded_from: Some(1), ..Opened::default() });
    assert_eq!(worker.read(schema_differences).unwrap(), [""; 0]);
    let foreign = home.foreign();
    assert_eq!(text(&foreign, "PRAGMA integrity_check"), "ok");
    let mut after = rows(&foreign, &before);
    let mut expected = rows(&before, &before);
    for rows in [&mut after, &mut expected] {
        rows.retain(|line| !line.starts_with("meta: ") && !line.starts_with("sqlite_sequence: "));
    }
    assert_eq!(after, expected);
    let given = "SELECT name, seq FROM sqlite_sequence ORDER BY name";
    assert_eq!(text(&foreign, given), text(&before, given));
    assert_eq!(text(&foreign, "SELECT count(*) FROM my_jobs"), "14", "a view of a person is left alone");
    foreign.execute_batch("DROP INDEX mine; DROP VIEW my_jobs; DROP TABLE my_notes").unwrap();

    drop(worker);
    assert_eq!(*home.open(Role::Worker).opened(), Opened::default(), "and only once");
    let saved = Connection::open(home.dir.path().join("t.db.before-upgrade-from-1")).unwrap();
    assert_eq!((text(&saved, "PRAGMA user_version"), text(&saved, "SELECT count(*) FROM job")), ("1".into(), "14".into()));
}

#[test]
fn only_the_worker_upgrades_and_others_say_so() {
    let home = older();
    for role in [Role::Reader, Role::Client] {
        let error = Store::open(&home.db(), Options::new(role)).err().unwrap().to_string();
        assert!(error.contains("tenure work"), "{error}");
    }
    let waiting = Store::open(&home.db(), Options { allow_older: true, ..Options::new(Role::Client) }).unwrap();
    assert_eq!(text(&home.foreign(), "PRAGMA user_version"), "1");
    drop(waiting);
}

#[test]
fn a_restored_backup_of_schema_1_is_upgraded() {
    let home = older();
    let to = home.dir.path().join("new.db");
    let restored = tenure::store::restore(&to, &home.db(), 0, 0, &[], 7).unwrap();
    assert_eq!(restored.lost, 0);
    let worker = Store::open(&to, Options::new(Role::Worker)).unwrap();
    assert_eq!(worker.opened().upgraded_from, None);
    assert_eq!(worker.read(schema_differences).unwrap(), [""; 0]);
    assert_eq!(ask(&worker, "SELECT count(*) FROM job"), "14");
    assert_eq!(
        ask(&worker, "SELECT count(*) FROM job WHERE state = 'queued' AND hold IS NULL"),
        "0",
        "held, as after any restore"
    );
}

#[test]
fn rows_that_break_a_new_rule_do_not_stop_the_upgrade() {
    let home = older();
    let foreign = home.foreign();
    foreign
        .execute_batch(
            "PRAGMA ignore_check_constraints = ON;
             INSERT INTO job (command, label, cwd, env) VALUES (json_array('cat', printf('%.*c', 20000000, 'x')), CAST(x'ff' AS TEXT),
               printf('%.*c', 5000, '/'), json_object('A', printf('%.*c', 3000000, 'x')));
             INSERT INTO cancel (job_id, why) VALUES (9, printf('%.*c', 3000000, 'x'));
             INSERT INTO lane (key, max_running) VALUES (CAST(x'fe' AS TEXT), 1);",
        )
        .unwrap();
    let worker = home.open(Role::Worker);
    assert_eq!(worker.opened().upgraded_from, Some(1));
    let foreign = home.foreign();
    assert_eq!(text(&foreign, "SELECT length(json_extract(command, '$[1]')), hex(label) FROM job WHERE id = 15"), "20000000|FF");
    assert_eq!(text(&foreign, "SELECT length(why) FROM cancel WHERE job_id = 9"), "3000000");
    assert_eq!(text(&foreign, "SELECT count(*) FROM lane"), "2");
}
