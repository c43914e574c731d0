//! What happened lately: the runs of all jobs, and how many jobs ended in each minute.

use serde_json::{Value, json};

use crate::clock::rfc3339 as utc;
use crate::document::shapes::{list, parsed, versioned};
use crate::job::RunId;
use crate::store::job::recent::{self, RecentRun};
use crate::web::app::App;
use crate::web::query::row_id;
use crate::web::recent::Minute;
use crate::web::route::{Answer, Answered, Asked, Route, get, get_short};

pub const ROUTES: &[Route] = &[get("/api/v1/runs", &["limit", "cursor"], runs), get_short("/api/v1/throughput", &[], throughput)];

/// Returns a page of the runs of jobs, the newest first. Auxiliary runs are those of one job
/// (`/api/v1/jobs/{id}`).
pub fn runs(app: &App, asked: &Asked) -> Answered {
    let limit = asked.query.limit()?;
    let before = asked.query.get("cursor").map(|text| row_id(text, "page of runs")).transpose()?.map(RunId);
    let mut found = app.reader()?.store.read(|conn| recent::runs(conn, before, limit + 1))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|run| run.id.to_string());
    let mut value = list("runs", found.iter().map(run));
    value["next"] = next.into();
    Ok(Answer::Document(versioned(value)))
}

fn run(run: &RecentRun) -> Value {
    json!({
        "id": run.id,
        "job": run.job,
        "attempt": run.attempt,
        "claimed_at": utc(run.claimed_at),
        "started_at": run.started_at.map(utc),
        "ended_at": run.ended_at.map(utc),
        "open": run.is_open,
        "outcome": run.outcome,
        "reason": run.reason,
        "adopted": run.is_adopted,
        "queue": run.queue,
        "lane": run.lane,
        "label": run.label,
        "command": parsed(&run.command),
        "state": run.state,
    })
}

/// Returns the last 60 minutes, the latest last; the last one is not over.
pub fn throughput(app: &App, _: &Asked) -> Answered {
    let store = app.reader()?.store;
    let now_ms = store.clock().now_ms();
    let minutes = store.read(|conn| app.minutes.last(conn, now_ms))?;
    Ok(Answer::Document(versioned(list("minutes", minutes.iter().map(minute)))))
}

fn minute(minute: &Minute) -> Value {
    json!({
        "at": utc(minute.at_ms),
        "ended": minute.ended,
        "failed": minute.failed,
        "wait_ms": {"median": minute.wait_median_ms, "longest": minute.wait_longest_ms, "of": minute.waits},
    })
}
