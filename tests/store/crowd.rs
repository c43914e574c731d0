//! Several processes on one file: each gets its share, and one that sits on the write lock is named.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::ChildStdout;
use std::thread;

use tenure::error::Error;
use tenure::store::{Role, Store, engine::locks, read_blocked};

use crate::store::harness::{Home, add, ask, count, insert, open};
use crate::store::helper;
use crate::support::{Started, until};

/// The one that does not flush may have so many times the commits of one that does. Measured: twice; with SQLite's own waiting 13 to 76 times.
const FAIR: i64 = 6;

/// Another process. It is killed when the test ends, however that ends.
pub struct Other {
    process: Started,
    out: BufReader<ChildStdout>,
}

impl Other {
    pub fn start(program: &str, file: &Path, argument: &str) -> Self {
        let mut child = helper::command(program, file, argument).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { process: Started(child), out }
    }

    /// The next line that contains `word`, from there on. What the test program itself prints is passed over.
    pub fn hear(&mut self, word: &str) -> String {
        let (mut line, mut others) = (String::new(), String::new());
        while self.out.read_line(&mut line).unwrap() > 0 {
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
            others.push_str(&line);
            line.clear();
        }
        panic!("the other process ended without {word}, and said: {others}");
    }

    pub fn tell(&mut self) {
        self.process.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

/// It fails only when no commit comes, however slow the disk is.
fn commits_come_until(reader: &Store, enough: i64) {
    let mut seen = count(reader);
    while seen < enough {
        seen = until("the next commit", || Some(count(reader)).filter(|now| *now > seen));
    }
}

#[test]
fn a_process_that_writes_without_end_leaves_others_their_share() {
    let home = Home::new();
    let reader = {
        drop(home.open(Role::Client));
        home.open(Role::Reader)
    };
    let mut others: Vec<_> = ["greedy", "polite", "polite"].map(|manners| Other::start("share", &home.db(), manners)).into();
    others.iter_mut().for_each(|other| drop(other.hear("READY")));
    others.iter_mut().for_each(Other::tell);
    commits_come_until(&reader, 3000);
    others.iter_mut().for_each(Other::tell);
    let shares: Vec<i64> = others.iter_mut().map(|other| other.hear("COMMITS").parse().unwrap()).collect();
    println!("shares: {shares:?}");
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(least * FAIR >= *most, "{shares:?}");
    assert_eq!(count(&reader), shares.iter().sum::<i64>());
}

#[test]
fn the_holder_of_the_write_lock_is_named_and_reads_continue() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    add(&worker, "a");
    let mut other = Other::start("hold", &home.db(), "");
    other.hear("HELD");
    let pid = other.process.0.id() as i32;
    assert_eq!(locks::writer(worker.place()).unwrap().pid, pid);
    let client = home.open(Role::Client);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| add(&worker, "b"));
        let refused = scope.spawn(|| client.write(|conn| insert(conn, "c")).unwrap_err());
        let said = until("the worker to say that it is blocked", || worker.health().blocked);
        assert_eq!(said.by.as_ref().unwrap().pid, pid);
        assert_eq!(read_blocked(worker.place()), Some(said), "another process can read it");
        assert_eq!(count(&worker), 1, "reads continue");
        let error = refused.join().unwrap();
        assert!(matches!(&error, Error::Busy(text) if text.contains(&format!("pid {pid}"))), "{error}");
        other.tell();
        assert_eq!(blocked.join().unwrap(), 2);
    });
    assert_eq!(worker.health().blocked, None);
    assert_eq!(read_blocked(worker.place()), None);
    assert_eq!(add(&client, "c"), 3);
}

#[test]
fn a_worker_that_shuts_down_does_not_wait_for_the_lock() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    let mut other = Other::start("hold", &home.db(), "");
    other.hear("HELD");
    thread::scope(|scope| {
        let blocked = scope.spawn(|| worker.write(|conn| insert(conn, "a")));
        until("the worker to say that it is blocked", || worker.health().blocked);
        worker.stop_waiting();
        assert!(matches!(blocked.join().unwrap(), Err(Error::Busy(_))));
    });
}

#[test]
fn a_stopped_process_in_the_queue_is_passed_by() {
    let home = Home::new();
    let mut other = Other::start("share", &home.db(), "");
    other.hear("READY");
    let client = home.open(Role::Client);
    // A process that has the turn and does not move: here a lock held by this test.
    let turn = std::fs::File::open(client.place().turn()).unwrap();
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    other.tell();
    for n in 1..=20 {
        add(&client, &n.to_string());
    }
    until("the other one to get through as well", || {
        (ask(&client, "SELECT count(*) > 10 FROM job WHERE label = 'share'") == "1").then_some(())
    });
}

#[test]
fn processes_that_make_the_file_at_once_make_one_file() {
    for _ in 0..4 {
        let home = Home::new();
        let path = home.dir.path().join("new/t.db");
        let mut others: Vec<_> = (0..6).map(|n| Other::start("try", &path, if n == 0 { "worker" } else { "client" })).collect();
        let ids: HashSet<String> = others.iter_mut().map(|other| other.hear("WELL")).collect();
        assert_eq!(ids.len(), 6, "each has added a job of its own");
        let reader = open(&path, Role::Reader);
        assert_eq!(count(&reader), 6);
        assert_eq!(ask(&reader, "SELECT count(*) FROM meta WHERE key = 'file_id'"), "1");
    }
}

#[test]
fn twenty_threads_that_open_and_close_a_file_are_independent() {
    let home = Home::new();
    thread::scope(|scope| {
        for n in 0..20 {
            let home = &home;
            scope.spawn(move || {
                for _ in 0..5 {
                    let store = home.open(if n == 0 { Role::Worker } else { Role::Client });
                    add(&store, "a");
                }
            });
        }
    });
    let reader = home.open(Role::Reader);
    assert_eq!(count(&reader), 100);
    assert_eq!(ask(&reader, "PRAGMA integrity_check"), "ok");
}
