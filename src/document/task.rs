//! Tasks of pipelines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock::rfc3339 as utc;
use crate::job::JobId;
use crate::store::pipeline::task_rows::{Step, TaskRow};

/// A task as a script reads it, without its `schema`.
pub fn document(task: &TaskRow, steps: &[Step]) -> Value {
    let jobs: Vec<JobId> = steps.iter().map(|step| step.job).collect();
    let params: Value = serde_json::from_str(&task.params).unwrap_or_else(|_| task.params.as_str().into());
    json!({
        "id": task.id,
        "pipeline": task.pipeline,
        "key": task.key,
        "state": task.state,
        "stage": task.stage,
        "rounds": rounds(steps),
        "jobs": jobs,
        "job": task.job,
        "revision": task.revision,
        "params": params,
        "error": task.error,
        "held": task.held,
        "created_at": utc(task.created_at),
        "finished_at": task.finished_at.map(utc),
        "stop_at": task.stop_at.map(utc),
        "stop_why": task.stop_why,
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Value {
    json!({
        "stage": step.stage,
        "job": step.job,
        "entered_at": utc(step.entered_at),
        "ended_at": step.ended_at.map(utc),
        "outcome": step.outcome,
    })
}

fn rounds(steps: &[Step]) -> BTreeMap<&str, u32> {
    let mut rounds = BTreeMap::new();
    for step in steps {
        *rounds.entry(step.stage.as_str()).or_insert(0) += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fixture::{steps, task};

    #[test]
    fn a_task_has_the_keys_of_the_contract_first() {
        let value = document(&task(), &steps());
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys[..7], ["id", "pipeline", "key", "state", "stage", "rounds", "jobs"]);
        assert_eq!((&value["state"], &value["jobs"]), (&json!("running"), &json!([7, 8])));
        assert_eq!(value["rounds"], json!({"build": 1, "test": 1}));
        assert_eq!(value["steps"][0]["ended_at"], "1970-01-01T00:00:01.500Z");
    }
}
