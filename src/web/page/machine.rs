//! The machine: the worker, the reaper with each of its tiers, and the disk.

use maud::{Markup, html};
use serde_json::Value;

use crate::units;
use crate::web::app::App;
use crate::web::page::documents::{document, number, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::{Ui, badge, pairs, said, size};
use crate::web::page::remedy;
use crate::web::route::{Answered, Asked, Route, page};
use crate::web::routes::status;

pub const ROUTES: &[Route] = &[page("/machine", &["done"], show)];

fn show(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let status = document(app, status::overview, &[], &[])?;
    let body = html! {
        div #machine data-live {
            (remedy::problems(&ui, &status, "/machine"))
            (pairs(&[
                ("Machine", said(&ui.host)),
                ("File", said(&app.reader()?.store.place().db().to_string_lossy())),
                ("Version", html! { "tenure " (env!("CARGO_PKG_VERSION")) }),
            ]))
            section aria-labelledby="worker" { h2 #worker { "Worker" } (worker(&ui, &status["worker"])) }
            section aria-labelledby="reaper" { h2 #reaper { "Reaper" } (reaper(&ui, &status["reaper"])) }
            section aria-labelledby="disk" { h2 #disk { "Disk and memory" } (disk(&status)) }
        }
    };
    Ok(shown(app, asked, &Frame { title: "Machine", place: "/machine", body }))
}

fn worker(ui: &Ui<'_>, worker: &Value) -> Markup {
    if worker.is_null() {
        return html! { p.empty { "There is no worker: " code { "tenure work" } } };
    }
    let ago = |key: &str| match worker[key].as_u64() {
        Some(ms) => html! { (units::duration_text(ms)) " ago" },
        None => html! { span.none { "–" } },
    };
    let queues = match worker["queues"].as_array() {
        Some(names) if !names.is_empty() => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => "all".to_owned(),
    };
    html! {
        (pairs(&[
            ("State", html! { (badge(if worker["stopped"] == true { "stopped" } else { worker["phase"].as_str().unwrap_or("running") })) }),
            ("Slots", html! { (number(worker, "busy")) " of " (number(worker, "slots")) " taken" }),
            ("Queues", said(&queues)),
            ("Pid", html! { (worker["pid"]) @if worker["here"] == false { " on " (said(text(worker, "host"))) } }),
            ("Since", ui.ago(&worker["since"])),
            ("Looked for jobs", ago("claims_ago_ms")),
            ("Reaper's last round", ago("reaper_ago_ms")),
        ]))
        @for one in rows(worker, "conditions") {
            p.error { (said(text(one, "text"))) @if let Some(remedy) = one["remedy"].as_str() { " " code { (said(remedy)) } } }
        }
    }
}

/// Shows what the reaper has done with this file, by tier and sweep.
fn reaper(ui: &Ui<'_>, reaper: &Value) -> Markup {
    // What has no time is a count of something else.
    let acts = reaper["acts"].as_object().into_iter().flatten().filter(|(_, one)| one["last_at"].is_string());
    let totals = [
        ("adopted_total", "Runs that a later worker has taken over"),
        ("lost_total", "Runs whose end no process saw"),
        ("impossible_total", "Impossible rows that were repaired or held"),
    ];
    html! {
        table {
            thead { tr { th { "What" } th.num { "How often" } th { "Last" } th { "Note" } } }
            tbody {
                @for (name, words) in totals { (act(ui, words, number(reaper, name), &reaper["acts"][name])) }
                @for (name, one) in acts.filter(|(name, _)| !totals.iter().any(|(total, _)| total == name)) {
                    (act(ui, &name.trim_end_matches("_total").replace('_', " "), number(one, "n"), one))
                }
            }
        }
    }
}

fn act(ui: &Ui<'_>, words: &str, n: i64, one: &Value) -> Markup {
    html! {
        tr {
            td.what { (said(words)) }
            td.num data-name="How often" { (n) }
            td data-name="Last" { (ui.ago(&one["last_at"])) }
            td data-name="Note" { @if let Some(note) = one["note"].as_str() { (said(note)) } }
        }
    }
}

fn disk(status: &Value) -> Markup {
    let workspaces = &status["workspaces"];
    let memory = &status["memory"];
    let free = status["disk"]["free_bytes"].as_u64().zip(status["disk"]["total_bytes"].as_u64());
    html! {
        @if let Some((free, total)) = free {
            meter min="0" max=(total) high=(total - total / 10) value=(total.saturating_sub(free)) aria-label="Used space of the disk" {}
        }
        (pairs(&[
            ("Free space", html! { (size(&status["disk"]["free_bytes"])) " of " (size(&status["disk"]["total_bytes"])) }),
            ("Write-ahead log", size(&status["wal_bytes"])),
            ("Workspaces", html! { (number(workspaces, "count")) ", " (number(workspaces, "in_use")) " in use, " (size(&workspaces["bytes"])) @if !workspaces["max_bytes"].is_null() { " of at most " (size(&workspaces["max_bytes"])) } }),
            ("Memory limits", html! { @if memory.is_null() { span.none { "–" } } @else { (said(text(memory, "by"))) " " span.dim { (said(text(memory, "why"))) } } }),
            ("Hooks", html! { (number(&status["hooks"], "open")) " to run, " (number(&status["hooks"], "failing")) " failing" }),
        ]))
    }
}
