use super::*;
use crate::job::{Argv, NewJob};
use crate::store::{Options, Role, job::enqueue};

/// A file with `n` jobs.
fn with_jobs(n: usize) -> (tempfile::TempDir, Store, Vec<JobId>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
    let jobs = vec![NewJob::new(Argv::from_strs(&["true"]).unwrap()); n];
    let added = store.write(move |conn| enqueue::add(conn, &jobs, 1)).unwrap();
    (dir, store, added.iter().map(|one| one.id).collect())
}

/// Counts the transactions of `each_with` for a verb that holds jobs: the distinct numbers of held
/// jobs that `tell` sees.
fn transactions(store: &Store, ids: &[JobId], verb: impl Fn(&Connection, JobId) -> Result<()> + Clone + Send + 'static) -> usize {
    let (mut seen, mut told) = (std::collections::BTreeSet::new(), 0);
    each_with(
        store,
        ids,
        verb,
        |_| 1,
        |_, result| {
            // Each of them takes a while to count.
            if told % 50 == 0 || ids.len() < 50 {
                seen.insert(held(store));
            }
            told += 1;
            result
        },
    )
    .unwrap();
    assert_eq!((told, held(store)), (ids.len(), ids.len()));
    seen.len()
}

fn held(store: &Store) -> usize {
    let count =
        |conn: &Connection| Ok(conn.query_row("SELECT count(*) FROM job WHERE user_hold = 1", [], |row| row.get::<_, i64>(0))?);
    usize::try_from(store.read(count).unwrap()).unwrap()
}

fn hold(conn: &Connection, id: JobId) -> Result<()> {
    conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1", [id.0])?;
    Ok(())
}

#[test]
fn many_jobs_take_a_transaction_for_each_thousand() {
    let (_dir, store, ids) = with_jobs(2_500);
    let transactions = transactions(&store, &ids, hold);
    // More if the machine is slow.
    assert!(transactions >= 3, "{transactions}");
}

#[test]
fn a_verb_that_takes_long_lets_others_write_in_between() {
    let (_dir, store, ids) = with_jobs(6);
    let verb = |conn: &Connection, id: JobId| {
        std::thread::sleep(std::time::Duration::from_millis(60)); // The verb that takes long.
        hold(conn, id)
    };
    let transactions = transactions(&store, &ids, verb);
    assert!(transactions >= 3, "two at most fit into each of {transactions}");
}

#[test]
fn a_refused_job_leaves_nothing_and_affects_no_other() {
    let (_dir, store, ids) = with_jobs(1_500);
    let refused = ids[700];
    let verb = move |conn: &Connection, id: JobId| {
        conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1", [id.0])?;
        if id == refused { Err(Error::Refused("not this one".into())) } else { Ok(()) }
    };
    let mut wrong = Vec::new();
    each_with(
        &store,
        &ids,
        verb,
        |_| 1,
        |id, result| {
            wrong.extend(result.is_err().then_some(id));
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(wrong, [refused]);
    assert_eq!(held(&store), 1_499);
}

#[test]
fn what_is_wrong_with_the_file_ends_the_whole() {
    let (_dir, store, ids) = with_jobs(10);
    let verb = |_: &Connection, _: JobId| Err::<(), _>(Error::Internal("broken".into()));
    let mut told = 0;
    let done = each_with(
        &store,
        &ids,
        verb,
        |_| 1,
        |_, _| {
            told += 1;
            Ok(())
        },
    );
    assert!(matches!(done, Err(Error::Internal(_))) && told == 0);
}
