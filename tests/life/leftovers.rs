//! A run file that no open run needs: each row of the second table, through the real worker.

use std::process::Stdio;

use tenure::job::RunId;
use tenure::run::machine;

use crate::life::left::{
    Left, after_a_tick, append, claimed, lines, prepare, row, run_file, settle, sleeper, spawner_of, started, store,
    until_killed, until_no_run_file, whole,
};
use crate::support::frozen::Frozen;
use crate::support::{Nest, Signal, kill, lives, pid_in, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];
/// A command without a cookie, and something that has left its session, also without one.
const HIDES: &str = "env -i setsid sleep 600 >/dev/null 2>&1 & echo $! >inner; exec env -i sleep 600";

fn log_of(nest: &Nest, run: i64) -> std::path::PathBuf {
    store(nest).place().log_file(RunId(run))
}

/// A job that hides from a look for cookies, its worker killed: its run, its own process, and the hidden one.
fn hidden(nest: &Nest) -> (i64, i64, i32, i32) {
    let first = nest.work(&TICK);
    let job = nest.sh(&["--grace", "1s"], HIDES);
    let pid = nest.until_pid(job);
    let inner = pid_in(&nest.file("inner"));
    until("the job to have no cookie", || std::fs::read(format!("/proc/{pid}/environ")).ok()?.is_empty().then_some(()));
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    first.kill();
    (job, run, pid, inner)
}

#[test]
fn a_settled_run_whose_lock_is_free_leaves_no_file() {
    let nest = Nest::new();
    let job = nest.sh(&[], "true");
    let left = claimed(&nest, job, &whole(0));
    let bystander = sleeper(&nest, Some(left.nonce), Stdio::null());
    settle(&nest, job, left.run);
    let before = nest.show(job);
    let _worker = nest.work(&TICK);
    until_no_run_file(&nest, left.run);
    assert_eq!(nest.show(job), before, "an ended job does not change");
    assert!(lives(bystander.id() as i32), "a free lock says that no process is there to be ended");
    kill(bystander.id() as i32, Signal::KILL);
    until_killed(bystander);
}

#[test]
fn a_settled_run_with_a_held_lock_is_ended_and_its_file_removed() {
    let nest = Nest::new();
    let (job, run, pid, inner) = hidden(&nest);
    settle(&nest, job, run);
    let before = nest.show(job);
    assert!(lives(pid) && lives(inner));
    let _worker = nest.work(&TICK);
    until_no_run_file(&nest, run);
    assert!(!lives(pid) && !lives(inner), "its shim is found by its run file, so nothing can hide");
    assert_eq!(nest.show(job), before);
}

#[test]
fn an_unknown_run_without_a_record_was_never_committed() {
    let nest = Nest::new();
    let job = nest.sh(&[], "echo once >>ledger");
    let left = run_file(&nest, &machine::boot_id());
    left.release();
    let _worker = nest.work(&TICK);
    until_no_run_file(&nest, left.run);
    nest.until_ended(job);
    assert_eq!(lines(&nest, "ledger"), ["once"]);
    assert_eq!(nest.counter("stray_total"), 0, "nothing to tell");
}

#[test]
fn an_unknown_run_with_a_record_is_ended_and_reported() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let left = run_file(&nest, &machine::boot_id());
    left.release();
    append(&nest, left.run, &[prepare(), started()]);
    let member = left.member(&nest);
    std::fs::write(log_of(&nest, left.run), "what it said\n").unwrap();
    let worker = nest.work(&TICK);
    until_killed(member);
    until_no_run_file(&nest, left.run);
    assert_eq!(std::fs::read_to_string(log_of(&nest, left.run)).unwrap(), "what it said\n");
    assert_eq!(nest.counter("stray_total"), 1);
    assert!(nest.status()["reaper"]["acts"]["stray_total"]["note"].as_str().unwrap().contains(&format!("run {}", left.run)));
    assert!(worker.said().contains("the file does not know it"), "{}", worker.said());
}

#[test]
fn an_unknown_living_run_is_ended_whole_even_where_it_hides() {
    let nest = Nest::new();
    let (job, run, pid, inner) = hidden(&nest);
    settle(&nest, job, run);
    nest.owner().execute("DELETE FROM run WHERE id = ?1", [run]).unwrap();
    let _worker = nest.work(&TICK);
    until_no_run_file(&nest, run);
    assert!(!lives(pid) && !lives(inner));
    assert_eq!(nest.counter("stray_total"), 1);
    assert!(log_of(&nest, run).exists());
}

#[test]
fn a_launch_on_its_way_that_is_not_wanted_does_not_live() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let spawner = spawner_of(&nest, first.pid());
    let frozen = Frozen::new(spawner);
    let job = nest.sh(&[], "echo $$ >>ledger; exec sleep 600");
    nest.until_state(job, "running");
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    after_a_tick(&nest);
    first.kill();
    settle(&nest, job, run);
    nest.owner().execute("DELETE FROM run WHERE id = ?1", [run]).unwrap();
    let second = nest.work(&["--tick", "20ms", "--slots", "1"]);
    assert!(!nest.run_file(run).is_empty(), "as long as its lock is held, its file is what it is found by");
    drop(frozen);
    until_no_run_file(&nest, run);
    until("the spawner to have nothing left to do", || (!lives(spawner)).then_some(()));
    assert!(nest.of_runs().is_empty());
    assert_eq!(nest.counter("stray_total"), 1, "told once: {}", second.said());
}

#[test]
fn a_broken_run_file_goes_with_its_run_and_harms_no_other() {
    let nest = Nest::new();
    let jobs = [nest.sh(&[], "true"), nest.sh(&["--retries", "1", "--backoff", "0s..0s"], "echo again >>ledger")];
    let left: [Left; 2] = jobs.map(|job| claimed(&nest, job, &whole(0)));
    settle(&nest, jobs[0], left[0].run);
    for one in &left {
        std::fs::write(nest.beside().join("runs").join(one.run.to_string()), "tenure-run 1 \0\u{1}garbage\n").unwrap();
    }
    std::fs::write(nest.beside().join("runs/notes.txt"), "not ours").unwrap();
    let _worker = nest.work(&TICK);
    nest.until_ended(jobs[1]);
    assert_eq!(row(&nest, jobs[1]), "done exit 0 2", "no record says how its first run ended");
    left.iter().for_each(|one| until_no_run_file(&nest, one.run));
    assert!(nest.beside().join("runs/notes.txt").exists());
}

#[test]
fn the_result_of_a_running_job_survives_the_sweep() {
    let nest = Nest::new();
    let _worker = nest.work(&["--tick", "20ms"]);
    let job = nest.sh(&[], "echo mine >$TENURE_RESULT; until [ -e go ]; do sleep 0.02; done");
    nest.until_pid(job);
    let results = nest.beside().join("results");
    let own = results.join(nest.show(job)["run_id"].to_string());
    until("its result", || std::fs::read_to_string(&own).is_ok_and(|text| text == "mine\n").then_some(()));
    let without_a_job = results.join("4503599627370000");
    std::fs::write(&without_a_job, "left").unwrap();
    until("a sweep", || (!without_a_job.exists()).then_some(()));
    assert!(own.exists());
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(nest.until_ended(job)["result"], "mine\n");
}

#[test]
fn the_sweep_of_logs_leaves_those_of_runs_that_were_not_pruned() {
    let nest = Nest::new();
    // The second is kept for the job that waits for it.
    let jobs = [0; 3].map(|_| nest.sh(&[], "echo said"));
    nest.work_until_idle(&[]);
    let waits = nest.sh(&["--hold", "--after", &jobs[1].to_string()], "true");
    let logs = jobs.map(|job| log_of(&nest, nest.show(job)["run_id"].as_i64().unwrap()));
    nest.ok(&["prune", "--older-than", "0s"]);
    assert_eq!(nest.state(waits), "queued");
    let later = log_of(&nest, 4_000);
    for log in [&logs[0], &logs[2], &later] {
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        std::fs::write(log, "left\n").unwrap();
    }
    let _worker = nest.work(&TICK);
    until("the logs of pruned runs to go", || (!logs[0].exists() && !logs[2].exists()).then_some(()));
    after_a_tick(&nest);
    assert_eq!(std::fs::read_to_string(&logs[1]).unwrap(), "said\n", "its run is in the file");
    assert!(later.exists(), "its run has not been given yet, as far as this file knows");
}

#[test]
fn a_result_goes_also_where_the_directory_of_results_is_a_link() {
    let nest = Nest::new();
    nest.sh(&["--hold"], "true");
    let (results, elsewhere) = (nest.beside().join("results"), nest.file("elsewhere"));
    std::fs::create_dir(&elsewhere).unwrap();
    let _there_or_not = std::fs::remove_dir(&results);
    std::os::unix::fs::symlink(&elsewhere, &results).unwrap();
    let _worker = nest.work(&TICK);
    // Not a file, so that its reader leaves it to the sweep.
    let job = nest.sh(&[], "mkdir -p \"$TENURE_RESULT/a/b\"; echo made >>ledger");
    nest.until_ended(job);
    assert_eq!(lines(&nest, "ledger"), ["made"]);
    until("it to be swept", || (std::fs::read_dir(&elsewhere).unwrap().count() == 0).then_some(()));
}
