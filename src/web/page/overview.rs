//! The overview: what is wrong, what runs, what waits, what failed.

use maud::{Markup, html};
use serde_json::Value;

use crate::document::shapes;
use crate::queue::JobInfo;
use crate::store::job::recent;
use crate::units;
use crate::web::app::App;
use crate::web::page::documents::{document, ms, number, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::jobs::listed;
use crate::web::page::parts::{Button, Ui, encoded, short};
use crate::web::page::plot::{Bar, bars};
use crate::web::page::remedy;
use crate::web::route::{Answered, Asked, Route, page};
use crate::web::routes::{jobs, runs, status};

pub const ROUTES: &[Route] = &[page("/", &["done"], show)];

/// Queues that are shown.
const QUEUES_MAX: usize = 50;
/// Failed jobs that are shown.
const FAILURES_MAX: usize = 8;

fn show(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let status = document(app, status::overview, &[], &[])?;
    let running = document(app, jobs::list, &[], &[("state", "running"), ("limit", "20")])?;
    let failed = app.reader()?.store.read(|conn| recent::latest_failures(conn, FAILURES_MAX))?;
    let failed: Vec<Value> = failed.into_iter().map(|row| shapes::job(&JobInfo::of(row))).collect();
    let minutes = document(app, runs::throughput, &[], &[])?;
    let body = html! {
        div #overview data-live {
            (remedy::problems(&ui, &status, "/"))
            (counts(&ui, &status))
            div.columns {
                section aria-labelledby="hour" { h2 #hour { "The last hour" } (hour(rows(&minutes, "minutes"))) }
                section aria-labelledby="queues" { (queues(&ui, &status)) }
            }
            section aria-labelledby="running" {
                h2 #running { "Running" }
                @if rows(&running, "jobs").is_empty() { p.empty { "No job is running." } }
                @else { (listed(&ui, rows(&running, "jobs"), false)) }
                @if running["next"].is_string() { p { (ui.jobs_of("state", "running", html! { "All running jobs" })) } }
            }
            section aria-labelledby="failed" {
                h2 #failed { "Latest failures" }
                @if failed.is_empty() { p.empty { "No job has failed lately." } } @else { (listed(&ui, &failed, false)) }
                p { (ui.jobs_of("state", "failed", html! { "All failed jobs" })) }
            }
        }
    };
    Ok(shown(app, asked, &Frame { title: "Overview", place: "/", body }))
}

/// Shows the numbers of jobs, each as a link to them, and the worker.
fn counts(ui: &Ui<'_>, status: &Value) -> Markup {
    let counts = &status["counts"];
    let held: i64 = counts["held"].as_object().map_or(0, |held| held.values().filter_map(Value::as_i64).sum());
    let worker = &status["worker"];
    html! {
        ul.counts {
            li.busy { a href=(ui.to("/jobs?state=running")) { b { (number(counts, "running")) } " running" } }
            li { a href=(ui.to("/jobs?state=queued")) { b { (number(counts, "ready")) } " ready" } }
            li { a href=(ui.to("/jobs?state=queued")) { b { (held) } " held" } }
            li.bad { a href=(ui.to("/jobs?state=failed")) { b { (number(counts, "failed")) } " failed" } }
            li.good { a href=(ui.to("/jobs?state=done")) { b { (number(counts, "done")) } " done" } }
            li { a href=(ui.to("/jobs?state=cancelled")) { b { (number(counts, "cancelled")) } " cancelled" } }
            li.worker {
                a href=(ui.to("/machine")) {
                    @if worker.is_null() { b { "no worker" } }
                    @else { b { (number(worker, "busy")) "/" (number(worker, "slots")) } " slots" }
                }
            }
        }
    }
}

fn hour(minutes: &[Value]) -> Markup {
    let clock = |minute: &Value| text(minute, "at").get(11..16).unwrap_or("").to_owned();
    let wait = |minute: &Value, key: &str| minute["wait_ms"][key].as_i64();
    let duration = |ms: i64| units::duration_text(u64::try_from(ms).unwrap_or(0));
    let ended: i64 = minutes.iter().map(|one| number(one, "ended")).sum();
    let least = if minutes.iter().any(|one| one["failed"].is_null()) { "at least " } else { "" };
    let failed: i64 = minutes.iter().map(|one| number(one, "failed")).sum();
    let busiest = minutes.iter().map(|one| number(one, "ended")).max().unwrap_or(0);
    let longest = minutes.iter().filter_map(|one| wait(one, "median")).max().unwrap_or(0);
    let of_ends: Vec<Bar> = minutes
        .iter()
        .map(|one| {
            let (ended, failed) = (number(one, "ended"), one["failed"].as_i64());
            let words = failed.map_or_else(|| "it is not known how many failed".to_owned(), |n| format!("{n} failed"));
            Bar {
                value: ended,
                bad: failed.unwrap_or(0).min(ended),
                words: format!("{} UTC: {ended} ended, {words}", clock(one)),
            }
        })
        .collect();
    let of_waits: Vec<Bar> = minutes
        .iter()
        .map(|one| {
            let words = match wait(one, "median").zip(wait(one, "longest")) {
                Some((median, longest)) => {
                    format!(
                        "{} UTC: half of {} waited {} or less, one waited {}",
                        clock(one),
                        one["wait_ms"]["of"],
                        duration(median),
                        duration(longest)
                    )
                }
                None => format!("{} UTC: no waiting time", clock(one)),
            };
            Bar { value: wait(one, "median").unwrap_or(0), bad: 0, words }
        })
        .collect();
    html! {
        h3 { "Jobs that ended, each minute" }
        (bars(&format!("In the last hour {ended} jobs ended and {least}{failed} failed; at most {busiest} in a minute"), &of_ends, &busiest.to_string()))
        h3 { "How long they had waited (median)" }
        (bars(&format!("In the last hour the median waiting time of a minute was at most {}", duration(longest)), &of_waits, &duration(longest)))
    }
}

fn queues(ui: &Ui<'_>, status: &Value) -> Markup {
    let all = rows(status, "queues");
    let is_paused = ms(&status["all_paused_at"]).is_some();
    html! {
        div.row {
            h2 #queues { "Queues" }
            @if is_paused { (ui.button(&Button { path: "/resume".into(), name: "Resume all", back: "/", ..Button::default() })) }
            @else {
                (ui.button(&Button { path: "/pause".into(), name: "Pause all", back: "/", is_quiet: true,
                                     asks: Some("Pause all queues? Running jobs continue; no other job starts."), ..Button::default() }))
            }
        }
        @if all.is_empty() { p.empty { "There is no queue yet." } } @else {
            table {
                thead { tr { th { "Queue" } th.num { "Running" } th.num { "Ready" } th.num { "Held" } th { span.unseen { "Action" } } } }
                tbody { @for queue in all.iter().take(QUEUES_MAX) { (queue_row(ui, queue)) } }
            }
            @if all.len() > QUEUES_MAX { p.hint { "The first " (QUEUES_MAX) " of " (all.len()) " queues are shown." } }
        }
    }
}

fn queue_row(ui: &Ui<'_>, queue: &Value) -> Markup {
    let name = text(queue, "name");
    let is_paused = queue["paused"] == true;
    let (verb, does) = if is_paused { ("resume", "Resume") } else { ("pause", "Pause") };
    html! {
        tr {
            td.what {
                (ui.jobs_of("queue", name, short(name)))
                @if is_paused { " " span.badge.bad { "paused" } @if !queue["paused_by"].is_null() { " " span.dim { "by the failure of job " (ui.job(&queue["paused_by"])) } } }
            }
            td.num data-name="Running" { (number(queue, "running")) @if let Some(slots) = queue["slots"].as_i64() { span.dim { "/" (slots) } } }
            td.num data-name="Ready" { (number(queue, "ready")) }
            td.num data-name="Held" { (number(queue, "waiting")) }
            td { (ui.button(&Button { path: format!("/queues/{}/{verb}", encoded(name)), name: does, of: Some(name.to_owned()), back: "/", is_quiet: !is_paused, ..Button::default() })) }
        }
    }
}
