//! Another program sits in a transaction: it is named, and running jobs are still supervised.

use std::io::Read as _;
use std::process::Stdio;

use tenure::store::{self, Role};
use tenure::worker::{Options, Started, Worker};

use crate::life::left::{lines, outcomes, row};
use crate::support::{Nest, Signal, kill, lives, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];

#[test]
fn an_idle_transaction_is_named_and_deadlines_hold() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let job = nest.sh(&["--timeout", "1s", "--grace", "1s"], "echo ran >>ledger; setsid sleep 600 & exec sleep 600");
    let pid = nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let blocker = nest.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    until("the timeout, while nothing can be written", || nest.run_file(run).contains("DRAINED").then_some(()));
    assert!(!lives(pid) && nest.of_runs().is_empty());
    let me = std::process::id().to_string();
    let problem = until("status to name it", || {
        let status = nest.status();
        status["problems"].as_array()?.iter().find(|p| p["code"] == "writer_blocked").cloned()
    });
    let text = problem["text"].as_str().unwrap();
    assert!(text.contains(&format!("pid {me} ")) && text.contains(" for "), "{text}");
    let doctor = nest.say(&["doctor"]);
    assert!(doctor.code != 0 && doctor.out.contains(&format!("pid {me} ")), "{doctor:?}");
    assert_eq!(nest.state(job), "running", "what is not recorded is not said");
    blocker.execute_batch("ROLLBACK").unwrap();
    nest.until_ended(job);
    assert_eq!(row(&nest, job), "failed timeout - 1");
    assert_eq!((outcomes(&nest, job), lines(&nest, "ledger").len()), (vec!["job failed".to_owned()], 1));
    until("no process to be named any more", || {
        let status = nest.status();
        status["problems"].as_array()?.iter().all(|p| p["code"] != "writer_blocked").then_some(())
    });
    let doctor = nest.say(&["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
}

#[test]
fn a_worker_that_cannot_write_ends_on_a_signal() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let job = nest.sh(&[], "echo ran >>ledger; while [ ! -e go ]; do sleep 0.1; done; exit 4");
    nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let blocker = nest.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::fs::write(nest.file("go"), "").unwrap();
    until("its end", || nest.run_file(run).contains("DRAINED").then_some(()));
    first.stop();
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(nest.state(job), "running");
    let _second = nest.work(&TICK);
    nest.until_ended(job);
    assert_eq!((row(&nest, job).as_str(), lines(&nest, "ledger").len()), ("failed exit 4 1", 1));
}

#[test]
fn a_run_that_cannot_write_as_a_worker_ends_on_each_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let nest = Nest::new();
        let first = nest.work(&["--queue", "other"]);
        let mut run = nest.tenure(&["run", "--", "/bin/sh", "-c", "echo ran >>ledger"]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        until("its job", || (nest.status()["counts"]["queued"] == 1).then_some(()));
        let blocker = nest.sql();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        first.stop();
        let is_worker = || (nest.status()["worker"]["pid"] == run.id()).then_some(());
        until("the run to be the worker", is_worker);
        kill(run.id().cast_signed(), signal);
        let code = until("its end, while nothing can be written", || run.try_wait().unwrap()).code();
        let mut said = String::new();
        run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(code, Some(128 + signal.as_raw()), "{said}");
        assert!(said.contains("holds the write lock") && said.contains("tenure cancel 1"), "{said}");
        assert!(nest.status()["worker"].is_null() && nest.of_runs().is_empty(), "nothing is left behind");
        blocker.execute_batch("ROLLBACK").unwrap();
        assert_eq!(nest.state(1), "queued");
        nest.work_until_idle(&[]);
        assert_eq!(lines(&nest, "ledger").len(), 1);
    }
}

/// Between the look for a worker and the start of one, another process may have become it.
#[test]
fn a_signal_before_a_start_that_is_refused_is_not_lost() {
    let nest = Nest::new();
    let _other = nest.work(&TICK);
    let client = crate::life::left::store(&nest);
    let (told, orders) = crossbeam_channel::bounded(1);
    // Taken or not, by chance; lost, never.
    for _ in 0..20 {
        told.send(15).unwrap();
        match Worker::start_unless_told(&client, store::Options::new(Role::Worker), Options::work(), &orders) {
            Ok(Started::Told { order, worker, is_blocked }) => {
                assert_eq!((order, worker.is_none(), is_blocked), (15, true, false));
            }
            Ok(Started::Serves(_)) => panic!("there is a worker already"),
            Err(refused) => assert_eq!(orders.try_recv(), Ok(15), "{refused}"),
        }
    }
}
