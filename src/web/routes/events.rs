//! The changes of all jobs, a page at a time. A client that accepts an event stream gets them live
//! (`live`).

use serde_json::{Value, json};

use crate::document::shapes::{change as shape, versioned};
use crate::job::Position;
use crate::web::app::App;
use crate::web::hub::Line;
use crate::web::live::Wanted;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, get};

pub const ROUTES: &[Route] =
    &[Route { is_live: true, ..get("/api/v1/events", &["state*", "queue", "label", "after", "limit"], page) }];

/// Returns changes after a position; `next` is the position of the next page.
fn page(app: &App, asked: &Asked) -> Answered {
    let wanted = Wanted::of(&asked.query)?;
    let after = asked.query.get("after").map(|text| text.parse::<Position>().map_err(Problem::usage)).transpose()?;
    let limit = asked.query.limit()?;
    let mut read = app.reader()?.changes_page(after.unwrap_or(Position::START), limit)?;
    // It has so many of each kind.
    if read.changes.len() > limit {
        read.changes.truncate(limit);
        read.is_full = true;
        read.next = read.changes.last().map_or(read.next, |last| last.position);
    }
    let chosen = read.changes.iter().filter(|change| wanted.has(&Line::of(change)));
    let changes: Vec<Value> = chosen.map(|change| versioned(shape(change))).collect();
    Ok(Answer::Document(versioned(json!({"changes": changes, "next": read.next.to_string(), "more": read.is_full}))))
}
