use super::*;
use crate::job::{Argv, NewJob};
use crate::store::{Options, Role, enqueue};

/// A file with so many jobs.
fn with_jobs(n: usize) -> (tempfile::TempDir, Store, Vec<JobId>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
    let jobs = vec![NewJob::new(Argv::from_strs(&["true"]).unwrap()); n];
    let added = store.write(move |conn| enqueue::add(conn, &jobs, 1)).unwrap();
    (dir, store, added.iter().map(|one| one.id).collect())
}

#[test]
fn many_jobs_take_a_transaction_for_each_thousand() {
    let (dir, store, ids) = with_jobs(2_500);
    let verb = |conn: &Connection, id: JobId| Ok(conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1", [id.0])?);
    let before = frames_that_commit(&dir);
    let mut told = 0;
    each(&store, &ids, verb, |_, result| {
        told += 1;
        result.map(drop)
    })
    .unwrap();
    let transactions = frames_that_commit(&dir) - before;
    assert_eq!(told, 2_500);
    // More where the machine is slow.
    assert!(transactions >= 3, "{transactions}");
}

#[test]
fn a_verb_that_takes_long_lets_others_write_in_between() {
    let (dir, store, ids) = with_jobs(6);
    let verb = |conn: &Connection, id: JobId| {
        std::thread::sleep(std::time::Duration::from_millis(60)); // The verb that takes long.
        Ok(conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1", [id.0])?)
    };
    let before = frames_that_commit(&dir);
    each(&store, &ids, verb, |_, result| result.map(drop)).unwrap();
    let transactions = frames_that_commit(&dir) - before;
    assert!(transactions >= 3, "two at most fit into each of {transactions}");
}

/// Frames of the write-ahead log that end a transaction.
fn frames_that_commit(dir: &tempfile::TempDir) -> usize {
    let log = std::fs::read(dir.path().join("q.db-wal")).unwrap();
    let salt = log[16..24].to_vec();
    let frames = log[32..].chunks_exact(24 + 4096);
    frames.take_while(|frame| frame[8..16] == salt).filter(|frame| frame[4..8] != [0; 4]).count()
}

#[test]
fn one_that_is_refused_keeps_no_other_from_it_and_leaves_nothing() {
    let (_dir, store, ids) = with_jobs(1_500);
    let refused = ids[700];
    let verb = move |conn: &Connection, id: JobId| {
        conn.execute("UPDATE job SET user_hold = 1 WHERE id = ?1", [id.0])?;
        if id == refused { Err(Error::Refused("not this one".into())) } else { Ok(()) }
    };
    let mut wrong = Vec::new();
    each(&store, &ids, verb, |id, result| {
        wrong.extend(result.is_err().then_some(id));
        Ok(())
    })
    .unwrap();
    assert_eq!(wrong, [refused]);
    let held: i64 =
        store.read(|conn| Ok(conn.query_row("SELECT count(*) FROM job WHERE user_hold = 1", [], |row| row.get(0))?)).unwrap();
    assert_eq!(held, 1_499);
}

#[test]
fn what_is_wrong_with_the_file_ends_the_whole() {
    let (_dir, store, ids) = with_jobs(10);
    let verb = |_: &Connection, _: JobId| Err::<(), _>(Error::Internal("broken".into()));
    let mut told = 0;
    let done = each(&store, &ids, verb, |_, _| {
        told += 1;
        Ok(())
    });
    assert!(matches!(done, Err(Error::Internal(_))) && told == 0);
}
