//! The life of a job, from its entry to its end.

use super::*;
use crate::job::{Argv, Cause, NewJob};
use crate::job::{Exit, Nonce};
use crate::store::fixture;
use crate::store::job::auxiliary;
use crate::store::job::auxiliary::{Closed, Opening};
use crate::store::job::check::exited;
use crate::store::job::claim;
use crate::store::job::claim::{Claim, Scope};
use crate::store::job::ids::Prepared;
use crate::store::job::retry;
use crate::store::job::{control, enqueue, read};
use crate::store::upkeep::{due, open_runs, prune};

fn new(change: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut job = NewJob::new(Argv::from_strs(&["true"]).unwrap());
    change(&mut job);
    job
}

fn add(conn: &Connection, change: impl FnOnce(&mut NewJob)) -> JobId {
    enqueue::add(conn, &[new(change)], 1_000).unwrap()[0].id
}

fn claim_one(conn: &Connection, run: i64) -> Option<Claim> {
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    claim::claim(conn, &Scope::default(), &prepared, "w1", "b1", 2_000).unwrap().pop()
}

fn exit(conn: &Connection, claim: &Claim, code: i32) -> Settled {
    let end = RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false };
    let s = Settle { job: claim.job.id, run: claim.run, end, record: RunRecord::default(), chance: 0.0 };
    settle(conn, &s, 3_000).unwrap()
}

fn job(conn: &Connection, id: JobId) -> crate::store::job::rows::Job {
    read::job(conn, id).unwrap().unwrap()
}

#[test]
fn the_end_of_a_run_follows_its_claim_after_any_prune() {
    let conn = fixture::fresh();
    let other = add(&conn, |_| ());
    let id = add(&conn, |_| ());
    let lost = claim_one(&conn, 1).unwrap();
    exit(&conn, &lost, 3);
    let claim = claim_one(&conn, 2).unwrap();
    assert_eq!((lost.job.id, claim.job.id), (other, id));
    let events = || conn.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(events() > 0);
    assert_eq!(prune::prune(&conn, 9_000, 100).unwrap().jobs, 1);
    assert_eq!(events(), 1, "the claim came after an event that is gone");
    exit(&conn, &claim, 0);
    let kinds: Vec<String> = read::events(&conn, id).unwrap().into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds, ["added", "claimed", "done"]);
}

#[test]
fn a_job_goes_through_its_life() {
    let conn = fixture::fresh();
    let id = add(&conn, |_| ());
    let claim = claim_one(&conn, 1).unwrap();
    assert_eq!((claim.job.id, claim.job.state, claim.job.attempts), (id, State::Running, 1));
    assert!(started(&conn, RunId(1), 77, 2_100).unwrap());
    assert_eq!(job(&conn, id).pid, Some(77));
    assert!(owns(&conn, id, RunId(1)).unwrap() && !owns(&conn, id, RunId(2)).unwrap());
    assert!(matches!(exit(&conn, &claim, 0), Settled::Won { .. }));
    let done = job(&conn, id);
    assert_eq!((done.state, done.reason, done.exit_code, done.pid), (State::Done, Some(Reason::Exit), Some(0), None));
    assert_eq!((done.run_id, done.started_at, done.finished_at), (Some(RunId(1)), Some(2_100), Some(3_000)));
    assert_eq!(exit(&conn, &claim, 1), Settled::Late);
    assert_eq!(job(&conn, id), done);
    assert!(!started(&conn, RunId(1), 78, 2_200).unwrap());
    let kinds: Vec<String> = read::events(&conn, id).unwrap().into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds, ["added", "claimed", "done"]);
}

#[test]
fn the_best_head_of_all_queues_comes_first() {
    let conn = fixture::fresh();
    let low = add(&conn, |j| j.placement.queue = "a".into());
    let high = add(&conn, |j| (j.placement.queue, j.placement.priority) = ("b".into(), 5));
    let low2 = add(&conn, |j| j.placement.queue = "b".into());
    let paused = add(&conn, |j| (j.placement.queue, j.placement.priority) = ("c".into(), 9));
    control::queue_pause(&conn, "c", true).unwrap();
    let prepared: Vec<_> = (1..9).map(|n| Prepared { run: RunId(n), nonce: Nonce([1; 16]) }).collect();
    let claims = claim::claim(&conn, &Scope::default(), &prepared, "w", "b", 5).unwrap();
    assert_eq!(claims.iter().map(|c| c.job.id).collect::<Vec<_>>(), [high, low, low2]);
    assert_eq!(job(&conn, paused).state, State::Queued);
}

#[test]
fn a_lane_runs_one_and_then_the_next_over_all_queues() {
    let conn = fixture::fresh();
    let a = add(&conn, |j| j.placement.lane = Some("db".into()));
    let b = add(&conn, |j| (j.placement.lane, j.placement.queue) = (Some("db".into()), "other".into()));
    let c = add(&conn, |j| (j.placement.lane, j.placement.priority) = (Some("db".into()), 3));
    let mut order = Vec::new();
    for run in 1..=3 {
        let claim = claim_one(&conn, run).unwrap();
        assert!(claim_one(&conn, run + 10).is_none(), "the lane is full");
        order.push(claim.job.id);
        exit(&conn, &claim, 0);
    }
    assert_eq!(order, [c, a, b]);
}

#[test]
fn dependants_go_on_or_end_with_what_they_wait_for() {
    let conn = fixture::fresh();
    let first = add(&conn, |_| ());
    let then = add(&conn, |j| j.after = vec![(first, crate::job::Need::Done)]);
    let last = add(&conn, |j| j.after = vec![(then, crate::job::Need::Done)]);
    let anyway = add(&conn, |j| j.after = vec![(then, crate::job::Need::Any)]);
    let claim = claim_one(&conn, 1).unwrap();
    assert!(claim_one(&conn, 2).is_none());
    exit(&conn, &claim, 3);
    assert_eq!((job(&conn, then).state, job(&conn, then).reason), (State::Failed, Some(Reason::Dependency)));
    assert_eq!(job(&conn, last).reason, Some(Reason::Dependency));
    assert_eq!(job(&conn, anyway).hold, None);
    assert!(retry::retry(&conn, then, false, 9).is_err());
    assert_eq!(retry::retry(&conn, first, true, 9).unwrap(), [first, then, last]);
    assert_eq!(job(&conn, last).unmet, 1);
}

#[test]
fn a_retry_of_the_rules_waits_and_a_cancel_ends_it() {
    let conn = fixture::fresh();
    let id = add(&conn, |j| j.placement.max_attempts = 3);
    let claim = claim_one(&conn, 1).unwrap();
    exit(&conn, &claim, 1);
    let waiting = job(&conn, id);
    assert_eq!((waiting.state, waiting.hold, waiting.available_at), (State::Queued, Some(crate::job::Hold::Time), 13_000));
    assert_eq!(due::next_due_ms(&conn).unwrap(), Some(13_000));
    assert_eq!(due::process(&conn, 12_999, 10).unwrap().released, 0);
    assert_eq!(due::process(&conn, 13_000, 10).unwrap().released, 1);
    let claim = claim_one(&conn, 2).unwrap();
    assert_eq!(claim.previous_reason, Some(Reason::Exit));
    assert_eq!(control::cancel(&conn, id, Some("enough"), 14_000).unwrap(), control::Cancelled::Asked { run: RunId(2) });
    assert_eq!(control::open_cancels(&conn).unwrap(), [(id, Some(RunId(2)))]);
    exit(&conn, &claim, 1);
    assert_eq!((job(&conn, id).state, job(&conn, id).error), (State::Cancelled, Some("cancelled while it ran: enough".into())));
    assert_eq!(control::open_cancels(&conn).unwrap(), []);
}

#[test]
fn a_check_is_a_run_of_its_own() {
    let conn = fixture::fresh();
    let id = add(&conn, |_| ());
    let claim = claim_one(&conn, 1).unwrap();
    let record = RunRecord { exited_at: Some(2_500), result: Some("r".into()), ..RunRecord::default() };
    assert!(exited(&conn, id, RunId(1), &record, 0).unwrap());
    let opening = Opening::of(crate::job::RunKind::Check, id, RunId(1));
    let begin = |run: i64| {
        auxiliary::begin(&conn, &opening, Prepared { run: RunId(run), nonce: Nonce([2; 16]) }, "w", "b", 2_600).unwrap()
    };
    assert!(begin(2));
    assert!(!begin(3), "one is under way");
    assert!(started(&conn, RunId(2), 5, 2_700).unwrap());
    let open = open_runs::open_runs(&conn).unwrap();
    assert_eq!((open.len(), open[0].run.exited_at, open[0].auxiliary.as_ref().unwrap().pid), (1, Some(2_500), Some(5)));
    assert_eq!(open[0].job.pid, None);
    let (exit, record) = (Some(Exit::Code(1)), RunRecord::default());
    let closed = Closed { outcome: Outcome::Failed, reason: Some(Reason::Check), exit, error: None, record };
    assert!(auxiliary::end(&conn, RunId(2), &closed, 2_800).unwrap().was_open);
    assert!(!auxiliary::end(&conn, RunId(2), &closed, 2_900).unwrap().was_open);
    let end = RunEnd::CheckFailed { error: "the check failed".into() };
    let s = Settle { job: id, run: claim.run, end, record: RunRecord::default(), chance: 0.0 };
    assert!(matches!(settle(&conn, &s, 3_000).unwrap(), Settled::Won { .. }));
    let failed = job(&conn, id);
    assert_eq!((failed.reason, failed.exit_code, failed.result.as_deref()), (Some(Reason::Check), Some(0), Some("r")));
    assert_eq!(read::runs(&conn, id).unwrap()[0].exited_at, Some(2_500));
}

#[test]
fn tokens_are_given_back_when_a_job_ends_and_not_before() {
    let conn = fixture::fresh();
    let secret = r#"{"secrets":{"KEY":"t1"},"stdin":{"kept":"t2"}}"#;
    let id = add(&conn, |j| (j.policy, j.placement.max_attempts) = (Policy::from_json(secret).unwrap(), 2));
    let child = add(&conn, |j| {
        j.policy = Policy::from_json(r#"{"secrets":{"KEY":"t3"}}"#).unwrap();
        j.after = vec![(id, crate::job::Need::Done)];
    });
    assert_eq!(read::live_secrets(&conn).unwrap(), ["t1", "t2", "t3"]);
    let first = claim_one(&conn, 1).unwrap();
    assert!(matches!(exit(&conn, &first, 1), Settled::Won { freed, .. } if freed.is_empty()));
    due::process(&conn, 20_000, 10).unwrap();
    let second = claim_one(&conn, 2).unwrap();
    assert!(matches!(exit(&conn, &second, 1), Settled::Won { freed, .. } if freed == ["t1", "t2", "t3"]));
    assert_eq!(job(&conn, child).state, State::Failed);
    assert!(matches!(retry::retry(&conn, id, false, 9), Err(crate::error::Error::Refused(_))));
}

/// More live jobs with files than are asked: one of the others may name it, and the sweep asks all.
#[test]
fn a_token_is_given_back_only_if_all_other_jobs_were_asked() {
    let conn = fixture::fresh();
    let policy = |token: &str| Policy::from_json(&format!(r#"{{"secrets":{{"KEY":"{token}"}}}}"#)).unwrap();
    add(&conn, |j| j.policy = policy("shared"));
    (0..150).for_each(|n| _ = add(&conn, |j| j.policy = policy(&format!("own{n}"))));
    add(&conn, |j| j.policy = policy("shared"));
    let claim = claim_one(&conn, 1).unwrap();
    assert!(matches!(exit(&conn, &claim, 0), Settled::Won { freed, .. } if freed.is_empty()));
}

#[test]
fn a_result_is_cut_between_characters() {
    let long = "ü".repeat(RESULT_BYTES_MAX);
    assert_eq!(kept_result(&long.as_bytes()[1..]).chars().filter(|c| *c == '\u{fffd}').count(), 1);
    assert_eq!(kept_result(long.as_bytes()).len(), RESULT_BYTES_MAX);
    let odd = format!("x{long}");
    assert_eq!(kept_result(odd.as_bytes()).len(), RESULT_BYTES_MAX - 1);
    assert_eq!(kept_result(b"a\xffb"), "a\u{fffd}b");
}

#[test]
fn a_stop_by_cancel_ends_as_cancelled_and_history_can_go() {
    let conn = fixture::fresh();
    let id = add(&conn, |j| j.placement.max_attempts = 5);
    let claim = claim_one(&conn, 1).unwrap();
    control::cancel(&conn, id, None, 5).unwrap();
    let end = RunEnd::Ended { exit: Exit::Signal(15), cause: Some(Cause::Cancel), out_of_memory: false };
    let s = Settle { job: id, run: claim.run, end, record: RunRecord::default(), chance: 0.0 };
    settle(&conn, &s, 3_000).unwrap();
    assert_eq!((job(&conn, id).state, job(&conn, id).signal), (State::Cancelled, Some(15)));
    assert_eq!(prune::prune(&conn, 3_000, 10).unwrap().jobs, 0);
    let pruned = prune::prune(&conn, 3_001, 10).unwrap();
    assert_eq!((pruned.jobs, pruned.runs), (1, vec![RunId(1)]));
    // A log that was left over is not a sign of an older copy, and one of a later run is.
    let has_forgotten = |run| crate::store::file::stamp::has_forgotten(&conn, &[RunId(run)]).unwrap();
    assert!(!has_forgotten(1) && has_forgotten(2));
    assert_eq!(read::job(&conn, id).unwrap(), None);
    assert_eq!(read::counts(&conn).unwrap(), read::Counts::default());
}

#[test]
fn a_job_is_given_to_no_run_that_is_older_than_one_before_it() {
    let conn = fixture::fresh();
    let id = add(&conn, |j| (j.placement.max_attempts, j.policy.backoff_ms) = (3, Some((0, 0))));
    let first = claim_one(&conn, 6).unwrap();
    assert!(matches!(exit(&conn, &first, 1), Settled::Won { .. }));
    due::process(&conn, 4_000, 10).unwrap();
    assert_eq!(claim_one(&conn, 5), None, "the id is a fencing token, and this one is overtaken");
    assert_eq!(job(&conn, id).state, State::Queued, "it was left alone");
    assert_eq!(claim_one(&conn, 7).map(|claim| claim.run), Some(RunId(7)));
}

#[test]
fn a_job_ends_with_its_run_and_is_kept_from_the_record() {
    let conn = fixture::fresh();
    let id = add(&conn, |_| ());
    let claim = claim_one(&conn, 1).unwrap();
    let end = RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false };
    let record = RunRecord { started_at: Some(2_100), exited_at: Some(2_500), ..RunRecord::default() };
    let s = Settle { job: id, run: claim.run, end, record, chance: 0.0 };
    assert!(matches!(settle(&conn, &s, 9_000_000).unwrap(), Settled::Won { .. }));
    assert_eq!((job(&conn, id).started_at, job(&conn, id).finished_at), (Some(2_100), Some(2_500)));
    assert_eq!(read::runs(&conn, id).unwrap()[0].finished_at, Some(9_000_000));
    for (before, is_pruned) in [(3_000, false), (9_000_000, false), (9_000_001, true)] {
        assert_eq!(prune::prune(&conn, before, 10).unwrap().jobs, usize::from(is_pruned), "{before}");
    }
}

#[test]
fn a_recorded_end_that_a_clock_has_put_ahead_is_now() {
    for (exited_at, finished_at) in [(2_500, 2_500), (9_999, 3_000), (-5, 0)] {
        let conn = fixture::fresh();
        let id = add(&conn, |_| ());
        let claim = claim_one(&conn, 1).unwrap();
        let end = RunEnd::Ended { exit: Exit::Code(3), cause: None, out_of_memory: false };
        let record = RunRecord { exited_at: Some(exited_at), ..RunRecord::default() };
        settle(&conn, &Settle { job: id, run: claim.run, end, record, chance: 0.0 }, 3_000).unwrap();
        assert_eq!(job(&conn, id).finished_at, Some(finished_at));
    }
}

#[test]
fn a_wait_moves_with_the_clock_and_an_instant_does_not() {
    for (by_ms, is_held) in [(10_800_000, false), (-10_800_000, false), (10_800_000, true), (-10_800_000, true)] {
        let conn = fixture::fresh();
        let now_ms = 100_000_000;
        let delayed = add(&conn, |j| j.available_at = now_ms + 60_000);
        let retried = add(&conn, |j| j.placement.max_attempts = 2);
        let claim = claim_one(&conn, 1).unwrap();
        let end = RunEnd::Ended { exit: Exit::Code(3), cause: None, out_of_memory: false };
        settle(&conn, &Settle { job: retried, run: claim.run, end, record: RunRecord::default(), chance: 0.0 }, now_ms).unwrap();
        let wait_ms = job(&conn, retried).available_at - now_ms;
        assert!(wait_ms > 0);
        if is_held {
            control::hold(&conn, retried).unwrap();
        }
        assert_eq!(due::clock_was_set(&conn, by_ms).unwrap(), 1);
        assert_eq!(job(&conn, retried).available_at, now_ms + by_ms + wait_ms);
        if is_held {
            control::release(&conn, retried).unwrap();
        }
        assert_eq!(job(&conn, retried).hold, Some(crate::job::Hold::Time));
        assert_eq!(job(&conn, delayed).available_at, now_ms + 60_000);
    }
}

#[test]
fn an_end_closes_the_cancel_however_the_run_came_to_it() {
    let ended = |exit, cause| RunEnd::Ended { exit, cause, out_of_memory: false };
    let mut ends: Vec<RunEnd> = Cause::ALL.iter().map(|cause| ended(Exit::Signal(15), Some(*cause))).collect();
    ends.extend([0, 1, 75].map(|code| ended(Exit::Code(code), None)));
    ends.extend([ended(Exit::Signal(9), None), RunEnd::NotExecuted { errno: 2, error: "none".into() }, RunEnd::NeverStarted]);
    ends.extend([RunEnd::Lost, RunEnd::Unprepared, RunEnd::Withdrawn, RunEnd::NoMeans { errno: 11, error: "none".into() }]);
    ends.extend([RunEnd::CheckFailed { error: "no".into() }, RunEnd::PrepareFailed { error: "no".into() }]);
    ends.extend([RunEnd::TooLate { error: "late".into() }, RunEnd::Unrunnable { error: "no".into() }]);
    for end in ends {
        let conn = fixture::fresh();
        // Of two attempts, so that it might be tried again.
        let id = add(&conn, |j| j.placement.max_attempts = 2);
        let run = claim_one(&conn, 1).unwrap().run;
        control::cancel(&conn, id, None, 2_500).unwrap();
        let s = Settle { job: id, run, end, record: RunRecord::default(), chance: 0.0 };
        assert!(matches!(settle(&conn, &s, 3_000).unwrap(), Settled::Won { .. }), "{:?}", s.end);
        assert!(job(&conn, id).state.is_terminal(), "{:?}", s.end);
        let closed: Option<i64> = conn.query_row("SELECT closed_at FROM cancel WHERE job_id = 1", [], |row| row.get(0)).unwrap();
        assert_eq!(closed, Some(3_000), "{:?}", s.end);
    }
}

#[test]
fn a_retry_by_a_person_leaves_nothing_of_the_earlier_life() {
    // The row of a job; how its latest run ended is history.
    let row = |conn: &Connection, id: JobId| -> Vec<String> {
        let mut columns = conn.prepare("SELECT name FROM pragma_table_xinfo('job')").unwrap();
        let columns: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let kept = columns.into_iter().filter(|name| name != "last_reason");
        let value = |name: &str| -> rusqlite::Result<String> {
            conn.query_row(&format!("SELECT quote({name}) FROM job WHERE id = ?1"), [id.0], |row| row.get(0))
        };
        kept.map(|name| format!("{name} {}", value(&name).unwrap())).collect()
    };
    let conn = fixture::fresh();
    let change = |j: &mut NewJob| {
        (j.placement.max_attempts, j.placement.lane, j.placement.unique_key) = (2, Some("l".into()), Some("k".into()))
    };
    let id = add(&conn, change);
    let new = row(&conn, id);
    let said = |code| RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false };
    for (n, end) in [said(75), RunEnd::NeverStarted, said(1), RunEnd::NeverStarted, said(2)].into_iter().enumerate() {
        conn.execute("UPDATE job SET due_seen = available_at", []).unwrap();
        let run = claim_one(&conn, n as i64 + 1).unwrap().run;
        started(&conn, run, 7, 1).unwrap();
        let record = RunRecord { started_at: Some(1), result: Some("r".into()), ..RunRecord::default() };
        settle(&conn, &Settle { job: id, run, end, record, chance: 0.0 }, 3_000).unwrap();
    }
    assert_eq!(job(&conn, id).state, State::Failed);
    assert_ne!(row(&conn, id), new);
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch(
        "INSERT INTO cancel (job_id) VALUES (1); UPDATE job SET expires_at = 1, progress = '{}', failed_starts = 3",
    )
    .unwrap();
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
    retry::retry(&conn, id, false, 9_000).unwrap();
    assert_eq!(row(&conn, id), new);
    assert!(claim_one(&conn, 20).is_some(), "also where a client had left a cancel open");
}
