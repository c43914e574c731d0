//! A backup is one whole file, and what comes back from one starts nothing by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::Connection;
use tenure::error::Error;
use tenure::store::file::stamp::{self, Stamp};
use tenure::store::{Role, adopt_older_copy, restore};

use crate::store::harness::{Home, add, ask, count, insert, open, start, text};

#[test]
fn a_backup_under_writing_is_one_whole_private_file() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let stop = Arc::new(AtomicBool::new(false));
    let writing = thread::spawn({
        let (worker, stop) = (worker.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::SeqCst) {
                // Two in one transaction: a copy that tears them apart is not a snapshot.
                worker.write(|conn| insert(conn, "a").and_then(|_| insert(conn, "b"))).unwrap();
            }
        }
    });
    for n in 0..5 {
        let to = home.dir.path().join(format!("copy-{n}"));
        worker.backup(&to, false).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o7777, 0o600);
        let copy = Connection::open(&to).unwrap();
        assert_eq!(text(&copy, "SELECT count(*) % 2 FROM job"), "0");
        assert_eq!(text(&copy, "PRAGMA integrity_check"), "ok");
        assert_eq!(text(&copy, "PRAGMA journal_mode"), "delete");
    }
    stop.store(true, Ordering::SeqCst);
    writing.join().unwrap();
    drop(worker);
    let left: Vec<_> =
        fs::read_dir(home.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| name.starts_with("copy-") || name.starts_with("t.db")), "{left:?}");
}

#[test]
fn a_backup_replaces_a_file_only_on_request() {
    let home = Home::new();
    let client = home.open(Role::Client);
    add(&client, "a");
    let to = home.dir.path().join("copy");
    fs::write(&to, "precious").unwrap();
    assert!(matches!(client.backup(&to, false), Err(Error::Refused(_))));
    assert_eq!(fs::read_to_string(&to).unwrap(), "precious");
    client.backup(&to, true).unwrap();
    assert_eq!(text(&Connection::open(&to).unwrap(), "SELECT label FROM job"), "a");
    let link = home.dir.path().join("link");
    std::os::unix::fs::symlink(home.db(), &link).unwrap();
    for itself in [home.db(), client.place().wal(), link] {
        assert!(client.backup(&itself, true).is_err(), "{}", itself.display());
    }
    assert_eq!(count(&client), 1);
}

/// A file with a job in each state: 1 queued, 2 running, 3 running and to be cancelled, 4 done, 5 waits for 3, 6 queued and to be cancelled. 1 and 2
/// are in one lane.
fn life(home: &Home) {
    let client = home.open(Role::Client);
    for label in ["queued", "running", "cancelling", "done", "waits", "cancelled"] {
        add(&client, label);
    }
    client.write(|conn| Ok(conn.execute("UPDATE job SET lane = 'l' WHERE id < 3", [])?)).unwrap();
    for (job, run) in [(2, 12), (3, 13), (4, 14)] {
        start(&client, job, run);
    }
    client
        .write(|conn| {
            conn.execute_batch(
                "UPDATE run SET finished_at = 7, outcome = 'done', reason = 'exit', exit_code = 0 WHERE id = 14;
                 UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 7 WHERE id = 4;
                 INSERT INTO cancel (job_id) VALUES (3), (6);
                 INSERT INTO dependency (job_id, on_job) VALUES (5, 3);
                 INSERT OR IGNORE INTO lane (key) VALUES ('l');
                 UPDATE meta SET value = '15' WHERE key = 'run_id_limit';",
            )?;
            Ok(())
        })
        .unwrap();
}

const AFTER: &str =
    "1|queued|NULL|1|user 2|queued|NULL|1|user 3|cancelled|13|0|NULL 4|done|14|0|NULL 5|queued|NULL|1|user 6|queued|NULL|1|user";

#[test]
fn a_restored_file_is_held_closed_and_numbered_above_all_seen() {
    let home = Home::new();
    life(&home);
    let copy = home.dir.path().join("copy");
    let old_id = {
        let client = home.open(Role::Client);
        client.backup(&copy, false).unwrap();
        add(&client, "later");
        start(&client, 7, 99);
        ask(&client, "SELECT value FROM meta WHERE key = 'file_id'")
    };
    stamp::write(&tenure::place::Place::new(home.db()), &Stamp { generation: 4, run_id_limit: 100, max_job_id: 7 }).unwrap();
    // Another process has the file open all the while.
    let reader = home.open(Role::Reader);
    assert_eq!(count(&reader), 7);
    let restored = restore(&home.db(), &copy, 120, 3, &[], 1_000).unwrap();
    assert_eq!((restored.held, restored.lost), (3, 2));
    assert_eq!(count(&reader), 6);
    let worker = home.open(Role::Worker);
    assert_eq!(worker.opened().problems, [""; 0]);
    assert_eq!(ask(&worker, "SELECT id, state, run_id, user_hold, hold FROM job"), AFTER);
    assert_eq!(ask(&worker, "SELECT id, outcome, reason FROM run"), "12|lost|lost 13|lost|lost 14|done|exit");
    assert_eq!(ask(&worker, "SELECT job_id, closed_at FROM cancel"), "3|1000 6|NULL");
    assert_eq!(ask(&worker, "SELECT state FROM dependency"), "broken");
    assert_eq!(ask(&worker, "SELECT job_id, run_id FROM event WHERE kind = 'restored'"), "1|NULL 2|12 3|13 5|NULL 6|NULL");
    assert_eq!(
        ask(&worker, "SELECT key, value FROM meta WHERE key IN ('generation', 'run_id_limit')"),
        "generation|4 run_id_limit|121"
    );
    assert_eq!(ask(&worker, "SELECT running, (SELECT sum(lane_pass) FROM job) FROM lane"), "0|0");
    assert_eq!(add(&worker, "new"), 8);
    let new_id = ask(&worker, "SELECT value FROM meta WHERE key = 'file_id'");
    assert_eq!(new_id, restored.file_id);
    assert_ne!(new_id, old_id);
    assert_eq!(
        ask(&worker, "SELECT state, hold, queue, n FROM tally WHERE n <> 0"),
        "cancelled||default|1 done||default|1 queued||default|1 queued|user|default|4"
    );
}

#[test]
fn a_restore_counts_each_job_that_it_holds_and_no_other() {
    let cancel = "INSERT INTO cancel (job_id) VALUES (1)";
    let cases: [(&str, bool, &str, usize); 8] = [
        ("queued", false, "", 1),
        ("running", true, "", 1),
        ("held before", false, "UPDATE job SET user_hold = 1", 1),
        ("delayed", false, "UPDATE job SET available_at = 9000000000000", 1),
        ("in a paused queue", false, "UPDATE queue SET paused = 1", 1),
        ("queued, to be cancelled", false, cancel, 0),
        ("running, to be cancelled", true, cancel, 0),
        ("ended", true, "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 7", 0),
    ];
    for (what, runs, sql, held) in cases {
        let home = Home::new();
        let client = home.open(Role::Client);
        add(&client, what);
        if runs {
            start(&client, 1, 10);
        }
        client.write(move |conn| Ok(conn.execute_batch(sql)?)).unwrap();
        let copy = home.dir.path().join("copy");
        client.backup(&copy, false).unwrap();
        drop(client);
        assert_eq!(restore(&home.db(), &copy, 0, 0, &[], 1_000).unwrap().held, held, "{what}");
        let waits = "SELECT count(*) FROM jobs WHERE state = 'queued' AND hold = 'user'";
        assert_eq!(ask(&home.open(Role::Client), waits), held.to_string(), "{what}: as a person sees it");
    }
}

#[test]
fn ids_that_were_printed_are_not_reused_by_a_copy() {
    let home = Home::new();
    let made = |store: &tenure::store::Store, name: &'static str| {
        let sql = "INSERT INTO resource (name, job_id, teardown) VALUES (?1, 1, json_array('true')) RETURNING id";
        store.write(move |conn| Ok(conn.query_row(sql, [name], |row| row.get::<_, i64>(0))?)).unwrap()
    };
    let copy = home.dir.path().join("copy");
    {
        let client = home.open(Role::Client);
        add(&client, "owner");
        assert_eq!(made(&client, "a"), 1);
        client.backup(&copy, false).unwrap();
        assert_eq!((made(&client, "b"), made(&client, "c")), (2, 3));
    }
    restore(&home.db(), &copy, 0, 0, &[], 1_000).unwrap();
    assert_eq!(made(&home.open(Role::Client), "d"), 4, "2 and 3 are another copy's, though this copy has never seen them");
}

#[test]
fn a_copy_put_in_place_by_hand_is_treated_the_same() {
    let home = Home::new();
    life(&home);
    let client = home.open(Role::Client);
    let was = Stamp { generation: 4, run_id_limit: 100, max_job_id: 7 };
    assert!(client.read(|conn| stamp::older_copy_was_restored(conn, Some(&was), None)).unwrap());
    let restored = client.write(move |conn| adopt_older_copy(conn, "another", Some(&was), 0, 0, &[], 1_000)).unwrap();
    assert_eq!((restored.held, restored.lost), (3, 2));
    assert_eq!(ask(&client, "SELECT id, state, run_id, user_hold, hold FROM job"), AFTER);
    assert!(!client.read(|conn| stamp::older_copy_was_restored(conn, Some(&was), None)).unwrap());
}

#[test]
fn a_bad_source_changes_nothing() {
    let home = Home::new();
    add(&home.open(Role::Client), "a");
    let path = |name: &str| home.dir.path().join(name);
    fs::write(path("text"), "not a database, but long enough to be taken for one at a glance; ".repeat(20)).unwrap();
    fs::write(path("empty"), "").unwrap();
    Connection::open(path("foreign")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let client = home.open(Role::Client);
    for n in 0..200 {
        add(&client, &format!("{n}{}", "x".repeat(500)));
    }
    client.backup(&path("newer"), false).unwrap();
    client.backup(&path("damaged"), false).unwrap();
    Connection::open(path("newer")).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let mut bytes = fs::read(path("damaged")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    fs::write(path("damaged"), bytes).unwrap();
    for (name, says) in [
        ("text", "not a database"),
        ("empty", "empty"),
        ("foreign", "another program"),
        ("newer", "newer"),
        ("damaged", "damaged"),
        ("none", "no file"),
    ] {
        let error = restore(&home.db(), &path(name), 0, 0, &[], 1).unwrap_err();
        assert!(matches!(&error, Error::File(text) if text.contains(says) && text.contains(name)), "{name}: {error}");
    }
    assert!(restore(&home.db(), &home.db(), 0, 0, &[], 1).is_err());
    assert_eq!(count(&client), 201);
}

#[test]
fn a_damaged_file_is_moved_aside_and_a_foreign_one_is_kept() {
    let home = Home::new();
    add(&home.open(Role::Client), "a");
    let copy = home.dir.path().join("copy");
    home.open(Role::Client).backup(&copy, false).unwrap();
    fs::write(home.db(), "x".repeat(10_000)).unwrap();
    let restored = restore(&home.db(), &copy, 40, 50, &[], 1).unwrap();
    assert_eq!(fs::read_to_string(restored.moved_to.unwrap()).unwrap(), "x".repeat(10_000));
    let client = home.open(Role::Client);
    assert_eq!(count(&client), 1);
    assert_eq!(add(&client, "b"), 51);

    let other = home.dir.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE precious (a)").unwrap();
    assert!(restore(&other, &copy, 0, 0, &[], 1).unwrap_err().to_string().contains("another program"));
    let new = home.dir.path().join("new.db");
    restore(&new, &copy, 0, 0, &[], 1).unwrap();
    assert_eq!(count(&open(&new, Role::Worker)), 1);
}

#[test]
fn a_restore_keeps_the_replaced_file_and_counts_lost_jobs() {
    type Make = fn(&Home);
    // What is in the place of the file; the jobs that stand in it and not in the backup, `None` where they cannot be counted; whether something is kept.
    let cases: &[(&str, Make, Option<i64>, bool)] = &[
        (
            "jobs were added since",
            |home| ["b", "c"].iter().for_each(|label| _ = add(&home.open(Role::Client), label)),
            Some(2),
            true,
        ),
        ("nothing was added since", |_| (), Some(0), true),
        (
            "a job was cancelled since",
            |home| _ = home.open(Role::Client).write(|c| Ok(c.execute("INSERT INTO cancel (job_id) VALUES (1)", [])?)).unwrap(),
            Some(0),
            true,
        ),
        (
            "another queue's file",
            |home| {
                fs::remove_file(home.db()).unwrap();
                fs::remove_dir_all(home.dir.path().join("t.db.d")).unwrap();
                (0..3).for_each(|_| _ = add(&home.open(Role::Client), "other"));
            },
            Some(3),
            true,
        ),
        (
            "no file",
            |home| {
                fs::remove_file(home.db()).unwrap();
                fs::remove_dir_all(home.dir.path().join("t.db.d")).unwrap();
            },
            None,
            false,
        ),
        ("an empty file", |home| fs::write(home.db(), "").unwrap(), None, false),
        (
            "a file with a damaged table",
            |home| {
                (0..200).for_each(|n| _ = add(&home.open(Role::Client), &format!("{n}{}", "x".repeat(500))));
                let mut bytes = fs::read(home.db()).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle..].fill(0xa5);
                fs::write(home.db(), bytes).unwrap();
            },
            None,
            true,
        ),
    ];
    for (what, make, lost, is_kept) in cases {
        let home = Home::new();
        let copy = home.dir.path().join("copy");
        {
            let client = home.open(Role::Client);
            add(&client, "a");
            client.backup(&copy, false).unwrap();
        }
        make(&home);
        let was = fs::metadata(home.db()).map_or(0, |meta| meta.len());
        let restored = restore(&home.db(), &copy, 0, 0, &[], 1_000).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(count(&home.open(Role::Client)), 1, "{what}");
        assert_eq!(restored.kept.is_some() || restored.moved_to.is_some(), *is_kept, "{what}");
        let Some(kept) = restored.kept else { continue };
        assert_eq!(fs::metadata(&kept.path).unwrap().permissions().mode() & 0o7777, 0o600, "{what}");
        assert!(fs::metadata(&kept.path).unwrap().len() >= was.min(4096), "{what}");
        assert_eq!(kept.only_here.as_ref().map(|_| kept.jobs()), *lost, "{what}: {kept:?}");
        let Some(lost) = lost else { continue };
        // And it is whole: the way back.
        let back = restore(&home.db(), &kept.path, 0, 0, &[], 1_000).unwrap();
        assert_ne!(back.kept.unwrap().path, kept.path, "{what}: each has a name of its own");
        let before = if *what == "another queue's file" { 0 } else { 1 };
        assert_eq!(count(&home.open(Role::Client)), before + lost, "{what}");
    }
}
