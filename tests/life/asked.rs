//! A check, and the worker that asked it dies: the check alone is repeated, and one that has answered is not asked again.

use tenure::job::{Exit, JobId, Outcome, Reason, RunId, RunKind};
use tenure::run::{Record, machine};
use tenure::store::job::auxiliary::{self, Closed, Opening};
use tenure::store::job::check;
use tenure::store::job::ids::Prepared;
use tenure::store::job::settle::RunRecord;

use crate::life::left::{
    Left, NOW_MS, after_a_tick, append, claimed, exited, failed, lines, outcomes, prepare, row, run_file, started, store,
    until_killed, until_no_run_file, whole,
};
use crate::support::{Nest, Signal, kill, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];

/// A job that was run once (its ledger is empty, it must not run again), with a check that notes that it was asked.
fn job_with_check(nest: &Nest, check: &str) -> (i64, Left) {
    let check = format!("echo asked >>asked; {check}");
    let job = nest.sh(&["--check", &check, "--backoff", "0s..0s"], "echo ran >>ran; exit 0");
    (job, claimed(nest, job, &whole(0)))
}

/// The exit of the job is in its row, and a check was begun, as far as these records go.
fn asked(nest: &Nest, job: i64, parent: &Left, records: &[Record]) -> Left {
    let (parent, check) = (RunId(parent.run), run_file(nest, &machine::boot_id()));
    let prepared = Prepared { run: RunId(check.run), nonce: check.nonce };
    let record = RunRecord { exited_at: Some(NOW_MS + 2), ..RunRecord::default() };
    store(nest)
        .write(move |conn| {
            assert!(check::exited(conn, JobId(job), parent, &record, 0)?);
            let opening = Opening::of(RunKind::Check, JobId(job), parent);
            assert!(auxiliary::begin(conn, &opening, prepared, "a dead worker", &machine::boot_id(), NOW_MS)?);
            Ok(())
        })
        .unwrap();
    append(nest, check.run, records);
    check.release();
    check
}

fn ended(nest: &Nest, job: i64) -> String {
    nest.until_ended(job);
    assert!(lines(nest, "ran").is_empty(), "the job itself is not run again");
    row(nest, job)
}

#[test]
fn a_job_whose_check_had_not_begun_is_checked_once() {
    let nest = Nest::new();
    let (job, left) = job_with_check(&nest, "exit 0");
    let _worker = nest.work(&TICK);
    assert_eq!(ended(&nest, job), "done exit 0 1");
    assert_eq!(lines(&nest, "asked"), ["asked"]);
    until_no_run_file(&nest, left.run);
}

#[test]
fn a_recorded_answer_is_used_without_a_second_check() {
    for (code, expected) in [(0, "done exit 0 1"), (1, "failed check 0 1")] {
        let nest = Nest::new();
        let (job, left) = job_with_check(&nest, "exit 9");
        let check = asked(&nest, job, &left, &whole(code));
        let _worker = nest.work(&TICK);
        assert_eq!(ended(&nest, job), expected);
        assert!(lines(&nest, "asked").is_empty());
        assert_eq!(outcomes(&nest, job).len(), 2);
        until_no_run_file(&nest, check.run);
    }
}

#[test]
fn a_recorded_answer_is_used_before_the_job_is_settled() {
    for (outcome, reason, code, expected) in
        [(Outcome::Done, Reason::Exit, 0, "done exit 0 1"), (Outcome::Failed, Reason::Check, 4, "failed check 0 1")]
    {
        for file_is_left in [true, false] {
            let nest = Nest::new();
            let (job, left) = job_with_check(&nest, "exit 9");
            let check = asked(&nest, job, &left, &whole(code));
            let run = RunId(check.run);
            let error = (code != 0).then(|| "the check ended with exit status 4".to_owned());
            store(&nest)
                .write(move |conn| {
                    let (exit, record) = (Some(Exit::Code(code)), RunRecord::default());
                    let closed = Closed { outcome, reason: Some(reason), exit, error: error.clone(), record };
                    auxiliary::end(conn, run, &closed, NOW_MS + 9)
                })
                .unwrap();
            if !file_is_left {
                std::fs::remove_file(nest.beside().join("runs").join(check.run.to_string())).unwrap();
            }
            let _worker = nest.work(&TICK);
            assert_eq!(ended(&nest, job), expected);
            assert!(lines(&nest, "asked").is_empty(), "it has answered");
            assert_eq!(outcomes(&nest, job).len(), 2);
        }
    }
}

#[test]
fn a_check_without_an_answer_runs_again_and_its_job_does_not() {
    for records in [vec![], vec![prepare()], vec![prepare(), started()], vec![failed(11)]] {
        let nest = Nest::new();
        let (job, left) = job_with_check(&nest, "exit 0");
        let check = asked(&nest, job, &left, &records);
        let member = check.member(&nest);
        let _worker = nest.work(&TICK);
        if records.last().is_some_and(|last| !matches!(last, Record::Failed(_))) {
            until_killed(member);
        } else {
            // These records say that there never was a process: nothing is searched for.
            kill(member.id() as i32, Signal::KILL);
            until_killed(member);
        }
        assert_eq!(ended(&nest, job), "done exit 0 1", "{records:?}");
        assert_eq!(lines(&nest, "asked"), ["asked"], "{records:?}");
        assert_eq!(outcomes(&nest, job)[1..], ["check lost", "check done"], "{records:?}");
        until_no_run_file(&nest, check.run);
    }
}

#[test]
fn a_job_cancelled_without_a_worker_ends_after_its_check() {
    let nest = Nest::new();
    let (job, left) = job_with_check(&nest, "exit 0");
    let check = asked(&nest, job, &left, &[prepare(), started()]);
    let member = check.member(&nest);
    nest.ok(&["cancel", &job.to_string()]);
    let _worker = nest.work(&TICK);
    assert_eq!(ended(&nest, job), "cancelled cancelled 0 1");
    assert_eq!(outcomes(&nest, job)[1..], ["check lost"], "its row was closed first");
    until_killed(member);
    assert!(lines(&nest, "asked").is_empty(), "and it is not asked again");
    until_no_run_file(&nest, check.run);
    assert_eq!(nest.counter("impossible_total"), 0, "the reaper had nothing to repair");
}

#[test]
fn a_job_without_its_run_file_ends_after_its_check() {
    let nest = Nest::new();
    let (job, left) = job_with_check(&nest, "exit 0");
    let check = asked(&nest, job, &left, &[prepare(), started()]);
    let member = check.member(&nest);
    std::fs::remove_file(nest.beside().join("runs").join(left.run.to_string())).unwrap();
    let _worker = nest.work(&TICK);
    nest.until_ended(job);
    assert_eq!(outcomes(&nest, job), ["job lost", "check lost"], "its row was closed with it");
    until_killed(member);
    until_no_run_file(&nest, check.run);
    assert_eq!(nest.counter("impossible_total"), 0, "the reaper had nothing to repair");
}

#[test]
fn an_ended_check_counts_when_the_rest_of_its_tree_is_gone() {
    let nest = Nest::new();
    let (job, left) = job_with_check(&nest, "exit 9");
    let check = asked(&nest, job, &left, &[prepare(), started(), exited(0)]);
    let member = check.member(&nest);
    let _worker = nest.work(&TICK);
    assert_eq!(ended(&nest, job), "done exit 0 1");
    until_killed(member);
    assert!(lines(&nest, "asked").is_empty());
}

#[test]
fn a_check_that_could_not_be_asked_fails_its_job() {
    let nest = Nest::new();
    let (job, left) = job_with_check(&nest, "exit 0");
    asked(&nest, job, &left, &[failed(2)]);
    let _worker = nest.work(&TICK);
    assert_eq!(ended(&nest, job), "failed check 0 1");
    assert!(lines(&nest, "asked").is_empty());
}

#[test]
fn without_its_run_file_a_checks_answer_is_unknown() {
    let nest = Nest::new();
    let (job, left) = job_with_check(&nest, "exit 0");
    let check = asked(&nest, job, &left, &whole(1));
    let member = check.member(&nest);
    std::fs::remove_file(nest.beside().join("runs").join(check.run.to_string())).unwrap();
    let _worker = nest.work(&TICK);
    until_killed(member);
    assert_eq!(ended(&nest, job), "done exit 0 1");
    assert_eq!(lines(&nest, "asked"), ["asked"]);
}

#[test]
fn a_living_check_outlives_its_worker_and_its_answer_is_taken() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let check = "echo asked >>asked; while [ ! -e go ]; do sleep 0.02; done; exit 3";
    let job = nest.sh(&["--check", check], "echo ran >>ran");
    until("the check to be asked", || (lines(&nest, "asked") == ["asked"]).then_some(()));
    first.kill();
    let _second = nest.work(&TICK);
    after_a_tick(&nest);
    std::fs::write(nest.file("go"), "").unwrap();
    let ended = nest.until_ended(job);
    assert_eq!(row(&nest, job), "failed check 0 1");
    assert!(ended["error"].as_str().unwrap().contains("exit status 3"), "{ended}");
    assert_eq!((lines(&nest, "asked"), lines(&nest, "ran")), (vec!["asked".into()], vec!["ran".into()]));
}

#[test]
fn a_check_whose_shim_dies_runs_again_and_a_cancel_ends_it() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let check = "echo asked >>asked; test $(wc -l <asked) -ge 2 || sleep 600; while [ ! -e go ]; do sleep 0.02; done";
    let jobs = [true, false].map(|goes| {
        let job = nest.sh(&["--check", check, "--backoff", "0s..0s", "--grace", "1s"], "echo ran >>ran");
        let open = "SELECT id FROM run WHERE job_id = ?1 AND kind = 'check' AND finished_at IS NULL";
        let run = until("a check", || nest.sql().query_row(open, [job], |row| row.get::<_, i64>(0)).ok());
        if goes {
            // Killed before it has begun, the first check would leave the second one to wait as the first does.
            until("the first asking", || (lines(&nest, "asked").len() == 1).then_some(()));
            kill(nest.shim(run), Signal::KILL);
            until("the second asking", || (lines(&nest, "asked").len() == 2).then_some(()));
            std::fs::write(nest.file("go"), "").unwrap();
            nest.until_ended(job);
            std::fs::remove_file(nest.file("go")).unwrap();
        } else {
            until("the third asking", || (lines(&nest, "asked").len() == 3).then_some(()));
            nest.ok(&["cancel", &job.to_string()]);
            nest.until_ended(job);
        }
        job
    });
    assert_eq!(jobs.map(|job| row(&nest, job)), ["done exit 0 1", "cancelled cancelled 0 1"]);
    assert_eq!(outcomes(&nest, jobs[0]), ["job done", "check lost", "check done"]);
    assert_eq!(lines(&nest, "ran").len(), 2);
    assert!(nest.of_runs().is_empty());
}

#[test]
fn a_suspension_of_a_check_ends_with_its_cancelled_job() {
    let nest = Nest::new();
    let worker = nest.work(&["--tick", "50ms"]);
    let id = nest.sh(&["--check", "echo x >checks; exec sleep 600"], "true");
    until("the check", || nest.file("checks").exists().then_some(()));
    nest.ok(&["suspend", &id.to_string()]);
    until("the check to be suspended", || (nest.show(id)["suspension"]["state"] == "suspended").then_some(()));
    nest.ok(&["cancel", &id.to_string()]);
    assert_eq!(nest.until_ended(id)["state"], "cancelled");
    let row = "SELECT closed_at IS NOT NULL AND suspended_ms >= 0 FROM suspend WHERE job_id = ?1";
    assert!(nest.sql().query_row(row, [id], |row| row.get::<_, bool>(0)).unwrap());
    crate::life::left::after_a_tick(&nest);
    assert!(!worker.said().contains("past the guards"), "{}", worker.said());
}
