//! The list of jobs.

use serde_json::json;

use crate::clock::time_of;
use crate::document::shapes;
use crate::job::{JobId, State};
use crate::parse::time::parse_since;
use crate::parse::values;
use crate::queue::Filter;
use crate::queue::why::stopped;
use crate::web::app::App;
use crate::web::limits::LIST_BYTES_MAX;
use crate::web::problem::Problem;
use crate::web::query::row_id;
use crate::web::route::{Answer, Answered, Asked, Route, get};

pub const ROUTES: &[Route] = &[get("/api/v1/jobs", &["state*", "queue", "label", "since", "limit", "cursor"], list)];

/// Returns a page of jobs, the newest first. The cursor is the number of the last job of the page
/// before, so that jobs that are added meanwhile shift nothing.
fn list(app: &App, asked: &Asked) -> Answered {
    let query = &asked.query;
    let mut filter = Filter::all().limit(query.limit()?);
    for word in query.all("state") {
        filter = filter.state(word.parse::<State>().map_err(|why| Problem::usage(format!("state: {why}")))?);
    }
    if let Some(name) = query.parsed("queue", values::parse_name)? {
        filter = filter.queue(name);
    }
    if let Some(label) = query.parsed("label", values::parse_label)? {
        filter = filter.label(label);
    }
    if let Some(since_ms) = query.parsed("since", |text| parse_since(text, &app.now()))? {
        filter = filter.since(time_of(since_ms));
    }
    if let Some(last) = query.get("cursor").map(|text| row_id(text, "page of jobs")).transpose()? {
        filter = filter.between(JobId(1), JobId(last - 1));
    }
    let queue = app.reader()?;
    let (mut jobs, more) = queue.page(&filter, LIST_BYTES_MAX)?;
    let next = jobs.last().filter(|_| more).map(|job| job.id.to_string());
    stopped::mark(&queue, &mut jobs)?;
    let jobs: Vec<_> = jobs.iter().map(shapes::job).collect();
    Ok(Answer::Document(shapes::versioned(json!({"jobs": jobs, "next": next}))))
}
