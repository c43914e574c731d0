//! What happens to a task, and what each of it must come to.

use tenure::error::Error;
use tenure::job::{JobId, Outcome, RunEnd, RunId, State, TaskState};
use tenure::store::job::claim::{self, Scope};
use tenure::store::job::ids::Prepared;
use tenure::store::job::settle::{self, RunRecord, Settle, Settled};
use tenure::store::{job::control, job::read, job::retry, pipeline::task, upkeep::due};

use super::{MAX_ROUNDS, STAGES, Walks, exit, nonce};

impl Walks {
    pub(super) fn claim(&mut self, n: i64) -> &'static str {
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

    pub(super) fn settle(&mut self, end: Option<RunEnd>) -> &'static str {
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

    /// A second settle, a reaper that looked before: in each case nothing of any task changes.
    pub(super) fn settle_late(&mut self) -> &'static str {
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

    pub(super) fn settle_with(&self, job: JobId, run: RunId, end: &RunEnd) -> Settled {
        let news = Settle { job, run, end: end.clone(), record: RunRecord::default(), chance: 0.0 };
        settle::settle(&self.conn, &news, self.now).unwrap()
    }

    pub(super) fn stop(&mut self, id: i64) -> &'static str {
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

    pub(super) fn advance(&mut self, id: i64) -> &'static str {
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

    pub(super) fn cancel(&mut self, id: i64) -> &'static str {
        let job = self.task(id).job.unwrap();
        control::cancel(&self.conn, job, None, self.now).unwrap();
        self.look(id);
        "cancel"
    }

    pub(super) fn retry(&mut self, id: i64) -> &'static str {
        for step in self.steps(id) {
            assert!(retry::retry(&self.conn, step.job, true, self.now).is_err(), "a step is never retried by hand");
        }
        "retry"
    }

    pub(super) fn hold(&mut self, id: i64, held: bool) -> &'static str {
        let running = self.task(id).state == TaskState::Running;
        assert_eq!(task::hold(&self.conn, id, held).is_ok(), running);
        self.look(id);
        "hold"
    }
}
