//! The log of a run: the end of it on the page of its job, or a part of it on a page of its own;
//! and what is added to it, for the script.

use maud::{Markup, html};
use serde_json::json;

use crate::document::shapes::versioned;
use crate::run::output;
use crate::units;
use crate::web::app::App;
use crate::web::log::Log;
use crate::web::page::ansi::{Style, render};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::Ui;
use crate::web::problem::Problem;
use crate::web::query::{Query, job_id, run_id};
use crate::web::route::{Answer, Answered, Asked, Route, page};
use crate::web::routes::logs;

pub const ROUTES: &[Route] =
    &[page("/jobs/{id}/log", &["run", "offset", "done"], show), page("/jobs/{id}/log/part", &["run", "offset", "style"], part)];

/// Bytes of a log that are shown at once.
const PART_BYTES: u64 = 128 << 10;

/// Longest line whose rest is left out at the begin of a part, in bytes.
const LINE_BYTES_MAX: usize = 4 << 10;

/// A part of a log as markup.
pub struct Part {
    pub from: u64,
    /// Where the part before it begins.
    before: u64,
    /// Where the next part begins.
    pub at: u64,
    pub end: u64,
    style: Style,
    markup: Markup,
    dropped: u64,
    run: Option<i64>,
    /// The run is not over: more may be added.
    pub is_open: bool,
}

/// Reads a part of the log of a run (`None`: the latest one).
///
/// # Errors
/// The job or the run is not there, or the log was deleted.
pub fn read(app: &App, id: &str, run: Option<i64>, offset: Option<u64>, style: Style) -> Result<Part, Problem> {
    let run_text = run.map(|run| run.to_string());
    let query: Vec<(&str, &str)> = run_text.iter().map(|run| ("run", run.as_str())).collect();
    let asked = Asked { names: vec![id.to_owned()], query: Query::of(&query), ..Asked::default() };
    let Answer::Log(mut log) = logs::logs(app, &asked)? else {
        return Err(Problem::new(500, "failed", "the log was not answered as one"));
    };
    let size = log.end;
    let wanted = offset.unwrap_or_else(|| size.saturating_sub(PART_BYTES)).min(size);
    let from = data_after(&log, wanted)?;
    // What is dropped belongs to no part: the one before ends where it begins.
    let edge = log.file.as_ref().map_or(Ok(from), |file| output::lower_edge_of_hole(file, from)).map_err(|_| unreadable())?;
    (log.at, log.end) = (from, size.min(from.saturating_add(PART_BYTES)));
    let bytes = all_of(&mut log)?;
    // A part of a log begins with a whole line, if it has one.
    let skipped = match offset {
        None if from > 0 && from == wanted => {
            bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n').map_or(0, |at| at + 1)
        }
        _ => 0,
    };
    let rendered = render(&bytes[skipped..], style, !log.is_open && log.at >= size);
    let left = bytes.len() - skipped - rendered.used;
    Ok(Part {
        from: from + skipped as u64,
        before: edge.saturating_sub(PART_BYTES),
        at: log.at.saturating_sub(left as u64),
        end: size,
        style: rendered.style,
        markup: html! {
            // Who continues where it ended has been told.
            @if from > wanted { span.gap { "… " (units::size_text(from - edge)) " are not there: dropped by the limit of the log, or never written …" } "\n" }
            (rendered.markup)
        },
        dropped: log.dropped,
        run: log.run,
        is_open: log.is_open,
    })
}

/// What the limit of a log has dropped is not shown in parts: the next one begins after it.
fn data_after(log: &Log, at: u64) -> Result<u64, Problem> {
    let Some(file) = &log.file else { return Ok(at) };
    let data = output::next_data(file, at).map_err(|_| unreadable())?;
    Ok(data.unwrap_or(log.end).clamp(at, log.end))
}

fn unreadable() -> Problem {
    Problem::new(500, "failed", "the log cannot be read")
}

fn all_of(log: &mut Log) -> Result<Vec<u8>, Problem> {
    let mut all = Vec::new();
    loop {
        let bytes = log.next().map_err(|_| unreadable())?;
        if bytes.is_empty() {
            return Ok(all);
        }
        all.extend(bytes);
    }
}

/// Shows a part of a log, which the script continues if the run is not over.
pub fn view(ui: &Ui<'_>, id: i64, part: &Part, is_followed: bool) -> Markup {
    let more = ui.to(&format!("/jobs/{id}/log/part"));
    html! {
        @if part.dropped > 0 { p.hint { "Of it " (units::size_text(part.dropped)) " are not there: dropped by the limit of the log, or never written." } }
        pre.log #log tabindex="0" role="log" aria-label="Output" aria-live="off" data-more=(more) data-run=[part.run]
            data-at=(part.at) data-style=(part.style.to_text()) data-follow[is_followed] { (part.markup) }
        @if part.end == 0 { p.hint #nothing { "It has written nothing" @if is_followed { " yet" } "." } }
    }
}

fn show(app: &App, asked: &Asked) -> Answered {
    let (ui, id) = (Ui::of(app), job_id(asked.name(0))?.0);
    let run = asked.query.get("run").map(run_id).transpose()?.map(|run| run.0);
    let offset = asked.query.number("offset", i64::MAX.cast_unsigned())?;
    let part = read(app, asked.name(0), run, offset, Style::default())?;
    let is_at_end = part.at == part.end;
    let here = |offset: u64| {
        let run = part.run.map_or_else(String::new, |run| format!("&run={run}"));
        ui.to(&format!("/jobs/{id}/log?offset={offset}{run}"))
    };
    let size = units::size_text(part.end);
    let body = html! {
        p.row {
            a href=(ui.to(&format!("/jobs/{id}"))) { "Job " (id) }
            span.dim { @if let Some(run) = part.run { "run " (run) ", " } (size) }
            @if part.from > 0 {
                a href=(here(0)) { "Begin" }
                a href=(here(part.before)) { "Earlier" }
            }
            @if !is_at_end { a href=(here(part.at)) { "Later" } }
            a href=(ui.to(&format!("/api/v1/jobs/{id}/logs{}", part.run.map_or_else(String::new, |run| format!("?run={run}"))))) { "As text" }
        }
        (view(&ui, id, &part, part.is_open && is_at_end))
    };
    Ok(shown(app, asked, &Frame { title: &format!("Log of job {id}"), place: "/jobs", body }))
}

/// Answers with what was added to a log, as markup in a document.
fn part(app: &App, asked: &Asked) -> Answered {
    let run = asked.query.get("run").map(run_id).transpose()?.map(|run| run.0);
    let offset = asked.query.number("offset", i64::MAX.cast_unsigned())?.unwrap_or(0);
    let style = Style::of_text(asked.query.get("style").unwrap_or(""));
    let part = read(app, asked.name(0), run, Some(offset), style)?;
    Ok(Answer::Document(versioned(json!({
        "markup": part.markup.0, "at": part.at, "end": part.end, "style": part.style.to_text(), "run": part.run, "open": part.is_open,
    }))))
}
