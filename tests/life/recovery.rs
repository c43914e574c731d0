//! A running row that no worker watches: each row of the first table, through the real worker.

use std::process::Stdio;

use tenure::job::RunId;
use tenure::run::{Header, RunFile, machine};

use crate::life::left::{
    after_a_tick, claimed, claimed_in, drained, exited, failed, lines, outcomes, prepare, row, sleeper, spawner_of, started,
    until_killed, until_no_run_file, whole,
};
use crate::support::frozen::Frozen;
use crate::support::{Nest, Signal, kill, kill_child, lives, pid_in, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];
const EARLIER_BOOT: &str = "00000000-1111-2222-3333-444444444444";
/// Notes its attempt, and whether the process of the first attempt is still alive; the first attempt stays.
const NO_SECOND_COPY: &str = "echo $TENURE_ATTEMPT >>ledger; if [ $TENURE_ATTEMPT = 1 ]; then sleep 600 & echo $! >first; wait; fi; \
    case $(cut -d' ' -f3 /proc/$(cat first)/stat 2>/dev/null) in ''|Z) ;; *) echo both >>ledger;; esac";

#[test]
fn a_run_of_an_earlier_boot_without_a_record_is_lost() {
    let nest = Nest::new();
    let job = nest.sh(&[], "echo again >>ledger");
    let left = claimed_in(&nest, job, EARLIER_BOOT);
    left.release();
    left.append(&nest, &[prepare(), started()]);
    let mut bystander = sleeper(&nest, Some(left.nonce), Stdio::null());
    let _worker = nest.work(&TICK);
    nest.until_ended(job);
    until_no_run_file(&nest, left.run);
    assert_eq!(row(&nest, job), "failed lost - 1");
    assert_eq!(nest.counter("lost_total"), 1);
    assert!(lives(bystander.id() as i32), "nothing of an earlier boot can be alive, so nothing is killed");
    assert!(lines(&nest, "ledger").is_empty());
    kill_child(&mut bystander);
}

#[test]
fn a_run_of_an_earlier_boot_goes_on_from_its_record() {
    let nest = Nest::new();
    let jobs = [nest.sh(&[], "exit 9"), nest.sh(&[], "exit 9"), nest.sh(&[], "exit 9")];
    for (job, records) in jobs.iter().zip([whole(0), vec![prepare(), started(), exited(3)], vec![failed(2)]]) {
        let left = claimed_in(&nest, *job, EARLIER_BOOT);
        left.release();
        left.append(&nest, &records);
    }
    let _worker = nest.work(&TICK);
    jobs.iter().for_each(|job| drop(nest.until_ended(*job)));
    assert_eq!(jobs.map(|job| row(&nest, job)), ["done exit 0 1", "failed exit 3 1", "failed spawn - 1"]);
    assert_eq!(nest.counter("lost_total"), 0);
}

#[test]
fn a_held_lock_is_a_living_run_with_any_record() {
    let nest = Nest::new();
    let job = nest.sh(&[], "echo again >>ledger");
    let left = claimed_in(&nest, job, &machine::boot_id());
    left.append(&nest, &whole(4));
    let _worker = nest.work(&TICK);
    until("the run to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    after_a_tick(&nest);
    assert_eq!(row(&nest, job), "running - - 1", "DRAINED is not the end as long as a process holds the lock");
    left.release();
    nest.until_ended(job);
    assert_eq!(row(&nest, job), "failed exit 4 1");
    assert_eq!(nest.counter("adopted_total"), 1);
    assert!(lines(&nest, "ledger").is_empty());
}

/// Recovery reads the rows of open runs while monitors settle them.
#[test]
fn a_run_that_has_just_ended_is_not_taken_over() {
    let nest = Nest::new();
    nest.ok(&["add", "--array", "1-600", "--", "true"]);
    let said = nest.say(&["work", "--until-idle", "--slots", "8", "--tick", "1ms"]);
    assert_eq!(said.code, 0, "{said:?}");
    let warnings: Vec<&str> = said.err.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(warnings, [""; 0]);
    assert_eq!(["lost_total", "adopted_total"].map(|name| nest.counter(name)), [0, 0]);
}

#[test]
fn a_launch_whose_worker_dies_is_adopted_and_starts_once() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let spawner = spawner_of(&nest, first.pid());
    let frozen = Frozen::new(spawner);
    let job = nest.sh(&["--retries", "3"], "echo once >>ledger");
    nest.until_state(job, "running");
    // The message is sent when the worker has no copy of the lock any more, which only its death can show.
    after_a_tick(&nest);
    first.kill();
    let _second = nest.work(&TICK);
    until("the run to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    after_a_tick(&nest);
    assert_eq!(row(&nest, job), "running - - 1");
    drop(frozen);
    nest.until_ended(job);
    assert_eq!(lines(&nest, "ledger"), ["once"]);
    assert_eq!(outcomes(&nest, job), ["job done"]);
}

#[test]
fn a_launch_cancelled_on_its_way_is_asked_until_it_reacts() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let spawner = spawner_of(&nest, first.pid());
    let frozen = Frozen::new(spawner);
    let job = nest.sh(&["--grace", "1s"], "exec sleep 600");
    nest.until_state(job, "running");
    after_a_tick(&nest);
    first.kill();
    nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [job]).unwrap();
    let _second = nest.work(&TICK);
    until("the run to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    after_a_tick(&nest);
    assert_eq!(row(&nest, job), "running - - 1", "there is no shim that could be asked");
    drop(frozen);
    let ended = nest.until_ended(job);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    until("its tree to be gone", || nest.of_runs().is_empty().then_some(()));
}

#[test]
fn a_run_file_removed_without_a_worker_starts_no_second_copy() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], NO_SECOND_COPY);
    nest.until_pid(job);
    let survivor = pid_in(&nest.file("first"));
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    first.kill();
    std::fs::remove_file(nest.beside().join("runs").join(run.to_string())).unwrap();
    assert!(lives(survivor));
    let _second = nest.work(&TICK);
    nest.until_ended(job);
    assert_eq!(outcomes(&nest, job), ["job lost", "job done"]);
    assert_eq!(lines(&nest, "ledger"), ["1", "2"], "the second attempt began when the first was gone");
    assert!(!lives(survivor));
}

#[test]
fn a_run_file_removed_under_a_worker_changes_no_end_or_cancel() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let ends = nest.sh(&[], "while [ ! -e go ]; do sleep 0.1; done; exit 5");
    let stays = nest.sh(&["--grace", "1s"], "setsid sleep 600 & echo $! >first; sleep 600");
    for job in [ends, stays] {
        nest.until_pid(job);
        let run = nest.show(job)["run_id"].as_i64().unwrap();
        std::fs::remove_file(nest.beside().join("runs").join(run.to_string())).unwrap();
    }
    after_a_tick(&nest);
    assert_eq!([row(&nest, ends), row(&nest, stays)], ["running - - 1", "running - - 1"], "the worker knows that they are alive");
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(ends);
    assert_eq!(row(&nest, ends), "failed exit 5 1");
    let survivor = pid_in(&nest.file("first"));
    nest.ok(&["cancel", &stays.to_string()]);
    let job = nest.until_ended(stays);
    assert_eq!((job["state"].as_str(), job["reason"].as_str()), (Some("cancelled"), Some("cancelled")), "{job}");
    assert!(!lives(survivor) && nest.of_runs().is_empty());
}

#[test]
fn with_a_foreign_nonce_in_the_run_file_both_trees_end() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], NO_SECOND_COPY);
    nest.until_pid(job);
    let survivor = pid_in(&nest.file("first"));
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    first.kill();
    let foreign = machine::nonce();
    let header = Header {
        file_id: nest.sql().query_row("SELECT value FROM meta WHERE key = 'file_id'", [], |row| row.get(0)).unwrap(),
        run: RunId(run),
        nonce: foreign,
        boot_id: machine::boot_id(),
        pid_ns: machine::pid_namespace(),
        pid_ns_ends: false,
        asks: false,
    };
    // Its lock is held, and its record says that all is well: not for this run.
    let path = nest.beside().join("runs").join(run.to_string());
    std::fs::remove_file(&path).unwrap();
    let held = RunFile::create(crate::life::left::store(&nest).place(), &header).unwrap();
    crate::life::left::append(&nest, run, &whole(0));
    let stranger = sleeper(&nest, Some(foreign), Stdio::null());
    let _second = nest.work(&TICK);
    nest.until_ended(job);
    assert_eq!(outcomes(&nest, job), ["job lost", "job done"]);
    assert_eq!(lines(&nest, "ledger"), ["1", "2"]);
    assert!(!lives(survivor));
    drop(held);
    until_killed(stranger); // what the foreign file stands for
    until_no_run_file(&nest, run);
}

#[test]
fn a_header_without_a_record_is_requeued_without_an_attempt() {
    let nest = Nest::new();
    let job = nest.sh(&[], "echo once >>ledger; test $TENURE_ATTEMPT = 1");
    let left = claimed(&nest, job, &[]);
    let _worker = nest.work(&TICK);
    nest.until_ended(job);
    assert_eq!(row(&nest, job), "done exit 0 1");
    assert_eq!(outcomes(&nest, job), ["job unstarted", "job done"]);
    assert_eq!(lines(&nest, "ledger"), ["once"]);
    assert_eq!(nest.counter("put_back_total"), 1);
    until_no_run_file(&nest, left.run);
}

#[test]
fn an_unexecutable_command_is_settled_by_the_next_worker() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let spawner = spawner_of(&nest, first.pid());
    let frozen = Frozen::new(spawner);
    let job = nest.add(&["--", "/bin/no/such/thing"]);
    nest.until_state(job, "running");
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    // With the write lock in other hands the worker can see the end and not write it down.
    let blocker = nest.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop(frozen);
    until("FAILED", || nest.run_file(run).contains("FAILED").then_some(()));
    first.kill();
    blocker.execute_batch("ROLLBACK").unwrap();
    let _second = nest.work(&TICK);
    let ended = nest.until_ended(job);
    assert_eq!(row(&nest, job), "failed spawn - 1");
    assert!(ended["error"].as_str().unwrap().contains("/bin/no/such/thing"), "{ended}");
    assert_eq!(outcomes(&nest, job), ["job failed"]);
}

#[test]
fn a_begun_run_without_a_recorded_end_is_lost() {
    let nest = Nest::new();
    for records in [vec![prepare()], vec![prepare(), started()], vec![prepare(), started(), drained()]] {
        let job = nest.sh(&[], "echo again >>ledger");
        let left = claimed(&nest, job, &records);
        let member = left.member(&nest);
        let worker = nest.work(&TICK);
        until_killed(member);
        nest.until_ended(job);
        assert_eq!(row(&nest, job), "failed lost - 1");
        until_no_run_file(&nest, left.run);
        worker.stop();
    }
    assert!(lines(&nest, "ledger").is_empty());
}

#[test]
fn a_recorded_end_counts_when_the_rest_of_the_tree_is_gone() {
    let nest = Nest::new();
    let job = nest.sh(&["--retries", "3", "--retry-on", "4"], "echo again >>ledger");
    let left = claimed(&nest, job, &[prepare(), started(), exited(5)]);
    let member = left.member(&nest);
    let state = format!(
        "case $(cut -d' ' -f3 /proc/{}/stat 2>/dev/null) in ''|Z) echo gone;; *) echo alive;; esac >>ledger",
        member.id()
    );
    let follower = nest.sh(&["--after-any", &job.to_string()], &state);
    let _worker = nest.work(&TICK);
    nest.until_ended(follower);
    assert_eq!(row(&nest, job), "failed exit 5 1");
    assert_eq!(lines(&nest, "ledger"), ["gone"]);
    assert_eq!(outcomes(&nest, job), ["job failed"]);
    until_killed(member);
}

#[test]
fn a_shim_killed_before_drained_costs_neither_end_nor_cleanup() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    // The first process obeys the timeout, the second does not: the shim waits out the grace with EXITED written.
    let line = "sh -c 'trap \"\" TERM; echo $$ >inner; while :; do sleep 1; done' & while [ ! -e inner ]; do sleep 0.1; done; trap 'exit 6' TERM; wait";
    let job = nest.sh(&["--timeout", "500ms", "--grace", "10m"], line);
    let run = until("a run", || nest.show(job)["run_id"].as_i64());
    until("EXITED", || nest.run_file(run).contains("EXITED").then_some(()));
    let inner = pid_in(&nest.file("inner"));
    assert!(lives(inner) && !nest.run_file(run).contains("DRAINED"));
    kill(nest.shim(run), Signal::KILL);
    nest.until_ended(job);
    assert_eq!(row(&nest, job), "failed timeout 6 1");
    assert!(!lives(inner));
    assert_eq!(nest.counter("lost_total"), 0);
}

#[test]
fn a_whole_record_is_settled_as_it_stands() {
    let nest = Nest::new();
    let jobs = [nest.sh(&[], "echo again >>ledger"), nest.sh(&["--retries", "1", "--backoff", "0s..0s"], "echo two >>ledger")];
    claimed(&nest, jobs[0], &whole(0));
    claimed(&nest, jobs[1], &whole(8));
    let _worker = nest.work(&TICK);
    jobs.iter().for_each(|job| drop(nest.until_ended(*job)));
    assert_eq!(jobs.map(|job| row(&nest, job)), ["done exit 0 1", "done exit 0 2"]);
    assert_eq!(lines(&nest, "ledger"), ["two"], "a failure is tried again by the job's own rules, a success never");
    let claimed_at: i64 =
        nest.sql().query_row("SELECT exited_at FROM run WHERE job_id = ?1", [jobs[0]], |row| row.get(0)).unwrap();
    assert_eq!(claimed_at, crate::life::left::NOW_MS + 2, "the times are those of the record");
}

/// The same number and nonce in the run file of another queue, as where the directory of one was copied over that of the other.
#[test]
fn a_run_file_of_another_queue_ends_no_run() {
    for is_held in [false, true] {
        let nest = Nest::new();
        let job = nest.sh(&[], "echo again >>ledger");
        let left = claimed(&nest, job, &[prepare(), started()]);
        let member = left.member(&nest);
        let path = nest.beside().join("runs").join(left.run.to_string());
        std::fs::remove_file(&path).unwrap();
        let header = Header {
            file_id: "ffffffff-0000-1111-2222-333333333333".into(),
            run: RunId(left.run),
            nonce: left.nonce,
            boot_id: machine::boot_id(),
            pid_ns: machine::pid_namespace(),
            pid_ns_ends: false,
            asks: false,
        };
        let held = RunFile::create(crate::life::left::store(&nest).place(), &header).unwrap();
        crate::life::left::append(&nest, left.run, &whole(0));
        if !is_held {
            crate::life::left::release(&held);
        }
        let _worker = nest.work(&TICK);
        nest.until_ended(job);
        assert_eq!(row(&nest, job), "failed lost - 1", "held: {is_held}: what is recorded there is another run's");
        assert_eq!(nest.counter("adopted_total"), 0, "held: {is_held}");
        until_killed(member);
        drop(held);
    }
}
