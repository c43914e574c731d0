//! Pipelines with their stages.

use serde_json::{Value, json};

use crate::clock::rfc3339 as utc;
use crate::error::Result;
use crate::job::pipeline::Stage;
use crate::store::pipeline::PipelineRow;

/// A pipeline as a script reads it, without its `schema`.
///
/// # Errors
/// Another program has written what is not a pipeline.
pub fn document(row: &PipelineRow) -> Result<Value> {
    let pipeline = row.read()?;
    let stages: serde_json::Map<String, Value> =
        pipeline.stages().map(|(name, stage)| (name.to_owned(), stage_json(stage))).collect();
    Ok(json!({
        "name": row.name,
        "revision": row.revision,
        "applied_at": utc(row.applied_at),
        "start": pipeline.start(),
        "max_rounds": pipeline.max_rounds(),
        "params": pipeline.required(),
        "running": row.running,
        "stages": stages,
    }))
}

fn stage_json(stage: &Stage) -> Value {
    let job = &stage.job;
    json!({
        "command": job.command, "cwd": job.placement.cwd, "queue": job.placement.queue, "lane": job.placement.lane, "max_attempts": job.placement.max_attempts,
        "on_success": stage.on_success, "on_failure": stage.on_failure, "critical": stage.critical, "teardown": stage.teardown,
        "check": job.policy.check,
    })
}
