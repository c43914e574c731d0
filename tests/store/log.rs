//! The write-ahead log stays short under load, is emptied when all is quiet, and the process that keeps it long is named. Clients
//! keep it short without a worker.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tenure::store::{Role, Store};

use crate::store::harness::{Home, add};
use crate::support::until;

fn write_megabytes(store: &Store, megabytes: usize, mut after_each: impl FnMut()) {
    for _ in 0..megabytes * 16 {
        let padding = "x".repeat(64 << 10);
        let (_, ticket) = store
            .commit(move |conn| {
                Ok(conn.execute("INSERT INTO job (command, env) VALUES ('[\"a\"]', json_object('X', ?1))", [&padding])?)
            })
            .unwrap();
        store.flushed(ticket).unwrap();
        after_each();
    }
}

fn wal_bytes(store: &Store) -> u64 {
    fs::metadata(store.place().wal()).unwrap().len()
}

#[test]
fn under_constant_writing_the_log_stays_short_and_is_emptied() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let mut longest = 0;
    write_megabytes(&worker, 40, || longest = longest.max(wal_bytes(&worker)));
    println!("longest: {longest} bytes");
    assert!(longest < 24 << 20, "{longest}");
    until("the log to be emptied", || (wal_bytes(&worker) == 0).then_some(()));
    add(&worker, "runs after that");
}

#[test]
fn a_reader_that_keeps_the_log_long_is_named_and_holds_none() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let reader = home.foreign();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM job", [], |_| Ok(())).unwrap();
    write_megabytes(&worker, 26, || ());
    let health = worker.health();
    assert!(health.wal_bytes > 24 << 20 && health.may_claim(), "{health:?}");
    assert!(health.readers.iter().any(|holder| holder.pid == std::process::id() as i32), "{health:?}");
    reader.execute_batch("COMMIT").unwrap();
    until("the log to be short again", || (wal_bytes(&worker) <= 16 << 20).then_some(()));
    assert!(worker.health().readers.is_empty());
}

/// How long each snapshot of a chain lasts, in milliseconds: longer than writers are held up at
/// first.
const SNAPSHOT_MS: u64 = 250;

/// Reads so that at each moment a snapshot is open, none of them for long.
fn read_in_a_chain(home: &Home, over: &AtomicBool) {
    let readers = [home.foreign(), home.foreign()];
    let begin = "BEGIN; SELECT count(*) FROM job; SELECT count(*) FROM run";
    readers[0].execute_batch(begin).unwrap();
    for n in 0.. {
        std::thread::sleep(Duration::from_millis(SNAPSHOT_MS));
        if over.load(Ordering::Relaxed) {
            return;
        }
        readers[(n + 1) % 2].execute_batch(begin).unwrap();
        readers[n % 2].execute_batch("COMMIT").unwrap();
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_log_restarts_while_one_snapshot_follows_another() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let over = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        scope.spawn(|| read_in_a_chain(&home, &over));
        let _even_after_a_panic = Over(&over);
        let mut longest = 0;
        write_megabytes(&worker, 100, || longest = longest.max(wal_bytes(&worker)));
        longest
    });
    println!("longest: {longest} bytes");
    assert!(longest < 64 << 20, "{longest}");
}

#[test]
fn without_a_worker_clients_keep_the_log_short() {
    let home = Home::new();
    let clients = [home.open(Role::Client), home.open(Role::Client)];
    // Each of them commits while the other one copies.
    let longest = std::thread::scope(|scope| {
        let writing = clients.each_ref().map(|client| {
            scope.spawn(|| {
                let mut longest = 0;
                write_megabytes(client, 60, || longest = longest.max(wal_bytes(client)));
                longest
            })
        });
        writing.map(|thread| thread.join().unwrap())
    });
    println!("longest: {longest:?} bytes");
    assert!(longest.iter().all(|bytes| *bytes < 24 << 20), "{longest:?}");
}

#[test]
fn the_log_of_a_client_is_short_again_after_a_reader() {
    let home = Home::new();
    let client = home.open(Role::Client);
    let reader = home.foreign();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM job", [], |_| Ok(())).unwrap();
    write_megabytes(&client, 30, || ());
    assert!(wal_bytes(&client) > 24 << 20, "the reader keeps it");
    reader.execute_batch("COMMIT").unwrap();
    // The next attempt is due when it has grown by a quarter.
    write_megabytes(&client, 20, || ());
    assert!(wal_bytes(&client) <= 16 << 20, "{}", wal_bytes(&client));
}
