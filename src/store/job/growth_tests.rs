//! What the worker and the faces ask again and again costs the same however many queues, lanes,
//! jobs, dependencies, labels, resources, schedules and tasks there are. Counted are the steps of
//! SQLite's machine, not time.

use rusqlite::Connection;

use crate::job::{Argv, JobId, Need, NewJob, Nonce, RunId, State};
use crate::store::fixture;
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::flat_tests::steps;
use crate::store::job::ids::Prepared;
use crate::store::job::retry;
use crate::store::job::{control, enqueue, pending, read};
use crate::store::resource::teardown;
use crate::store::schedule::plan;
use crate::store::upkeep::inspect;
use crate::store::upkeep::inspect::Cursor;
use crate::store::upkeep::{due, open_runs, prune, recount};

/// Rows of each kind in a small and in a large file.
const SMALL: i64 = 60;
const LARGE: i64 = 3_000;

type Fill = fn(i64) -> String;
type Verb = fn(&Connection);

/// `n` rows made by one statement.
fn bulk(n: i64, into: &str, values: &str) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) INSERT INTO {into} SELECT {values} FROM n;"
    )
}

/// A file with a few jobs that can start, and what is to make no difference.
fn file(n: i64, fill: Fill) -> Connection {
    let conn = fixture::fresh();
    conn.execute_batch(&format!(
        "UPDATE meta SET value = '2000000000' WHERE key = 'run_id_limit'; BEGIN;
         {} {} COMMIT",
        bulk(10, "job (command, queue, label)", "'[\"x\"]', 'main', 'mine'"),
        fill(n)
    ))
    .unwrap();
    conn
}

const KINDS: [(&str, Fill); 16] = [
    ("queues with something ready", |n| bulk(n, "job (command, queue, priority)", "'[\"x\"]', 'q' || i, -1")),
    ("queues with something ready that are paused", |n| {
        bulk(n, "job (command, queue, priority)", "'[\"x\"]', 'q' || i, 5") + "UPDATE queue SET paused = 1 WHERE name <> 'main';"
    }),
    ("queues with something ready that are full", |n| {
        bulk(n, "job (command, queue, priority)", "'[\"x\"]', 'q' || i, 5") + "UPDATE queue SET slots = 0 WHERE name <> 'main';"
    }),
    ("queues with settings and nothing in them", |n| bulk(n, "queue (name, slots)", "'q' || i, 3")),
    ("queues with nothing at all", |n| bulk(n, "queue (name)", "'q' || i")),
    ("lanes with members waiting", |n| {
        bulk(n, "job (command, queue, lane, priority)", "'[\"x\"]', 'q', 'l' || i, 5")
            + "UPDATE queue SET paused = 1 WHERE name = 'q';"
    }),
    ("members of one lane", |n| bulk(n, "job (command, queue, lane, priority)", "'[\"x\"]', 'main', 'l', -1")),
    ("lanes with nothing in them", |n| bulk(n, "lane (key, max_running)", "'l' || i, 2")),
    ("jobs that are held", |n| bulk(n, "job (command, queue, priority, user_hold)", "'[\"x\"]', 'main', 5, 1")),
    ("jobs that are delayed", |n| bulk(n, "job (command, queue, priority, available_at)", "'[\"x\"]', 'main', 5, 99999999")),
    ("jobs with labels", |n| bulk(n, "job (command, queue, priority, label)", "'[\"x\"]', 'other', -1, 'l' || i")),
    ("jobs that wait for others", |n| {
        bulk(n, "job (command, queue, priority)", "'[\"x\"]', 'other', 5")
            + "INSERT INTO dependency (job_id, on_job) SELECT id, 10 FROM job WHERE id > 10;"
    }),
    ("jobs that ended", |n| {
        bulk(n, "job (command, queue)", "'[\"x\"]', 'other'")
            + "UPDATE job SET state = 'failed', reason = 'expired', finished_at = 3 WHERE id > 10;"
    }),
    ("resources that are held", |n| {
        bulk(1, "job (command, user_hold)", "'[\"x\"]', 1")
            + &bulk(n, "resource (name, job_id, teardown)", "'r' || i, 11, '[\"x\"]'")
    }),
    ("schedules that are not due", |n| {
        bulk(
            n,
            "schedule (name, cron, zone, template, decided_until, next_at, created_at)",
            "'s' || i, '0 3 * * *', 'UTC', '{}', 1, 99999999, 1",
        )
    }),
    ("tasks", |n| {
        "INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 1, '{}', 1);".to_owned()
            + &bulk(1, "job (command, user_hold)", "'[\"x\"]', 1")
            + &bulk(n, "task (pipeline_id, pipeline, stage, created_at)", "1, 'p', 's', 1")
            + "UPDATE task SET job_id = 11;"
    }),
];

fn prepared() -> Vec<Prepared> {
    (0..3).map(|n| Prepared { run: RunId(2_000_000_000 + n), nonce: Nonce([1; 16]) }).collect()
}

fn claim_three(conn: &Connection, scope: &Scope) {
    assert_eq!(claim::claim(conn, scope, &prepared(), "w", "b", 5).unwrap().len(), 3);
}

const VERBS: [(&str, Verb); 17] = [
    ("claim", |conn| claim_three(conn, &Scope::default())),
    ("claim of two queues", |conn| claim_three(conn, &Scope { queues: vec!["main".into(), "none".into()], ..Scope::default() })),
    ("claim of one job", |conn| {
        let scope = Scope { only: Some(JobId(1)), ..Scope::default() };
        assert_eq!(claim::claim(conn, &scope, &prepared(), "w", "b", 5).unwrap().len(), 1);
    }),
    ("has_ready", |conn| assert!(claim::has_ready(conn, &Scope::default()).unwrap())),
    ("has_due", |conn| assert!(!pending::has_due(conn, 5).unwrap())),
    ("waits_for_time", |conn| assert!([true, false].contains(&pending::waits_for_time(conn).unwrap()))),
    ("due", |conn| assert_eq!(due::process(conn, 5, 100).unwrap(), due::Processed::default())),
    ("next_due", |conn| assert!(due::next_due_ms(conn).unwrap() != Some(0))),
    ("plan", |conn| assert!(!plan::is_due(conn, 5).unwrap())),
    ("teardown", |conn| assert!(!teardown::is_due(conn, 5).unwrap())),
    ("open_runs", |conn| assert_eq!(open_runs::open_runs(conn).unwrap().len(), 0)),
    ("open_cancels", |conn| assert_eq!(control::open_cancels(conn).unwrap().len(), 0)),
    ("inspect", |conn| {
        let found = inspect::find(conn, &mut Cursor::default(), 20).unwrap();
        assert!(found.is_nothing(), "{found:?}");
    }),
    ("prune", |conn| drop(prune::find(conn, 9, prune::Cursor::default(), 20).unwrap())),
    ("ls", |conn| {
        let filter = read::Filter { limit: Some(10), ..read::Filter::default() };
        assert_eq!(read::listing(conn, &filter).unwrap().0.len(), 10);
    }),
    ("ls of a queue", |conn| {
        let filter = read::Filter { limit: Some(10), queue: Some("none".into()), ..read::Filter::default() };
        assert_eq!(read::listing(conn, &filter).unwrap().0, []);
    }),
    ("ls of a label", |conn| {
        let filter = read::Filter { limit: Some(10), label: Some("mine".into()), ..read::Filter::default() };
        assert_eq!(read::listing(conn, &filter).unwrap().0.len(), 10);
    }),
];

#[test]
fn no_verb_pays_for_what_it_does_not_touch() {
    let mut wrong = Vec::new();
    for (kind, fill) in KINDS {
        let (small, large) = (file(SMALL, fill), file(LARGE, fill));
        for (name, verb) in VERBS {
            let (few, many) = (steps(&small, verb), steps(&large, verb));
            assert!(few > 3, "{name}: {few} steps; the counter counts nothing");
            // A deeper tree is a few steps more; a cursor over them would be fifty times as many.
            if many > few + few / 4 + 40 {
                wrong.push(format!("{name}: {few} steps with {SMALL} {kind}, {many} with {LARGE}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_claim_clears_cancelled_heads_at_the_same_cost_each() {
    let cancelled = |n| {
        let conn = file(n, |n| {
            bulk(n, "job (command, queue, priority)", "'[\"x\"]', 'q' || i, 5")
                + "INSERT INTO cancel (job_id) SELECT id FROM job WHERE queue <> 'main';"
        });
        steps(&conn, |conn| drop(claim::claim(conn, &Scope::default(), &prepared(), "w", "b", 5).unwrap()))
    };
    let (few, many) = (cancelled(300), cancelled(3_000));
    assert!(many <= few + few / 4, "{few} steps of 300 queues, {many} of 3,000");
}

fn add(conn: &Connection, after: Vec<(JobId, Need)>) -> JobId {
    let job = NewJob { after, ..NewJob::new(Argv::from_strs(&["true"]).unwrap()) };
    enqueue::add(conn, &[job], 1).unwrap()[0].id
}

/// A file in which the last job waits for `n` others.
fn waiting_for(n: i64) -> Connection {
    let conn = fixture::fresh();
    conn.execute_batch(&bulk(n, "job (command)", "'[\"x\"]'")).unwrap();
    add(&conn, (1..=n).map(|id| (JobId(id), Need::Any)).collect());
    conn
}

#[test]
fn adding_n_dependencies_costs_n_times_as_much() {
    let cost = |n| {
        let conn = fixture::fresh();
        conn.execute_batch(&bulk(n, "job (command)", "'[\"x\"]'")).unwrap();
        steps(&conn, |conn| assert!(add(conn, (1..=n).map(|id| (JobId(id), Need::Any)).collect()).0 > n))
    };
    let (few, many) = (cost(250), cost(1_000));
    assert!(many <= few * 5, "{few} steps for 250 dependencies, {many} for 1,000");
}

#[test]
fn the_end_of_a_parent_does_not_count_the_other_parents() {
    let cost = |n| {
        let conn = waiting_for(n);
        let cost = steps(&conn, |conn| drop(control::cancel(conn, JobId(3), None, 5).unwrap()));
        control::cancel(&conn, JobId(3), None, 5).unwrap();
        let unmet: i64 = conn.query_row("SELECT unmet FROM job WHERE id = ?1", [n + 1], |row| row.get(0)).unwrap();
        assert_eq!(unmet, n - 1);
        cost
    };
    let (few, many) = (cost(50), cost(2_000));
    assert!(many <= few + few / 4 + 40, "{few} steps where 50 are waited for, {many} where 2,000 are");
}

#[test]
fn a_count_that_a_client_has_set_starts_nothing_early() {
    for set in ["unmet = 1", "unmet = 7", "unmet = 2, broken = 0"] {
        let conn = waiting_for(3);
        conn.execute(&format!("UPDATE job SET {set} WHERE id = 4"), []).unwrap();
        for (ended, hold) in [(1, Some("dependency")), (2, Some("dependency")), (3, None)] {
            control::cancel(&conn, JobId(ended), None, 5).unwrap();
            let now: Option<String> = conn.query_row("SELECT hold FROM job WHERE id = 4", [], |row| row.get(0)).unwrap();
            assert_eq!(now.as_deref(), hold, "{set}: {ended} have ended");
        }
    }
    for refused in ["unmet = 0", "unmet = -1", "broken = 1"] {
        let conn = waiting_for(3);
        let error = conn.execute(&format!("UPDATE job SET {refused} WHERE id = 4"), []).unwrap_err();
        assert!(error.to_string().contains("change those"), "{refused}: {error}");
    }
}

#[test]
fn old_jobs_that_must_stay_are_passed_over_without_a_write() {
    let conn = file(2_000, |n| {
        bulk(n, "job (command, queue)", "'[\"x\"]', 'other'")
            + "UPDATE job SET state = 'failed', reason = 'expired', finished_at = 3 WHERE queue = 'other';
               INSERT INTO job (command, queue) VALUES ('[\"x\"]', 'waits');
               INSERT INTO dependency (job_id, on_job, need)
                 SELECT 2011, id, 'any' FROM job WHERE queue = 'other';
               INSERT INTO job (command, queue) VALUES ('[\"x\"]', 'goes');
               UPDATE job SET state = 'failed', reason = 'expired', finished_at = 4 WHERE queue = 'goes';"
    });
    let (mut cursor, mut looks) = (prune::Cursor::default(), 0);
    let found = loop {
        looks += 1;
        let found = prune::find(&conn, 9, cursor, 500).unwrap();
        match found.next {
            Some(next) if found.is_nothing() => cursor = next,
            _ => break found,
        }
    };
    assert!(looks == 5 && !found.is_nothing(), "{looks} looks: {found:?}");
    let (pruned, next) = prune::prune_from(&conn, 9, cursor, 500, || true).unwrap();
    assert_eq!((pruned.jobs, next), (1, None));
}

#[test]
fn a_wait_reads_what_has_changed_and_not_what_it_waits_for() {
    let conn = file(3_000, |n| bulk(n, "job (command, queue, user_hold)", "'[\"x\"]', 'other', 1"));
    let seen = read::seen(&conn).unwrap();
    control::cancel(&conn, JobId(5), None, 5).unwrap();
    control::hold(&conn, JobId(7)).unwrap();
    let (told, last) = read::told_of(&conn, seen, 100).unwrap();
    assert!(told.contains(&JobId(5)) && told.contains(&JobId(7)) && told.len() <= 4, "{told:?}");
    assert_eq!(read::told_of(&conn, last, 100).unwrap(), (vec![JobId(5)], last), "an end may be committed late");
    let cost = steps(&conn, |conn| drop(read::told_of(conn, seen, 100).unwrap()));
    assert!(cost < 200, "{cost} steps for a handful of events");
}

#[test]
fn running_jobs_are_listed_first_however_many_are_queued() {
    let conn = file(500, |n| {
        "UPDATE job SET state = 'running', run_id = 5000 + id, started_at = 1 WHERE id IN (2, 4);".to_owned()
            + &bulk(n, "job (command, queue)", "'[\"x\"]', 'other'")
    });
    let listed = |limit, all| {
        let filter = read::Filter { limit: Some(limit), all, ..read::Filter::default() };
        let (jobs, more) = read::listing(&conn, &filter).unwrap();
        (jobs.iter().map(|job| job.id.0).collect::<Vec<_>>(), more)
    };
    for all in [false, true] {
        assert_eq!(listed(5, all), (vec![2, 4, 508, 509, 510], true));
        assert_eq!(listed(1, all), (vec![4], true));
        assert_eq!(listed(2, all), (vec![2, 4], true));
        let (ids, more) = listed(510, all);
        assert_eq!((ids.len(), more, &ids[..4]), (510, false, &[2, 4, 1, 3][..]));
    }
    let (jobs, _) = read::listing(&conn, &read::Filter { states: vec![State::Queued], ..read::Filter::default() }).unwrap();
    assert_eq!((jobs.len(), jobs[0].id), (508, JobId(1)));
}

/// Names of queues and lanes that are in the file.
fn names(conn: &Connection) -> Vec<String> {
    let mut names = conn
        .prepare(
            "SELECT name FROM queue UNION ALL SELECT key FROM lane UNION ALL SELECT DISTINCT 'count of ' || queue FROM tally",
        )
        .unwrap();
    let rows = names.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// As many rounds as it takes, each of two rows of a kind.
fn upkeep(conn: &Connection) {
    let mut cursor = Cursor::default();
    for _ in 0..20 {
        let found = inspect::find(conn, &mut cursor, 2).unwrap();
        assert!(found.is_nothing(), "{found:?}");
        prune::remove_empty(conn, found.empty_queues.iter(), found.empty_lanes.iter()).unwrap();
    }
}

#[test]
fn unused_queues_and_lanes_go_and_come_back() {
    let conn = fixture::fresh();
    conn.execute_batch(
        "INSERT INTO queue (name) VALUES ('empty'); INSERT INTO queue (name, paused) VALUES ('paused', 1);
         INSERT INTO queue (name, slots) VALUES ('limited', 0); INSERT INTO queue (name, max_runtime_ms) VALUES ('timed', 9);
         INSERT INTO lane (key) VALUES ('alone'); INSERT INTO lane (key, max_running) VALUES ('wide', 2);
         INSERT INTO lane (key, max_running, of_array) VALUES ('array', 8, 1);
         INSERT INTO job (command, queue, lane) VALUES ('[\"x\"]', 'live', 'busy'), ('[\"x\"]', 'ended', 'over');
         UPDATE job SET state = 'failed', reason = 'expired', finished_at = 3, lane_pass = 0 WHERE id = 2",
    )
    .unwrap();
    upkeep(&conn);
    let kept = ["ended", "limited", "live", "paused", "timed", "busy", "over", "wide", "count of ended", "count of live"];
    assert_eq!(names(&conn), kept, "a job names it, or it has a setting");
    prune::prune(&conn, 9, 10).unwrap();
    assert_eq!(
        names(&conn),
        ["limited", "live", "paused", "timed", "busy", "wide", "count of live"],
        "they go with the last job"
    );
    // A plain client names them again.
    conn.execute_batch("INSERT INTO job (command, queue, lane) VALUES ('[\"x\"]', 'ended', 'over')").unwrap();
    assert!(names(&conn).contains(&"ended".into()) && names(&conn).contains(&"over".into()));
    let claimed = claim::claim(&conn, &Scope { queues: vec!["ended".into()], ..Scope::default() }, &prepared(), "w", "b", 5);
    assert_eq!(claimed.map(|claims| claims.len()).unwrap_or(9), 1);
}

#[test]
fn a_removed_queue_stays_removed_while_its_jobs_are_kept() {
    for (state, reason, exit) in [("done", "exit", "0"), ("failed", "expired", "NULL"), ("cancelled", "cancelled", "NULL")] {
        let conn = fixture::fresh();
        conn.execute_batch("INSERT INTO job (command, queue) VALUES ('[\"x\"]', 'q'), ('[\"x\"]', 'live')").unwrap();
        if state == "done" {
            let claimed = claim::claim(&conn, &Scope { queues: vec!["q".into()], ..Scope::default() }, &prepared(), "w", "b", 2);
            assert_eq!(claimed.unwrap().len(), 1);
        }
        conn.execute_batch(&format!(
            "UPDATE job SET state = '{state}', reason = '{reason}', exit_code = {exit}, finished_at = 3, lane_pass = 0 WHERE id = 1;
             UPDATE run SET finished_at = 3, outcome = 'done'"
        ))
        .unwrap();
        control::queue_remove(&conn, "q").unwrap();
        upkeep(&conn);
        assert_eq!(names(&conn), ["live", "count of live", "count of q"], "{state}");
        assert!(recount::all(&conn, 5).unwrap().is_nothing(), "{state}");
        prune::prune(&conn, 9, 10).unwrap();
        assert_eq!(names(&conn), ["live", "count of live"], "{state}: its counts go with the last job");
    }
}

#[test]
fn what_is_to_be_pruned_is_found_also_where_no_job_is() {
    let sets = [
        "INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('s', '* * * * *', 'UTC', '{}', 9, 0);
         INSERT INTO occurrence (schedule_id, at, last_at, state, reason, decided_at) VALUES (1, 1, 1, 'skipped', 'missed', 1)",
        "INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 1, '{}', 1), ('p', 2, '{}', 1)",
    ];
    for set in sets {
        let conn = fixture::fresh();
        conn.execute_batch(set).unwrap();
        let is_nothing = |before| prune::find(&conn, before, prune::Cursor::default(), 10).unwrap().is_nothing();
        assert!(is_nothing(1) && !is_nothing(5), "{set}");
        prune::prune(&conn, 5, 10).unwrap();
        assert!(is_nothing(5), "{set}");
    }
}

#[test]
fn a_retry_makes_its_queue_and_its_lane_anew() {
    let conn = fixture::fresh();
    conn.execute_batch(
        "UPDATE meta SET value = '2000000009' WHERE key = 'run_id_limit';
         INSERT INTO job (command, queue, lane) VALUES ('[\"x\"]', 'q', 'l');
         UPDATE job SET state = 'failed', reason = 'expired', finished_at = 3, lane_pass = 0;
         DELETE FROM queue; DELETE FROM lane",
    )
    .unwrap();
    retry::retry(&conn, JobId(1), false, 5).unwrap();
    assert_eq!(claim::claim(&conn, &Scope::default(), &prepared(), "w", "b", 5).unwrap().len(), 1);
}
