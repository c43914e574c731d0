//! A thousand tasks of five stages, played in every order that chance finds: settles, second settles, lost runs, stops, advances,
//! cancels, retries and holds of people who come late. No stage is skipped, none is done twice, nothing hangs.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use tenure::error::Error;
use tenure::job::pipeline::{Params, Stage};
use tenure::job::{Argv, Exit, JobId, NewJob, Nonce, Outcome, Pipeline, Policy, RunEnd, RunId, State, TaskState, Template};
use tenure::store::claim::{self, Scope};
use tenure::store::ids::Prepared;
use tenure::store::settle::{self, RunRecord, Settle, Settled};
use tenure::store::task_rows::{self, Step, TaskRow};
use tenure::store::{control, due, pipeline, read, recount, retry, task};

use crate::model::file;

const TASKS: i64 = 1_000;
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

/// Where chance comes from: xorshift64*, the same numbers for the same seed; or bytes, as long as there are some.
enum Dice {
    Seeded(u64),
    Bytes(std::collections::VecDeque<u8>),
}

impl Dice {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes.is_empty())
    }

    fn below(&mut self, n: u64) -> u64 {
        match self {
            Self::Seeded(state) => Self::drawn(state, n),
            Self::Bytes(bytes) => u64::from(bytes.pop_front().unwrap_or(0)) % n,
        }
    }

    fn drawn(state: &mut u64, n: u64) -> u64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

struct Walks {
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
    fn play(tasks: i64, acts: usize, dice: Dice) {
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
        // Chance alone ends nearly all of them; then whatever is left is let go to its end.
        for _ in 0..acts {
            if walks.dice.is_empty() {
                break;
            }
            walks.act();
        }
        walks.go_to_the_end();
        if tasks == TASKS {
            println!("{:?}", walks.acts);
        }
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
                assert!(recount::all(&self.conn, self.now).unwrap().is_nothing(), "there is nothing to mend");
                "mend"
            }
        };
        *self.acts.entry(name).or_insert(0) += 1;
    }

    fn claim(&mut self, n: i64) -> &'static str {
        due::process(&self.conn, self.now, 500).unwrap();
        let first = self.next_run;
        let prepared: Vec<_> = (first..first + n).map(|run| Prepared { run: RunId(run), nonce: nonce(run) }).collect();
        self.next_run += n;
        let claims = claim::claim(&self.conn, &Scope::default(), &prepared, "w", "b", self.now).unwrap();
        for claim in claims {
            let task = self.task(claim.job.task_id.unwrap());
            assert_eq!(
                (task.state, task.job),
                (TaskState::Running, Some(claim.job.id)),
                "only the job that its task is in starts"
            );
            assert!(task.stop_at.is_none() && !task.held);
            let live: i64 = self.number("SELECT count(*) FROM job WHERE state = 'running' AND task_id = ?1", task.id);
            assert_eq!(live, 1, "two stages of task {} run at once", task.id);
            self.running.push((claim.job.id, claim.run));
        }
        "claim"
    }

    fn settle(&mut self, end: Option<RunEnd>) -> &'static str {
        if self.running.is_empty() {
            return "nothing runs";
        }
        let at = self.dice.below(self.running.len() as u64) as usize;
        let (job, run) = self.running.swap_remove(at);
        let end = end.unwrap_or_else(|| match self.dice.below(13) {
            0..8 => exit(0),
            8 => exit(75),
            9 => RunEnd::Lost,
            10 => RunEnd::NeverStarted,
            11 => exit(1),
            _ => RunEnd::CheckFailed { error: "no".into() },
        });
        let before = read::job(&self.conn, job).unwrap().unwrap();
        let id = before.task_id.unwrap();
        let task = self.task(id);
        match self.settle_with(job, run, &end) {
            Settled::Won { decision, .. } => {
                if task.stop_at.is_some() || before.cancel_open {
                    assert_ne!(self.state(job), State::Queued, "nothing of a stopped task is queued again");
                }
                assert!(decision.outcome != Outcome::Done || self.state(job) == State::Done, "an honest end is kept");
            }
            Settled::Late => panic!("job {job} run {run} was running"),
        }
        self.settled.push((job, run));
        self.look(id);
        "settle"
    }

    /// A second settle, a reaper that looked before: whatever it brings, nothing of any task changes.
    fn settle_late(&mut self) -> &'static str {
        if self.settled.is_empty() {
            return "nothing was settled";
        }
        let at = self.dice.below(self.settled.len() as u64) as usize;
        let (job, run) = self.settled[at];
        let id = read::job(&self.conn, job).unwrap().unwrap().task_id.unwrap();
        let before = (self.task(id), self.steps(id));
        let end = self.dice.of(&[0, 1, 2]);
        let end = [exit(0), RunEnd::Lost, RunEnd::NeverStarted][end].clone();
        assert_eq!(self.settle_with(job, run, &end), Settled::Late);
        assert_eq!((self.task(id), self.steps(id)), before);
        "settle late"
    }

    fn settle_with(&self, job: JobId, run: RunId, end: &RunEnd) -> Settled {
        let news = Settle { job, run, end: end.clone(), record: RunRecord::default(), chance: 0.0 };
        settle::settle(&self.conn, &news, self.now).unwrap()
    }

    fn stop(&mut self, id: i64) -> &'static str {
        let before = self.task(id);
        let job = before.job.unwrap();
        let ran = self.state(job);
        let wished = |walks: &Self| read::job(&walks.conn, job).unwrap().unwrap().cancel_open;
        let before_wished = wished(self);
        let stopped = task::stop(&self.conn, id, Some("enough"), self.now).unwrap();
        match (before.state, ran, stopped) {
            (TaskState::Running, State::Queued, task::Stopped::Ended { .. }) => {
                assert_eq!(self.task(id).state, TaskState::Cancelled)
            }
            (TaskState::Running, State::Queued, task::Stopped::Asked { job: last, .. }) => {
                assert!(last < job, "only a job that the task was advanced out of is waited for");
            }
            (TaskState::Running, State::Running, task::Stopped::Waits { stage, .. }) => {
                assert_eq!(stage, "publish");
                assert_eq!(wished(self), before_wished, "a stop does not end a critical stage");
            }
            (TaskState::Running, State::Running, task::Stopped::Asked { job: asked, .. }) => {
                assert_eq!(asked, job);
                assert!(wished(self));
            }
            (state, _, task::Stopped::AlreadyEnded(ended)) => assert_eq!(state, ended),
            other => panic!("{other:?}"),
        }
        if before.state == TaskState::Running {
            self.stopped.insert(id);
        }
        self.look(id);
        "stop"
    }

    fn advance(&mut self, id: i64) -> &'static str {
        let before = self.task(id);
        let right = STAGES.into_iter().find(|stage| *stage == before.stage).filter(|_| self.dice.below(2) == 0);
        let (expect, to) = (right.unwrap_or_else(|| self.dice.of(&STAGES)), self.dice.of(&STAGES));
        let steps = self.steps(id);
        let rounds = steps.iter().filter(|step| step.stage == to).count();
        let job = before.job.unwrap();
        let critical = before.stage == "publish" && self.state(job) == State::Running;
        let may = before.state == TaskState::Running
            && before.stop_at.is_none()
            && before.stage == expect
            && !critical
            && rounds < MAX_ROUNDS as usize;
        match task::advance(&self.conn, id, expect, to, self.now) {
            Ok(advanced) => {
                assert!(may, "task {id} was advanced from {expect} to {to}: {before:?}");
                let after = self.task(id);
                assert_eq!((after.stage.as_str(), after.job), (to, Some(advanced.job)));
                self.advanced.insert(job.0, to.to_owned());
                self.look(id);
                "advance"
            }
            Err(Error::Refused(_)) => {
                assert!(!may, "task {id} was refused: {before:?}");
                assert_eq!((self.task(id), self.steps(id)), (before, steps), "a refusal changes nothing");
                "advance late"
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn cancel(&mut self, id: i64) -> &'static str {
        let job = self.task(id).job.unwrap();
        control::cancel(&self.conn, job, None, self.now).unwrap();
        self.look(id);
        "cancel"
    }

    fn retry(&mut self, id: i64) -> &'static str {
        for step in self.steps(id) {
            assert!(retry::retry(&self.conn, step.job, true, self.now).is_err(), "a step is never put back by hand");
        }
        "retry"
    }

    fn hold(&mut self, id: i64, held: bool) -> &'static str {
        let running = self.task(id).state == TaskState::Running;
        assert_eq!(task::hold(&self.conn, id, held).is_ok(), running);
        self.look(id);
        "hold"
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

    /// What must be true of a task at any time.
    fn look(&mut self, id: i64) {
        let (task, steps) = (self.task(id), self.steps(id));
        if let Some(first) = self.ended.get(&id) {
            assert_eq!(*first, task, "an ended task does not");
        }
        let (last, before) = steps.split_last().unwrap();
        for (step, next) in before.iter().zip(&steps[1..]) {
            let led_to = match step.outcome.as_deref() {
                Some("done") => self.ship.stage(&step.stage).unwrap().on_success.clone(),
                Some("failed") => self.ship.stage(&step.stage).unwrap().on_failure.clone(),
                Some("advanced") => self.advanced.get(&step.job.0).cloned(),
                other => panic!("task {id} went on from {other:?}: {steps:?}"),
            };
            assert_eq!(led_to.as_deref(), Some(next.stage.as_str()), "task {id}: {steps:?}");
        }
        for stage in STAGES {
            assert!(steps.iter().filter(|step| step.stage == stage).count() <= MAX_ROUNDS as usize, "{steps:?}");
        }
        for step in &steps {
            let state = self.state(step.job);
            let outcome = step.outcome.as_deref();
            assert!(outcome.is_none() || outcome == Some("advanced") || outcome == Some(state.as_str()), "{step:?} {state}");
        }
        assert_eq!(task.stage, last.stage);
        let live = self.number("SELECT count(*) FROM job WHERE state IN ('queued', 'running') AND task_id = ?1", id);
        let released = self.number("SELECT count(*) FROM resource WHERE task_id = ?1 AND state = 'releasing'", id);
        let resources = self.number("SELECT count(*) FROM resource WHERE task_id = ?1", id);
        assert_eq!(resources, i64::from(steps.iter().any(|step| step.stage == "publish")), "one teardown, once entered");
        if task.state == TaskState::Running {
            assert!(!self.state(task.job.unwrap()).is_terminal(), "task {id} would hang: {task:?}");
            assert!(last.outcome.is_none() || task.stop_at.is_some(), "{steps:?}");
            assert_eq!(released, 0, "nothing is torn down while the task runs");
            return;
        }
        assert_eq!((live, last.outcome.is_some(), released), (0, true, resources), "{task:?}");
        let expected = match (self.stopped.contains(&id), last.outcome.as_deref()) {
            (true, _) => TaskState::Cancelled,
            // Where it would have led, the task had been max_rounds times.
            (false, Some("done")) if last.stage != "tell" => TaskState::Failed,
            (false, Some("done")) => TaskState::Done,
            (false, Some("failed")) => TaskState::Failed,
            _ => TaskState::Cancelled,
        };
        assert_eq!(task.state, expected, "{task:?} {steps:?}");
        if task.state == TaskState::Failed {
            let stage = self.ship.stage(&last.stage).unwrap();
            let led_to = if last.outcome.as_deref() == Some("done") { &stage.on_success } else { &stage.on_failure };
            let rounds = |to: &String| steps.iter().filter(|step| step.stage == *to).count();
            assert!(led_to.as_ref().is_none_or(|to| rounds(to) == MAX_ROUNDS as usize), "{task:?} {steps:?}");
        }
        self.ended.insert(id, task);
    }

    fn compare_with_the_whole_file(&self) {
        let counts = task_rows::counts(&self.conn).unwrap();
        for (state, n) in &counts {
            let counted: i64 =
                self.conn.query_row("SELECT count(*) FROM task WHERE state = ?1", [state.as_str()], |row| row.get(0)).unwrap();
            assert_eq!(counted, *n, "{state}");
            println!("{n} {state}");
        }
        assert_eq!(counts.iter().map(|(_, n)| n).sum::<i64>(), self.tasks);
        let twice = "SELECT count(*) FROM (SELECT job_id FROM run WHERE outcome = 'done' GROUP BY job_id HAVING count(*) > 1)";
        assert_eq!(self.conn.query_row(twice, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "a stage was done twice");
        let strange =
            "SELECT count(*) FROM job WHERE NOT EXISTS (SELECT 1 FROM task_step WHERE job_id = job.id AND task_id = job.task_id)";
        assert_eq!(self.conn.query_row(strange, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "a job that is not a step");
    }

    fn task(&self, id: i64) -> TaskRow {
        task_rows::task(&self.conn, id).unwrap().unwrap()
    }

    fn steps(&self, id: i64) -> Vec<Step> {
        task_rows::steps(&self.conn, id).unwrap()
    }

    fn state(&self, job: JobId) -> State {
        read::job(&self.conn, job).unwrap().unwrap().state
    }

    fn number(&self, sql: &str, id: i64) -> i64 {
        self.conn.prepare_cached(sql).unwrap().query_row([id], |row| row.get(0)).unwrap()
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

/// Printed, and taken from `SEED` where that is set.
fn seed() -> u64 {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(7, |d| d.as_nanos() as u64);
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(now);
    println!("SEED={seed}");
    seed
}

#[test]
fn no_stage_is_skipped_or_done_twice_and_no_task_hangs() {
    Walks::play(TASKS, 12_000, Dice::Seeded(seed() | 1));
}

#[test]
fn whatever_bytes_say_three_tasks_walk_to_their_end() {
    let mut dice = Dice::Seeded(seed() | 1);
    for _ in 0..60 {
        let bytes: Vec<u8> = (0..dice.below(900)).map(|_| dice.below(256) as u8).collect();
        play_bytes(&bytes);
    }
}
