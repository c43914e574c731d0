use rusqlite::Connection;

use super::*;
use crate::job::Argv;
use crate::store::fixture;

const KEY: Key = Key { sent_ms: 1_000_000, token: [7; 16] };

fn jobs(label: &str) -> Vec<NewJob> {
    let mut job = NewJob::new(Argv::from_strs(&["true"]).unwrap());
    job.placement.label = Some(label.to_owned());
    vec![job]
}

/// One that is refused: its dependency does not exist.
fn refused() -> Vec<NewJob> {
    let mut jobs = jobs("refused");
    jobs[0].after = vec![(JobId(99), crate::job::Need::Done)];
    jobs
}

fn file() -> Connection {
    fixture::fresh()
}

fn count(conn: &Connection, what: &str) -> i64 {
    conn.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

fn by_client(conn: &Connection, jobs: &[NewJob], boot_ms: u64) -> Result<std::result::Result<Done, Error>> {
    add_by_client(conn, &KEY, jobs, 1, boot_ms)
}

#[test]
fn the_first_of_client_and_worker_adds_and_the_other_finds() {
    for worker_first in [true, false] {
        let conn = file();
        let worker = || add_by_worker(&conn, &KEY, &jobs("one"), 1).unwrap();
        let client = || by_client(&conn, &jobs("one"), KEY.sent_ms + 60).unwrap().unwrap();
        let (first, second) = if worker_first { (worker(), client()) } else { (client(), worker()) };
        assert_eq!((first.was_there, first.added.len()), (false, 1));
        assert_eq!((second.was_there, second.added.len()), (true, 0));
        assert_eq!(first.answer, second.answer);
        assert_eq!((count(&conn, "job"), count(&conn, "receipt")), (1, 1));
        let other = Key { token: [8; 16], ..KEY };
        assert!(!add_by_worker(&conn, &other, &jobs("one"), 1).unwrap().was_there);
    }
}

#[test]
fn a_worker_adds_nothing_that_its_client_was_refused() {
    let conn = file();
    assert!(matches!(by_client(&conn, &refused(), KEY.sent_ms), Ok(Err(Error::NotFound(_)))));
    // Also if the same request would not be refused now.
    let late = add_by_worker(&conn, &KEY, &jobs("late"), 1).unwrap();
    assert!(late.was_there && late.answer.jobs.is_empty());
    assert_eq!(count(&conn, "job"), 0);
}

#[test]
fn a_refusal_by_the_worker_leaves_nothing() {
    let conn = file();
    let refusal = in_savepoint(&conn, || add_by_worker(&conn, &KEY, &refused(), 1)).unwrap();
    assert!(matches!(refusal, Err(Error::NotFound(_))));
    assert_eq!((count(&conn, "job"), count(&conn, "receipt"), count(&conn, "event")), (0, 0, 0));
}

/// Each row of the proof at the head of the module.
#[test]
fn no_receipt_is_removed_that_can_still_be_looked_for() {
    const { assert!(WORKER_MS < CLIENT_MS && CLIENT_MS < KEEP_MS) };
    let conn = file();
    add_by_worker(&conn, &KEY, &jobs("one"), 1).unwrap();
    for at in [KEY.sent_ms, KEY.sent_ms + CLIENT_MS, KEY.sent_ms + KEEP_MS] {
        assert!(!has_old(&conn, at).unwrap(), "{at}");
        prune(&conn, at).unwrap();
        assert!(by_client(&conn, &jobs("one"), at).unwrap().unwrap().was_there);
    }
    // Now it may be removed, and a client that comes so late adds nothing.
    let late = KEY.sent_ms + KEEP_MS + 1;
    assert!(has_old(&conn, late).unwrap());
    prune(&conn, late).unwrap();
    assert_eq!(count(&conn, "receipt"), 0);
    assert!(matches!(by_client(&conn, &jobs("one"), late), Err(Error::Busy(_))));
    assert!(matches!(by_client(&conn, &jobs("one"), KEY.sent_ms + CLIENT_MS + 1), Err(Error::Busy(_))));
    assert_eq!(count(&conn, "job"), 1);
}

#[test]
fn receipts_of_an_earlier_boot_are_removed() {
    let conn = file();
    add_by_worker(&conn, &KEY, &jobs("one"), 1).unwrap();
    assert!(has_old(&conn, 5).unwrap());
    prune(&conn, 5).unwrap();
    assert_eq!(count(&conn, "receipt"), 0);
}

#[test]
fn receipts_are_removed_in_steps() {
    let conn = file();
    for sent_ms in 0..PRUNE_MAX.cast_unsigned() + 1 {
        add_by_worker(&conn, &Key { sent_ms, ..KEY }, &jobs("one"), 1).unwrap();
    }
    let late = 2 * KEEP_MS;
    prune(&conn, late).unwrap();
    assert_eq!(count(&conn, "receipt"), 1);
    assert!(has_old(&conn, late).unwrap());
    prune(&conn, late).unwrap();
    assert!(!has_old(&conn, late).unwrap());
}

#[test]
fn an_answer_is_short_and_comes_back() {
    let conn = file();
    let mut queued = jobs("one");
    queued[0].placement.queue = "build".into();
    add_by_worker(&conn, &Key { token: [1; 16], ..KEY }, &queued, 1).unwrap();
    queued[0].placement.queue = "biuld".into();
    let done = add_by_worker(&conn, &KEY, &queued, 1).unwrap();
    assert_eq!(done.answer.similar_queue.as_deref(), Some("build"));
    assert_eq!(find(&conn, &KEY).unwrap(), Some(done.answer));
    let text: String = conn
        .query_row("SELECT answer FROM receipt WHERE token = zeroblob(15) || x'01' OR token <> ?1", [KEY.token], |row| row.get(0))
        .unwrap();
    assert_eq!(text, r#"{"jobs":[{"id":1}]}"#);
    assert!(!has_old(&conn, KEY.sent_ms).unwrap());
}
