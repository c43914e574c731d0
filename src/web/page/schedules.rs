//! The schedules, each with its next occurrences.

use maud::{Markup, html};
use serde_json::Value;

use crate::web::app::App;
use crate::web::page::documents::{document, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::{Button, Ui, command, encoded, said, short};
use crate::web::route::{Answered, Asked, Route, page};
use crate::web::routes::lists;

pub const ROUTES: &[Route] = &[page("/schedules", &["cursor", "done"], show)];

/// Schedules of a page, and occurrences of each.
const ROWS: &str = "50";
const OCCURRENCES: &str = "3";

fn show(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let cursor = asked.query.get("cursor").filter(|text| !text.is_empty());
    let query: Vec<(&str, &str)> = [("limit", ROWS)].into_iter().chain(cursor.map(|cursor| ("cursor", cursor))).collect();
    let list = document(app, lists::all_schedules, &[], &query)?;
    let all: Vec<(&Value, Vec<Value>)> = rows(&list, "schedules")
        .iter()
        .map(|one| {
            // One that another program has spoilt has none, and says so itself.
            let next = document(app, lists::next, &[text(one, "name")], &[("n", OCCURRENCES)]);
            (one, next.map(|next| rows(&next, "occurrences").to_vec()).unwrap_or_default())
        })
        .collect();
    let body = html! {
        div #schedules data-live {
            @if all.is_empty() { p.empty { "There is no schedule: " code { "tenure schedule add NAME '0 3 * * *' -- COMMAND" } } } @else {
                table {
                    thead { tr { th { "Schedule" } th { "When" } th { "Next" } th { "Last" } th { span.unseen { "Actions" } } } }
                    tbody { @for (one, next) in &all { (row(&ui, one, next)) } }
                }
            }
            nav.pages aria-label="Pages of the list" {
                @if let Some(next) = list["next"].as_str() { a rel="next" href=(ui.to(&format!("/schedules?cursor={}", encoded(next)))) { "More" } }
            }
        }
    };
    Ok(shown(app, asked, &Frame { title: "Schedules", place: "/schedules", body }))
}

fn row(ui: &Ui<'_>, one: &Value, next: &[Value]) -> Markup {
    let name = text(one, "name");
    let is_paused = one["paused"] == true;
    let path = |verb: &str| format!("/schedules/{}/{verb}", encoded(name));
    let of = || Some(name.to_owned());
    html! {
        tr {
            td.what {
                b { (short(name)) } @if is_paused { " " span.badge.plain { "paused" } }
                div { code.dim { (short(&command(&one["command"]))) } }
                @if let Some(error) = one["error"].as_str() { div.error { (said(error)) } }
            }
            td data-name="When" { code { (short(text(one, "cron"))) } div.dim { (short(text(one, "zone"))) } }
            td data-name="Next" {
                @if is_paused || next.is_empty() { span.none { "–" } }
                @else { ul.plain { @for occurrence in next { li { (ui.ago(&occurrence["utc"])) " " span.dim { (short(text(occurrence, "at"))) } } } } }
            }
            td data-name="Last" {
                (ui.ago(&one["last_at"])) @if !one["last_job"].is_null() { " " span.dim { "job " (ui.job(&one["last_job"])) } }
                @if !one["skipped"].is_null() { div.dim { "skipped: " (short(text(&one["skipped"], "reason"))) " " (ui.ago(&one["skipped"]["utc"])) } }
            }
            td { div.row {
                (ui.button(&Button { path: path("run"), name: "Run now", of: of(), back: "/schedules", ..Button::default() }))
                @if is_paused { (ui.button(&Button { path: path("resume"), name: "Resume", of: of(), back: "/schedules", ..Button::default() })) }
                @else { (ui.button(&Button { path: path("pause"), name: "Pause", of: of(), back: "/schedules", is_quiet: true, ..Button::default() })) }
            } }
        }
    }
}
