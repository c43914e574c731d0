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

pub const ROUTES: &[Route] = &[get("/api/v1/jobs", KEYS, list)];

/// The keys of its query.
pub const KEYS: &[&str] = &["state*", "queue", "label", "since", "search", "limit", "cursor"];
/// Jobs that a search looks at before it answers: the next page continues there.
const SEARCHED_MAX: i64 = 20_000;
/// Longest text to search for, in bytes.
const SEARCH_BYTES_MAX: usize = 200;

/// Returns a page of jobs, the newest first. The cursor is the number of the last job of the page
/// before, so that jobs that are added meanwhile shift nothing.
pub fn list(app: &App, asked: &Asked) -> Answered {
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
    let cursor = query.get("cursor").map(|text| row_id(text, "page of jobs")).transpose()?;
    let queue = app.reader()?;
    let mut floor = 0;
    if let Some(text) = query.get("search").filter(|text| !text.trim().is_empty()) {
        if text.len() > SEARCH_BYTES_MAX {
            return Err(Problem::usage(format!("search: it has more than {SEARCH_BYTES_MAX} bytes")));
        }
        // A text is in no index: so many jobs are looked at, and the next page continues.
        let last = cursor.map_or_else(|| queue.newest_job().map(|id| id.map_or(0, |id| id.0)), |cursor| Ok(cursor - 1))?;
        floor = (last - SEARCHED_MAX).max(0);
        filter = filter.containing(text).between(JobId(floor + 1), JobId(last));
    } else if let Some(last) = cursor {
        filter = filter.between(JobId(1), JobId(last - 1));
    }
    let (mut jobs, next) = queue.page(&filter, LIST_BYTES_MAX)?;
    let next = next.map(|id| id.0).or((floor > 0).then_some(floor + 1)).map(|id| id.to_string());
    stopped::mark(&queue, &mut jobs)?;
    let jobs: Vec<_> = jobs.iter().map(shapes::job).collect();
    Ok(Answer::Document(shapes::versioned(json!({"jobs": jobs, "next": next}))))
}
