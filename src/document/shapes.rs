//! Output for scripts. The formats are a contract: names and types of values here do not change.
//!
//! Times are RFC 3339 UTC with milliseconds, durations are `*_ms` integers. Characters that a
//! terminal would obey are escaped when it is printed ([`crate::escape::json`]); nothing is cut or
//! formatted.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::clock::{ms_of, rfc3339 as utc};
use crate::job::State;
pub use crate::job::document::parsed;
use crate::job::document::{JobDocument, SCHEMA, SuspensionDocument};
use crate::place::Place;
use crate::queue::{Advice, Change, Event, HookInfo, JobInfo, Record, RunInfo, Step, Suspension};
use crate::store::job::counted::{LaneRow, QueueRow};
use crate::store::job::pool::PoolRow;
use crate::store::resource::Resource;
use crate::units::duration_ms;

/// A job, without its runs.
pub fn job(job: &JobInfo) -> Value {
    let as_stored = job.state == job.stored.state;
    let document = JobDocument {
        schema: SCHEMA,
        id: job.id,
        state: job.state,
        reason: if as_stored { job.stored.reason } else { job.reason },
        hold: job.hold,
        queue: job.queue.clone(),
        lane: job.lane.clone(),
        label: job.label.clone(),
        command: parsed(&job.stored.command),
        cwd: job.cwd.clone(),
        priority: job.priority,
        slots: job.slots,
        uses: job.uses.clone(),
        unique: job.unique_key.clone(),
        attempts: job.attempts,
        max_attempts: job.max_attempts,
        deferrals: job.deferrals,
        available_at: at(job.available_at),
        created_at: at(job.created_at),
        run_id: job.run,
        pid: job.pid,
        started_at: job.started_at.map(at),
        finished_at: job.finished_at.map(at),
        exit_code: job.exit_code,
        signal: job.signal,
        error: job.error.clone(),
        progress: job.stored.progress.as_deref().map(progress),
        result: job.result.clone(),
        task: job.task,
        suspension: job.suspension.map(suspension),
        owner: job.owner,
    };
    let mut value = document.to_value();
    if job.is_stopped {
        value["stopped"] = true.into();
    }
    if job.is_cancelling && job.state == State::Running {
        value["cancelling"] = true.into();
    }
    value
}

fn suspension(one: Suspension) -> SuspensionDocument {
    SuspensionDocument { state: one.word(), asked_at: at(one.asked_at), since: one.since.map(at) }
}

/// What a user sees of the job of another one.
pub fn outline(job: &JobInfo) -> Value {
    json!({
        "schema": SCHEMA,
        "id": job.id,
        "state": job.state,
        "queue": job.queue,
        "label": job.label,
        "created_at": at(job.created_at),
        "started_at": job.started_at.map(at),
        "finished_at": job.finished_at.map(at),
        "owner": job.owner,
    })
}

/// A job with its runs.
pub fn job_with_runs(one: &JobInfo, runs: &[RunInfo]) -> Value {
    let mut value = job(one);
    value["runs"] = runs.iter().map(run).collect();
    value
}

/// A job with everything that is recorded around it.
pub fn job_with_record(one: &JobInfo, record: &Record) -> Value {
    let mut value = job_with_runs(one, &record.runs);
    value["env"] = parsed(&one.stored.env);
    value["policy"] = parsed(&one.stored.policy);
    value["hooks"] = record.hooks.iter().map(hook).collect();
    value["suspended_ms"] = record.suspended_ms.into();
    if let Some(step) = &record.step {
        value["stage"] = step.stage.as_str().into();
    }
    value
}

/// Why a job waits or has ended, without its `schema`.
pub fn why(one: &JobInfo, step: Option<&Step>, all: &[Advice]) -> Value {
    let listed: Vec<_> = all.iter().map(advice).collect();
    let mut value = json!({"id": one.id, "state": one.state, "obstacles": listed});
    if let Some(step) = step {
        (value["task"], value["stage"]) = (step.task.into(), step.stage.as_str().into());
    }
    value
}

/// Returns an instant as the contract writes it.
fn at(time: SystemTime) -> String {
    utc(ms_of(time))
}

fn run(run: &RunInfo) -> Value {
    let ms = |time: Option<Duration>| time.map(duration_ms);
    json!({
        "id": run.id,
        "kind": run.kind,
        "attempt": run.attempt,
        "pid": run.pid,
        "started_at": run.started_at.map(at),
        "exited_at": run.exited_at.map(at),
        "finished_at": run.finished_at.map(at),
        "outcome": run.outcome,
        "reason": run.reason,
        "exit_code": run.exit_code,
        "signal": run.signal,
        "error": run.error,
        "leftovers": run.leftovers,
        "max_rss_bytes": run.max_rss_bytes,
        "user_ms": ms(run.user_time),
        "system_ms": ms(run.system_time),
        "log": run.log.to_string_lossy(),
    })
}

/// Returns `percent`, `text` and `at`, the last as a time.
fn progress(text: &str) -> Value {
    let mut value = parsed(text);
    if let Some(at) = value.get("at").and_then(Value::as_i64) {
        value["at"] = utc(at).into();
    }
    value
}

/// A hook that the end of a job has caused.
pub fn hook(hook: &HookInfo) -> Value {
    json!({
        "id": hook.id,
        "event": hook.event.as_str(),
        "rule": hook.rule,
        "command": parsed(&hook.command),
        "state": hook.state(),
        "failures": hook.failures,
        "next_at": hook.next_at.map(at),
        "error": hook.last_error,
        "closed_at": hook.closed_at.map(at),
    })
}

pub fn event(event: &Event) -> Value {
    json!({
        "seq": event.seq,
        "at": at(event.at),
        "job": event.job,
        "run": event.run,
        "kind": event.kind,
        "reason": event.reason,
        "detail": event.detail,
    })
}

/// A line of `events`.
pub fn change(change: &Change) -> Value {
    json!({
        "id": change.position.to_string(),
        "at": at(change.at),
        "job": change.job,
        "run": change.run,
        "event": change.kind,
        "state": change.state,
        "reason": change.reason,
        "detail": change.detail,
        "queue": change.queue,
        "label": change.label,
    })
}

pub fn queue(queue: &QueueRow) -> Value {
    json!({
        "name": queue.name,
        "slots": queue.slots,
        "paused": queue.paused,
        "on_failure": if queue.pauses_on_failure { "pause" } else { "none" },
        "paused_by": queue.paused_by,
        "paused_at": queue.paused_at.map(utc),
        "max_runtime_ms": queue.max_runtime_ms,
        "launcher": queue.launcher,
        "launcher_options": queue.launcher_options,
        "running": queue.running,
        "ready": queue.ready,
        "waiting": queue.waiting,
    })
}

pub fn pool(pool: &PoolRow) -> Value {
    json!({"name": pool.name, "limit": pool.size, "taken": pool.taken, "waiting": pool.waiting})
}

pub fn lane(lane: &LaneRow) -> Value {
    json!({"key": lane.key, "limit": lane.max_running, "running": lane.running, "waiting": lane.waiting})
}

/// Returns a resource, without its runs.
pub fn resource(one: &Resource, place: &Place) -> Value {
    let waits = one.state == crate::job::ResourceState::Releasing && one.auxiliary.is_none() && one.next_at > 0;
    json!({
        "id": one.id,
        "name": one.name,
        "state": one.state,
        "run": one.run,
        "job": one.job,
        "task": one.task,
        "attempts": one.attempts,
        "last_error": one.last_error,
        "next_at": waits.then(|| utc(one.next_at)),
        "auxiliary_run_id": one.auxiliary,
        "teardown": parsed(&one.teardown),
        "probe": one.probe.as_deref().map(parsed),
        "cwd": one.cwd,
        "timeout_ms": one.timeout_ms,
        "created_at": utc(one.created_at),
        "releasing_since": one.releasing_since.map(utc),
        "released_at": one.released_at.map(utc),
        "released_by": one.released_by,
        "log": one.last_run.map(|run| place.log_file(run).to_string_lossy().into_owned()),
    })
}

/// Returns a resource, with the runs that probed it and tore it down.
pub fn resource_with_runs(one: &Resource, runs: &[RunInfo], place: &Place) -> Value {
    let mut value = resource(one, place);
    value["runs"] = runs.iter().map(run).collect();
    value
}

/// Returns a finding with its remedy.
pub fn advice(one: &Advice) -> Value {
    json!({"code": one.code, "text": one.text, "remedy": one.remedy})
}

/// Adds `"schema": 1`, in front.
pub fn versioned(value: Value) -> Value {
    let mut whole = Map::new();
    whole.insert("schema".into(), SCHEMA.into());
    if let Value::Object(fields) = value {
        whole.extend(fields);
    }
    Value::Object(whole)
}

/// A document with one plural key.
pub fn list(key: &str, values: impl IntoIterator<Item = Value>) -> Value {
    let mut map = Map::new();
    map.insert(key.to_owned(), values.into_iter().collect());
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fixture;
    use crate::job::Hold;
    use crate::store::job::rows::Job;

    fn shown(row: &Job) -> JobInfo {
        JobInfo::of(row.clone())
    }

    #[test]
    fn a_job_has_the_keys_of_the_contract_in_their_order() {
        let value = job_with_runs(
            &shown(&fixture::job(7, State::Queued)),
            &[RunInfo::of(&fixture::run(11, 7), &Place::new("/q.db".into()))],
        );
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "schema id state reason hold queue lane label command cwd priority slots uses unique attempts max_attempts deferrals \
                        available_at created_at run_id pid started_at finished_at exit_code signal error progress result runs";
        assert_eq!(keys, expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!(value["schema"], 1);
        assert_eq!(value["command"], json!(["echo", "hi"]));
        assert_eq!(value["available_at"], value["created_at"]);
        assert_eq!(value["runs"][0]["log"], "/q.db.d/logs/000/11.log");
        assert_eq!(value["runs"][0]["started_at"], "1970-01-01T00:00:01.000Z");
    }

    #[test]
    fn every_document_says_its_version_first() {
        assert_eq!(versioned(json!({"id": 7})).to_string(), r#"{"schema":1,"id":7}"#);
    }

    #[test]
    fn a_queued_job_with_a_cancel_is_cancelled() {
        let mut row = fixture::job(7, State::Queued);
        (row.hold, row.cancel_open) = (Some(Hold::Time), true);
        let value = job(&shown(&row));
        assert_eq!((&value["state"], &value["hold"], &value["reason"]), (&json!("cancelled"), &Value::Null, &json!("cancelled")));
    }

    #[test]
    fn invalid_json_of_a_client_is_shown_as_it_is() {
        let mut row = fixture::job(7, State::Queued);
        row.command = "not json \x1b".into();
        row.progress = Some(r#"{"percent":40,"text":"x","at":1000}"#.into());
        let value = job(&shown(&row));
        assert_eq!(value["command"], "not json \x1b");
        assert_eq!(value["progress"]["at"], "1970-01-01T00:00:01.000Z");
        assert!(!value.to_string().contains('\x1b'));
    }
}
