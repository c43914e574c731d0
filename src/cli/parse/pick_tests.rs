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
    assert!(is_refused(labelled("").jobs(&queue, &[State::Queued])), "a label");
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
    let none = |which: Many| matches!(which.jobs(&queue, &[State::Queued]), Err(Error::NotFound(_)));
    assert!(none(labelled("3-5,7")) && none(many("7", |many| many.label = Some("other".into()))));
    assert!(none(many("3-5", |many| many.queue = Some("other".into()))));
}
