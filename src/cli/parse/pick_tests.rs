use super::*;
use crate::store::{Options, Role, Store};

/// A file with `n` jobs, all labelled `l`, queued and held or else cancelled.
fn file(n: usize, state: &'static str) -> (tempfile::TempDir, Queue) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
    let fill = move |conn: &rusqlite::Connection| {
        conn.execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})
             INSERT INTO job (command, queue, label, user_hold) SELECT '[\"x\"]', 'q', 'l', 1 FROM n"
        ))?;
        if state == "cancelled" {
            conn.execute_batch("UPDATE job SET state = 'cancelled', reason = 'cancelled', finished_at = 2")?;
        }
        Ok(())
    };
    store.write(fill).unwrap();
    let queue = Queue::of(&store);
    (dir, queue)
}

fn many(ids: &str, filter: impl FnOnce(&mut Many)) -> Many {
    let ids = if ids.is_empty() { Vec::new() } else { vec![ids.parse().unwrap()] };
    let mut many = Many { ids, ..Many::default() };
    filter(&mut many);
    many
}

fn labelled(ids: &str) -> Many {
    many(ids, |many| many.label = Some("l".into()))
}

fn is_refused(result: Result<Vec<JobInfo>>) -> bool {
    matches!(result, Err(Error::Invalid(text)) if text.contains("more than") && text.contains("a smaller range, such as 1-"))
}

#[test]
fn more_jobs_than_a_command_takes_are_refused_and_not_cut() {
    let (_dir, queue) = file(JOBS_MAX + 1, "queued");
    let range = format!("1-{}", JOBS_MAX + 1);
    assert!(is_refused(many(&range, |_| ()).jobs(&queue, &State::ALL)), "a range");
    assert!(is_refused(many("1-60000,60001-100001", |_| ()).jobs(&queue, &State::ALL)), "two ranges");
    assert!(is_refused(labelled("").jobs(&queue, &[State::Queued])), "a label");
    let newest = many(&range, |_| ()).newest_jobs(&queue, &State::ALL).unwrap();
    assert_eq!((newest.len(), newest[0].id.0), (JOBS_MAX, 2), "a list has the newest");
}

/// Numbers, ranges and filters mean the same state.
#[test]
fn every_selection_means_the_state_in_the_file() {
    let (dir, queue) = file(1, "queued");
    let client = rusqlite::Connection::open(dir.path().join("q.db")).unwrap();
    client.execute("INSERT INTO cancel (job_id) VALUES (1)", []).unwrap();
    for ids in ["1", "1-1", ""] {
        let found = labelled(ids).jobs(&queue, &[State::Queued]).unwrap();
        assert_eq!((found.len(), found[0].state), (1, State::Cancelled), "{ids:?}");
    }
}

#[test]
fn a_filter_is_asked_of_each_numbered_job() {
    let (_dir, queue) = file(ENDED_MAX + 20, "cancelled");
    let ids = |which: Many| {
        which.jobs(&queue, &[State::Failed, State::Cancelled]).unwrap().iter().map(|job| job.id.0).collect::<Vec<_>>()
    };
    assert_eq!(ids(labelled("3-5,7")), [3, 4, 5, 7]);
    assert_eq!(ids(labelled("")).len(), ENDED_MAX + 20, "a verb that changes jobs means all of them");
    assert_eq!(labelled("").jobs_to_wait_for(&queue).unwrap().len(), ENDED_MAX, "and a wait the newest");
    let none = |which: Many, state: State| match which.jobs(&queue, &[state]) {
        Err(Error::NotFound(text)) => text,
        other => panic!("{:?} in {state}: {other:?}", which.ids),
    };
    for numbers in ["7", "3-5"] {
        for which in [
            none(labelled(numbers), State::Queued),
            none(many(numbers, |many| many.label = Some("other".into())), State::Cancelled),
            none(many(numbers, |many| many.queue = Some("other".into())), State::Cancelled),
        ] {
            assert!(which.contains("job of those that were named matches"), "{numbers}: {which}");
        }
    }
    assert!(none(labelled("30000-40000"), State::Cancelled).contains("there is no job from 30000 to 40000"));
}

#[test]
fn live_and_ended_jobs_of_a_filter_are_one_list_by_number() {
    let (dir, queue) = file(3, "cancelled");
    let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
    let add = "INSERT INTO job (command, queue, label, user_hold) VALUES ('[\"x\"]', 'q', 'l', 1)";
    store.write(|conn| Ok(conn.execute_batch(add)?)).unwrap();
    let found = labelled("").jobs(&queue, &State::ALL).unwrap();
    assert_eq!(found.iter().map(|job| job.id.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
}
