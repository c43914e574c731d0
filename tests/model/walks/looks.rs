//! What must be true of a task at any time, and of the whole file in the end.

use tenure::job::{JobId, State, TaskState};
use tenure::store::job::read;
use tenure::store::pipeline::task_rows::{self, Step, TaskRow};

use super::{MAX_ROUNDS, STAGES, Walks};

impl Walks {
    /// What must be true of a task at any time.
    pub(super) fn look(&mut self, id: i64) {
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

    pub(super) fn compare_with_the_whole_file(&self) {
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

    pub(super) fn task(&self, id: i64) -> TaskRow {
        task_rows::task(&self.conn, id).unwrap().unwrap()
    }

    pub(super) fn steps(&self, id: i64) -> Vec<Step> {
        task_rows::steps(&self.conn, id).unwrap()
    }

    pub(super) fn state(&self, job: JobId) -> State {
        read::job(&self.conn, job).unwrap().unwrap().state
    }

    pub(super) fn number(&self, sql: &str, id: i64) -> i64 {
        self.conn.prepare_cached(sql).unwrap().query_row([id], |row| row.get(0)).unwrap()
    }
}
