//! No change is skipped and none is read twice, in pages of any size.

use super::*;
use crate::job::{Argv, Exit, NewJob, Nonce, RunEnd};
use crate::store::fixture;
use crate::store::job::claim::{Scope, claim};
use crate::store::job::ids::Prepared;
use crate::store::job::settle::{RunRecord, Settle, settle};
use crate::store::job::{control, enqueue};
use crate::store::upkeep::prune;

fn add(conn: &Connection, n: usize) {
    let jobs: Vec<NewJob> = (0..n).map(|_| NewJob::new(Argv::from_strs(&["true"]).unwrap())).collect();
    enqueue::add(conn, &jobs, 1_000).unwrap();
}

/// Runs the next job to this exit code.
fn run(conn: &Connection, run: i64, code: i32) {
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    let claim = claim(conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().pop().unwrap();
    let end = RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false };
    settle(conn, &Settle { job: claim.job.id, run: claim.run, end, record: RunRecord::default(), chance: 0.0 }, 3_000).unwrap();
}

/// All changes after a position, read in pages of so many rows, each line a new reader.
fn read(conn: &Connection, from: Position, rows: usize) -> Vec<Change> {
    let (mut at, mut all) = (from, Vec::new());
    loop {
        let page = page(conn, at, rows).unwrap();
        at = page.next;
        all.extend(page.changes);
        if !page.is_full {
            return all;
        }
    }
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{} {}", change.job, change.kind)).collect()
}

#[test]
fn a_life_is_read_in_order_with_what_the_run_says() {
    let conn = fixture::fresh();
    add(&conn, 2);
    run(&conn, 1, 0);
    run(&conn, 2, 3);
    let all = read(&conn, Position::START, 100);
    assert_eq!(words(&all), ["1 added", "2 added", "1 claimed", "1 done", "2 claimed", "2 failed"]);
    let said: Vec<_> = all.iter().map(|change| (change.run.map(|run| run.0), change.reason.as_deref())).collect();
    assert_eq!(said[2..], [(Some(1), None), (Some(1), Some("exit")), (Some(2), None), (Some(2), Some("exit"))]);
    assert_eq!(all[5].detail.as_deref(), Some("exit status 3"));
    let states: Vec<_> = all.iter().map(|change| change.state()).collect();
    assert_eq!(states[1..4], [Some(State::Queued), Some(State::Running), Some(State::Done)]);
    assert!(all.iter().all(|change| change.queue == "default"));
}

#[test]
fn a_reader_that_stops_after_any_change_sees_each_once() {
    let conn = fixture::fresh();
    let mut expected = Vec::new();
    for round in 0..8 {
        add(&conn, 5);
        run(&conn, 2 * round + 1, 0);
        run(&conn, 2 * round + 2, i32::from(round % 2 == 0));
        conn.execute_batch(&format!("UPDATE job SET user_hold = 1 WHERE id = {}", 5 * round + 5)).unwrap();
    }
    control::cancel(&conn, JobId(5), None, 4_000).unwrap();
    for kind in read(&conn, Position::START, 1_000) {
        expected.push(kind);
    }
    let of_history: i64 = conn.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).unwrap();
    assert_eq!(expected.len() as i64, of_history);
    for rows in [1, 2, 3, 7] {
        assert_eq!(words(&read(&conn, Position::START, rows)).len(), expected.len(), "{rows}");
    }
    for (n, change) in expected.iter().enumerate() {
        assert_eq!(read(&conn, change.position, 3), expected[n + 1..], "after {}", change.position);
    }
}

#[test]
fn what_is_pruned_is_gone_and_what_comes_later_is_read() {
    let conn = fixture::fresh();
    add(&conn, 3);
    run(&conn, 1, 0);
    run(&conn, 2, 0);
    run(&conn, 3, 1);
    let all = read(&conn, Position::START, 100);
    let (middle, last) = (all[5].position, all.last().unwrap().position);
    assert_eq!(prune::prune(&conn, 9_000, 100).unwrap().jobs, 3);
    let left: i64 = conn.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "claims and ends go with their jobs");
    assert_eq!(newest(&conn).unwrap(), last);
    add(&conn, 1);
    run(&conn, 4, 0);
    for from in [Position::START, middle, last] {
        assert_eq!(words(&read(&conn, from, 2)), ["4 added", "4 claimed", "4 done"], "{from}");
    }
    assert!(matches!(page(&conn, Position { event: 99, job: 1 }, 9), Err(Error::NotFound(_))));
    assert!(matches!(page(&conn, Position { event: 1, job: 99 }, 9), Err(Error::NotFound(_))));
}

#[test]
fn an_exhausted_sequence_stops_no_claim_and_no_reader() {
    let conn = fixture::fresh();
    add(&conn, 2);
    run(&conn, 1, 0);
    let before = newest(&conn).unwrap();
    for seq in ["9223372036854775807", "4503599627370496", "'x'"] {
        conn.execute_batch(&format!("SAVEPOINT s; UPDATE sqlite_sequence SET seq = {seq} WHERE name = 'event'")).unwrap();
        run(&conn, 2, 0);
        assert_eq!(read(&conn, before, 9), [], "{seq}");
        conn.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
    }
}

#[test]
fn a_page_ends_where_its_texts_are_long() {
    let conn = fixture::fresh();
    add(&conn, 1);
    let long = "x".repeat(PAGE_BYTES_MAX / 3 + 1);
    for _ in 0..10 {
        conn.execute("INSERT INTO event (job_id, kind, detail) VALUES (1, 'noted', ?1)", [&long]).unwrap();
    }
    let first = page(&conn, Position::START, 100).unwrap();
    assert!(first.is_full && (1..=4).contains(&first.changes.len()), "{}", first.changes.len());
    assert_eq!(read(&conn, Position::START, 100).len(), 11, "none is skipped");
}
