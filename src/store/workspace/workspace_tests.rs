//! Which directory is that of a key, which runs use it, and which may be removed.

use rusqlite::Connection;

use super::*;
use crate::job::{Argv, NewJob, RunEnd};
use crate::store::fixture;
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::enqueue;
use crate::store::job::ids::Prepared;
use crate::store::job::settle::{RunRecord, Settle, settle};

fn workspace(key: &str, prepare_command: &str) -> Workspace {
    Workspace { key: key.into(), prepare: Some(Argv::from_strs(&["sh", "-c", prepare_command]).unwrap()) }
}

/// A running job, as run `run`.
fn running(conn: &Connection, run: i64) -> (JobId, RunId) {
    enqueue::add(conn, &[NewJob::new(Argv::from_strs(&["true"]).unwrap())], 1_000).unwrap();
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    let claim = claim::claim(conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().pop().unwrap();
    (claim.job.id, claim.run)
}

fn end(conn: &Connection, (job, run): (JobId, RunId)) {
    let s = Settle { job, run, end: RunEnd::Lost, record: RunRecord::default(), chance: 0.0 };
    settle(conn, &s, 9_000).unwrap();
}

fn make(conn: &Connection, one: &Workspace, dir: &str, bytes: u64, at: i64) {
    made(conn, &Made { workspace: one.clone(), dir: dir.into(), bytes: Some(bytes) }, "b", at).unwrap();
}

#[test]
fn a_run_enters_its_own_workspace_and_leaves_it_at_its_end() {
    let conn = fixture::fresh();
    let (one, other) = (workspace("k", "a"), workspace("k", "b"));
    let (job, run) = running(&conn, 1);
    assert_eq!(enter(&conn, &one, job, run, "b", 3_000).unwrap(), None);
    make(&conn, &one, "k-1", 10, 3_000);
    assert_eq!(enter(&conn, &other, job, run, "b", 3_000).unwrap(), None, "another prepare command");
    assert_eq!(enter(&conn, &one, job, RunId(77), "b", 3_000).unwrap(), None, "a run that owns no job");
    assert_eq!(enter(&conn, &one, job, run, "b", 4_000).unwrap().as_deref(), Some("k-1"));
    assert_eq!(enter(&conn, &one, job, run, "b", 4_000).unwrap().as_deref(), Some("k-1"));
    assert_eq!(named(&conn, "k").unwrap().map(|row| (row.users, row.last_used_at)), Some((1, 4_000)));
    end(&conn, (job, run));
    assert_eq!(named(&conn, "k").unwrap().map(|row| (row.users, row.last_used_at)), Some((0, 9_000)));
}

#[test]
fn after_a_power_cut_only_what_was_on_the_disk_is_used() {
    let conn = fixture::fresh();
    let one = workspace("k", "x");
    make(&conn, &one, "k-1", 10, 1_000);
    let (job, run) = running(&conn, 1);
    assert_eq!(present(&conn, &one, "another boot").unwrap(), None);
    assert_eq!(enter(&conn, &one, job, run, "another boot", 2_000).unwrap(), None);
    assert_eq!(present(&conn, &one, "b").unwrap().as_deref(), Some("k-1"));
    assert_eq!(unsynced(&conn).unwrap(), ["k-1"]);
    synced(&conn, &["k-1".into()]).unwrap();
    assert_eq!(unsynced(&conn).unwrap(), [""; 0]);
    assert_eq!(present(&conn, &one, "another boot").unwrap().as_deref(), Some("k-1"));
    assert_eq!(enter(&conn, &one, job, run, "another boot", 2_000).unwrap().as_deref(), Some("k-1"));
}

#[test]
fn a_directory_in_use_stays_when_its_key_has_another() {
    let conn = fixture::fresh();
    let (one, other) = (workspace("k", "a"), workspace("k", "b"));
    make(&conn, &one, "k-1", 10, 3_000);
    let first = running(&conn, 1);
    enter(&conn, &one, first.0, first.1, "b", 3_000).unwrap();
    make(&conn, &other, "k-2", 10, 3_000);
    assert!(!in_hand(&conn).unwrap().is_orphan("k-1"));
    assert!(!in_hand(&conn).unwrap().is_orphan("k-2"));
    end(&conn, first);
    assert!(in_hand(&conn).unwrap().is_orphan("k-1"));
    assert!(!in_hand(&conn).unwrap().is_orphan("k-2"));
}

#[test]
fn a_directory_that_is_being_made_is_not_an_orphan() {
    let conn = fixture::fresh();
    let (maker, run) = (Nonce([1; 16]), running(&conn, 1));
    let names = [crate::job::workspace::new_name(maker), crate::job::workspace::directory_name("k", maker)];
    let hand = in_hand(&conn).unwrap();
    assert!(names.iter().all(|name| !hand.is_orphan(name)));
    end(&conn, run);
    let hand = in_hand(&conn).unwrap();
    assert!(names.iter().all(|name| hand.is_orphan(name)));
    conn.execute(
        "INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('workspace/k', ?1, '[]', 'b', 0)",
        [maker.to_string()],
    )
    .unwrap();
    let hand = in_hand(&conn).unwrap();
    assert!(names.iter().all(|name| !hand.is_orphan(name)));
}

#[test]
fn the_least_recently_used_idle_ones_go_first() {
    let conn = fixture::fresh();
    for (n, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
        make(&conn, &workspace(key, "x"), &format!("{key}-1"), 100, 1_000 + n as i64);
    }
    let user = running(&conn, 1);
    enter(&conn, &workspace("a", "x"), user.0, user.1, "b", 1_000).unwrap();
    assert_eq!(evict(&conn, 400).unwrap(), []);
    let keys = |rows: Vec<WorkspaceRow>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(keys(evict(&conn, 250).unwrap()), ["b", "c"]);
    assert_eq!(keys(evict(&conn, 0).unwrap()), ["d"]);
    end(&conn, user);
    assert_eq!(keys(evict(&conn, 0).unwrap()), ["a"]);
}

#[test]
fn a_person_removes_an_idle_workspace() {
    let conn = fixture::fresh();
    let one = workspace("k", "x");
    assert!(matches!(remove(&conn, "k"), Err(Error::NotFound(_))));
    make(&conn, &one, "k-1", 10, 1_000);
    let user = running(&conn, 1);
    enter(&conn, &one, user.0, user.1, "b", 1_000).unwrap();
    assert!(matches!(remove(&conn, "k"), Err(Error::Refused(text)) if text.contains("job 1")));
    end(&conn, user);
    assert_eq!(remove(&conn, "k").unwrap(), "k-1");
    assert!(in_hand(&conn).unwrap().is_orphan("k-1"));
}

#[test]
fn a_missing_directory_is_forgotten_without_effect_on_others() {
    let conn = fixture::fresh();
    let one = workspace("k", "x");
    make(&conn, &one, "k-1", 10, 1_000);
    let (first, second) = (running(&conn, 1), running(&conn, 2));
    for (job, run) in [first, second] {
        enter(&conn, &one, job, run, "b", 1_000).unwrap();
    }
    forget(&conn, "k", "k-1", Some(second.1)).unwrap();
    assert_eq!((entered(&conn, first.1).unwrap().as_deref(), entered(&conn, second.1).unwrap()), (Some("k-1"), None));
    assert_eq!(present(&conn, &one, "b").unwrap(), None);
    make(&conn, &one, "k-2", 10, 1_000);
    forget(&conn, "k", "k-1", None).unwrap();
    assert_eq!(enter(&conn, &one, second.0, second.1, "b", 1_000).unwrap().as_deref(), Some("k-2"));
}

#[test]
fn the_guards_refuse_what_would_harm() {
    let conn = fixture::fresh();
    make(&conn, &workspace("k", "x"), "k-1", 10, 1_000);
    conn.execute_batch("PRAGMA ignore_check_constraints = 1").unwrap();
    for wrong in [
        "INSERT OR REPLACE INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('k', 'k-2', 0, 0, 'b')",
        "INSERT OR REPLACE INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('l', 'k-1', 0, 0, 'b')",
        "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('l', '../x', 0, 0, 'b')",
        "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('l', '..', 0, 0, 'b')",
        "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('', 'l-1', 0, 0, 'b')",
        "INSERT INTO workspace (key, dir, prepare_command, prepared_at, last_used_at, boot_id) VALUES ('l', 'l-1', 'x', 0, 0, 'b')",
        "UPDATE workspace SET dir = 'k-2'",
        "UPDATE workspace SET bytes = -1",
        "INSERT INTO run (id, kind, dir, attempt, nonce, instance, boot_id, claimed_at) VALUES (2, 'probe', 'k-1', 1, lower(hex(zeroblob(16))), 'w', 'b', 5)",
    ] {
        assert!(conn.execute(wrong, []).is_err(), "{wrong}");
    }
    conn.execute_batch(
        "INSERT INTO run (id, kind, attempt, nonce, instance, boot_id, claimed_at)
         VALUES (1, 'probe', 1, lower(hex(zeroblob(16))), 'w', 'b', 5);
         UPDATE run SET dir = 'k-1' WHERE id = 1",
    )
    .unwrap();
    fixture::make_plain(&conn);
    for wrong in
        ["DELETE FROM workspace", "UPDATE workspace SET last_used_at = 0", "UPDATE run SET dir = NULL", "DELETE FROM run"]
    {
        assert!(conn.execute(wrong, []).is_err(), "{wrong}");
    }
}
