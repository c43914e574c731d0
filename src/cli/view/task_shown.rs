//! Output about tasks, for people.

use std::collections::BTreeMap;

use crate::cli::parse::time;
use crate::cli::view::table;
use crate::job::TaskState;
use crate::queue;
use crate::store::pipeline::task_rows::{Step, TaskRow};

/// Describes the step of a task that a job is.
pub fn step_of(step: &queue::Step) -> String {
    let state = state_with(step.state, step.is_stopping, step.is_held);
    format!("stage {} of task {} (pipeline {}), which is {state}", step.stage, step.task, step.pipeline)
}

/// Returns the state, with its special conditions.
pub fn state(task: &TaskRow) -> String {
    state_with(task.state, task.stop_at.is_some(), task.held)
}

fn state_with(state: TaskState, is_stopping: bool, is_held: bool) -> String {
    match state {
        TaskState::Running if is_stopping => "running (asked to stop)".into(),
        TaskState::Running if is_held => "running (held)".into(),
        state => state.to_string(),
    }
}

/// Tasks, one a line.
pub fn list(tasks: &[(Vec<Step>, TaskRow)], now: &jiff::Zoned, columns: Option<usize>) -> String {
    let row = |(steps, task): &(Vec<Step>, TaskRow)| {
        let end = task.finished_at.unwrap_or_else(|| now.timestamp().as_millisecond());
        vec![
            task.id.to_string(),
            task.pipeline.clone(),
            task.key.clone().unwrap_or_default(),
            state(task),
            task.stage.clone(),
            task.job.map(|job| job.to_string()).unwrap_or_default(),
            steps.len().to_string(),
            time::local(task.created_at, now),
            time::between(task.created_at, end),
            task.error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = tasks.iter().map(row).collect();
    let heads = ["id", "pipeline", "key", "state", "stage", "job", "steps", "started", "took", "error"];
    table::table(&heads, &[0, 5, 6, 8], &rows, columns)
}

/// A task with its history.
pub fn for_people(task: &TaskRow, steps: &[Step], now: &jiff::Zoned, columns: Option<usize>) -> String {
    let at = |ms: Option<i64>| ms.map(|ms| time::local(ms, now));
    let params: BTreeMap<String, String> = serde_json::from_str(&task.params).unwrap_or_default();
    let params: Vec<String> =
        params.iter().map(|(name, value)| crate::cli::view::escape::quote_text(&format!("{name}={value}"))).collect();
    let stop = at(task.stop_at).map(|at| match &task.stop_why {
        Some(why) => format!("asked {at}: {why}"),
        None => format!("asked {at}"),
    });
    let mut text = table::pairs(&[
        ("task", Some(task.id.to_string())),
        ("pipeline", Some(format!("{}, revision {}", task.pipeline, task.revision))),
        ("key", task.key.clone()),
        ("state", Some(state(task))),
        ("error", task.error.clone()),
        ("stage", Some(task.stage.clone())),
        ("parameters", Some(params.join(" ")).filter(|params| !params.is_empty())),
        ("started", at(Some(task.created_at))),
        ("ended", at(task.finished_at)),
        ("stop", stop),
        ("held", task.held.then(|| format!("yes; tenure task release {}", task.id))),
    ]);
    let row = |step: &Step| {
        let end = step.ended_at.unwrap_or_else(|| now.timestamp().as_millisecond());
        vec![
            step.seq.to_string(),
            step.stage.clone(),
            step.job.to_string(),
            step.outcome.clone().unwrap_or_else(|| "under way".into()),
            time::local(step.entered_at, now),
            time::between(step.entered_at, end),
        ]
    };
    let rows: Vec<_> = steps.iter().map(row).collect();
    text += &format!("\n{}", table::table(&["step", "stage", "job", "outcome", "entered", "took"], &[0, 2, 5], &rows, columns));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fixture::{steps, task};

    #[test]
    fn a_hostile_task_is_shown_in_printable_lines() {
        let now = time::here(5_000);
        for text in [for_people(&task(), &steps(), &now, None), list(&[(steps(), task())], &now, None)] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            assert!(text.contains("asked to stop"), "{text}");
        }
    }
}
