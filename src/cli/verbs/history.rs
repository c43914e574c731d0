//! `tenure history`: what happened to a job.

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick;
use crate::cli::parse::pick::Named;
use crate::cli::parse::time;
use crate::cli::view::{json, table};
use crate::error::{Result, exit};
use crate::queue::Event;

pub fn run(face: &Face, which: &Named) -> Result<u8> {
    let queue = face.queue()?;
    let now = face.now();
    for job in pick::jobs(&queue, &which.ids)? {
        let (events, more) = queue.history_and_more(job.id)?;
        if face.json {
            let mut document = json::list("events", events.iter().map(json::event));
            document["more"] = more.into();
            face.document(document)?;
        } else {
            face::print(&for_people(&events, &now, face.columns))?;
            if more {
                face::say(&format!("job {}: its older events are not shown", job.id));
            }
        }
    }
    Ok(exit::OK)
}

pub(in crate::cli) fn for_people(events: &[Event], now: &jiff::Zoned, columns: Option<usize>) -> String {
    let row = |event: &Event| {
        vec![
            time::local(time::ms_of(event.at), now),
            event.job.map(|id| id.to_string()).unwrap_or_default(),
            event.run.map(|id| id.to_string()).unwrap_or_default(),
            event.kind.clone(),
            event.reason.clone().unwrap_or_default(),
            event.detail.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    table::table(&["at", "job", "run", "what", "reason", "detail"], &[1, 2], &rows, columns)
}
