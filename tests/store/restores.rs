//! What a client writes while a restore is under way is in one of the two files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::Connection;
use tenure::error::Error;
use tenure::store::{Role, restore};

use crate::store::harness::{Home, add, insert, text};

/// How often a restore is tried again that was refused because a client wrote.
const RESTORE_TRIES_MAX: u32 = 20;

#[test]
fn a_job_added_during_a_restore_is_in_one_of_the_two_files() {
    let home = Home::new();
    let copy = home.dir.path().join("copy");
    home.open(Role::Client).backup(&copy, false).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let adding = thread::spawn({
        let (client, stop) = (home.open(Role::Client), stop.clone());
        move || {
            let mut ids = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                ids.push(add(&client, "meanwhile"));
            }
            ids
        }
    });
    // Where the machine is so slow that the client gets in between each time, it is refused.
    let restore_once = || {
        for _ in 0..RESTORE_TRIES_MAX {
            match restore(&home.db(), &copy, 0, 0, &[], 1_000) {
                Ok(restored) => return restored.kept.expect("a kept file").path,
                Err(error) => assert!(matches!(error, Error::Busy(_)), "{error}"),
            }
        }
        panic!("the client got in between {RESTORE_TRIES_MAX} times");
    };
    let restores = (0..5).map(|_| restore_once()).collect::<Vec<_>>();
    stop.store(true, Ordering::SeqCst);
    let added = adding.join().unwrap();
    let mut found = std::collections::BTreeSet::new();
    for file in restores.iter().chain([&home.db()]) {
        let conn = Connection::open(file).unwrap();
        let mut ids = conn.prepare("SELECT id FROM job").unwrap();
        found.extend(ids.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(Result::unwrap));
    }
    let missing: Vec<_> = added.iter().filter(|id| !found.contains(id)).collect();
    assert!(missing.is_empty(), "{} of {} are in neither: {missing:?}", missing.len(), added.len());
    let distinct: std::collections::BTreeSet<_> = added.iter().collect();
    assert_eq!(distinct.len(), added.len(), "no id was given twice");
    println!("{} jobs were added during 5 restores", added.len());
}

#[test]
fn a_job_committed_while_a_restore_waits_is_in_one_of_two_files() {
    // Milliseconds from the keeping of the old file to the commit. The job must be found after each, however fast the machine is.
    for later in [0, 20, 200] {
        let home = Home::new();
        let copy = home.dir.path().join("copy");
        home.open(Role::Client).backup(&copy, false).unwrap();
        let plain = home.foreign();
        plain.execute_batch("BEGIN IMMEDIATE").unwrap();
        insert(&plain, "in between").unwrap();
        let restoring = thread::spawn({
            let (db, copy) = (home.db(), copy.clone());
            move || restore(&db, &copy, 0, 0, &[], 1_000)
        });
        let kept = home.dir.path().join("t.db.replaced-1000");
        while !kept.exists() && !restoring.is_finished() {
            thread::yield_now();
        }
        // The moment of the commit is what the test varies; it is not a wait for an event.
        thread::sleep(std::time::Duration::from_millis(later));
        plain.execute_batch("COMMIT").unwrap();
        let restored = restoring.join().unwrap().unwrap();
        let files = [home.db(), restored.kept.unwrap().path];
        let found = files.map(|file| text(&Connection::open(file).unwrap(), "SELECT label FROM job"));
        assert!(found.iter().any(|labels| labels == "in between"), "{later} ms: it is in neither file: {found:?}");
    }
}
