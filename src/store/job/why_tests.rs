//! What `tenure why` says about a job that waits, and about one that waited.

use super::verbs_tests::{add, claim_one, exit};
use crate::job::{JobId, Need, State};
use crate::store::fixture;
use crate::store::job::control;
use crate::store::job::suspension::Holder;
use crate::store::job::why::{Keeper, Obstacle};
use crate::store::job::{read, suspend, why};

#[test]
fn why_says_everything_that_stands_in_the_way() {
    let conn = fixture::fresh();
    let parent = add(&conn, |j| j.placement.lane = Some("l".into()));
    claim_one(&conn, 1);
    let ahead = add(&conn, |j| j.placement.queue = "q".into());
    let id = add(&conn, |j| {
        (j.placement.queue, j.placement.lane, j.placement.user_hold) = ("q".into(), Some("l".into()), true);
        (j.available_at, j.expires_at, j.after) = (5_000, Some(9_000), vec![(parent, Need::Done)]);
    });
    control::queue_pause(&conn, "q", true).unwrap();
    control::queue_set(&conn, "q", &control::QueueSettings { slots: Some(Some(0)), ..control::QueueSettings::default() })
        .unwrap();
    conn.execute("INSERT INTO cancel (job_id, why) VALUES (?1, 'w')", [id.0]).unwrap();
    let facts = why::why(&conn, id, 4_000).unwrap();
    let dependency = read::dependencies(&conn, id).unwrap().remove(0);
    assert_eq!(dependency.parent_state, Some(State::Running));
    let queue = || "q".to_owned();
    assert_eq!(
        facts.obstacles,
        [
            Obstacle::Cancelled { why: Some("w".into()) },
            Obstacle::UserHold,
            Obstacle::Dependency { on: dependency, back: None },
            Obstacle::Time { available_at: 5_000, due: false },
            Obstacle::Lane {
                key: "l".into(),
                max_running: 1,
                running: 1,
                members: vec![Holder { job: parent, is_suspended: false }]
            },
            Obstacle::QueuePaused { queue: queue(), by: None },
            Obstacle::QueueFull { queue: queue(), slots: 0, running: 0, wants: 1 },
            Obstacle::Behind { queue: queue(), ahead: 1, more: false },
            Obstacle::Expires { at: 9_000 },
        ]
    );
    let later = why::why(&conn, id, 6_000).unwrap().obstacles;
    assert_eq!(later, [&facts.obstacles[..3], &facts.obstacles[4..]].concat(), "its time has come, and the rest holds it");
    let free = add(&conn, |_| ());
    assert_eq!(why::why(&conn, free, 6_000).unwrap().obstacles, []);
    assert_eq!(why::why(&conn, ahead, 6_000).unwrap().last, None);
}

#[test]
fn why_says_what_the_rules_said_about_another_attempt() {
    let conn = fixture::fresh();
    let id = add(&conn, |j| j.placement.max_attempts = 2);
    exit(&conn, &claim_one(&conn, 1), 64);
    let last = why::why(&conn, id, 5).unwrap().last.unwrap();
    assert_eq!((last.kind_is_retried, last.attempts, last.max_attempts), (false, 1, 2));
    assert_eq!(last.run.unwrap().exit_code, Some(64));
}

#[test]
fn the_way_back_names_a_job_however_many_are_in_the_way() {
    let conn = fixture::fresh();
    let parents: Vec<JobId> = (0..30).map(|_| add(&conn, |job| job.placement.queue = "parents".into())).collect();
    let child = add(&conn, |job| job.after = parents.iter().map(|id| (*id, Need::Done)).collect());
    for id in &parents {
        control::cancel(&conn, *id, None, 2_000).unwrap();
    }
    let job = read::job(&conn, child).unwrap().unwrap();
    let crate::store::job::retry::WayBack::With { command, .. } =
        crate::store::job::retry::way_back_within(&conn, &job, 20).unwrap()
    else {
        panic!("{job:?}")
    };
    assert_eq!(command, format!("tenure retry 1-19 --with-dependants; tenure why {child}"));
}

#[test]
fn why_names_who_keeps_slots_and_is_suspended() {
    let conn = fixture::fresh();
    let of = |queue: &'static str| add(&conn, |j| j.placement.queue = queue.into());
    let (other, same, parent, awake) = (of("other"), of("q"), of("other"), of("q"));
    (1..=4).for_each(|run| drop(claim_one(&conn, run)));
    for job in [other, same, parent] {
        suspend::suspend(&conn, job, None, 5).unwrap();
    }
    let id = add(&conn, |j| (j.placement.queue, j.after) = ("q".into(), vec![(parent, Need::Done), (awake, Need::Done)]));
    let keeper = |job, is_of_queue| Keeper { job, is_of_queue };
    let told = || why::why(&conn, id, 6).unwrap().suspended;
    assert_eq!(told(), [keeper(parent, false), keeper(same, true), keeper(other, false)]);
    suspend::resume(&conn, same, 7).unwrap();
    assert_eq!(told(), [keeper(parent, false), keeper(same, true), keeper(other, false)], "its worker has not done it yet");
    conn.execute("UPDATE suspend SET closed_at = 8 WHERE job_id = ?1", [same.0]).unwrap();
    assert_eq!(told(), [keeper(parent, false), keeper(other, false)]);
    assert_eq!(why::why(&conn, parent, 8).unwrap().suspended, [], "a running job waits for no slot");
}
