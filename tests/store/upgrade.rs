//! A file of an older schema is brought to the present schema in place, with all its rows.

use rusqlite::Connection;
use tenure::store::{Opened, Options, Role, Store, schema_differences};

use crate::store::harness::{Home, ask, text};

/// A file that the release with schema 1 has made: ended, queued and held jobs, a lane, a schedule, a resource, a pipeline and two tasks.
const VERSION_1: &str = include_str!("version-1.sql");
/// A file that the last program with schema 2 has made: a row in each table, and jobs in each state and with each hold.
const VERSION_2: &str = include_str!("version-2.sql");

/// The same file, upgraded by a program with schema 3.
const VERSION_3: &str = include_str!("version-3.sql");

/// The same file, upgraded by a program with schema 4.
const VERSION_4: &str = include_str!("version-4.sql");

/// The same rows in a file of schema 5.
const VERSION_5: &str = include_str!("version-5.sql");

/// The same rows in a file of schema 6, with a receipt.
const VERSION_6: &str = include_str!("version-6.sql");

/// The same rows in a file of schema 7, with a hook and a rule for hooks.
const VERSION_7: &str = include_str!("version-7.sql");

/// The same rows in a file of schema 8.
const VERSION_8: &str = include_str!("version-8.sql");

/// The same rows in a file of schema 9.
const VERSION_9: &str = include_str!("version-9.sql");

/// The same rows in a file of schema 10.
const VERSION_10: &str = include_str!("version-10.sql");

/// The same rows in a file of schema 11, with a suspension.
const VERSION_11: &str = include_str!("version-11.sql");

/// The same rows in a file of schema 12, with a job that was moved.
const VERSION_12: &str = include_str!("version-12.sql");

/// The same rows in a file of schema 13, with a job that uses a pool.
const VERSION_13: &str = include_str!("version-13.sql");

/// The same rows in a file of schema 14.
const VERSION_14: &str = include_str!("version-14.sql");

const OLDER: [(i32, &str, &str); 14] = [
    (1, VERSION_1, "14"),
    (2, VERSION_2, "26"),
    (3, VERSION_3, "26"),
    (4, VERSION_4, "26"),
    (5, VERSION_5, "26"),
    (6, VERSION_6, "26"),
    (7, VERSION_7, "26"),
    (8, VERSION_8, "26"),
    (9, VERSION_9, "26"),
    (10, VERSION_10, "26"),
    (11, VERSION_11, "26"),
    (12, VERSION_12, "26"),
    (13, VERSION_13, "26"),
    (14, VERSION_14, "26"),
];

fn older(sql: &str) -> Home {
    let home = Home::new();
    home.foreign().execute_batch(sql).unwrap();
    home
}

fn tables(conn: &Connection) -> Vec<String> {
    text(conn, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").split(' ').map(str::to_owned).collect()
}

/// The names that a table and its columns have since version 4.
fn present_names<'a>(table: &'a str, columns: &str) -> (&'a str, String) {
    let table = match table {
        "slot" => "occurrence",
        "untold" => "unresolved",
        other => other,
    };
    let renamed =
        [("errand", "auxiliary_run_id"), ("unstarts", "failed_starts"), ("untorn", "unreleased"), ("recipe", "prepare_command")];
    let named = |text: String, (old, new): (&str, &str)| text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    (table, renamed.into_iter().fold(columns.to_owned(), named))
}

/// All values of the columns that tables of the older schema have; not of those that the upgrade derives, writes or drops.
fn rows(conn: &Connection, like: &Connection) -> Vec<String> {
    let kept = tables(like);
    let kept = kept
        .iter()
        .filter(|name| !["event", "meta", "counter", "task_tally", "workspace_use", "sqlite_sequence"].contains(&name.as_str()));
    kept.map(|table| {
        let columns = text(like, &format!("SELECT group_concat('\"' || name || '\"') FROM pragma_table_info('{table}')"));
        let upgraded = text(conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'occurrence'") == "1";
        let (from, columns) = if upgraded { present_names(table, &columns) } else { (table.as_str(), columns) };
        format!("{table}: {}", text(conn, &format!("SELECT {columns} FROM {from} ORDER BY {columns}")))
    })
    .collect()
}

#[test]
fn a_worker_upgrades_an_older_file_in_place() {
    for (version, sql, jobs) in OLDER {
        let home = older(sql);
        let foreign = home.foreign();
        foreign
            .execute_batch("CREATE INDEX mine ON job (cwd); CREATE VIEW my_jobs AS SELECT id FROM job; CREATE TABLE my_notes (a)")
            .unwrap();
        let before = Connection::open_in_memory().unwrap();
        before.execute_batch(sql).unwrap();
        assert_eq!(rows(&foreign, &before), rows(&before, &before));

        let worker = home.open(Role::Worker);
        assert_eq!(*worker.opened(), Opened { upgraded_from: Some(version), ..Opened::default() });
        assert_eq!(worker.read(schema_differences).unwrap(), [""; 0]);
        let foreign = home.foreign();
        assert_eq!(text(&foreign, "PRAGMA integrity_check"), "ok");
        assert_eq!(rows(&foreign, &before), rows(&before, &before), "schema {version}");
        let given = "SELECT name, seq FROM sqlite_sequence ORDER BY name";
        assert_eq!(text(&foreign, given), text(&before, given));
        assert_eq!(text(&foreign, "SELECT count(*) FROM my_jobs"), jobs, "a view of a person is left alone");
        if version < 3 {
            compare_what_is_derived(&foreign, &before);
        }
        foreign.execute_batch("DROP INDEX mine; DROP VIEW my_jobs; DROP TABLE my_notes").unwrap();
        let fresh = Home::new();
        drop(fresh.open(Role::Client));
        let names = "SELECT type, name FROM sqlite_schema ORDER BY type, name";
        assert_eq!(text(&foreign, names), text(&fresh.foreign(), names), "nothing of schema {version} is left");
        foreign.execute_batch("BEGIN; ALTER TABLE counter RENAME TO other; ROLLBACK").unwrap();

        drop(worker);
        assert_eq!(*home.open(Role::Worker).opened(), Opened::default(), "and only once");
        let saved = Connection::open(home.dir.path().join(format!("t.db.before-upgrade-from-{version}"))).unwrap();
        assert_eq!(text(&saved, "PRAGMA user_version"), version.to_string());
        assert_eq!(text(&saved, "SELECT count(*) FROM job"), jobs);
    }
}

/// What rows of their own told tells the row of the run, the view and the counters now.
fn compare_what_is_derived(after: &Connection, before: &Connection) {
    let pairs = [
        (
            "SELECT job_id, kind, run_id, reason, detail FROM history ORDER BY job_id, seq, run_id",
            "SELECT job_id, kind, run_id, reason, detail FROM event ORDER BY job_id, id",
        ),
        (
            "SELECT id, dir FROM run WHERE finished_at IS NULL AND dir IS NOT NULL ORDER BY id",
            "SELECT run_id, dir FROM workspace_use ORDER BY run_id",
        ),
        (
            "SELECT name, n FROM counter WHERE name GLOB 'tasks_*' AND n <> 0 ORDER BY name",
            "SELECT 'tasks_' || state, n FROM task_tally WHERE n <> 0 ORDER BY state",
        ),
        ("SELECT name, n FROM counter WHERE name NOT GLOB 'tasks_*'", "SELECT name, n FROM counter"),
    ];
    for (is, was) in pairs {
        assert_eq!(text(after, is), text(before, was), "{is}");
    }
    // The times are those of the rows: of the same moment, read by another clock.
    let apart = "SELECT max(abs(h.at - j.created_at)) FROM history h JOIN job j ON j.id = h.job_id WHERE h.kind = 'added'";
    assert_eq!(text(after, apart), "0");
    let stale = "SELECT count(*) FROM event WHERE kind IN ('added', 'claimed', 'done')";
    assert_eq!(text(after, stale), "0");
}

/// Each name of a table or a view that this version has and the older one did not.
#[test]
fn a_persons_table_with_a_new_name_of_tenure_is_not_touched() {
    let names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name";
    let fresh = ask(&Home::new().open(Role::Client), names);
    for (version, sql, jobs) in OLDER {
        let was = text(&older(sql).foreign(), names);
        let new: Vec<&str> = fresh.split(' ').filter(|name| was.split(' ').all(|old| old != *name)).collect();
        assert!((version >= 7 || new.contains(&"hook")) && (version >= 4 || new.len() >= 3), "{version}: {new:?}");
        for name in new {
            let home = older(sql);
            home.foreign()
                .execute_batch(&format!("CREATE TABLE {name} (note, what); INSERT INTO {name} VALUES ('a', 'b')"))
                .unwrap();
            let error = Store::open(&home.db(), Options::new(Role::Worker)).err().unwrap().to_string();
            assert!(error.contains(&format!("a table {name} ")) && error.contains("RENAME TO"), "{version}: {error}");
            assert_eq!(text(&home.foreign(), "PRAGMA user_version"), version.to_string());
            home.foreign().execute_batch(&format!("ALTER TABLE {name} RENAME TO my_notes")).unwrap();
            let worker = home.open(Role::Worker);
            assert_eq!(ask(&worker, "SELECT count(*) FROM job"), jobs);
            assert_eq!(ask(&worker, "SELECT note || what FROM my_notes"), "ab");
        }
        if version >= 4 {
            continue;
        }
        let home = older(sql);
        home.foreign().execute_batch("CREATE VIEW blocking_resource AS SELECT 1 AS mine").unwrap();
        let error = Store::open(&home.db(), Options::new(Role::Worker)).err().unwrap().to_string();
        assert!(error.contains("a view blocking_resource ") && error.contains("DROP VIEW"), "{version}: {error}");
    }
}

#[test]
fn only_the_worker_upgrades_and_others_say_so() {
    let home = older(VERSION_1);
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
    let home = older(VERSION_1);
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
fn a_restored_backup_with_a_taken_new_name_is_refused() {
    let home = older(VERSION_3);
    home.foreign().execute_batch("CREATE TABLE unresolved (note); INSERT INTO unresolved VALUES ('mine')").unwrap();
    let to = home.dir.path().join("new.db");
    let error = tenure::store::restore(&to, &home.db(), 0, 0, &[], 7).unwrap_err().to_string();
    assert!(error.contains("a table unresolved ") && error.contains("RENAME TO"), "{error}");
    assert_eq!(std::fs::metadata(&to).unwrap().len(), 0, "nothing was put in place");
}

#[test]
fn rows_that_break_a_new_rule_do_not_stop_the_upgrade() {
    let home = older(VERSION_1);
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
