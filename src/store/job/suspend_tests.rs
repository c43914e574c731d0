//! What the row of a suspension says after each request and each report, in any order.

use rusqlite::Connection;

use super::*;
use crate::job::NewJob;
use crate::store::fixture;
use crate::store::job::verbs_tests::{add, claim_one, exit, job};
use crate::store::job::{control, enqueue, read};
use crate::store::upkeep::{prune, recount};

fn running(conn: &Connection) -> (JobId, RunId) {
    let id = add(conn, |_| {});
    (id, claim_one(conn, 11).run)
}

fn kinds(conn: &Connection, id: JobId) -> Vec<String> {
    let events = read::events(conn, id).unwrap();
    events.into_iter().map(|event| event.kind).filter(|kind| kind.contains("suspend") || kind.contains("resum")).collect()
}

fn wanted_of(conn: &Connection, run: RunId) -> Option<bool> {
    wanted(conn).unwrap().into_iter().find(|(of, _)| *of == run).map(|(_, wanted)| wanted.is_suspended)
}

#[test]
fn a_suspension_is_asked_done_and_over() {
    let conn = fixture::fresh();
    let (id, run) = running(&conn);
    assert_eq!((wanted_of(&conn, run), job(&conn, id).suspension, count(&conn).unwrap()), (None, None, 0));
    assert!(suspend(&conn, id, Some("the demo"), 5).unwrap());
    assert!(!suspend(&conn, id, None, 6).unwrap(), "it was asked before");
    let open = job(&conn, id).suspension.unwrap();
    assert_eq!((open.asked_at, open.suspended_at, open.is_resuming, wanted_of(&conn, run)), (5, None, false, Some(true)));
    assert_eq!(why(&conn, open.id).unwrap().as_deref(), Some("the demo"));
    is_suspended(&conn, open.id, 7, "4711 sleep").unwrap();
    is_suspended(&conn, open.id, 8, "").unwrap();
    assert_eq!((job(&conn, id).suspension.unwrap().suspended_at, count(&conn).unwrap()), (Some(7), 1));
    assert!(resume(&conn, id, 9).unwrap());
    assert!(!resume(&conn, id, 10).unwrap());
    assert_eq!(wanted_of(&conn, run), Some(false));
    is_resumed(&conn, open.id, 1_200, 11).unwrap();
    is_resumed(&conn, open.id, 9_999, 12).unwrap();
    assert_eq!((job(&conn, id).suspension, wanted_of(&conn, run), lasted_ms(&conn, id).unwrap()), (None, None, 1_200));
    assert_eq!(kinds(&conn, id), ["suspend_asked", "suspended", "resume_asked", "resumed"]);
    assert!(!resume(&conn, id, 13).unwrap(), "one that is not suspended is left as it is");
}

#[test]
fn a_request_that_is_withdrawn_leaves_what_was_before() {
    let conn = fixture::fresh();
    let (id, run) = running(&conn);
    suspend(&conn, id, None, 1).unwrap();
    let first = job(&conn, id).suspension.unwrap().id;
    resume(&conn, id, 2).unwrap();
    assert!(suspend(&conn, id, None, 3).unwrap(), "it is to be suspended again");
    assert_eq!((job(&conn, id).suspension.unwrap().id, wanted_of(&conn, run)), (first, Some(true)));
    is_suspended(&conn, first, 4, "").unwrap();
    // The worker has continued it before it saw that.
    is_resumed(&conn, first, 5, 5).unwrap();
    let open = job(&conn, id).suspension.unwrap();
    assert_eq!((open.id, open.suspended_at, wanted_of(&conn, run)), (first, None, Some(true)));
    // Before the worker has done anything.
    resume(&conn, id, 6).unwrap();
    is_resumed(&conn, first, 5, 7).unwrap();
    assert_eq!((job(&conn, id).suspension, lasted_ms(&conn, id).unwrap()), (None, 5), "that of the earlier suspension once");
}

#[test]
fn only_a_running_job_is_suspended_or_resumed() {
    let conn = fixture::fresh();
    let queued = add(&conn, |_| {});
    let refusal = |answer: Result<bool>| answer.unwrap_err().to_string();
    assert!(refusal(suspend(&conn, queued, None, 1)).contains(&format!("tenure hold {queued}")));
    assert!(refusal(resume(&conn, queued, 1)).contains(&format!("tenure why {queued}")));
    control::hold(&conn, queued).unwrap();
    assert!(refusal(resume(&conn, queued, 1)).contains(&format!("tenure release {queued}")));
    control::release(&conn, queued).unwrap();
    let claim = claim_one(&conn, 11);
    control::cancel(&conn, queued, None, 1).unwrap();
    assert!(refusal(suspend(&conn, queued, None, 1)).contains("being cancelled"));
    exit(&conn, &claim, 0);
    for answer in [suspend(&conn, queued, None, 1), resume(&conn, queued, 1)] {
        assert!(refusal(answer).contains("has ended already"));
    }
    assert!(matches!(suspend(&conn, JobId(99), None, 1), Err(Error::NotFound(_))));
    assert!(matches!(resume(&conn, JobId(99), 1), Err(Error::NotFound(_))));
}

#[test]
fn a_suspension_does_not_outlive_its_run() {
    let conn = fixture::fresh();
    let mut new = NewJob::new(crate::job::Argv::from_strs(&["true"]).unwrap());
    new.placement.max_attempts = 2;
    new.policy.backoff_ms = Some((0, 0));
    let id = enqueue::add(&conn, &[new], 1).unwrap()[0].id;
    let first = claim_one(&conn, 11);
    suspend(&conn, id, None, 5).unwrap();
    let row = job(&conn, id).suspension.unwrap().id;
    is_suspended(&conn, row, 6, "").unwrap();
    // The worker that settles it does not know of it.
    exit(&conn, &first, 3);
    let lasted = lasted_ms(&conn, id).unwrap();
    assert!(recount::all(&conn, 9).unwrap().is_nothing(), "it ended with its run");
    crate::store::upkeep::due::process(&conn, 4_000, 10).unwrap();
    let second = claim_one(&conn, 12);
    assert_eq!((job(&conn, id).suspension, wanted_of(&conn, second.run), count(&conn).unwrap()), (None, None, 0));
    assert!(!resume(&conn, id, 7).unwrap());
    assert!(suspend(&conn, id, None, 8).unwrap(), "the new run has a suspension of its own");
    assert_ne!(job(&conn, id).suspension.unwrap().id, row);
    assert!(recount::all(&conn, 9).unwrap().is_nothing());
    run_has_ended(&conn, second.run, Some(70), 10).unwrap();
    assert_eq!(lasted_ms(&conn, id).unwrap(), lasted, "it was not suspended before it ended");
    exit(&conn, &second, 0);
    prune::prune(&conn, 1 << 50, 10).unwrap();
    assert_eq!(conn.query_row("SELECT count(*) FROM suspend", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}
