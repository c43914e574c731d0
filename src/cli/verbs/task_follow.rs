//! `tenure task retry`, `wait` and `logs`: what is done with a task after its start, to its end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::face;
use crate::cli::face::{Face, versioned};
use crate::cli::verbs::logs;
use crate::cli::view::code;
use crate::cli::view::escape::{line, quote_text};
use crate::cli::view::log_lines::{LogLines, Screen};
use crate::cli::watch::waits::{By, Waits};
use crate::document::task::document as task_document;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, Pipeline, TaskState, nearest};
use crate::queue::changes::Changes;
use crate::queue::follow::{Follower, Seen, trouble};
use crate::queue::{JobInfo, Queue};
use crate::run::output::tail;
use crate::store::job::read;
use crate::store::pipeline::retry::Continued;
use crate::store::pipeline::task_rows::{self, Step, TaskRow};

/// Continues an ended task, at the stage where it ended or at `from`.
pub fn retry(face: &Face, queue: &Queue, id: i64, from: Option<String>) -> Result<u8> {
    let Continued { stage, job, gone } = queue.continue_task(id, from)?;
    if face.json {
        face.document(json!({"id": id, "stage": stage, "job": job, "gone": gone}))?;
        return Ok(exit::OK);
    }
    face::say(&format!("task {id} continues at stage {stage}, job {job}"));
    if !gone.is_empty() {
        let names: Vec<String> = gone.iter().map(|name| quote_text(name)).collect();
        face::say(&format!(
            "torn down when task {id} ended, and not made again: {}; to make it again: tenure task stop {id}, then tenure task retry {id} --from STAGE",
            names.join(", ")
        ));
    }
    Ok(exit::OK)
}

/// Waits until all these tasks have ended. For one task, the code is that of its last job.
pub fn wait(face: &Face, queue: &Queue, tasks: &[TaskRow], timeout: Option<u64>) -> Result<u8> {
    let store = &queue.store;
    let mut left: Vec<i64> = tasks.iter().map(|task| task.id).collect();
    left.sort_unstable();
    left.dedup();
    let is_one = left.len() == 1;
    let until = timeout.map(|ms| Instant::now() + Duration::from_millis(ms));
    let (mut changes, mut waits, mut job) = (Changes::default(), Waits::of(JobId(0), By::Watcher), None);
    let mut ended = Vec::new();
    loop {
        if changes.poll(store)? {
            changes.stir();
            job = None;
            for id in std::mem::take(&mut left) {
                let task = existing(queue, id)?;
                if task.state == TaskState::Running {
                    job = job.or(task.job);
                    left.push(id);
                } else {
                    ended.push(task);
                }
            }
        }
        if left.is_empty() {
            break;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            let names: Vec<String> = left.iter().map(ToString::to_string).collect();
            face::say(&format!("not all have ended within the timeout: task {}", names.join(", ")));
            return Ok(exit::TIMEOUT);
        }
        if let Some(job) = job {
            waits.poll_job(job, face, store)?;
        }
        changes.rest(until);
    }
    // What is printed from here on must still be true after a power cut.
    store.flush_now()?;
    let mut worst = exit::OK;
    for task in &ended {
        let steps = store.read(|conn| task_rows::steps(conn, task.id))?;
        if face.json {
            face.print_line(&versioned(task_document(task, &steps)))?;
        } else if task.state != TaskState::Done {
            let why = task.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            face::say(&line(&format!("task {} {}{why}", task.id, task.state)));
        }
        if task.state != TaskState::Done {
            worst = if is_one { code_of(queue, &steps)? } else { exit::FAILED };
        }
    }
    Ok(worst)
}

/// Returns the code of a task that is not done: that of its last job, but never 0.
fn code_of(queue: &Queue, steps: &[Step]) -> Result<u8> {
    let last = match steps.last() {
        Some(step) => queue.store.read(|conn| read::job(conn, step.job))?,
        None => None,
    };
    let code = last.map_or(exit::FAILED, |job| code::of_job(&JobInfo::of(job)));
    Ok(if code == exit::OK { exit::FAILED } else { code })
}

fn existing(queue: &Queue, id: i64) -> Result<TaskRow> {
    let task = queue.store.read(|conn| task_rows::task(conn, id))?;
    task.ok_or_else(|| Error::NotFound(format!("task {id} is gone: it was pruned while it was waited for")))
}

/// What to print of the output of a task.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Follow the output until the task has ended
    ///
    /// Also that of stages that it has yet to enter.
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Print only the output of this stage
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Print only the last N lines of each job
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Pass control sequences to the terminal
    #[arg(long)]
    pub raw: bool,
}

impl Which {
    fn is_meant(&self, step: &Step) -> bool {
        self.stage.as_ref().is_none_or(|stage| *stage == step.stage)
    }

    /// A stage that the task has entered exists, even if the description cannot be read.
    fn check(&self, task: &TaskRow, steps: &[Step]) -> Result<()> {
        let Some(stage) = self.stage.as_deref() else { return Ok(()) };
        if steps.iter().any(|step| step.stage == stage) {
            return Ok(());
        }
        let pipeline = Pipeline::from_json(&task.spec).map_err(Error::Refused)?;
        if pipeline.stage(stage).is_some() {
            return Ok(());
        }
        let stages: Vec<&str> = pipeline.stages().map(|(name, _)| name).collect();
        let meant = nearest::question(stage, stages.iter().copied());
        let (name, stages) = (&task.pipeline, stages.join(", "));
        Err(Error::NotFound(format!("pipeline {name} has no stage {stage:?}; it has {stages}{meant}")))
    }
}

/// One log of a task that is followed.
struct Followed {
    follower: Follower,
    lines: LogLines,
}

/// Prints the output of the jobs of a task, in the order of its stages: each line with the number
/// of its job.
pub fn logs(face: &Face, queue: &Queue, task: &TaskRow, which: &Which) -> Result<u8> {
    let store = &queue.store;
    let mut screen = Screen::new(which.raw);
    let steps = store.read(|conn| task_rows::steps(conn, task.id))?;
    which.check(task, &steps)?;
    let (mut seen, mut live, mut is_all_there): (usize, Vec<Followed>, bool) = (0, Vec::new(), true);
    let (mut changes, mut waits) = (Changes::default(), Waits::of(JobId(0), By::Watcher));
    let (mut is_over, mut current) = (!which.follow, None);
    let mut printed = 0;
    loop {
        let is_changed = changes.poll(store)?;
        let mut has_moved = is_changed;
        if is_changed {
            let (now, steps) = store.read(|conn| Ok((task_rows::task(conn, task.id)?, task_rows::steps(conn, task.id)?)))?;
            let now = now.ok_or_else(|| Error::NotFound(format!("task {} is gone: it was pruned", task.id)))?;
            (is_over, current) = (!which.follow || now.state != TaskState::Running, now.job);
            for step in steps.iter().skip(seen).filter(|step| which.is_meant(step)) {
                live.push(begin(queue, step, which, &mut screen)?);
                printed += 1;
            }
            seen = seen.max(steps.len());
        }
        for mut one in std::mem::take(&mut live) {
            let Followed { follower, lines } = &mut one;
            match follower.look(is_changed, &mut |piece| lines.piece(piece, &mut screen))? {
                Seen::Live { moved } if which.follow => {
                    has_moved |= moved;
                    live.push(one);
                }
                Seen::Live { .. } | Seen::Ended(_) => {
                    lines.end(&mut screen).and_then(|()| screen.flush()).map_err(trouble)?;
                    is_all_there &= is_there(queue, follower.job())?;
                }
            }
        }
        screen.flush().map_err(trouble)?;
        if is_over && live.is_empty() {
            break;
        }
        if let Some(job) = current {
            waits.poll_job(job, face, store)?;
        }
        if has_moved {
            changes.stir();
        }
        changes.rest(None);
    }
    screen.finish().map_err(trouble)?;
    if printed == 0 {
        let stage = which.stage.as_deref().map(|stage| format!(" stage {stage}")).unwrap_or_else(|| " a stage".into());
        face::say(&format!("task {} has not entered{stage} yet", task.id));
    }
    if which.follow {
        store.flush_now()?;
    }
    Ok(if is_all_there { exit::OK } else { exit::FAILED })
}

/// Prints what the job of a step has written so far.
fn begin(queue: &Queue, step: &Step, which: &Which, screen: &mut Screen) -> Result<Followed> {
    let (store, job) = (&queue.store, step.job);
    let mut lines = LogLines::new(job, true, None);
    let runs = store.read(|conn| read::runs(conn, job))?;
    let mut follower = Follower::new(store, job);
    if let Some(run) = logs::latest(&runs) {
        let log = store.place().log_file(run.id);
        let offset = tail(&log, which.lines, &mut |piece| lines.piece(piece, screen)).map_err(trouble)?;
        follower = follower.at(run.id, offset);
    }
    Ok(Followed { follower, lines })
}

/// Says why a job has no output, if so. False: its log is missing.
fn is_there(queue: &Queue, job: JobId) -> Result<bool> {
    let runs = queue.store.read(|conn| read::runs(conn, job))?;
    Ok(logs::tell(&queue.store, &queue.job(job)?, logs::latest(&runs)))
}
