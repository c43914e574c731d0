//! Worker and client are killed at every step of the exchange: an acknowledged job exists once, any other at most once.
//!
//! A step is a system call: the process is killed as it enters the n-th one that it makes for a request, for each n.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{connected, count, serving};
use crate::life::flushed::{recorded, syncs};
use crate::support::strace::{calls, has_strace, killed_at};
use crate::support::{Nest, each, said, until, within};

/// What a worker calls for a request, in the thread that adds its jobs and in the one that flushes them.
const OF_WORKER: [&str; 7] = ["accept4", "recvfrom", "fcntl", "pread64", "pwrite64", "fdatasync", "sendto"];
/// What a client calls from its first word to the worker on.
const OF_CLIENT: [&str; 8] = ["socket", "connect", "sendto", "ppoll", "poll", "recvfrom", "write", "exit_group"];
/// More calls of a kind than are made for a request.
const CALLS_MAX: usize = 200;

/// How long the last step of a request may come after its answer.
const AFTER_ANSWER: Duration = Duration::from_millis(300);

#[test]
fn a_worker_that_is_killed_at_any_step_adds_each_job_once() {
    if !has_strace() {
        return;
    }
    each(&OF_WORKER, |call| {
        let nest = Nest::new();
        nest.add(&["--", "true"]);
        let mut kills = 0;
        for n in 1..=CALLS_MAX {
            let mut worker = serving(&nest);
            let tracer = killed_at(&worker, call, n, &nest);
            let label = format!("{call}-{n}");
            let id = nest.add(&["-l", &label, "--", "true"]);
            let sql = nest.sql();
            let ids = "SELECT group_concat(id) FROM job WHERE label = ?1";
            let found: String = sql.query_row(ids, [&label], |row| row.get(0)).unwrap();
            assert_eq!(found, id.to_string(), "{label}: acknowledged, and there once");
            // A step may come after the answer.
            let was_killed = within(AFTER_ANSWER, || worker.has_ended().then_some(())).is_some();
            drop(tracer);
            worker.kill();
            if !was_killed {
                break;
            }
            kills += 1;
        }
        assert!((1..CALLS_MAX).contains(&kills), "{call}: {kills}");
        assert_eq!(count(&nest, "job"), 2 + kills as i64);
        println!("{call}: {kills} steps");
    });
}

/// The job is in the file, and perhaps not on the disk.
#[test]
fn a_client_whose_answer_is_lost_flushes_before_it_speaks() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    for attempt in 0.. {
        assert!(attempt < CALLS_MAX, "the worker was always killed before it had added the job");
        let mut worker = serving(&nest);
        let _tracer = killed_at(&worker, "fdatasync", 1, &nest);
        let filter = "trace=fdatasync,fsync,write";
        let answer = said(recorded(&nest, &["add", "--", "true"], "client.strace", filter).output().unwrap());
        until("the worker to be killed", || worker.has_ended().then_some(()));
        worker.kill();
        assert_eq!((answer.code, answer.out), (0, format!("{}\n", count(&nest, "job"))));
        if count(&nest, "receipt") == 1 {
            break;
        }
    }
    let log = std::fs::read_to_string(nest.file("client.strace")).unwrap();
    let calls = calls(&log);
    let spoke = calls.iter().find(|call| call.name == "write" && call.text.starts_with("1<")).expect("it prints the id").entered;
    let syncs = syncs(&calls, &format!("{}-wal", nest.db().display()));
    assert!(syncs.iter().any(|(_, returned)| *returned < spoke), "it spoke before it flushed");
}

/// A client that is killed as it enters this call.
fn client(nest: &Nest, call: &str, label: &str) -> Child {
    let program = nest.tenure(&["add", "-l", label, "--", "true"]);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:signal=KILL"), "-o"])
        .arg(nest.file("trace"));
    strace.arg(program.get_program()).args(program.get_args()).current_dir(nest.path()).env_clear();
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_client_killed_at_any_step_adds_its_job_once_at_most() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let _worker = serving(&nest);
    let mut met = Vec::new();
    for call in OF_CLIENT {
        let said = said(client(&nest, call, call).wait_with_output().unwrap());
        super::until_served(&nest);
        let added = count(&nest, &format!("job WHERE label = '{call}'"));
        let answered = !said.out.is_empty();
        assert!(added <= 1 && (!answered || added == 1), "{call}: {added} {said:?}");
        met.push((call, added));
    }
    assert!(met.contains(&("socket", 0)) && met.contains(&("connect", 0)) && met.contains(&("write", 1)), "{met:?}");
    assert!(connected(&nest).is_some(), "the worker takes jobs");
}
