//! What a person asks for, and what they are told. The orders in which things may happen are the
//! model's part (tests/model).

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::limits::ADDED_AT_ONCE_MAX;
use crate::job::{Argv, Exit, Hold, JobId, Need, NewJob, Nonce, Reason, RunEnd, RunId, State};
use crate::store::fixture;
use crate::store::job::claim;
use crate::store::job::claim::{Claim, Scope};
use crate::store::job::control;
use crate::store::job::control::{Cancelled, Change};
use crate::store::job::ids::Prepared;
use crate::store::job::retry;
use crate::store::job::rows::Job;
use crate::store::job::settle;
use crate::store::job::settle::{RunRecord, Settle, Settled};
use crate::store::job::{enqueue, read};
use crate::store::upkeep::due::Processed;
use crate::store::upkeep::{due, prune};

pub(super) fn new(change: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut job = NewJob::new(Argv::from_strs(&["true"]).unwrap());
    change(&mut job);
    job
}

fn try_add(conn: &Connection, change: impl FnOnce(&mut NewJob)) -> Result<Vec<enqueue::Added>> {
    enqueue::add(conn, &[new(change)], 1_000)
}

pub(super) fn add(conn: &Connection, change: impl FnOnce(&mut NewJob)) -> JobId {
    try_add(conn, change).unwrap()[0].id
}

pub(super) fn claim_one(conn: &Connection, run: i64) -> Claim {
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    claim::claim(conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().pop().unwrap()
}

pub(super) fn exit(conn: &Connection, claim: &Claim, code: i32) -> Settled {
    let end = RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false };
    let s = Settle { job: claim.job.id, run: claim.run, end, record: RunRecord::default(), chance: 0.0 };
    settle::settle(conn, &s, 3_000).unwrap()
}

pub(super) fn job(conn: &Connection, id: JobId) -> Job {
    read::job(conn, id).unwrap().unwrap()
}

fn refusal<T: std::fmt::Debug>(answer: Result<T>) -> String {
    match answer {
        Err(Error::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_was_asked_for_is_what_is_stored() {
    let conn = fixture::fresh();
    let full = new(|j| {
        j.command = Argv::new(vec![b"x".to_vec(), vec![0xff]]).unwrap();
        (j.placement.queue, j.placement.lane, j.placement.priority, j.placement.label, j.placement.cwd) =
            ("q".into(), Some("l".into()), -3, Some("lb".into()), "/tmp".into());
        (j.available_at, j.expires_at, j.placement.max_attempts, j.array_index) = (50, Some(60), 7, Some(4));
        (j.placement.unique_key, j.placement.user_hold) = (Some("u".into()), true);
        j.placement.env.insert("A".into(), "b".into());
        j.policy.timeout_ms = Some(9);
    });
    let id = enqueue::add(&conn, std::slice::from_ref(&full), 1_000).unwrap()[0].id;
    let stored = job(&conn, id);
    assert_eq!((stored.argv().unwrap(), stored.policy().unwrap()), (full.command.clone(), full.policy.clone()));
    assert_eq!(
        (stored.queue, stored.lane, stored.priority, stored.label),
        (full.placement.queue, full.placement.lane, -3, full.placement.label)
    );
    assert_eq!((stored.cwd, stored.available_at, stored.expires_at, stored.max_attempts), (full.placement.cwd, 50, Some(60), 7));
    assert_eq!(
        (stored.array_index, stored.unique_key, stored.user_hold, stored.created_at),
        (Some(4), full.placement.unique_key, true, 1_000)
    );
    assert_eq!((stored.env.as_str(), stored.hold), (r#"{"A":"b"}"#, Some(Hold::User)));
}

#[test]
fn invalid_arguments_are_refused_in_words() {
    let conn = fixture::fresh();
    type Wrong = Box<dyn FnOnce(&mut NewJob)>;
    let wrong: Vec<Wrong> = vec![
        Box::new(|j| j.placement.queue = String::new()),
        Box::new(|j| j.placement.lane = Some(String::new())),
        Box::new(|j| j.placement.queue = "x".repeat(201)),
        Box::new(|j| j.placement.label = Some("x".repeat(1_001))),
        Box::new(|j| j.placement.unique_key = Some("x".repeat(1_001))),
        Box::new(|j| j.placement.max_attempts = 0),
        Box::new(|j| j.placement.max_attempts = 1_000_001),
        Box::new(|j| j.available_at = -1),
        Box::new(|j| j.policy.timeout_ms = Some(0)),
        Box::new(|j| drop(j.placement.env.insert("A=B".into(), "x".into()))),
        Box::new(|j| drop(j.placement.env.insert("A".into(), "\0".into()))),
    ];
    for change in wrong {
        assert!(matches!(try_add(&conn, change), Err(Error::Invalid(_))));
    }
    assert!(matches!(try_add(&conn, |j| j.after = vec![(JobId(9), Need::Done)]), Err(Error::NotFound(_))));
    let many = vec![new(|_| ()); ADDED_AT_ONCE_MAX + 1];
    assert!(matches!(enqueue::add(&conn, &many, 1), Err(Error::Invalid(_))));
    // 200 characters are 200 characters, however many bytes they have.
    add(&conn, |j| j.placement.queue = "ü".repeat(200));
}

#[test]
fn a_batch_keeps_its_order_whatever_its_jobs_need() {
    let conn = fixture::fresh();
    let parent = add(&conn, |_| ());
    let job = |n: i64| {
        new(|j| {
            (j.placement.label, j.placement.priority) = (Some(format!("l{n}")), n);
            j.placement.unique_key = (n == 14).then(|| "key".into());
            j.after = if n == 30 { vec![(parent, Need::Any)] } else { vec![] };
        })
    };
    let added = enqueue::add(&conn, &(2..60).map(job).collect::<Vec<_>>(), 1_000).unwrap();
    assert!(added.iter().map(|added| added.id.0).eq(2..60));
    let wrong = "SELECT count(*) FROM job WHERE id > 1 AND (label <> 'l' || id OR priority <> id OR created_at <> 1000)";
    assert_eq!(conn.query_row(wrong, [], |row| row.get(0)), Ok(0));
    // One that the guards refuse undoes those that one statement inserts with it.
    let mut some = vec![new(|_| ()); 12];
    some[7].task = Some(9);
    assert!(enqueue::add(&conn, &some, 1_000).is_err());
    assert_eq!(conn.query_row("SELECT max(id) FROM job", [], |row| row.get(0)), Ok(59));
}

#[test]
fn a_live_job_with_the_key_is_returned_or_replaced() {
    let conn = fixture::fresh();
    let keyed = |j: &mut NewJob| j.placement.unique_key = Some("k".into());
    let replacing = |j: &mut NewJob| (j.placement.unique_key, j.placement.replace) = (Some("k".into()), true);
    let first = add(&conn, keyed);
    let again = try_add(&conn, keyed).unwrap().remove(0);
    assert_eq!((again.id, again.existing), (first, true));
    let second = try_add(&conn, replacing).unwrap().remove(0);
    assert_eq!((second.existing, second.replaced), (false, Some(first)));
    assert_eq!(job(&conn, first).state, State::Cancelled);
    let claim = claim_one(&conn, 1);
    let third = try_add(&conn, replacing).unwrap().remove(0);
    assert_eq!(third.replaced, Some(second.id));
    assert_eq!(control::open_cancels(&conn).unwrap(), [(second.id, Some(RunId(1)))]);
    assert!(read::events(&conn, second.id).unwrap().iter().any(|e| e.kind == "replaced"));
    exit(&conn, &claim, 1);
    assert_eq!(job(&conn, second.id).state, State::Failed, "it ended by itself before the cancel reached it");
    exit(&conn, &claim_one(&conn, 2), 0);
    assert!(!try_add(&conn, keyed).unwrap()[0].existing, "the key is free when its job has ended");
    assert!(refusal(retry::retry(&conn, first, false, 5)).contains("unique key"));
}

#[test]
fn a_child_of_a_failed_job_is_added_and_ends_at_once() {
    let conn = fixture::fresh();
    let parent = add(&conn, |_| ());
    exit(&conn, &claim_one(&conn, 1), 1);
    let child = add(&conn, |j| j.after = vec![(parent, Need::Done), (parent, Need::Done)]);
    assert_eq!((job(&conn, child).state, job(&conn, child).reason), (State::Failed, Some(Reason::Dependency)));
    assert_eq!(job(&conn, child).error.unwrap(), "job 1 ended as failed (exit), and this one waits for it to be done");
    let other = add(&conn, |j| j.after = vec![(parent, Need::Failed)]);
    assert_eq!(job(&conn, other).hold, None);
}

#[test]
fn a_refusal_says_what_to_do() {
    let conn = fixture::fresh();
    let (done, queued) = (add(&conn, |_| ()), add(&conn, |_| ()));
    exit(&conn, &claim_one(&conn, 1), 0);
    assert!(refusal(retry::retry(&conn, done, false, 5)).contains("tenure add"));
    assert!(refusal(retry::retry(&conn, queued, false, 5)).contains("tenure why 2"));
    assert!(
        refusal(control::hold(&conn, done)).contains("(done), only a queued job can be held; to run it once more, add it again")
    );
    claim_one(&conn, 2);
    assert!(refusal(retry::retry(&conn, queued, false, 5)).contains("tenure cancel 2"));
    assert!(refusal(control::release(&conn, queued)).contains("tenure cancel 2"));
    assert!(refusal(control::set(&conn, queued, &Change::default(), 5)).contains("running"));
    for missing in [control::hold(&conn, JobId(9)).map(drop), retry::retry(&conn, JobId(9), false, 5).map(|_| ())] {
        assert!(matches!(missing, Err(Error::NotFound(_))));
    }
    assert_eq!(control::cancel(&conn, done, None, 5).unwrap(), Cancelled::AlreadyEnded);
}

#[test]
fn a_set_changes_what_it_names_and_nothing_else() {
    let conn = fixture::fresh();
    let id = add(&conn, |j| (j.placement.priority, j.placement.label) = (4, Some("x".into())));
    let before = job(&conn, id);
    control::set(&conn, id, &Change::default(), 5).unwrap();
    assert_eq!(job(&conn, id), before);
    let change = Change { queue: Some("new".into()), label: Some(None), timeout_ms: Some(Some(7)), ..Change::default() };
    control::set(&conn, id, &change, 5).unwrap();
    let after = job(&conn, id);
    assert_eq!((after.queue.as_str(), after.label.as_deref(), after.priority), ("new", None, 4));
    assert_eq!(after.policy().unwrap().timeout_ms, Some(7));
    assert!(read::queues(&conn).unwrap().iter().any(|q| q.name == "new" && q.ready == 1));
    let wrong = Change { timeout_ms: Some(Some(0)), ..Change::default() };
    assert!(matches!(control::set(&conn, id, &wrong, 5), Err(Error::Invalid(_))));
}

#[test]
fn a_job_cancelled_by_plain_sql_or_expired_never_starts() {
    let conn = fixture::fresh();
    let cancelled = add(&conn, |j| j.placement.priority = 2);
    let expired = add(&conn, |j| (j.placement.priority, j.expires_at) = (1, Some(1_999)));
    let fine = add(&conn, |_| ());
    conn.execute("INSERT INTO cancel (job_id, why) VALUES (1, 'no')", []).unwrap();
    assert_eq!(job(&conn, cancelled).shown_state(), State::Cancelled);
    assert_eq!(claim_one(&conn, 1).job.id, fine);
    assert_eq!(job(&conn, cancelled).error.unwrap(), "cancelled while it waited: no");
    assert_eq!(job(&conn, expired).reason, Some(Reason::Expired));
    assert_eq!(retry::retry(&conn, expired, false, 5).unwrap(), [expired]);
    assert_eq!(claim_one(&conn, 2).job.id, expired, "a retry takes the time away that has passed");
}

#[test]
fn a_retried_attempt_does_not_expire_and_a_round_has_a_limit() {
    let conn = fixture::fresh();
    let id = add(&conn, |j| (j.expires_at, j.placement.max_attempts) = (Some(2_500), 2));
    exit(&conn, &claim_one(&conn, 1), 1);
    assert_eq!(due::process(&conn, 3_000, 10).unwrap(), Processed::default());
    assert_eq!(job(&conn, id).state, State::Queued);
    for _ in 0..5 {
        add(&conn, |j| j.expires_at = Some(2_000));
    }
    let first = due::process(&conn, 3_000, 3).unwrap();
    assert_eq!((first.ended.len(), first.more), (3, true));
    let second = due::process(&conn, 3_000, 3).unwrap();
    assert_eq!((second.ended.len(), second.more), (2, false));
}

#[test]
fn a_clock_that_was_wrong_for_a_moment_skips_no_wait() {
    let conn = fixture::fresh();
    let id = add(&conn, |j| (j.available_at, j.placement.max_attempts) = (5_000, 2));
    assert_eq!(due::process(&conn, 900_000_000, 10).unwrap().released, 1);
    exit(&conn, &claim_one(&conn, 1), 1);
    assert_eq!(job(&conn, id).hold, Some(Hold::Time), "the clock is right again, and the backoff holds");
}

#[test]
fn lists_are_of_what_was_asked_for_newest_last() {
    let conn = fixture::fresh();
    let ids: Vec<JobId> = (0..6)
        .map(|n| add(&conn, |j| (j.placement.label, j.placement.queue) = (Some(format!("l{}", n % 2)), format!("q{}", n % 3))))
        .collect();
    exit(&conn, &claim_one(&conn, 1), 0);
    exit(&conn, &claim_one(&conn, 2), 1);
    claim_one(&conn, 3);
    let list = |filter: read::Filter| read::jobs(&conn, &filter).unwrap().into_iter().map(|job| job.id.0).collect::<Vec<_>>();
    let none = read::Filter::default;
    assert_eq!(list(none()), [3, 4, 5, 6]);
    assert_eq!(list(read::Filter { all: true, ..none() }), [1, 2, 3, 4, 5, 6]);
    assert_eq!(list(read::Filter { limit: Some(2), all: true, ..none() }), [5, 6]);
    assert_eq!(list(read::Filter { states: vec![State::Failed, State::Done], ..none() }), [1, 2]);
    assert_eq!(list(read::Filter { ids: vec![2..=3, 6..=9], ..none() }), [2, 3, 6]);
    assert_eq!(list(read::Filter { label: Some("l0".into()), queue: Some("q2".into()), ..none() }), [3]);
    assert_eq!(read::last_job(&conn).unwrap(), ids.last().copied());
    let counts = read::counts(&conn).unwrap();
    assert_eq!((counts.queued, counts.running, counts.done, counts.failed), (3, 1, 1, 1));
    assert_eq!(read::oldest_ready_ms(&conn).unwrap(), Some(1_000));
    assert_eq!(read::oldest_ready_ms(&fixture::fresh()).unwrap(), None);
}

#[test]
fn history_that_is_needed_stays() {
    let conn = fixture::fresh();
    let parent = add(&conn, |_| ());
    exit(&conn, &claim_one(&conn, 1), 1);
    let failed = add(&conn, |j| j.after = vec![(parent, Need::Done)]);
    let waiting = add(&conn, |j| (j.after, j.placement.user_hold) = (vec![(parent, Need::Any)], true));
    assert_eq!(prune::prune(&conn, 9_000, 10).unwrap().jobs, 1, "only the child that failed: the other one is still needed");
    assert_eq!(read::job(&conn, failed).unwrap(), None);
    let again = enqueue::add(&conn, &[new(|j| j.after = vec![(parent, Need::Done)])], 8_000).unwrap()[0].id;
    control::cancel(&conn, waiting, None, 5_000).unwrap();
    assert_eq!(prune::prune(&conn, 4_000, 10).unwrap().runs, [RunId(1)]);
    assert!(refusal(retry::retry(&conn, again, true, 5)).contains("pruned"));
}

#[test]
fn settings_of_queues_and_lanes_are_kept_and_checked() {
    let conn = fixture::fresh();
    let none = control::QueueSettings::default();
    control::queue_set(
        &conn,
        "q",
        &control::QueueSettings { slots: Some(Some(3)), max_runtime_ms: Some(Some(500)), ..none.clone() },
    )
    .unwrap();
    control::queue_set(&conn, "q", &control::QueueSettings { max_runtime_ms: Some(None), ..none.clone() }).unwrap();
    let queue = read::queues(&conn).unwrap().remove(0);
    assert_eq!((queue.slots, queue.max_runtime_ms, queue.paused), (Some(3), None, false));
    control::lane_set(&conn, "l", 4).unwrap();
    assert_eq!(read::lanes(&conn).unwrap()[0].max_running, 4);
    for wrong in [
        control::lane_set(&conn, "l", 0),
        control::lane_set(&conn, "", 1),
        control::queue_set(&conn, "q", &control::QueueSettings { slots: Some(Some(-1)), ..none.clone() }),
        control::queue_set(&conn, "q", &control::QueueSettings { max_runtime_ms: Some(Some(0)), ..none.clone() }),
        control::queue_pause(&conn, "", true),
    ] {
        assert!(matches!(wrong, Err(Error::Invalid(_))));
    }
}

#[test]
fn progress_is_of_the_run_that_owns_the_job() {
    let conn = fixture::fresh();
    let id = add(&conn, |_| ());
    let claim = claim_one(&conn, 1);
    assert!(control::progress(&conn, id, RunId(1), Some(40.0), Some("half"), 7).unwrap());
    assert!(!control::progress(&conn, id, RunId(2), Some(50.0), None, 8).unwrap());
    exit(&conn, &claim, 0);
    assert_eq!(job(&conn, id).progress.unwrap(), r#"{"percent":40.0,"text":"half","at":7}"#);
    assert!(!control::progress(&conn, id, RunId(1), Some(50.0), None, 8).unwrap());
}

#[test]
fn five_failed_starts_end_as_spawn_and_use_no_attempt() {
    let conn = fixture::fresh();
    let id = add(&conn, |_| ());
    for run in 1..=5 {
        let claim = claim_one(&conn, run);
        let s = Settle { job: id, run: claim.run, end: RunEnd::NeverStarted, record: RunRecord::default(), chance: 0.0 };
        assert!(matches!(settle::settle(&conn, &s, 3_000).unwrap(), Settled::Won { .. }));
    }
    let ended = job(&conn, id);
    assert_eq!((ended.state, ended.reason, ended.attempts), (State::Failed, Some(Reason::Spawn), 0));
    assert!(ended.error.unwrap().contains("5 times"));
}

#[test]
fn a_child_of_a_failed_parent_waits_again_after_its_retry() {
    let conn = fixture::fresh();
    let parent = add(&conn, |_| ());
    exit(&conn, &claim_one(&conn, 1), 1);
    let child = add(&conn, |_| ());
    conn.execute("INSERT INTO dependency (job_id, on_job) VALUES (?1, ?2)", (child.0, parent.0)).unwrap();
    assert_eq!(job(&conn, child).broken, 1);
    assert_eq!(retry::retry(&conn, parent, false, 5).unwrap(), [parent]);
    assert_eq!((job(&conn, child).unmet, job(&conn, child).broken), (1, 0));
    assert_eq!(due::process(&conn, 5, 10).unwrap(), Processed::default());
    exit(&conn, &claim_one(&conn, 2), 0);
    assert_eq!(claim_one(&conn, 3).job.id, child);
}

#[test]
fn the_lane_of_an_array_goes_with_its_last_job() {
    let conn = fixture::fresh();
    let array: Vec<NewJob> = (0..3)
        .map(|i| new(|j| (j.placement.lane, j.lane_limit, j.array_index) = (Some("array-x".into()), Some(2), Some(i))))
        .collect();
    let ids: Vec<JobId> = enqueue::add(&conn, &array, 1_000).unwrap().iter().map(|added| added.id).collect();
    let limits = || read::lanes(&conn).unwrap().iter().map(|lane| lane.max_running).collect::<Vec<_>>();
    assert_eq!(limits(), [2]);
    let (one, two) = (claim_one(&conn, 1), claim_one(&conn, 2));
    let prepared = [Prepared { run: RunId(3), nonce: Nonce([3; 16]) }];
    assert_eq!(claim::claim(&conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().len(), 0, "two at once");
    exit(&conn, &one, 0);
    exit(&conn, &two, 0);
    prune::prune(&conn, 9_000, 10).unwrap();
    assert_eq!(limits(), [2], "one is still there");
    control::cancel(&conn, ids[2], None, 4_000).unwrap();
    prune::prune(&conn, 9_000, 10).unwrap();
    assert_eq!(limits(), [0i64; 0]);
    let wrong = try_add(&conn, |j| (j.placement.lane, j.lane_limit) = (Some("l".into()), Some(0)));
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
}
