//! The worker is killed at random moments, again and again, while short jobs run: each of them starts exactly once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::life::left::{lines, outcomes, row};
use crate::support::{Dice, Nest, kill_child, seed};

const JOBS: usize = 200;
const KILLS: usize = 30;

/// Adds jobs in one go, with these lines of JSON.
pub fn add_all(nest: &Nest, lines: impl Iterator<Item = String>) {
    let text: Vec<String> = lines.collect();
    std::fs::write(nest.file("jobs"), text.join("\n")).unwrap();
    nest.ok(&["add", "--from", "jobs"]);
}

/// How often each job is in the ledger.
pub fn starts(nest: &Nest) -> BTreeMap<i64, usize> {
    let mut starts = BTreeMap::new();
    lines(nest, "ledger").iter().for_each(|line| *starts.entry(line.parse().unwrap()).or_insert(0) += 1);
    starts
}

/// No process, no run file, and a whole file.
pub fn assert_nothing_is_left(nest: &Nest) {
    assert_eq!(nest.processes(), [0_i32; 0], "no process is left");
    let left: Vec<_> = std::fs::read_dir(nest.beside().join("runs")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "no run file is left: {left:?}");
    let ask = |sql: &str| nest.sql().query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    assert_eq!(ask("SELECT count(*) || '' FROM run WHERE finished_at IS NULL"), "0");
    assert_eq!(nest.counter("impossible_total"), 0);
}

/// A worker that lives for a random while. It may be killed before it is the worker, or in the midst of its first round.
fn short_life(nest: &Nest, ms: u64) {
    let mut worker = nest.tenure(&["work", "--slots", "4", "--tick", "20ms"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until && worker.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1)); // the moment is what is random here
    }
    kill_child(&mut worker);
}

#[test]
fn each_of_200_jobs_starts_once_under_30_kills() {
    let mut dice = Dice::new(seed());
    let nest = Nest::new();
    // A file that two jobs could make is a job that started twice.
    let line =
        r#"{"command": ["/bin/sh", "-c", "echo $TENURE_JOB >>ledger; sleep 0.$((TENURE_JOB % 3)); exit $((TENURE_JOB % 3))"]}"#;
    add_all(&nest, (0..JOBS).map(|_| line.to_owned()));
    for _ in 0..KILLS {
        let ms = 20 + dice.below(250);
        short_life(&nest, ms);
    }
    println!("{} jobs had started when the last worker was killed", starts(&nest).len());
    nest.work_until_idle(&["--slots", "4"]);
    let starts = starts(&nest);
    assert_eq!(starts.len(), JOBS, "each job has started");
    for (job, n) in starts {
        assert_eq!(n, 1, "job {job}: {:?}", outcomes(&nest, job));
        let expected = if job % 3 == 0 { "done exit 0 1".to_owned() } else { format!("failed exit {} 1", job % 3) };
        assert_eq!(row(&nest, job), expected, "{:?}", outcomes(&nest, job));
    }
    assert_nothing_is_left(&nest);
}
