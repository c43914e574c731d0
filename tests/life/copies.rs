//! Copies that come back, and power cuts: nothing of the past runs again by itself, and no id is given twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::life::left::{after_a_tick, lines, number, outcomes, row, until_no_run_file};
use crate::support::{Nest, lives, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

/// Puts a plain file in the place of the database, as a person does with `cp`.
fn put_in_place(nest: &Nest, from: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _not_there = std::fs::remove_file(nest.file(&format!("q.db{suffix}")));
    }
    copy(from, &nest.db());
}

fn ledger(nest: &Nest) -> Vec<String> {
    lines(nest, "ledger")
}

/// Every run id that has ever left a log.
fn logged(nest: &Nest) -> Vec<i64> {
    let mut ids = Vec::new();
    for dir in std::fs::read_dir(nest.beside().join("logs")).unwrap().flatten() {
        ids.extend(
            std::fs::read_dir(dir.path())
                .unwrap()
                .flatten()
                .filter_map(|log| log.file_name().to_str()?.strip_suffix(".log")?.parse::<i64>().ok()),
        );
    }
    ids
}

#[test]
fn an_older_copy_put_in_place_by_hand_is_held_and_not_rerun() {
    for is_killed in [false, true] {
        let nest = Nest::new();
        nest.ok(&["queue", "pause", "later"]);
        let jobs = [0; 2].map(|_| nest.sh(&["--queue", "later"], "echo $TENURE_JOB >>ledger"));
        let worker = nest.work(&TICK);
        // Run ids are reserved before the copy is made, so that only what has happened since can tell.
        let warm = nest.sh(&[], "true");
        nest.until_ended(warm);
        nest.ok(&["backup", nest.file("copy").to_str().unwrap()]);
        nest.ok(&["queue", "resume", "later"]);
        jobs.iter().for_each(|job| drop(nest.until_ended(*job)));
        if is_killed {
            worker.kill()
        } else {
            assert_eq!(worker.stop(), 0)
        };
        assert_eq!(ledger(&nest).len(), 2);
        put_in_place(&nest, &nest.file("copy"));
        nest.ok(&["queue", "resume", "later"]);

        let again = nest.work(&TICK);
        after_a_tick(&nest);
        assert!(again.said().contains("older copy"), "{}", again.said());
        for job in jobs {
            let shown = nest.show(job);
            assert_eq!(
                (shown["state"].as_str(), shown["hold"].as_str()),
                (Some("queued"), Some("user")),
                "killed: {is_killed} {shown}"
            );
            assert!(nest.ok(&["history", &job.to_string()]).contains("older copy"));
        }
        let fresh = nest.sh(&[], "echo fresh >>ledger");
        nest.until_ended(fresh);
        assert_eq!(ledger(&nest).len(), 3, "only what was added now has run");
        nest.ok(&["release", &jobs[0].to_string()]);
        nest.until_ended(jobs[0]);
        assert_eq!(ledger(&nest).len(), 4, "a person may let it run again");
        again.stop();
        let third = nest.work(&TICK);
        after_a_tick(&nest);
        assert_eq!(nest.show(jobs[1])["hold"], "user");
        assert_eq!(third.said().matches("older copy").count(), 1, "told once, not at each start");
    }
}

#[test]
fn a_copy_that_is_not_older_holds_nothing() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    let job = nest.sh(&[], "true");
    nest.until_ended(job);
    worker.stop();
    assert!(!nest.file("q.db-wal").exists(), "after a clean end the file alone is whole");
    copy(&nest.db(), &nest.file("copy"));
    put_in_place(&nest, &nest.file("copy"));
    let next = nest.sh(&[], "true");
    let again = nest.work(&TICK);
    nest.until_ended(next);
    assert!(!again.said().contains("older copy"), "{}", again.said());
}

#[test]
fn runs_of_a_replaced_file_are_ended_and_their_logs_kept() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    nest.until_ended(nest.sh(&[], "true"));
    nest.ok(&["backup", nest.file("copy").to_str().unwrap()]);
    let job = nest.sh(&[], "echo begun; echo $TENURE_JOB >>ledger; setsid sleep 600 & exec sleep 600");
    let pid = nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let log = nest.show(job)["runs"][0]["log"].as_str().unwrap().to_owned();
    worker.kill();
    put_in_place(&nest, &nest.file("copy"));
    let again = nest.work(&TICK);
    until_no_run_file(&nest, run);
    assert!(!lives(pid) && nest.of_runs().is_empty());
    assert_eq!(std::fs::read_to_string(log).unwrap(), "begun\n");
    assert_eq!(nest.counter("stray_total"), 1);
    assert!(again.said().contains("older copy"), "{}", again.said());
    let fresh = nest.sh(&[], "true");
    nest.until_ended(fresh);
    assert!(nest.show(fresh)["run_id"].as_i64().unwrap() > run);
}

#[test]
fn a_restore_holds_jobs_ends_runs_and_reuses_no_id() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    let running = nest.sh(&["--retries", "3"], "echo $TENURE_JOB >>ledger; exec sleep 600");
    let pid = nest.until_pid(running);
    let queued = nest.sh(&["--delay", "1h"], "echo $TENURE_JOB >>ledger");
    nest.ok(&["backup", nest.file("copy").to_str().unwrap()]);
    let after = [0; 3].map(|_| nest.sh(&[], "echo $TENURE_JOB >>ledger"));
    after.iter().for_each(|job| drop(nest.until_ended(*job)));
    let copy = nest.file("copy").to_string_lossy().into_owned();
    assert_eq!(nest.say(&["restore", &copy]).code, 6, "not while a worker has the file");
    worker.kill();
    let highest = logged(&nest).into_iter().max().unwrap();
    let told = nest.say(&["restore", &copy]);
    assert!(told.code == 0 && told.err.contains("3 jobs are not in the backup (3 done)"), "{told:?}");
    assert!(told.err.contains("restored; 2 jobs are held, 1 unfinished run is closed as lost"), "{told:?}");
    // What it advises is typed.
    let kept = told.err.split("tenure restore ").nth(1).unwrap().trim().lines().next().unwrap();
    assert_eq!(nest.json(&["--db", kept, "ls", "-a", "--json"])["jobs"].as_array().unwrap().len(), 5);
    assert_eq!(nest.json(&["--db", kept, "show", &after[0].to_string(), "--json"])["state"], "done");
    let worker = nest.work(&TICK);
    until("what was running to be ended", || (!lives(pid)).then_some(()));
    for job in [running, queued] {
        assert_eq!(nest.show(job)["hold"], "user");
        assert!(nest.ok(&["history", &job.to_string()]).contains("restored"));
    }
    assert_eq!(outcomes(&nest, running), ["job lost"]);
    assert_eq!(nest.say(&["show", &after[0].to_string()]).code, 3, "the copy has never heard of it");
    let fresh = nest.sh(&[], "true");
    assert!(fresh > *after.iter().max().unwrap(), "job ids continue");
    nest.until_ended(fresh);
    assert!(nest.show(fresh)["run_id"].as_i64().unwrap() > highest, "run ids continue");
    assert_eq!(ledger(&nest).len(), 4);
    // What a person has released stays released.
    nest.ok(&["release", &queued.to_string()]);
    worker.stop();
    let again = nest.work(&TICK);
    after_a_tick(&nest);
    assert_eq!(nest.show(queued)["hold"], "time");
    assert!(!again.said().contains("older copy"), "{}", again.said());
}

#[test]
fn run_ids_are_not_given_twice_over_a_power_cut() {
    let nest = Nest::new();
    nest.until_ended({
        let job = nest.sh(&[], "true");
        nest.work_until_idle(&[]);
        job
    });
    // The disk as it was: the file and the stamp that was written after it.
    copy(&nest.db(), &nest.file("disk"));
    copy(&nest.beside().join("stamp"), &nest.file("stamp"));
    for _ in 0..40 {
        nest.sh(&[], "true");
    }
    nest.work_until_idle(&[]);
    let before: BTreeSet<i64> = logged(&nest).into_iter().collect();
    assert_eq!(before.len(), 41);
    put_in_place(&nest, &nest.file("disk"));
    copy(&nest.file("stamp"), &nest.beside().join("stamp"));
    let jobs: Vec<i64> = (0..10).map(|_| nest.sh(&[], "true")).collect();
    nest.work_until_idle(&[]);
    // They may have been held, as after an older copy; then they have not run at all.
    jobs.iter().for_each(|job| drop(nest.say(&["release", &job.to_string()])));
    nest.work_until_idle(&[]);
    let given: Vec<i64> = jobs.iter().map(|job| nest.show(*job)["run_id"].as_i64().expect("it has run")).collect();
    assert!(given.iter().all(|run| !before.contains(run)), "{given:?} {before:?}");
}

#[test]
fn lowered_sequences_are_raised_by_the_files_beside_it() {
    for lowered in ["runs", "logs"] {
        let nest = Nest::new();
        for _ in 0..5 {
            nest.sh(&[], "true");
        }
        nest.work_until_idle(&[]);
        let highest = logged(&nest).into_iter().max().unwrap();
        let conn = nest.owner();
        conn.execute_batch("DELETE FROM run; UPDATE meta SET value = '1' WHERE key = 'run_id_limit'").unwrap();
        std::fs::remove_file(nest.beside().join("stamp")).unwrap();
        if lowered == "runs" {
            // No log is left, but a run file is, of a run that has just been claimed.
            std::fs::remove_dir_all(nest.beside().join("logs")).unwrap();
            std::fs::write(nest.beside().join("runs").join(highest.to_string()), "garbage\n").unwrap();
        }
        nest.work_until_idle(&[]);
        let job = nest.sh(&[], "true");
        nest.work_until_idle(&[]);
        assert_eq!(row(&nest, job), "done exit 0 1");
        assert!(number(&nest, "SELECT run_id FROM job WHERE id = ?1", job) > highest, "{lowered}");
    }
}

/// A power cut took the newest claim out of the file and left its log, and the machine came up with a clock that is behind: that is not an older copy.
#[test]
fn a_log_of_an_earlier_boot_proves_nothing() {
    for is_of_this_boot in [false, true] {
        let nest = Nest::new();
        let job = nest.sh(&[], "true");
        nest.work_until_idle(&[]);
        let held = nest.sh(&["--delay", "1h"], "true");
        nest.owner().execute_batch("DELETE FROM run").unwrap();
        let log = PathBuf::from(
            nest.show(job)["log"].as_str().map_or_else(|| format!("{}/logs/000/1.log", nest.beside().display()), str::to_owned),
        );
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
        std::fs::File::options().write(true).open(log).unwrap().set_modified(later).unwrap();
        let home = nest.beside().join("home");
        let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&home).unwrap()).unwrap();
        if !is_of_this_boot {
            text["boot"]["id"] = "another start of the machine".into();
        }
        std::fs::write(&home, text.to_string()).unwrap();
        nest.work_until_idle(&[]);
        assert_eq!(nest.show(held)["hold"] == "user", is_of_this_boot, "{}", nest.show(held));
    }
}

/// What the worker knew when it started is older than the backup: only what it has seen since tells that the content went back.
#[test]
fn a_worker_notices_that_what_it_has_seen_went_back() {
    for has_claimed in [true, false] {
        let nest = Nest::new();
        nest.ok(&["queue", "pause", "later"]);
        let job = nest.sh(&["--queue", "later"], "echo $TENURE_JOB >>ledger");
        let mut worker = nest.work(&TICK);
        nest.until_ended(nest.sh(&[], "true"));
        after_a_tick(&nest);
        nest.ok(&["backup", nest.file("copy").to_str().unwrap()]);
        // A claim, or the settle that follows it, is the last that the worker sees.
        let line = if has_claimed { "while [ ! -e go ]; do sleep 0.02; done" } else { "true" };
        let last = nest.sh(&["--grace", "1s"], line);
        if has_claimed {
            nest.until_pid(last);
        } else {
            nest.until_ended(last);
        }
        let restore = |conn: &mut rusqlite::Connection| conn.restore(rusqlite::MAIN_DB, nest.file("copy"), None::<fn(_)>);
        until("the backup to be restored", || restore(&mut nest.sql()).ok());
        until("the worker to notice", || worker.has_ended().then_some(()));
        assert!(worker.said().contains("was replaced"), "{}", worker.said());
        nest.ok(&["queue", "resume", "later"]);
        let _next = nest.work(&TICK);
        after_a_tick(&nest);
        assert_eq!(nest.show(job)["hold"], "user", "claimed: {has_claimed}");
        assert_eq!(ledger(&nest), [""; 0]);
        until("what ran to be ended", || nest.of_runs().is_empty().then_some(()));
    }
}
