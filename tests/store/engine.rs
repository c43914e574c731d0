//! Opening, reading, writing and flushing.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::thread;

use tenure::error::Error;
use tenure::store::{Durability, Options, Role, Store};

use crate::store::harness::{Home, add, count, insert};

#[test]
fn what_a_client_writes_a_reader_and_a_worker_read() {
    let home = Home::new();
    let client = home.open(Role::Client);
    assert!(client.opened().created);
    assert_eq!(add(&client, "a"), 1);
    let worker = home.open(Role::Worker);
    assert!(!worker.opened().created);
    assert_eq!(worker.opened().problems, [""; 0]);
    assert_eq!(add(&worker, "b"), 2);
    let reader = home.open(Role::Reader);
    for store in [&client, &worker, &reader] {
        assert_eq!(count(store), 2);
        store.flush_now().unwrap();
        assert!(store.health().may_claim(), "{:?}", store.health());
    }
}

#[test]
fn everything_is_private() {
    let home = Home::new();
    let path = home.dir.path().join("deep/er/t.db");
    let worker = Store::open(&path, Options::new(Role::Worker)).unwrap();
    add(&worker, "a");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let place = worker.place();
    for file in [place.db(), &place.wal(), &place.shm(), &place.gate(), &place.turn(), &place.ballast()] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    for dir in
        [place.dir(), &place.runs(), &place.logs(), &place.results(), &place.secrets(), &place.work(), path.parent().unwrap()]
    {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
}

#[test]
fn in_a_group_the_one_that_fails_or_panics_undoes_itself_alone() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let callers: Vec<_> = (0..40)
        .map(|n| {
            let worker = worker.clone();
            thread::spawn(move || {
                worker.write(move |conn| {
                    let id = insert(conn, &n.to_string())?;
                    match n % 4 {
                        0 => Err(Error::Refused("no".into())),
                        1 => panic!("a panic that the test wants"),
                        _ => Ok(id),
                    }
                })
            })
        })
        .collect();
    for (n, caller) in callers.into_iter().enumerate() {
        let answer = caller.join().unwrap();
        match n % 4 {
            0 => assert!(matches!(answer, Err(Error::Refused(_)))),
            1 => assert!(matches!(answer, Err(Error::Internal(text)) if text.contains("a panic that the test wants"))),
            _ => assert!(answer.unwrap() > 0),
        }
    }
    assert_eq!(count(&worker), 20);
}

#[test]
fn a_closure_that_ends_the_transaction_spoils_no_other() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let callers: Vec<_> = (0..24)
        .map(|n| {
            let worker = worker.clone();
            thread::spawn(move || {
                worker.write(move |conn| {
                    let id = insert(conn, &n.to_string())?;
                    if n % 6 == 0 {
                        conn.execute_batch("ROLLBACK")?;
                    }
                    Ok(id)
                })
            })
        })
        .collect();
    let well = callers.into_iter().map(|caller| caller.join().unwrap()).filter(Result::is_ok).count();
    assert_eq!((well, count(&worker)), (20, 20));
}

#[test]
fn a_flush_serves_all_who_wait_and_calls_come_after_it() {
    for durability in [Durability::Flush, Durability::Full] {
        for role in [Role::Worker, Role::Client] {
            let home = Home::new();
            let store = Store::open(&home.db(), Options { durability, ..Options::new(role) }).unwrap();
            let (_, first) = store.commit(|conn| insert(conn, "a")).unwrap();
            let (_, second) = store.commit(|conn| insert(conn, "b")).unwrap();
            assert!(first < second);
            store.flushed(second).unwrap();
            store.flushed(first).unwrap();
            let (tell, told) = mpsc::channel();
            store.after_flush(first, move || tell.send(()).unwrap());
            told.recv().unwrap();
            assert!(store.is_flushed(second));
            let (tell, told) = mpsc::channel();
            let here = std::thread::current().id();
            store.as_soon_as_flushed(second, move || tell.send(std::thread::current().id()).unwrap()).unwrap();
            assert_eq!(told.try_recv(), Ok(here), "what is on the disk already is answered at once");
        }
    }
}

#[test]
fn calls_that_wait_for_a_flush_precede_the_end_of_the_store() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let (tell, told) = mpsc::channel();
    for n in 0..100 {
        let (_, ticket) = worker.commit(move |conn| insert(conn, &n.to_string())).unwrap();
        let tell = tell.clone();
        worker.after_flush(ticket, move || tell.send(n).unwrap());
    }
    drop(worker);
    drop(tell);
    assert_eq!(told.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_reader_makes_nothing_and_changes_nothing() {
    let home = Home::new();
    let missing = Store::open(&home.db(), Options::new(Role::Reader)).err().unwrap();
    assert!(matches!(&missing, Error::File(text) if text.contains("tenure add")), "{missing}");
    assert_eq!(std::fs::read_dir(home.dir.path()).unwrap().count(), 0);
    add(&home.open(Role::Client), "a");
    let reader = home.open(Role::Reader);
    assert!(reader.read(|conn| insert(conn, "b")).is_err());
    assert!(reader.write(|conn| insert(conn, "b")).is_err());
    let client = home.open(Role::Client);
    assert!(client.read(|conn| insert(conn, "b")).is_err(), "a read does not write");
    assert_eq!(count(&client), 1);
}

#[test]
fn a_read_is_one_snapshot() {
    let home = Home::new();
    let client = home.open(Role::Client);
    let worker = home.open(Role::Worker);
    let counted = worker
        .read(|conn| {
            let count = || conn.query_row("SELECT count(*) FROM job", [], |row| row.get::<_, i64>(0));
            let before = count()?;
            add(&client, "a");
            Ok((before, count()?))
        })
        .unwrap();
    assert_eq!(counted, (0, 0));
    assert_eq!(count(&worker), 1);
}
