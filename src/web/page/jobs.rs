//! The list of jobs, with filters and a search.

use maud::{Markup, html};
use serde_json::Value;

use crate::document::shapes::advice;
use crate::job::State;
use crate::queue::why::paused;
use crate::web::app::App;
use crate::web::page::documents::{document, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::{Ui, name, short, state, with_query};
use crate::web::page::remedy;
use crate::web::query::Query;
use crate::web::route::{Answer, Answered, Asked, Route, page};
use crate::web::routes::{job, jobs};

pub const ROUTES: &[Route] = &[page("/jobs", &["state*", "queue", "label", "since", "search", "cursor", "done"], show)];

/// Jobs of a page.
const ROWS: &str = "50";
/// The times that the filter offers.
const SINCE: [(&str, &str); 5] = [("", "any time"), ("1h", "1 hour"), ("1d", "1 day"), ("7d", "7 days"), ("30d", "30 days")];

fn show(app: &App, asked: &Asked) -> Answered {
    let (ui, query) = (Ui::of(app), &asked.query);
    if let Some(id) = number(query.get("search").unwrap_or(""))
        && document(app, job::show, &[&id.to_string()], &[]).is_ok()
    {
        return Ok(Answer::See(format!("/jobs/{id}"), None));
    }
    // An empty field of the form is a filter that is not given.
    let given: Vec<(&str, &str)> = query.pairs().filter(|(key, value)| *key != "done" && !value.trim().is_empty()).collect();
    let with_limit: Vec<(&str, &str)> = given.iter().copied().chain([("limit", ROWS)]).collect();
    let list = document(app, jobs::list, &[], &with_limit)?;
    let here = with_query("/jobs", &given);
    let waiting = rows(&list, "jobs").iter().filter(|job| job["state"] == "queued" && job["hold"].is_null());
    let paused = paused::of(&app.reader()?.store, waiting.map(|job| text(job, "queue").to_owned()).collect())?;
    let paused: Vec<Value> = paused.iter().map(advice).collect();
    let body = html! {
        (filters(&ui, query))
        div #rows data-live {
            @if !paused.is_empty() { section.problems aria-label="Paused" { (remedy::list(&ui, &paused, &here)) } }
            (table(&ui, rows(&list, "jobs"), &here, list["next"].is_string()))
            nav.pages aria-label="Pages of the list" {
                @if query.get("cursor").is_some() { a href=(ui.to(&here)) { "Newest" } }
                @if let Some(next) = list["next"].as_str() {
                    a rel="next" href=(ui.to(&format!("{here}&cursor={next}"))) {
                        @if query.get("search").is_some_and(|text| !text.is_empty()) { "Search older jobs" } @else { "Older" }
                    }
                }
            }
        }
    };
    Ok(shown(app, asked, &Frame { title: "Jobs", place: "/jobs", body }))
}

/// A search for a number is a search for that job.
fn number(text: &str) -> Option<i64> {
    text.trim().trim_start_matches('#').parse().ok().filter(|id| *id > 0)
}

fn filters(ui: &Ui<'_>, query: &Query) -> Markup {
    let value = |key: &str| query.get(key).unwrap_or("");
    let states: Vec<&str> = query.all("state").collect();
    let since = value("since");
    let is_offered = SINCE.iter().any(|(word, _)| *word == since);
    html! {
        form.filters method="get" action=(ui.to("/jobs")) role="search" {
            div.grow {
                label for="search" { "Search" }
                input #search type="search" name="search" value=(value("search")) placeholder="number, or words of label and command" maxlength="200";
            }
            div {
                label for="state" { "State" }
                select #state name="state" {
                    option value="" { "all" }
                    option value="queued,running" selected[states == ["queued", "running"]] { "live" }
                    @for state in State::ALL {
                        option value=(state) selected[states == [state.as_str()]] { (state) }
                    }
                }
            }
            div { label for="queue" { "Queue" } input #queue name="queue" value=(value("queue")) size="10"; }
            div { label for="label" { "Label" } input #label name="label" value=(value("label")) size="12"; }
            div {
                label for="since" { "Since" }
                select #since name="since" {
                    @for (word, name) in SINCE { option value=(word) selected[word == since] { (name) } }
                    @if !is_offered { option value=(since) selected { (since) } }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn table(ui: &Ui<'_>, jobs: &[Value], back: &str, has_more: bool) -> Markup {
    if jobs.is_empty() {
        let words = if has_more {
            "None of the jobs that were looked at is like that; older ones may be."
        } else {
            "No job is like that."
        };
        return html! { p.empty { (words) } };
    }
    html! {
        form.several method="post" action=(ui.to("/jobs/selected")) {
            input type="hidden" name="back" value=(back);
            input type="hidden" name="file" value=(ui.file);
            // Enter on a row presses the first button, which asks for nothing. A disabled one would
            // be passed over.
            button type="submit" name="verb" value="nothing" tabindex="-1" hidden {}
            (listed(ui, jobs, true))
            div.row.bulk {
                span.dim { "Selected jobs:" }
                button.quiet type="submit" name="verb" value="retry" { "Retry" }
                button.quiet type="submit" name="verb" value="hold" { "Hold" }
                button.quiet type="submit" name="verb" value="release" { "Release" }
                button.quiet.danger type="submit" name="verb" value="cancel" data-ask="Cancel the selected jobs?" { "Cancel" }
            }
        }
    }
}

/// Shows jobs as the rows of a table.
pub fn listed(ui: &Ui<'_>, jobs: &[Value], are_selectable: bool) -> Markup {
    html! {
        table.jobs {
            thead { tr {
                @if are_selectable { th.select { input type="checkbox" data-all aria-label="Select all jobs of this page"; } }
                th.id { "Job" } th { "State" } th { "What" } th { "Queue" } th { "When" } th.num { "Took" }
            } }
            tbody {
                @for job in jobs {
                    tr {
                        @if are_selectable {
                            td.select { input type="checkbox" name="id" value=(job["id"]) aria-label=(format!("Select job {}", job["id"])); }
                        }
                        td.id { (ui.job(&job["id"])) }
                        td data-name="State" { (state(job)) }
                        td.what { (name(job)) @if let Some(error) = job["error"].as_str() { div.error { (short(error)) } } }
                        td data-name="Queue" {
                            (short(text(job, "queue")))
                            @if let Some(lane) = job["lane"].as_str() { " " span.dim { "lane " (short(lane)) } }
                        }
                        td data-name="When" { (ui.ago(when(job))) }
                        td.num data-name="Took" { @if !job["started_at"].is_null() { (ui.took(&job["started_at"], &job["finished_at"])) } }
                    }
                }
            }
        }
    }
}

/// The time that matters most of a job.
fn when(job: &Value) -> &Value {
    match text(job, "state") {
        "queued" if job["hold"] == "time" => &job["available_at"],
        "queued" => &job["created_at"],
        "running" => &job["started_at"],
        _ => &job["finished_at"],
    }
}
