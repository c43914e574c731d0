//! A worker that dies around the occurrences of schedules: each occurrence becomes one job.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Dice, Nest, seed, until};

/// Occurrences that each schedule has slept through, one a minute.
const MINUTES: i64 = 120;

#[test]
fn under_kills_of_the_worker_each_occurrence_becomes_one_job() {
    let nest = Nest::new();
    let mut dice = Dice::new(seed());
    let names = ["a", "b", "c", "d"];
    for name in names {
        nest.ok(&[
            "schedule",
            "add",
            name,
            "* * * * *",
            "--catch-up",
            "all",
            "--catch-up-max",
            "1000",
            "--overlap",
            "allow",
            "--hold",
            "--",
            "true",
        ]);
    }
    for round in 1..=8 {
        for name in names {
            // What is decided already is not asked again: each round sleeps through minutes before the earlier ones.
            nest.sleep_through(name, MINUTES * round);
        }
        let worker = nest.work(&[]);
        std::thread::sleep(Duration::from_millis(dice.below(40))); // the moment of the kill, by chance
        worker.kill();
        assert_one_job_for_each_occurrence(&nest);
    }
    let _worker = nest.work(&[]);
    until_decided(&nest);
    let jobs = assert_one_job_for_each_occurrence(&nest);
    assert!(jobs >= 4 * 8 * MINUTES - 4 * 8, "{jobs} jobs");
}

/// Each job fails if another one runs beside it.
#[test]
fn under_kills_of_the_worker_no_two_jobs_of_a_schedule_overlap() {
    const ALONE: &str = "mkdir $0 || exit 1; sleep 0.03; rmdir $0";
    let nest = Nest::new();
    let mut dice = Dice::new(seed());
    for overlap in ["skip", "queue"] {
        let options = ["schedule", "add", overlap, "* * * * *", "--catch-up", "all", "--overlap", overlap];
        nest.ok(&[&options[..], &["--", "/bin/sh", "-c", ALONE, overlap]].concat());
    }
    for round in 1..=6 {
        for name in ["skip", "queue"] {
            nest.sleep_through(name, 20 * round);
        }
        let before = fired(&nest);
        let worker = nest.work(&["--slots", "8"]);
        until("an occurrence of this round to fire", || (fired(&nest) > before).then_some(()));
        std::thread::sleep(Duration::from_millis(dice.below(200))); // the moment of the kill, by chance
        worker.kill();
    }
    let _worker = nest.work(&["--slots", "8"]);
    until_decided(&nest);
    until("all jobs to end", || {
        let counts = nest.status()["counts"].clone();
        (counts["queued"] == 0 && counts["running"] == 0).then_some(())
    });
    let failed = nest.json(&["ls", "-a", "--state", "failed", "--json"])["jobs"].clone();
    assert_eq!(failed, serde_json::json!([]));
    let done = |name: &str| nest.json(&["ls", "-a", "--label", name, "--json"])["jobs"].as_array().unwrap().len();
    assert!(done("queue") >= 100 && done("skip") >= 1, "{} and {}", done("queue"), done("skip"));
}

fn until_decided(nest: &Nest) {
    until("all occurrences to be decided", || {
        let open = "SELECT count(*) FROM schedule WHERE next_at <= (julianday('now') - 2440587.5) * 86400000";
        (nest.sql().query_row(open, [], |row| row.get::<_, i64>(0)).unwrap() == 0).then_some(())
    });
}

fn fired(nest: &Nest) -> i64 {
    nest.sql().query_row("SELECT count(*) FROM occurrence WHERE state = 'fired'", [], |row| row.get(0)).unwrap()
}

/// Returns the number of jobs.
fn assert_one_job_for_each_occurrence(nest: &Nest) -> i64 {
    let sql = nest.sql();
    let mut jobs = sql.prepare("SELECT label, json_extract(env, '$.TENURE_SCHEDULED_FOR') FROM job").unwrap();
    let jobs: Vec<(String, String)> =
        jobs.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    assert_eq!(jobs.iter().collect::<BTreeSet<_>>().len(), jobs.len(), "an occurrence became two jobs");
    let (fired, linked): (i64, i64) = sql
        .query_row(
            "SELECT count(*), count(DISTINCT job_id) FILTER (WHERE EXISTS (SELECT 1 FROM job WHERE id = job_id)) FROM occurrence WHERE state = 'fired'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(
        (fired, linked),
        (jobs.len() as i64, jobs.len() as i64),
        "an occurrence without its job, or a job without its occurrence"
    );
    fired
}
