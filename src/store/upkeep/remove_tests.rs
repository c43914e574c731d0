use super::*;
use crate::store::fixture;

/// Ended jobs 1 to `n`, in queues `a` and `b` by turns, all labelled `l`.
fn ended(n: i64) -> Connection {
    let conn = fixture::fresh();
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})
           INSERT INTO job (command, queue, label) SELECT '[\"x\"]', CASE WHEN i % 2 THEN 'a' ELSE 'b' END, 'l' FROM n;
         UPDATE job SET state = CASE WHEN id % 3 THEN 'failed' ELSE 'cancelled' END, reason = 'expired', finished_at = id + 10;
         INSERT INTO job (command, queue, label) VALUES ('[\"x\"]', 'a', 'l')"
    ))
    .unwrap();
    conn
}

#[test]
fn a_selection_has_what_matches_all_of_it() {
    let conn = ended(12);
    let ids = |wanted: Wanted| page(&conn, &wanted, START).unwrap().0.into_iter().map(|id| id.0).collect::<Vec<_>>();
    let all = Wanted { before_ms: i64::MAX, ..Wanted::default() };
    assert_eq!(ids(all.clone()), (1..=12).collect::<Vec<_>>(), "not the live one");
    let queue = Some("a".to_owned());
    assert_eq!(ids(Wanted { queue: queue.clone(), ..all.clone() }), [1, 3, 5, 7, 9, 11]);
    assert_eq!(ids(Wanted { queue, states: vec![State::Cancelled], ..all.clone() }), [3, 9]);
    assert_eq!(ids(Wanted { states: vec![State::Done], ..all.clone() }), [0; 0]);
    assert_eq!(ids(Wanted { label: Some("m".into()), ..all.clone() }), [0; 0]);
    assert_eq!(ids(Wanted { label: Some("l".into()), before_ms: 13, ..all }), [1, 2]);
    assert_eq!(after_all(&conn).unwrap(), 23);
}

#[test]
fn a_page_looks_at_so_many_rows_whatever_is_wanted() {
    let conn = ended(PAGE_ROWS + 1);
    let wanted = Wanted { before_ms: i64::MAX, label: Some("none".into()), ..Wanted::default() };
    let (found, next) = page(&conn, &wanted, START).unwrap();
    assert_eq!((found.len(), next), (0, Some((PAGE_ROWS + 10, PAGE_ROWS))));
    assert_eq!(page(&conn, &wanted, next.unwrap()).unwrap(), (vec![], None));
}

#[test]
fn what_is_needed_stays_and_says_for_what() {
    let conn = ended(4);
    conn.execute_batch(
        "INSERT INTO dependency (job_id, on_job) VALUES (5, 2);
         INSERT INTO resource (name, job_id, teardown) VALUES ('vm', 3, '[\"x\"]');
         UPDATE resource SET state = 'releasing', next_at = 0 WHERE id = 1",
    )
    .unwrap();
    let jobs: Vec<JobId> = (1..=6).map(JobId).collect();
    let removed = remove(&conn, &jobs, 14, || true).unwrap();
    let kept = [(2, Obstacle::NeededBy(JobId(5))), (3, Obstacle::Resource(ResourceId(1))), (4, Obstacle::Younger)];
    let kept = kept.into_iter().chain([(5, Obstacle::Live(State::Queued))]).map(|(id, why)| (JobId(id), why)).collect::<Vec<_>>();
    assert_eq!((removed.pruned.jobs, removed.handled, removed.kept), (1, 6, kept));
    assert_eq!(obstacle(&conn, JobId(1), 14).unwrap(), None, "it is gone");
}

#[test]
fn a_step_gives_way_when_its_time_is_over() {
    let conn = ended(3);
    let jobs: Vec<JobId> = (1..=3).map(JobId).collect();
    let queues = || conn.query_row("SELECT group_concat(name) FROM queue", [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(remove(&conn, &jobs, i64::MAX, || false).unwrap().handled, 1);
    assert_eq!(queues(), "a,b");
    assert_eq!(remove(&conn, &jobs[1..], i64::MAX, || true).unwrap().handled, 2);
    assert_eq!(queues(), "a", "a queue goes with its last job");
}
