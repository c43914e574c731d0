//! What other queues got wrong about who owns what. Each of these was a real incident.

use std::process::Stdio;

use tenure::job::{Cause, Exit, JobId, RunEnd, RunId};
use tenure::run::Record;
use tenure::store::job::settle::{self, RunRecord, Settle, Settled};

use crate::life::left::{
    NOW_MS, after_a_tick, claimed, exited, lines, number, outcomes, ownership, prepare, row, sleeper, spawner_of, started, store,
    until_killed, whole,
};
use crate::support::frozen::Frozen;
use crate::support::{Nest, Signal, kill, lives, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];
const CLEAN: &str = "queued - - - - -";

/// A job that was claimed, whose pid was noted as that of another process, and whose worker has died. Its queue is closed.
fn stale(nest: &Nest, options: &[&str], records: &[Record], pid: i32) -> i64 {
    let job = nest.sh(options, "echo again >>ledger");
    let left = claimed(nest, job, records);
    store(nest).write(move |conn| settle::started(conn, RunId(left.run), pid, NOW_MS)).unwrap();
    nest.ok(&["queue", "pause", "default"]);
    assert_eq!(ownership(nest, job), format!("running {} {pid} {NOW_MS} - -", left.run));
    job
}

#[test]
fn a_stale_run_and_pid_become_a_clean_row_after_a_restart() {
    let retried = ["--retries", "2", "--backoff", "10m..10m"];
    #[expect(clippy::type_complexity, reason = "a table is a table")]
    let cases: [(&[&str], Vec<Record>, &str, Option<&str>); 5] = [
        (&[], vec![], "queued - - 0", Some(CLEAN)),
        (&retried, vec![prepare(), started()], "queued - - 1", Some(CLEAN)),
        (&[], vec![prepare(), started()], "failed lost - 1", None),
        (&retried, whole(3), "queued - - 1", Some(CLEAN)),
        (&[], vec![prepare(), started(), exited(0)], "done exit 0 1", None),
    ];
    for (options, records, expected, clean) in cases {
        let nest = Nest::new();
        let bystander = sleeper(&nest, None, Stdio::null());
        let job = stale(&nest, options, &records, bystander.id() as i32);
        let worker = nest.work(&TICK);
        until("the row to be decided", || (nest.state(job) != "running").then_some(()));
        after_a_tick(&nest);
        assert_eq!(row(&nest, job), expected, "{records:?}");
        if let Some(clean) = clean {
            assert_eq!(ownership(&nest, job), clean, "{records:?}");
        }
        assert_eq!(number(&nest, "SELECT pid IS NULL FROM job WHERE id = ?1", job), 1);
        assert!(lives(bystander.id() as i32), "a pid is for showing");
        assert_eq!(nest.counter("impossible_total"), 0);
        worker.stop();
        kill(bystander.id() as i32, Signal::KILL);
        until_killed(bystander);
    }
}

#[test]
fn each_requeue_clears_the_run_and_keeps_the_deferrals() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let now_ms = number(&nest, "SELECT created_at FROM job WHERE id = ?1", nest.add(&["--", "true"]));
    let waits = ["--retries", "5", "--backoff", "10m..10m"];
    // Says "not now" once, at once; then does what is asked for.
    let job = |then: &str| {
        let line = format!("test -e said.$TENURE_JOB || {{ touch said.$TENURE_JOB; exit 75; }}; {then}");
        let job = nest.sh(&waits, &line);
        until("the deferral", || (number(&nest, "SELECT deferrals FROM job WHERE id = ?1", job) == 1).then_some(()));
        assert_eq!(ownership(&nest, job), CLEAN);
        assert!(number(&nest, "SELECT available_at FROM job WHERE id = ?1", job) > now_ms + 500_000, "it waits");
        assert_eq!(row(&nest, job), "queued - - 0", "a deferral uses no attempt");
        job
    };
    let start = |job: i64| {
        nest.ok(&["set", &job.to_string(), "delay=0s"]);
        nest.until_pid(job)
    };
    let back = |job: i64, way: &str, attempts: i64| {
        until(way, || (ownership(&nest, job) == CLEAN).then_some(()));
        assert_eq!(row(&nest, job), format!("queued - - {attempts}"), "{way}");
        assert_eq!(number(&nest, "SELECT deferrals FROM job WHERE id = ?1", job), 1, "{way}");
    };

    let retried = job("sleep 0.1; exit 3");
    nest.ok(&["set", &retried.to_string(), "delay=0s"]);
    until("the retry", || (number(&nest, "SELECT attempts FROM job WHERE id = ?1", retried) == 1).then_some(()));
    back(retried, "a retry", 1);
    assert!(number(&nest, "SELECT available_at FROM job WHERE id = ?1", retried) > now_ms + 500_000);

    let lost = job("sleep 600");
    start(lost);
    kill(nest.shim(nest.show(lost)["run_id"].as_i64().unwrap()), Signal::KILL);
    back(lost, "a loss", 1);
    assert!(number(&nest, "SELECT available_at FROM job WHERE id = ?1", lost) > now_ms + 500_000);

    let stopped = job("exec sleep 600");
    start(stopped);
    kill(nest.shim(nest.show(stopped)["run_id"].as_i64().unwrap()), Signal::TERM);
    back(stopped, "a shutdown", 1);
    assert_eq!(outcomes(&nest, stopped), ["job deferred", "job lost"]);
}

#[test]
fn what_a_person_puts_back_and_what_never_started_are_clean_too() {
    let nest = Nest::new();
    let job = nest.sh(&["--queue", "q"], "exit 3");
    nest.work_until_idle(&[]);
    nest.ok(&["queue", "pause", "q"]);
    nest.ok(&["retry", &job.to_string()]);
    assert_eq!((ownership(&nest, job).as_str(), row(&nest, job).as_str()), (CLEAN, "queued - - 0"));
    nest.ok(&["queue", "resume", "q"]);
    claimed(&nest, job, &[]);
    nest.ok(&["queue", "pause", "q"]);
    let _worker = nest.work(&TICK);
    until("the job to be requeued", || (ownership(&nest, job) == CLEAN).then_some(()));
    assert_eq!(row(&nest, job), "queued - - 0");
    assert_eq!(outcomes(&nest, job), ["job failed", "job unstarted"]);
}

/// All that the file says, but for what the worker counts.
fn everything(nest: &Nest) -> Vec<String> {
    let conn = nest.sql();
    let mut all = Vec::new();
    for table in ["job", "run", "cancel", "event", "dependency", "tally", "lane", "queue", "counter"] {
        let mut select = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = select.column_count();
        let rows = select.query_map([], |row| {
            Ok((0..columns).map(|i| format!("{:?}", row.get_ref(i).unwrap())).collect::<Vec<_>>().join("|"))
        });
        all.extend(rows.unwrap().map(|row| format!("{table}: {}", row.unwrap())));
    }
    all
}

#[test]
fn a_run_is_settled_once_and_a_late_caller_changes_nothing() {
    let nest = Nest::new();
    let job = nest.sh(&["--retries", "3"], "true");
    nest.sh(&["--after", &job.to_string()], "true");
    let left = claimed(&nest, job, &[]);
    nest.ok(&["cancel", &job.to_string()]);
    let ended = |exit, cause| RunEnd::Ended { exit, cause, out_of_memory: false };
    let settle_as = |end: RunEnd| {
        let news = Settle { job: JobId(job), run: RunId(left.run), end, record: RunRecord::default(), chance: 0.5 };
        store(&nest).write(move |conn| settle::settle(conn, &news, NOW_MS)).unwrap()
    };
    assert!(matches!(settle_as(ended(Exit::Signal(15), Some(Cause::Cancel))), Settled::Won { .. }));
    let before = everything(&nest);
    for end in
        [RunEnd::Lost, RunEnd::NeverStarted, ended(Exit::Code(0), None), ended(Exit::Code(75), None), ended(Exit::Code(1), None)]
    {
        assert_eq!(settle_as(end), Settled::Late);
    }
    assert!(!store(&nest).write(move |conn| settle::started(conn, RunId(left.run), 1, NOW_MS)).unwrap());
    assert_eq!(everything(&nest), before);
}

#[test]
fn a_worker_whose_run_was_settled_by_another_lets_the_row_be() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    let job = nest.sh(&[], "while [ ! -e go ]; do sleep 0.02; done; exit 5");
    let follower = nest.sh(&["--after-any", &job.to_string()], "echo ran >>ledger");
    nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let news = Settle { job: JobId(job), run: RunId(run), end: RunEnd::Lost, record: RunRecord::default(), chance: 0.5 };
    store(&nest).write(move |conn| settle::settle(conn, &news, NOW_MS)).unwrap();
    let before = nest.show(job);
    std::fs::write(nest.file("go"), "").unwrap();
    until("the late news", || worker.said().contains("no longer owned its job").then_some(()));
    assert_eq!(nest.show(job), before);
    nest.until_ended(follower);
    assert_eq!(lines(&nest, "ledger"), ["ran"]);
}

#[test]
fn a_vanished_launch_leaves_a_clean_row_that_is_claimed_again() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    let spawner = spawner_of(&nest, worker.pid());
    let _frozen = Frozen::new(spawner);
    let job = nest.sh(&[], "echo $TENURE_ATTEMPT >>ledger; exit 0");
    nest.until_state(job, "running");
    after_a_tick(&nest);
    assert_eq!(number(&nest, "SELECT pid IS NULL AND run_id IS NOT NULL FROM job WHERE id = ?1", job), 1);
    let first_run = nest.show(job)["run_id"].as_i64().unwrap();
    kill(spawner, Signal::KILL);
    let ended = nest.until_ended(job);
    assert_eq!(row(&nest, job), "done exit 0 1");
    assert_eq!(outcomes(&nest, job), ["job unstarted", "job done"]);
    assert_eq!(lines(&nest, "ledger"), ["1"], "the attempt that never was has used none");
    assert!(ended["run_id"].as_i64().unwrap() > first_run);
    assert_eq!(number(&nest, "SELECT count(*) FROM run WHERE job_id = ?1 AND pid IS NOT NULL", job), 1);
}

#[test]
fn a_freshly_claimed_run_without_a_pid_is_not_reaped() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    let spawner = spawner_of(&nest, worker.pid());
    let frozen = Frozen::new(spawner);
    let job = nest.sh(&["--retries", "5"], "echo once >>ledger");
    nest.until_state(job, "running");
    let before = ownership(&nest, job);
    (0..5).for_each(|_| after_a_tick(&nest));
    assert_eq!(ownership(&nest, job), before);
    drop(frozen);
    nest.until_ended(job);
    assert_eq!((row(&nest, job).as_str(), outcomes(&nest, job)), ("done exit 0 1", vec!["job done".to_owned()]));
    assert_eq!(lines(&nest, "ledger"), ["once"]);
    let acts = ["put_back_total", "lost_total", "adopted_total", "impossible_total"].map(|name| nest.counter(name));
    assert_eq!(acts, [0; 4]);
}

#[test]
fn a_worker_killed_before_the_settle_repeats_nothing() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let line = "echo ran >>ledger; while [ ! -e go ]; do sleep 0.02; done";
    let job = nest.sh(&["--retries", "5", "--backoff", "0s..0s"], line);
    let followers = [0, 1].map(|_| nest.sh(&["--after", &job.to_string()], "echo followed >>followers"));
    nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let blocker = nest.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::fs::write(nest.file("go"), "").unwrap();
    until("the record of the end", || nest.run_file(run).contains("DRAINED").then_some(()));
    first.kill();
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(nest.state(job), "running");
    let _second = nest.work(&TICK);
    followers.iter().for_each(|job| drop(nest.until_ended(*job)));
    assert_eq!(row(&nest, job), "done exit 0 1");
    assert_eq!(outcomes(&nest, job), ["job done"]);
    assert_eq!((lines(&nest, "ledger").len(), lines(&nest, "followers").len()), (1, 2));
    for follower in followers {
        assert_eq!(number(&nest, "SELECT count(*) FROM history WHERE job_id = ?1 AND kind = 'claimed'", follower), 1);
    }
}
