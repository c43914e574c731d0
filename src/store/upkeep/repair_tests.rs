//! Impossible rows, created with the guards dropped, which are then restored.

use rusqlite::Connection;

use super::*;
use crate::job::{Argv, Hold, NewJob};
use crate::store::fixture;
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::ids::Prepared;
use crate::store::job::{control, enqueue, read, settle};
use crate::store::upkeep::{due, open_runs, recount};

/// Acts like a client that has dropped the guards and disabled the checks, and restores the guards.
fn hostile(conn: &Connection, sql: &str) {
    let mut guards = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let guards: Vec<(String, String)> =
        guards.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(|row| row.unwrap()).collect();
    guards.iter().for_each(|(name, _)| conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    conn.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    conn.execute_batch(sql).unwrap();
    conn.execute_batch("PRAGMA ignore_check_constraints = OFF").unwrap();
    guards.iter().for_each(|(_, sql)| conn.execute_batch(sql).unwrap());
}

fn add(conn: &Connection) -> JobId {
    enqueue::add(conn, &[NewJob::new(Argv::from_strs(&["true"]).unwrap())], 1).unwrap()[0].id
}

fn claim_one(conn: &Connection, run: i64) -> JobId {
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    claim::claim(conn, &Scope::default(), &prepared, "w", "b", 2).unwrap()[0].job.id
}

fn repaired(conn: &Connection) -> Vec<Repaired> {
    let found = repair(conn, 9).unwrap();
    assert_eq!(repair(conn, 9).unwrap(), [], "a second look finds nothing");
    assert!(recount::all(conn, 9).unwrap().is_nothing(), "the counts are right again");
    found
}

fn job(conn: &Connection, id: JobId) -> crate::store::job::rows::Job {
    read::job(conn, id).unwrap().unwrap()
}

fn counter(conn: &Connection, name: &str) -> i64 {
    read::counters(conn).unwrap().into_iter().find(|c| c.name == name).map_or(0, |c| c.n)
}

fn last_event(conn: &Connection, id: JobId) -> String {
    read::events(conn, id).unwrap().pop().unwrap().kind
}

#[test]
fn a_healthy_file_is_left_alone() {
    let conn = fixture::fresh();
    let (a, _waiting) = (add(&conn), add(&conn));
    assert_eq!(claim_one(&conn, 1), a);
    assert_eq!(repaired(&conn), [], "a freshly claimed run has no pid yet");
    settle::started(&conn, RunId(1), 5, 3).unwrap();
    assert_eq!(repaired(&conn), []);
    let end = crate::job::RunEnd::Lost;
    let news = settle::Settle { job: a, run: RunId(1), end, record: settle::RunRecord::default(), chance: 0.0 };
    settle::settle(&conn, &news, 4).unwrap();
    assert_eq!(repaired(&conn), [], "an ended row keeps its run, its start and its end");
    assert_eq!(counter(&conn, "impossible_total"), 0);
}

#[test]
fn a_queued_row_with_an_owner_is_cleaned_where_no_run_is_open() {
    let conn = fixture::fresh();
    let id = add(&conn);
    hostile(&conn, "UPDATE job SET pid = 4711, started_at = 5, run_id = 77 WHERE id = 1");
    let found = repaired(&conn);
    assert_eq!((found.len(), found[0].rule.as_str(), found[0].held), (1, "queued_owns_nothing", false));
    assert_eq!((job(&conn, id).pid, job(&conn, id).hold, last_event(&conn, id).as_str()), (None, None, "repaired"));
    assert_eq!(counter(&conn, "impossible_total"), 1);
    assert_eq!(claim_one(&conn, 2), id);
}

#[test]
fn a_queued_row_with_an_open_run_is_held_and_its_run_given_back() {
    let conn = fixture::fresh();
    let id = add(&conn);
    claim_one(&conn, 1);
    hostile(&conn, "UPDATE job SET state = 'queued'");
    let found = repaired(&conn);
    assert_eq!((found[0].held, found[0].runs.as_slice()), (true, [(RunId(1), Nonce([1; 16]))].as_slice()));
    assert_eq!((job(&conn, id).hold, job(&conn, id).run_id), (Some(Hold::User), None));
    assert_eq!(read::runs(&conn, id).unwrap()[0].outcome, Some(Outcome::Lost));
    assert_eq!(last_event(&conn, id), "quarantined");
}

#[test]
fn a_clean_looking_step_back_to_queued_is_found_by_its_open_run() {
    let conn = fixture::fresh();
    let id = add(&conn);
    claim_one(&conn, 1);
    hostile(&conn, "UPDATE job SET state = 'queued', run_id = NULL, started_at = NULL");
    recount::tally(&conn).unwrap();
    assert!(claim::has_ready(&conn, &Scope::default()).unwrap());
    let prepared = [Prepared { run: RunId(2), nonce: Nonce([2; 16]) }];
    assert_eq!(claim::claim(&conn, &Scope::default(), &prepared, "w", "b", 2).unwrap(), [], "not even before the reaper looks");
    let found = repaired(&conn);
    assert_eq!((found[0].rule.as_str(), found[0].job, found[0].runs.len()), ("run_has_its_job", id, 1));
    assert_eq!(
        (job(&conn, id).hold, found[0].held),
        (Some(Hold::User), true),
        "its process may live: no worker starts a second one"
    );
}

#[test]
fn a_running_row_without_a_run_is_held() {
    for sql in [
        "UPDATE job SET run_id = NULL",
        "UPDATE job SET started_at = NULL",
        "UPDATE job SET run_id = 99",
        "UPDATE job SET reason = 'exit', finished_at = 7",
        "DELETE FROM run",
        "UPDATE run SET job_id = 99",
    ] {
        let conn = fixture::fresh();
        let id = add(&conn);
        claim_one(&conn, 1);
        hostile(&conn, sql);
        let found = repaired(&conn);
        assert_eq!((found[0].rule.as_str(), found[0].held), ("running_has_its_run", true), "{sql}");
        assert_eq!((job(&conn, id).state, job(&conn, id).hold), (State::Queued, Some(Hold::User)), "{sql}");
        assert_eq!(open_runs::open_runs(&conn).unwrap(), []);
    }
}

#[test]
fn a_running_row_whose_run_has_ended_ends_as_its_run_did() {
    for (outcome, reason, state) in
        [("done", "exit", State::Done), ("failed", "signal", State::Failed), ("cancelled", "cancelled", State::Cancelled)]
    {
        let conn = fixture::fresh();
        let id = add(&conn);
        claim_one(&conn, 1);
        hostile(&conn, &format!("UPDATE run SET finished_at = 5, outcome = '{outcome}', reason = '{reason}'"));
        repaired(&conn);
        assert_eq!((job(&conn, id).state, job(&conn, id).reason.unwrap().as_str()), (state, reason));
        assert_eq!(job(&conn, id).run_id, Some(RunId(1)));
    }
}

#[test]
fn a_quarantined_job_with_a_cancel_is_cancelled() {
    let conn = fixture::fresh();
    let id = add(&conn);
    claim_one(&conn, 1);
    control::cancel(&conn, id, None, 3).unwrap();
    hostile(&conn, "UPDATE job SET run_id = NULL");
    repaired(&conn);
    assert_eq!(job(&conn, id).state, State::Cancelled);
    assert!(!job(&conn, id).cancel_open);
}

#[test]
fn an_ended_row_is_completed_and_never_done_without_exit_0() {
    for (sql, state, reason) in [
        ("UPDATE job SET pid = 7", State::Failed, Reason::Lost),
        ("UPDATE job SET reason = NULL", State::Failed, Reason::Lost),
        ("UPDATE job SET finished_at = NULL", State::Failed, Reason::Lost),
        ("UPDATE job SET state = 'done', exit_code = NULL", State::Failed, Reason::Lost),
        ("UPDATE job SET state = 'done', exit_code = 3", State::Failed, Reason::Exit),
        ("UPDATE job SET state = 'cancelled', reason = NULL", State::Cancelled, Reason::Cancelled),
    ] {
        let conn = fixture::fresh();
        let id = add(&conn);
        claim_one(&conn, 1);
        let end = crate::job::RunEnd::Lost;
        let news = settle::Settle { job: id, run: RunId(1), end, record: settle::RunRecord::default(), chance: 0.0 };
        settle::settle(&conn, &news, 4).unwrap();
        hostile(&conn, sql);
        let found = repaired(&conn);
        assert_eq!(found.len(), 1, "{sql}");
        let job = job(&conn, id);
        assert_eq!((job.state, job.reason, job.pid), (state, Some(reason), None), "{sql}");
        assert!(job.finished_at.is_some());
    }
}

#[test]
fn a_state_that_there_is_none_of_is_held() {
    let conn = fixture::fresh();
    let id = add(&conn);
    hostile(&conn, "UPDATE job SET state = 'zombie', unique_key = 'k'");
    let mut other = NewJob::new(Argv::from_strs(&["true"]).unwrap());
    other.placement.unique_key = Some("k".into());
    enqueue::add(&conn, &[other], 1).unwrap();
    assert!(read::job(&conn, id).is_err());
    assert_eq!(read::jobs(&conn, &read::Filter::default()).unwrap().len(), 1, "one bad row does not hide the others");
    repaired(&conn);
    assert_eq!((job(&conn, id).hold, job(&conn, id).unique_key), (Some(Hold::User), None));
}

#[test]
fn what_cannot_be_read_is_held_and_counts_are_not_negative() {
    for column in ["command", "env", "policy"] {
        let conn = fixture::fresh();
        let id = add(&conn);
        hostile(&conn, &format!("UPDATE job SET {column} = '[rubbish'"));
        assert_eq!(repaired(&conn)[0].rule.as_str(), "is_readable");
        assert_eq!(job(&conn, id).hold, Some(Hold::User));
        control::cancel(&conn, id, None, 3).unwrap();
        assert_eq!(job(&conn, id).state, State::Cancelled);
    }
    let conn = fixture::fresh();
    let id = add(&conn);
    hostile(&conn, "UPDATE job SET attempts = -5, max_attempts = 0");
    assert_eq!(repaired(&conn)[0].rule.as_str(), "counts_not_negative");
    assert_eq!((job(&conn, id).attempts, job(&conn, id).max_attempts), (0, 1));
}

#[test]
fn contradictions_are_taken_away() {
    let conn = fixture::fresh();
    for queue in ["a", "b"] {
        let mut new = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        (new.placement.queue, new.placement.lane) = (queue.into(), Some("l".into()));
        enqueue::add(&conn, &[new.clone(), new], 1).unwrap();
    }
    let mut child = NewJob::new(Argv::from_strs(&["true"]).unwrap());
    (child.placement.queue, child.after) = ("c".into(), vec![(JobId(1), crate::job::Need::Done)]);
    let child = enqueue::add(&conn, &[child], 1).unwrap()[0].id;
    hostile(
        &conn,
        "UPDATE lane SET running = 1; UPDATE job SET lane_pass = 0; DELETE FROM tally;
         DELETE FROM sqlite_sequence WHERE name IN ('job', 'event');
         INSERT INTO sqlite_sequence (name, seq) VALUES ('job', 9223372036854775807), ('event', 9223372036854775807);
         UPDATE job SET state = 'failed', reason = 'exit', finished_at = 3 WHERE id = 1;",
    );
    let repaired = recount::all(&conn, 9).unwrap();
    assert_eq!((repaired.lanes_recounted, repaired.dependencies, repaired.sequences, repaired.recounted), (1, 1, 2, true));
    assert_eq!(repaired.ended, [child]);
    assert!(recount::all(&conn, 9).unwrap().is_nothing());
    assert_eq!(claim_one(&conn, 1), JobId(2));
    assert_eq!(add(&conn), JobId(child.0 + 1));
    hostile(&conn, "UPDATE job SET lane_pass = 0; UPDATE lane SET max_running = 5");
    assert_eq!(recount::all(&conn, 9).unwrap().lanes_passed_on, 1);
    hostile(&conn, "DELETE FROM lane; UPDATE job SET lane_pass = 0");
    assert_eq!(recount::all(&conn, 9).unwrap().lanes_passed_on, 1);
    hostile(&conn, "DELETE FROM queue");
    assert_eq!(recount::all(&conn, 9).unwrap().queues, 3, "of those that have a live job");
    assert_eq!(due::next_due_ms(&conn).unwrap(), None);
}

#[test]
fn uses_that_are_not_json_make_no_row_immutable() {
    let conn = fixture::fresh();
    conn.execute_batch("INSERT INTO pool (name, size) VALUES ('gpu', 1)").unwrap();
    let (running, queued) = (add(&conn), add(&conn));
    assert_eq!(claim_one(&conn, 11), running);
    hostile(&conn, "UPDATE job SET uses = 'x'");
    let found = repaired(&conn);
    assert!(found.len() == 1 && found[0].job == queued && found[0].held, "{found:?}");
    assert!(found[0].text.contains("uses is not JSON"), "{found:?}");
    assert!(crate::store::job::why::why(&conn, queued, 9).is_ok());
    assert!(control::release(&conn, queued).unwrap());
    control::cancel(&conn, queued, None, 9).unwrap();
    let end = "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 9 WHERE id = ?1";
    assert_eq!(conn.execute(end, [running.0]).unwrap(), 1, "a running one ends");
}
