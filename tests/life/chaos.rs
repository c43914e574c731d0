//! Chaos: workers, spawners, shims and jobs are killed at random, jobs are cancelled and retried, and all promises hold.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::life::left::{number, outcomes};
use crate::life::storm::{add_all, assert_nothing_is_left, starts};
use crate::support::{Dice, Nest, Signal, children, kill, seed};

const JOBS: i64 = 150;
/// How long, unless SOAK_SECONDS says otherwise.
const SECONDS: u64 = 60;

/// Takes a lock that all of a run's processes share and that the kernel releases when the last of them is gone: two runs of one
/// job at a time are seen. (88 says that it is held; `flock` itself may be killed as well.) Then it does this or that, with a
/// helper that leaves its session.
const LINE: &str = "exec 9>>lock.$TENURE_JOB; flock -n -E 88 9; test $? != 88 || echo $TENURE_JOB run $TENURE_RUN >>overlaps; echo $TENURE_JOB >>ledger; \
    setsid sh -c 'sleep 0.2; exec sleep 30' & sleep 0.$((TENURE_JOB % 7)); \
    case $((TENURE_JOB % 5)) in 0) exit 0;; 1) exit 3;; 2) exit 75;; 3) sleep 1; exit 0;; *) kill -9 $$;; esac";

struct Chaos {
    nest: Nest,
    dice: Dice,
    worker: Option<Child>,
    /// Ended rows as they were first seen, unless they were retried since.
    ended: BTreeMap<i64, String>,
    acts: BTreeMap<&'static str, usize>,
}

impl Chaos {
    fn a_worker(&mut self) -> i32 {
        let ended = self.worker.as_mut().is_none_or(|worker| worker.try_wait().unwrap().is_some());
        if ended {
            let mut work = self.nest.tenure(&["work", "--slots", "6", "--tick", "50ms"]);
            let log = std::fs::OpenOptions::new().create(true).append(true).open(self.nest.file("worker.log")).unwrap();
            self.worker = Some(work.stderr(log).spawn().unwrap());
        }
        self.worker.as_ref().unwrap().id() as i32
    }

    fn one_of(&mut self, pids: &[i32]) -> Option<i32> {
        if pids.is_empty() { None } else { Some(pids[self.dice.below(pids.len() as u64) as usize]) }
    }

    /// Only what this nest has started is killed: the pids come from what holds its files.
    fn act(&mut self) {
        let worker = self.a_worker();
        let spawners = children(worker);
        let shims: Vec<i32> = spawners.iter().flat_map(|spawner| children(*spawner)).collect();
        let (job, choice) = ((1 + self.dice.below(JOBS as u64)).to_string(), self.dice.below(12));
        let name = match choice {
            0 => self.hit(Some(worker), Signal::KILL, "worker killed"),
            1 => self.hit(Some(worker), Signal::TERM, "worker stopped"),
            2 => {
                let victim = self.one_of(&spawners);
                self.hit(victim, Signal::KILL, "spawner killed")
            }
            3 | 4 => {
                let victim = self.one_of(&shims);
                self.hit(victim, Signal::KILL, "shim killed")
            }
            5 => {
                let victim = self.one_of(&shims);
                self.hit(victim, Signal::TERM, "shim stopped")
            }
            6 | 7 => {
                let of_runs = self.nest.of_runs();
                let victim = self.one_of(&of_runs);
                self.hit(victim, Signal::KILL, "process of a run killed")
            }
            8 => {
                let all: Vec<i32> = [worker].into_iter().chain(spawners).chain(shims).collect();
                for pid in all {
                    kill(pid, Signal::KILL);
                }
                "worker, spawner and shims killed"
            }
            9 => {
                self.nest.say(&["cancel", &job]);
                "cancel"
            }
            _ => {
                if self.nest.say(&["retry", &job]).code == 0 {
                    self.ended.remove(&job.parse().unwrap());
                }
                "retry"
            }
        };
        *self.acts.entry(name).or_insert(0) += 1;
    }

    fn hit(&mut self, victim: Option<i32>, signal: Signal, name: &'static str) -> &'static str {
        victim.map_or("no worker", |pid| {
            kill(pid, signal);
            name
        })
    }

    fn rows(&self) -> Vec<(i64, String)> {
        let conn = self.nest.sql();
        let sql = "SELECT id, state || ' ' || reason || ' ' || coalesce(run_id, '-') || ' ' || coalesce(exit_code, '-') || ' ' || finished_at
                     FROM job WHERE state IN ('done', 'failed', 'cancelled')";
        let mut rows = conn.prepare(sql).unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    /// A row that has ended stays as it is, until a person puts it back.
    fn look(&mut self) {
        for (job, row) in self.rows() {
            let first = self.ended.entry(job).or_insert_with(|| row.clone());
            assert_eq!(*first, row, "job {job} had ended");
        }
    }
}

#[test]
#[ignore = "a soak: cargo test --release --test all life:: -- --ignored"]
fn under_any_kills_no_job_overlaps_itself_and_nothing_is_left() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let mut chaos =
        Chaos { nest: Nest::new(), dice: Dice::new(seed()), worker: None, ended: BTreeMap::new(), acts: BTreeMap::new() };
    let job = |n: i64| {
        let lane = if n % 4 == 0 { format!(", \"lane\": \"l{}\"", n % 3) } else { String::new() };
        let line = serde_json::to_string(LINE).unwrap();
        format!(
            r#"{{"command": ["/bin/sh", "-c", {line}], "retries": {}, "backoff": "0s..0s", "max_deferrals": 2, "grace": "100ms"{lane}}}"#,
            n % 3
        )
    };
    add_all(&chaos.nest, (0..JOBS).map(job));
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let pause = chaos.dice.below(120);
        std::thread::sleep(Duration::from_millis(pause)); // the moment is what is random here
        chaos.act();
        chaos.look();
    }
    println!("{:?}", chaos.acts);
    if let Some(mut worker) = chaos.worker.take() {
        kill(worker.id() as i32, Signal::TERM);
        worker.wait().unwrap();
    }
    chaos.nest.ok(&["work", "--until-empty", "--slots", "6", "--tick", "50ms"]);
    chaos.look();
    let nest = &chaos.nest;
    assert!(!nest.file("overlaps").exists(), "two runs of one job: {:?}", std::fs::read_to_string(nest.file("overlaps")));
    assert_eq!(chaos.rows().len(), JOBS as usize, "every job has come to an end");
    for (job, n) in starts(nest) {
        let recorded = "SELECT count(*) FROM run WHERE job_id = ?1 AND kind = 'job' AND outcome <> 'unstarted'";
        assert!(n as i64 <= number(nest, recorded, job), "job {job} started {n} times: {:?}", outcomes(nest, job));
    }
    assert_nothing_is_left(nest);
    let told = std::fs::read_to_string(nest.file("worker.log")).unwrap();
    assert!(!told.contains("panicked") && !told.contains("internal error"), "{told}");
}
