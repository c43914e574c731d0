//! What each task of pueue becomes: a job, or what cannot be taken over and why.
//!
//! Pure. A job starts when its task would have started. Where that is not known (it waits for a
//! task that pueue still runs, or for one that failed), the job is held by a person, so that
//! nothing starts too early. Its unique key names the task, so a second import adds no job twice
//! while the first one is live.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::parse::options::{JobOptions, Surroundings};
use crate::cli::parse::pueue::{Group, Status, Task};
use crate::cli::parse::values;
use crate::cli::parse::variables::Variables;
use crate::job::{Argv, NewJob};

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// A job, which waits for the jobs of these tasks.
    Add(Box<NewJob>, Vec<u64>),
    /// Why it is not taken over.
    Left(String),
    /// It has ended; pueue keeps its output.
    Ended,
}

/// A task, and what becomes of it.
pub struct Row {
    pub task: Task,
    pub fate: Fate,
    pub notes: Vec<String>,
}

impl Row {
    /// As in JSON.
    pub fn action(&self) -> &'static str {
        match self.fate {
            Fate::Add(..) => "add",
            Fate::Left(_) => "left",
            Fate::Ended => "ended",
        }
    }
}

/// A queue, and what is set for it, unless it has settings of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueToSet {
    pub name: String,
    pub slots: Option<i64>,
    pub paused: bool,
}

/// Returns what becomes of each task, in the order of their numbers.
pub fn rows(tasks: Vec<Task>, with_env: bool, around: &Surroundings) -> Vec<Row> {
    let mut known: BTreeMap<u64, (Result<Status, String>, bool)> = BTreeMap::new();
    for task in &tasks {
        known.insert(task.id, (task.status(), false));
    }
    let mut rows = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (fate, notes) = fate(&task, &known, with_env, around);
        if let Some(one) = known.get_mut(&task.id) {
            one.1 = matches!(fate, Fate::Add(..));
        }
        rows.push(Row { task, fate, notes });
    }
    rows
}

/// The queues of the groups that have a setting.
pub fn queues(groups: &BTreeMap<String, Group>) -> Result<Vec<QueueToSet>, String> {
    groups
        .iter()
        .map(|(name, group)| Ok(QueueToSet { name: values::parse_name(name)?, slots: group.slots(), paused: group.is_paused() }))
        .collect()
}

type Known = BTreeMap<u64, (Result<Status, String>, bool)>;

fn fate(task: &Task, known: &Known, with_env: bool, around: &Surroundings) -> (Fate, Vec<String>) {
    let mut notes = Vec::new();
    let (hold, at) = match task.status() {
        Ok(Status::Queued) => (false, 0),
        Ok(Status::Stashed(None)) => (true, 0),
        Ok(Status::Stashed(Some(at))) => (false, at),
        Ok(Status::Running) => return (Fate::Left("pueue runs it, and its end can be known to pueue alone".into()), notes),
        Ok(Status::Done { .. }) => return (Fate::Ended, notes),
        Err(why) => return (Fate::Left(why), notes),
    };
    if hold {
        notes.push("it is stashed: the job is held until `tenure release`".to_owned());
    }
    let (after, is_unsure) = waits_for(task, known, &mut notes);
    match job(task, hold || is_unsure, with_env, around, &mut notes) {
        Ok(job) => (Fate::Add(Box::new(NewJob { available_at: at.max(0), ..job }), after), notes),
        Err(why) => (Fate::Left(why), notes),
    }
}

/// The tasks whose jobs it waits for, and whether it must not start by itself.
fn waits_for(task: &Task, known: &Known, notes: &mut Vec<String>) -> (Vec<u64>, bool) {
    let (mut after, mut is_unsure) = (Vec::new(), false);
    for on in &task.dependencies {
        let why = match known.get(on) {
            Some((_, true)) => {
                after.push(*on);
                continue;
            }
            // pueue looks at no dependency that it does not know.
            None | Some((Ok(Status::Done { succeeded: true }), _)) => continue,
            Some((Ok(Status::Done { succeeded: false }), _)) => "has failed",
            Some((Ok(Status::Running), _)) => "still runs in pueue",
            Some(_) if *on > task.id => "has a higher number, so its job is added later",
            Some(_) => "is not taken over",
        };
        is_unsure = true;
        notes.push(format!("it waits for task {on}, which {why}: the job is held until `tenure release`"));
    }
    (after, is_unsure)
}

fn job(task: &Task, hold: bool, with_env: bool, around: &Surroundings, notes: &mut Vec<String>) -> Result<NewJob, String> {
    let env = if with_env { variables(task, notes) } else { Vec::new() };
    let options = JobOptions {
        queue: Some(values::parse_name(&task.group)?),
        priority: Some(task.priority),
        label: task.label.as_deref().map(values::parse_label).transpose()?,
        unique: Some(format!("pueue-{}-{}", task.id, task.created_at)),
        cwd: Some(PathBuf::from(&task.path)),
        hold,
        variables: Variables { env, pass_env: Vec::new() },
        ..JobOptions::default()
    };
    let words = ["/bin/sh", "-c", task.command.as_str()];
    let command = Argv::new(words.iter().map(|word| word.as_bytes().to_vec()).collect()).map_err(|error| error.to_string())?;
    let mut jobs = options.new_jobs(command, around)?;
    jobs.pop().ok_or_else(|| "no job is made of it".to_owned())
}

/// The variables of the shell that added it. What a job cannot have (a name of tenure, a value that
/// is too long) is left out.
fn variables(task: &Task, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let is_right = |(name, value): &(&String, &String)| crate::job::check::variable(name, value.as_bytes()).is_ok();
    let (right, wrong): (Vec<_>, Vec<_>) = task.envs.iter().partition(is_right);
    if !wrong.is_empty() {
        let names: Vec<&str> = wrong.iter().map(|(name, _)| name.as_str()).collect();
        notes.push(format!("variables that a job cannot have are left out: {}", names.join(", ")));
    }
    right.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::parse::pueue;

    fn task(id: u64, status: Value, dependencies: &[u64]) -> (String, Value) {
        let task = json!({"id": id, "created_at": "then", "command": "a && b", "path": "/srv", "envs": {"A": "1", "TENURE_X": "y"},
                          "group": "big", "dependencies": dependencies, "priority": 3, "label": "l", "status": status});
        (id.to_string(), task)
    }

    fn of(tasks: Vec<(String, Value)>) -> Vec<Row> {
        let state = json!({"tasks": tasks.into_iter().collect::<serde_json::Map<_, _>>()});
        let around = Surroundings {
            now: crate::cli::parse::time::here(1_000),
            cwd: PathBuf::from("/here"),
            env: BTreeMap::new(),
            found: Vec::new(),
            draw: || "x".into(),
        };
        rows(pueue::read(state.to_string().as_bytes()).unwrap().0, true, &around)
    }

    fn added(row: &Row) -> (&NewJob, &[u64]) {
        match &row.fate {
            Fate::Add(job, after) => (job, after),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_queued_task_becomes_the_same_job() {
        let rows = of(vec![task(7, json!("Queued"), &[])]);
        let (job, after) = added(&rows[0]);
        assert_eq!(job.command.to_json(), r#"["/bin/sh","-c","a && b"]"#);
        let place = &job.placement;
        assert_eq!((place.queue.as_str(), place.priority, place.label.as_deref()), ("big", 3, Some("l")));
        assert_eq!((place.cwd.as_str(), place.user_hold), ("/srv", false));
        assert_eq!(place.env, BTreeMap::from([("A".to_owned(), "1".to_owned())]));
        assert_eq!((after, job.available_at), (&[][..], 0));
        assert!(rows[0].notes[0].contains("TENURE_X"), "what is left out is told");
    }

    #[test]
    fn no_job_starts_earlier_than_its_task() {
        let later = json!({"Stashed": {"enqueue_at": "1970-01-01T00:00:09Z"}});
        let (done, failed) = (json!({"Done": "Success"}), json!({"Done": {"Failed": 2}}));
        let rows = of(vec![
            task(0, json!({"Stashed": {"enqueue_at": null}}), &[]),
            task(1, later, &[]),
            task(2, json!("Running"), &[]),
            task(3, failed, &[]),
            task(4, done, &[]),
            task(5, json!("New"), &[]),
            task(6, json!("Queued"), &[0, 4, 99]),
            task(7, json!("Queued"), &[2]),
            task(8, json!("Queued"), &[3]),
            task(9, json!("Queued"), &[5, 6]),
        ]);
        let actions: Vec<&str> = rows.iter().map(Row::action).collect();
        assert_eq!(actions, ["add", "add", "left", "ended", "ended", "left", "add", "add", "add", "add"]);
        let held = |at: usize| (added(&rows[at]).0.placement.user_hold, added(&rows[at]).1.to_vec());
        assert_eq!(held(0), (true, vec![]), "stashed");
        assert_eq!((held(1), added(&rows[1]).0.available_at), ((false, vec![]), 9_000));
        assert_eq!(held(6), (false, vec![0]), "one that is done, and one that is gone, hold nothing");
        assert_eq!(held(7), (true, vec![]), "pueue runs what it waits for");
        assert_eq!(held(8), (true, vec![]), "what it waits for has failed");
        assert_eq!(held(9), (true, vec![6]), "what it waits for is not known");
    }
}
