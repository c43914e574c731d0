//! From the end of an owner to the release of its resources.

use super::*;
use crate::job::{Argv, Exit, Hold, JobId, NewJob, Nonce, Outcome, Reason, ResourceState, RunEnd};
use crate::store::fixture;
use crate::store::job::auxiliary;
use crate::store::job::auxiliary::Opening;
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::ids::Prepared;
use crate::store::job::settle::{RunRecord, Settle, settle};
use crate::store::job::{control, enqueue, read};
use crate::store::resource;
use crate::store::resource::{NewResource, Owner, Written};
use crate::store::upkeep::{open_runs, prune};

fn job(conn: &Connection) -> JobId {
    let mut new = NewJob::new(Argv::from_strs(&["true"]).unwrap());
    (new.placement.max_attempts, new.policy.backoff_ms) = (5, Some((0, 0)));
    enqueue::add(conn, &[new], 1_000).unwrap()[0].id
}

fn claim_as(conn: &Connection, run: i64) -> Option<JobId> {
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    claim::claim(conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().pop().map(|claim| claim.job.id)
}

fn fail(conn: &Connection, job: JobId, run: i64) {
    let end = RunEnd::Ended { exit: Exit::Code(1), cause: None, out_of_memory: false };
    settle(conn, &Settle { job, run: RunId(run), end, record: RunRecord::default(), chance: 0.0 }, 3_000).unwrap();
}

fn add(conn: &Connection, owner: Owner, name: &str, probe: bool) -> Written {
    let argv = || Argv::from_strs(&["true"]).unwrap();
    let new = NewResource {
        name: name.into(),
        owner,
        teardown: argv(),
        probe: probe.then(argv),
        cwd: "/".into(),
        env: std::collections::BTreeMap::new(),
        timeout_ms: None,
    };
    resource::add(conn, &new).unwrap()
}

fn begin(conn: &Connection, id: ResourceId, step: Step, run: i64) -> bool {
    let prepared = Prepared { run: RunId(run), nonce: Nonce([9; 16]) };
    auxiliary::begin(conn, &Opening::of_resource(id, step), prepared, "w", "b", 4_000).unwrap()
}

fn end(conn: &Connection, run: i64, code: i32, now_ms: i64) -> auxiliary::Ended {
    let closed = Closed {
        outcome: if code == 0 { Outcome::Done } else { Outcome::Failed },
        reason: Some(Reason::Exit),
        exit: Some(Exit::Code(code)),
        error: (code != 0).then(|| format!("exit status {code}")),
        record: RunRecord::default(),
    };
    auxiliary::end(conn, RunId(run), &closed, now_ms).unwrap()
}

fn one(conn: &Connection, id: ResourceId) -> resource::Resource {
    resource::existing(conn, id).unwrap()
}

fn hold(conn: &Connection, job: JobId) -> Option<Hold> {
    read::job(conn, job).unwrap().unwrap().hold
}

#[test]
fn the_end_of_a_run_holds_its_job_until_the_resource_is_gone() {
    let conn = fixture::fresh();
    let job = job(&conn);
    assert_eq!(claim_as(&conn, 1), Some(job));
    let made = add(&conn, Owner::Run(RunId(1)), "vm", false);
    assert_eq!((made.state, made.replaced), (ResourceState::Held, false));
    assert_eq!(due(&conn, i64::MAX, 100).unwrap(), []);
    fail(&conn, job, 1);
    assert_eq!(hold(&conn, job), Some(Hold::Resource));
    assert_eq!(claim_as(&conn, 2), None);
    assert_eq!(due(&conn, 3_000, 100).unwrap(), [Due { id: made.id, has_failed: false }]);
    assert!(begin(&conn, made.id, Step::Teardown, 3));
    assert_eq!(open_runs::open_auxiliaries(&conn).unwrap()[0].resource, Some(made.id));
    let done = end(&conn, 3, 0, 5_000);
    assert_eq!(done.after, Some(After::Gone(ReleasedBy::Teardown)));
    assert_eq!(one(&conn, made.id).state, ResourceState::Released);
    assert_ne!(hold(&conn, job), Some(Hold::Resource));
    assert!(!end(&conn, 3, 0, 6_000).was_open, "it counts once");
}

#[test]
fn one_auxiliary_run_at_a_time() {
    let conn = fixture::fresh();
    let job = job(&conn);
    let made = add(&conn, Owner::Job(job), "vm", true);
    assert!(!begin(&conn, made.id, Step::Probe, 1), "its owner lives");
    control::cancel(&conn, job, None, 2_000).unwrap();
    assert!(!begin(&conn, made.id, Step::Confirm, 2), "no step has said that it is gone");
    assert!(begin(&conn, made.id, Step::Probe, 3));
    assert!(!begin(&conn, made.id, Step::Probe, 4) && !begin(&conn, made.id, Step::Teardown, 5));
    assert_eq!(due(&conn, i64::MAX, 100).unwrap(), []);
    assert_eq!(end(&conn, 3, 0, 5_000).after, Some(After::Next(Step::Teardown)));
    assert!(begin(&conn, made.id, Step::Teardown, 6));
    assert_eq!(end(&conn, 6, 0, 6_000).after, Some(After::Next(Step::Confirm)));
    assert!(one(&conn, made.id).was_torn_down, "a worker that comes now asks the probe, and tears nothing down");
    assert!(!begin(&conn, made.id, Step::Teardown, 7));
    assert!(begin(&conn, made.id, Step::Confirm, 8));
    assert!(matches!(end(&conn, 8, 0, 7_000).after, Some(After::Failed(why)) if why.contains("still there")));
    let failed = one(&conn, made.id);
    assert_eq!((failed.attempts, failed.next_at, failed.was_torn_down, failed.auxiliary), (1, 8_000, false, None));
    assert_eq!(due(&conn, 7_999, 100).unwrap(), []);
    assert!(!begin(&conn, made.id, Step::Probe, 9), "it is in its wait");
    assert_eq!(due(&conn, 8_000, 100).unwrap(), [Due { id: made.id, has_failed: true }]);
    assert_eq!((next_due_ms(&conn, 7_000).unwrap(), next_due_ms(&conn, 8_000).unwrap()), (Some(8_000), None));
}

#[test]
fn a_wrong_clock_delays_no_teardown_without_end() {
    let conn = fixture::fresh();
    let job = job(&conn);
    control::cancel(&conn, job, None, 2_000).unwrap();
    for n in 0..150 {
        add(&conn, Owner::Job(job), &format!("x{n}"), false);
    }
    assert_eq!(due(&conn, 1, 100).unwrap().len(), 100);
    conn.execute("UPDATE resource SET next_at = 1000000000000", []).unwrap();
    assert_eq!(due(&conn, 5_000, 200).unwrap().len(), 150, "no wait is that long");
    conn.execute("UPDATE resource SET next_at = 6000", []).unwrap();
    assert_eq!(due(&conn, 5_000, 200).unwrap().len(), 0);
}

#[test]
fn a_resource_recorded_again_is_not_closed_by_the_old_run() {
    let conn = fixture::fresh();
    let job = job(&conn);
    control::cancel(&conn, job, None, 2_000).unwrap();
    let (given_up, again) = (add(&conn, Owner::Job(job), "a", false).id, add(&conn, Owner::Job(job), "b", false).id);
    assert!(begin(&conn, given_up, Step::Teardown, 1) && begin(&conn, again, Step::Teardown, 2));
    resource::give_up(&conn, given_up, 4_500).unwrap();
    assert_eq!(end(&conn, 1, 1, 5_000).after, None);
    assert_eq!(one(&conn, given_up).released_by, Some(ReleasedBy::Force));
    let written = add(&conn, Owner::Job(job), "b", true);
    assert_eq!((written.id, written.replaced, written.state), (again, true, ResourceState::Releasing));
    assert!(!begin(&conn, again, Step::Probe, 3), "still one at a time");
    assert_eq!(end(&conn, 2, 0, 5_000).after, Some(After::Next(Step::Probe)), "it spoke of the earlier thing");
    assert_eq!(one(&conn, again).state, ResourceState::Releasing);
    assert!(add(&conn, Owner::Job(job), "a", false).id > again, "what is gone may be made again, as another");
}

#[test]
fn closing_an_auxiliary_run_frees_its_resource() {
    let conn = fixture::fresh();
    let job = job(&conn);
    control::cancel(&conn, job, None, 2_000).unwrap();
    let id = add(&conn, Owner::Job(job), "a", false).id;
    assert!(begin(&conn, id, Step::Teardown, 1));
    conn.execute("UPDATE run SET finished_at = 1, outcome = 'lost' WHERE id = 1", []).unwrap();
    assert_eq!(one(&conn, id).auxiliary, None);
    assert_eq!(end(&conn, 1, 0, 5_000), auxiliary::Ended::default());
    assert_eq!(one(&conn, id).state, ResourceState::Releasing);
}

#[test]
fn a_healthy_file_has_nothing_to_repair() {
    let conn = fixture::fresh();
    let job = job(&conn);
    claim_as(&conn, 1);
    add(&conn, Owner::Run(RunId(1)), "a", false);
    add(&conn, Owner::Job(job), "b", false);
    assert!(crate::store::upkeep::recount::all(&conn, 5).unwrap().is_nothing());
    fail(&conn, job, 1);
    assert!(crate::store::upkeep::recount::all(&conn, 5).unwrap().is_nothing());
}

/// Two resources block the job; a client without guards removes what belongs to one of them.
#[test]
fn a_job_that_counts_too_many_resources_is_corrected() {
    let conn = fixture::fresh();
    let job = job(&conn);
    let counts = || conn.query_row("SELECT unreleased FROM job", [], |row| row.get::<_, i64>(0)).unwrap();
    claim_as(&conn, 1);
    add(&conn, Owner::Run(RunId(1)), "a", false);
    add(&conn, Owner::Job(job), "b", false);
    fail(&conn, job, 1);
    conn.execute_batch("UPDATE resource SET state = 'releasing' WHERE name = 'b'").unwrap();
    assert_eq!(counts(), 2);
    conn.execute_batch("DROP TRIGGER run_delete_guard; DELETE FROM run WHERE id = 1").unwrap();
    assert!(!crate::store::upkeep::recount::all(&conn, 5).unwrap().is_nothing());
    assert_eq!(counts(), 1, "the other one is still there");
}

#[test]
fn a_forced_resource_is_kept_until_its_run_has_ended() {
    let conn = fixture::fresh();
    let job = job(&conn);
    assert_eq!(claim_as(&conn, 1), Some(job));
    let of_run = add(&conn, Owner::Run(RunId(1)), "vm", false).id;
    let of_job = add(&conn, Owner::Job(job), "disk", false).id;
    let end_of_job = RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false };
    settle(&conn, &Settle { job, run: RunId(1), end: end_of_job, record: RunRecord::default(), chance: 0.0 }, 3_000).unwrap();
    for (id, run) in [(of_run, 2), (of_job, 3)] {
        assert!(begin(&conn, id, Step::Teardown, run));
        resource::give_up(&conn, id, 5_000).unwrap();
    }
    // The job is pruned, but not the rows that its auxiliary runs need.
    let pruned = prune::prune(&conn, 9_000, 10).unwrap();
    assert_eq!((pruned.jobs, pruned.resources, pruned.runs), (1, 0, vec![RunId(1)]));
    assert!(resource::one(&conn, of_run).unwrap().is_some() && resource::one(&conn, of_job).unwrap().is_some());
    for run in [2, 3] {
        assert!(end(&conn, run, 0, 6_000).was_open);
    }
    let pruned = prune::prune(&conn, 9_000, 10).unwrap();
    assert_eq!((pruned.resources, pruned.runs), (2, vec![RunId(2), RunId(3)]));
}

/// A clock that was hours ahead delayed the next attempt. With the correct clock it is due, and a
/// wait that the correct clock has set is not.
#[test]
fn a_wrong_clock_puts_no_teardown_far_ahead() {
    let conn = fixture::fresh();
    let job = job(&conn);
    let made = add(&conn, Owner::Job(job), "vm", false);
    control::cancel(&conn, job, None, 1_000).unwrap();
    let most = i64::try_from(CHORE_BACKOFF_MOST_MS).unwrap();
    for (next_at, is_due) in [(4_000, true), (4_001, false), (4_000 + most, false), (4_001 + most, true), (i64::MAX, true)] {
        conn.execute("UPDATE resource SET next_at = ?2 WHERE id = ?1", (made.id.0, next_at)).unwrap();
        assert_eq!(super::is_due(&conn, 4_000).unwrap(), is_due, "{next_at}");
        conn.execute_batch("SAVEPOINT try").unwrap();
        assert_eq!(begin(&conn, made.id, Step::Teardown, 9), is_due, "{next_at}");
        conn.execute_batch("ROLLBACK TO try; RELEASE try").unwrap();
    }
}

#[test]
fn an_owner_that_ends_in_any_way_has_its_resources_torn_down() {
    let ends = [
        ("run", "UPDATE run SET finished_at = 9, outcome = 'done' WHERE id = 1"),
        ("run", "UPDATE run SET finished_at = 9, outcome = 'lost', reason = 'lost' WHERE id = 1"),
        ("job", "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 9 WHERE id = 1"),
        ("job", "UPDATE job SET state = 'failed', reason = 'lost', finished_at = 9 WHERE id = 1"),
        ("job", "UPDATE job SET state = 'cancelled', reason = 'cancelled', finished_at = 9 WHERE id = 1"),
        ("task", "UPDATE task SET state = 'done', finished_at = 9"),
        ("task", "UPDATE task SET state = 'failed', finished_at = 9"),
        ("task", "UPDATE task SET state = 'cancelled', finished_at = 9"),
        ("task", "UPDATE task SET stop_at = 8; UPDATE task SET state = 'cancelled', finished_at = 9"),
    ];
    for (owner, end) in ends {
        let conn = fixture::fresh();
        conn.execute_batch(
            "INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 1, '{}', 1);
             INSERT INTO task (pipeline_id, pipeline, stage, created_at) VALUES (1, 'p', 's', 1)",
        )
        .unwrap();
        job(&conn);
        claim_as(&conn, 1).unwrap();
        let held = [("run", Owner::Run(RunId(1))), ("job", Owner::Job(JobId(1))), ("task", Owner::Task(1))]
            .map(|(kind, owner)| (kind, add(&conn, owner, "vm", false).id));
        conn.execute_batch(end).unwrap();
        for (kind, id) in held {
            let expected = if kind == owner { ResourceState::Releasing } else { ResourceState::Held };
            assert_eq!(one(&conn, id).state, expected, "of the {kind}, after {end}");
        }
    }
}
