//! Jobs that `add` hands to the running worker: answered as if it had written them itself, and added once also if the answer is lost.

mod hostile;
pub mod kills;

use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::support::stopped::Stopped;
use crate::support::strace::{calls, has_strace, strace};
use crate::support::{Nest, Said, Worker, said, until, within};

/// Sooner than the worker looks by itself.
const BY_A_WAKE: Duration = Duration::from_secs(6);

/// Returns how a job has ended, if the worker was woken for it.
fn ended_by_a_wake(nest: &Nest, id: i64) -> serde_json::Value {
    let ended = within(BY_A_WAKE, || Some(nest.show(id)).filter(|job| !job["finished_at"].is_null()));
    ended.unwrap_or_else(|| panic!("the worker was not woken for job {id}: {}", nest.show(id)))
}

/// A worker that starts none of the jobs, and takes jobs already.
fn serving(nest: &Nest) -> Worker {
    let worker = nest.work(&["--queue", "of-no-job"]);
    until("the worker to take jobs", || connected(nest));
    worker
}

/// A connection to the worker, as a client makes it.
pub(in crate::life) fn connected(nest: &Nest) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let address = SocketAddrUnix::new(nest.beside().join("add.sock")).unwrap();
    rustix::net::connect(&socket, &address).is_ok().then_some(socket)
}

fn count(nest: &Nest, what: &str) -> i64 {
    nest.sql().query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

/// Adds a job until the worker itself has answered: all that was sent to it before is done then.
fn until_served(nest: &Nest) {
    until("an answer of the worker", || {
        let before = count(nest, "receipt");
        let mut add = nest.tenure(&["add", "--label", "last", "--hold", "--", "true"]);
        assert_eq!(said(add.env("RUST_LOG", "off").output().unwrap()).code, 0);
        (count(nest, "receipt") == before + 1).then_some(())
    });
}

/// Command lines after `add`, right ones and wrong ones. The second value: the worker is asked.
#[rustfmt::skip]
const LINES: &[(&str, bool)] = &[
    ("-- true", true), ("-c echo", true), ("--json -- true", true), ("--hold -l some -- true", true), ("-q build -- true", true),
    ("-q biuld -- true", true), ("-q biuldx --after 999 -- true", true), ("-q new -- true", true), ("--lane l -o 7 -- true", true),
    ("--array 0-3 -- true", true), ("--array 0-3%2 --json -- true", true), ("--array 0-3%2 --lane l -- true", false), ("--array 0-9999 -- true", false),
    ("--unique k -- true", true), ("--unique k --json -- true", true), ("--unique k --replace -- true", true), ("--unique k --replace --json -- true", true),
    ("--unique other --replace -- true", true), ("--unique k --array 0-1 -- true", false),
    ("-a 1 -- true", true), ("-a 999 -- true", true), ("-a 3 -- true", true), ("--after-failed 3 -- true", true), ("-a 1 --after-any 1 -- true", true),
    ("-a last -- true", false), ("-r 3 --backoff 1s..2s -- true", true), ("--retry-on 1 -- true", true), ("-t 5s --warn USR1@1s -- true", true),
    ("--warn USR1@1s -- true", true), ("--memory 1G --nice 3 -- true", true), ("-d 1h -- true", true), ("--at 03:00 -- true", true),
    ("--at nonsense -- true", false), ("--expires 1h -- true", true), ("--workspace w --prepare true -- true", true), ("--user nobody -- true", true),
    ("--workspace w --user nobody -- true", true), ("-- no-such-program", true), ("-w /no/such/dir -- true", true), ("-w sub -- true", true),
    ("-e A=b -- true", true), ("--pass-env HOME -- true", true), ("--pass-env NOPE -- true", false), ("--secret HOME -- true", false),
    ("--stdin - -- true", false), ("--stdin f -- true", true), ("--need-worker -- true", true), ("--check true -- true", true), ("-- ", false),
    ("-- echo a;b|c", true), ("--chunk 3 -- true", false), ("--idle-timeout 0s -- true", true), ("-- echo x>y", true),
];

/// What is in the file, without what differs by chance.
const ROWS: &str = "
    SELECT group_concat(row, char(10)) FROM (
      SELECT concat_ws(' ', 'job', id, command, state, reason, queue, replace(coalesce(lane, '-'), lane, substr(lane, 1, 6)), priority, slots, uses, label, cwd,
             available_at > 0, max_attempts, expires_at > 0, unique_key, array_index, env, policy LIKE '%secrets%' OR policy LIKE '%kept%' OR policy,
             user_hold, hold, error) AS row FROM job
      UNION ALL SELECT concat_ws(' ', 'dependency', job_id, on_job, need, state) FROM dependency
      UNION ALL SELECT concat_ws(' ', 'lane', substr(key, 1, 6), max_running, of_array) FROM lane
      UNION ALL SELECT concat_ws(' ', 'cancel', job_id, why) FROM cancel
      UNION ALL SELECT concat_ws(' ', 'event', job_id, kind, reason, detail) FROM event
      ORDER BY row)";

/// Three jobs, of which the last has ended, and a queue.
fn prepared() -> Nest {
    let nest = Nest::new();
    std::fs::create_dir(nest.file("sub")).unwrap();
    for line in ["--unique k", "-q build", "-l ended"] {
        nest.add(&[&line.split(' ').collect::<Vec<_>>()[..], &["--", "true"]].concat());
    }
    nest.ok(&["cancel", "3"]);
    nest
}

fn add(nest: &Nest, line: &str, handover: &str) -> Said {
    let (options, command) = line.split_once("-- ").unwrap_or((line, ""));
    let command: Vec<&str> = command.split(' ').filter(|word| !word.is_empty()).collect();
    let options = options.split(' ').filter(|word| !word.is_empty());
    let args: Vec<&str> = ["add"].into_iter().chain(options).chain(["--"]).chain(command).collect();
    let args = if line.starts_with("-c") { vec!["add", "-c", "echo"] } else { args };
    let mut said = said(nest.tenure(&args).env("TENURE_HANDOVER", handover).output().unwrap());
    let here = nest.path().display().to_string();
    said.out = said.out.replace(&here, "HERE");
    said.err = said.err.replace(&here, "HERE");
    said
}

fn rows(nest: &Nest) -> String {
    let rows: String = nest.sql().query_row(ROWS, [], |row| row.get(0)).unwrap();
    rows.replace(&nest.path().display().to_string(), "HERE")
}

#[test]
fn the_answer_is_that_of_the_direct_way() {
    let [direct, handed, lost] = [prepared(), prepared(), prepared()];
    let workers = [&direct, &handed, &lost].map(serving);
    let stopped = Stopped::between_writes(&lost, workers[2].pid());
    let mut taken = 0;
    for (line, is_handed) in LINES {
        let expected = add(&direct, line, "false");
        let ways = [("the worker", add(&handed, line, "true")), ("after a lost answer", add(&lost, line, "true"))];
        for (way, said) in &ways {
            assert_eq!((said.code, &said.out, &said.err), (expected.code, &expected.out, &expected.err), "{line}, by {way}");
        }
        taken += i64::from(expected.code == 0 && *is_handed);
        // A client whose answer was late, and that was refused, leaves an empty one.
        assert_eq!(count(&handed, "receipt WHERE answer <> '{}'"), taken, "{line}");
        assert_eq!(rows(&handed), rows(&direct), "{line}");
        assert_eq!(rows(&lost), rows(&direct), "{line}");
    }
    assert_eq!(count(&direct, "receipt"), 0);
    assert!(taken > 30, "{taken}");
    drop(stopped);
    until_served(&lost);
    assert_eq!(count(&lost, "job WHERE label IS NOT 'last'"), count(&direct, "job"), "the worker adds nothing late");
}

/// A command under strace, and what it called.
fn recorded(nest: &Nest, args: &[&str], filter: &str) -> (Said, String) {
    let program = nest.tenure(args);
    let mut strace: Command = strace();
    strace.args(["-y", "-e", "signal=none", "-e", filter, "-o"]).arg(nest.file("trace"));
    strace.arg(program.get_program()).args(program.get_args()).current_dir(nest.path()).env_clear();
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = said(strace.output().unwrap());
    (said, std::fs::read_to_string(nest.file("trace")).unwrap())
}

#[test]
fn a_job_that_the_worker_adds_is_added_without_opening_the_file() {
    if !has_strace() {
        return;
    }
    let nest = prepared();
    let _worker = serving(&nest);
    for (line, code) in [("add -- true", 0), ("add -a 999 -- true", 3), ("add -q biuld -- no-such-program", 0)] {
        until("an answer in time", || {
            let args: Vec<&str> = line.split(' ').collect();
            let (said, trace) = recorded(&nest, &args, "trace=openat,open,connect,clone3,clone");
            assert_eq!(said.code, code, "{said:?}");
            assert!(trace.contains("add.sock"), "{trace}");
            // It is slow under strace, and may have taken longer than it waits for.
            let is_direct = trace.contains("q.db-wal");
            assert!(is_direct || !trace.contains("q.db\"") && !trace.contains("clone"), "{trace}");
            (!is_direct).then_some(())
        });
    }
}

#[test]
fn a_stopped_worker_is_waited_for_fifty_milliseconds_at_most() {
    if !has_strace() {
        return;
    }
    let nest = prepared();
    let worker = serving(&nest);
    let stopped = Stopped::between_writes(&nest, worker.pid());
    let (said, trace) = recorded(&nest, &["add", "-l", "one", "--", "true"], "trace=socket,connect,sendto,ppoll,poll");
    assert_eq!(said.code, 0, "{said:?}");
    let all = calls(&trace);
    let socket = all.iter().find(|call| call.name == "socket" && call.text.contains("SEQPACKET")).expect("a socket");
    assert!(socket.text.contains("NONBLOCK"), "no other call waits: {trace}");
    let waits: Vec<_> = all.iter().filter(|call| call.name.contains("poll") && call.entered > socket.entered).collect();
    let ms = |text: &str| {
        let nanos = text.split("tv_nsec=").nth(1).unwrap().split('}').next().unwrap();
        (text.contains("tv_sec=0")).then(|| nanos.parse::<u64>().unwrap() / 1_000_000)
    };
    assert!(waits.len() == 1 && ms(&waits[0].text).is_some_and(|ms| ms <= 50) && waits[0].text.contains("Timeout"), "{trace}");
    drop(stopped);
    until_served(&nest);
    assert_eq!(count(&nest, "job WHERE label = 'one'"), 1);
}

#[test]
fn without_a_worker_nothing_is_waited_for() {
    let nest = prepared();
    assert_eq!(add(&nest, "-- true", "true").code, 0, "there is no directory entry to connect to");
    let worker = serving(&nest);
    worker.kill();
    assert!(nest.beside().join("add.sock").exists(), "what is left of a killed worker");
    assert_eq!(add(&nest, "-- true", "true").code, 0);
    assert_eq!((count(&nest, "receipt"), count(&nest, "job")), (0, 5));
    let worker = serving(&nest);
    assert_eq!(worker.stop(), 0);
    assert!(!nest.beside().join("add.sock").exists());
}

#[test]
fn eight_clients_at_once_get_a_job_each() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let _worker = serving(&nest);
    let ids = std::thread::scope(|scope| {
        let client = |client: usize| {
            let nest = &nest;
            let one = move |n: usize| (format!("{client}-{n}"), nest.add(&["-l", &format!("{client}-{n}"), "--", "true"]));
            scope.spawn(move || (0..25).map(one).collect::<Vec<_>>())
        };
        let clients: Vec<_> = (0..8).map(client).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let sql = nest.sql();
    for (label, id) in &ids {
        let found: i64 = sql.query_row("SELECT id FROM job WHERE label = ?1", [label], |row| row.get(0)).unwrap();
        assert_eq!(found, *id, "{label}");
    }
    assert_eq!((ids.len(), count(&nest, "job")), (200, 201));
}

#[test]
fn a_job_that_was_handed_over_starts_at_once() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let _worker = nest.work(&["--tick", "1h"]);
    until("the worker to take jobs", || connected(&nest));
    let id = nest.add(&["--", "true"]);
    assert_eq!(ended_by_a_wake(&nest, id)["state"], "done");
}

/// The claim loop has no slot to fill, but learns of the times in such jobs, and of those that can
/// never start.
#[test]
fn jobs_that_a_full_worker_is_given_expire_in_time_or_wait() {
    let nest = Nest::new();
    let _worker = nest.work(&["--tick", "1h", "--slots", "1"]);
    let running = nest.add(&["--", "sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; exit 1"]);
    nest.until_pid(running);
    let before = count(&nest, "receipt");
    let ready = nest.add(&["--", "true"]);
    let dependent = nest.add(&["--after", &running.to_string(), "--", "true"]);
    let short = nest.add(&["--expires", "200ms", "--", "true"]);
    assert_eq!(count(&nest, "receipt"), before + 3, "the worker has added them");
    assert_eq!(ended_by_a_wake(&nest, short)["reason"], "expired");
    assert_eq!(nest.show(ready)["state"], "queued");
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(nest.until_ended(ready)["state"], "done");
    assert_eq!(nest.until_ended(dependent)["reason"], "dependency");
    let doomed = nest.add(&["--after", &running.to_string(), "--", "true"]);
    assert_eq!(ended_by_a_wake(&nest, doomed)["reason"], "dependency");
}

#[test]
fn a_replaced_running_job_is_stopped_by_the_worker() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let old = nest.add(&["--unique", "k", "--", "sleep", "600"]);
    nest.until_pid(old);
    let new = nest.add(&["--unique", "k", "--replace", "--", "true"]);
    assert_eq!(ended_by_a_wake(&nest, old)["state"], "cancelled");
    assert_eq!(ended_by_a_wake(&nest, new)["state"], "done");
}

#[test]
fn a_worker_inside_a_program_takes_jobs_too() {
    let nest = Nest::new();
    let queue = tenure::Queue::open(nest.db()).unwrap();
    let worker = queue.worker().slots(1).queues(["of-no-job"]).helper(env!("CARGO_BIN_EXE_tenure")).start().unwrap();
    until_served(&nest);
    assert!(count(&nest, "receipt") > 0);
    worker.stop().unwrap();
}
