//! Tasks of five stages, played in every order that chance finds: settles, second settles, lost runs, stops, advances,
//! cancels, retries and holds of people who come late. No stage is skipped, none is done twice, nothing hangs.

mod acts;
mod looks;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use tenure::job::pipeline::{Params, Stage};
use tenure::job::{Argv, Exit, JobId, NewJob, Nonce, Pipeline, Policy, RunEnd, RunId, TaskState, Template};
use tenure::store::pipeline::task_rows::TaskRow;
use tenure::store::{pipeline, pipeline::task, upkeep::recount};

use super::dice::Dice;
use super::file;

const MAX_ROUNDS: u32 = 3;
const STAGES: [&str; 5] = ["fetch", "build", "test", "publish", "tell"];

/// test goes back to fetch; build is tried twice; publish is critical and has a teardown.
pub fn ship() -> Pipeline {
    let stage = |name: &str, at: usize| {
        let mut job = NewJob::new(Argv::from_strs(&["x", "{v}"]).unwrap());
        job.placement.max_attempts = if name == "build" { 2 } else { 1 };
        let policy = Policy { backoff_ms: Some((0, 0)), max_deferrals: Some(2), ..Policy::default() };
        Stage {
            job: Template { has_places: true, policy, ..Template::of(job, None, None).unwrap() },
            on_success: STAGES.get(at + 1).map(|next| (*next).to_owned()),
            on_failure: (name == "test").then(|| "fetch".to_owned()),
            critical: name == "publish",
            teardown: (name == "publish").then(|| Argv::from_strs(&["rm"]).unwrap()),
        }
    };
    let stages = STAGES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), stage(name, at))).collect();
    Pipeline::new(Some("fetch".into()), Some(MAX_ROUNDS), BTreeSet::new(), stages).unwrap()
}

/// The walks of some tasks through one pipeline, and what is known of each.
pub struct Walks {
    conn: Connection,
    dice: Dice,
    tasks: i64,
    ship: Pipeline,
    now: i64,
    next_run: i64,
    running: Vec<(JobId, RunId)>,
    settled: Vec<(JobId, RunId)>,
    /// Where each step that was left by hand was left to, by the job that was left.
    advanced: BTreeMap<i64, String>,
    stopped: BTreeSet<i64>,
    ended: BTreeMap<i64, TaskRow>,
    acts: BTreeMap<&'static str, usize>,
}

impl Walks {
    pub fn play(tasks: i64, acts: usize, dice: Dice) {
        let conn = file::fresh();
        pipeline::apply(&conn, "ship", &ship(), 1).unwrap();
        let mut walks = Self {
            conn,
            dice,
            tasks,
            ship: ship(),
            now: 1_000,
            next_run: 1,
            running: Vec::new(),
            settled: Vec::new(),
            advanced: BTreeMap::new(),
            stopped: BTreeSet::new(),
            ended: BTreeMap::new(),
            acts: BTreeMap::new(),
        };
        let params = Params::from([("v".to_owned(), "1".to_owned())]);
        for n in 1..=tasks {
            let key = format!("k{n}");
            assert_eq!(task::start(&walks.conn, "ship", Some(&key), &params, n).unwrap().id, n);
        }
        // Chance alone ends nearly all of them; then the remaining ones run to their end.
        for _ in 0..acts {
            if walks.dice.is_empty() {
                break;
            }
            walks.act();
        }
        walks.go_to_the_end();
        println!("{:?}", walks.acts);
        walks.compare_with_the_whole_file();
    }

    fn act(&mut self) {
        self.now += 1;
        let id = 1 + self.dice.below(self.tasks as u64) as i64;
        let name = match self.dice.below(40) {
            0..10 => self.claim(4),
            10..28 => self.settle(None),
            28..31 => self.settle_late(),
            31 => self.stop(id),
            32..35 => self.advance(id),
            35 => self.cancel(id),
            36 => self.retry(id),
            37 => self.hold(id, true),
            38 => self.hold(id, false),
            _ => {
                assert!(recount::all(&self.conn, self.now).unwrap().is_nothing(), "there is nothing to repair");
                "repair"
            }
        };
        *self.acts.entry(name).or_insert(0) += 1;
    }

    fn go_to_the_end(&mut self) {
        for id in 1..=self.tasks {
            let _ended_already = task::hold(&self.conn, id, false);
        }
        loop {
            self.now += 1;
            self.claim(64);
            if self.running.is_empty() {
                break;
            }
            while !self.running.is_empty() {
                self.settle(Some(exit(0)));
            }
        }
        for id in 1..=self.tasks {
            assert_ne!(self.task(id).state, TaskState::Running, "task {id} hangs: {:?}", self.steps(id));
            self.look(id);
        }
    }
}

/// Plays what bytes say, on three tasks.
pub fn play_bytes(bytes: &[u8]) {
    Walks::play(3, 400, Dice::Bytes(bytes.iter().copied().collect()));
}

pub fn nonce(run: i64) -> Nonce {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&run.to_le_bytes());
    Nonce(nonce)
}

pub fn exit(code: i32) -> RunEnd {
    RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false }
}
