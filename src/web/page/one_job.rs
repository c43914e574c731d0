//! One job: what it is, why it waits or has ended, its log, its runs and its history.

use maud::{Markup, html};
use serde_json::Value;

use crate::escape;
use crate::units;
use crate::web::app::App;
use crate::web::page::ansi::Style;
use crate::web::page::documents::{document, number, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::{Button, Ui, badge, command, maybe, pairs, said, short, size, state};
use crate::web::page::{log, remedy};
use crate::web::query::job_id;
use crate::web::route::{Answered, Asked, Route, page};
use crate::web::routes::job;

pub const ROUTES: &[Route] = &[page("/jobs/{id}", &["done"], show)];

/// Most runs and events of the page, the newest.
const ROWS_MAX: usize = 200;

fn show(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let id = job_id(asked.name(0))?.0;
    let (here, id_text) = (format!("/jobs/{id}"), id.to_string());
    let of = [id_text.as_str()];
    let one = document(app, job::show, &of, &[])?;
    let why = document(app, job::why, &of, &[])?;
    let history = document(app, job::history, &of, &[])?;
    let part = log::read(app, &id_text, None, None, Style::default());
    let title = match one["label"].as_str() {
        Some(label) => format!("Job {id}: {}", escape::line(label).chars().take(80).collect::<String>()),
        None => format!("Job {id}"),
    };
    let findings = rows(&why, "obstacles");
    let body = html! {
        div #about data-live {
            div.row.head { (state(&one)) (progress(&one["progress"])) (buttons(&ui, &one, findings, &here)) }
            pre.command { code { (escape::line(&command(&one["command"]))) } }
            @if let Some(error) = one["error"].as_str() { p.error { (escape::lines(error)) } }
            @if !findings.is_empty() {
                section.why-box aria-labelledby="why" { h2 #why { "Why" } (remedy::list(&ui, findings, &here)) }
            }
            (facts(&ui, &one))
        }
        section aria-labelledby="output" {
            div.row { h2 #output { "Output" } a href=(ui.to(&format!("{here}/log"))) { "Whole log" } }
            @match part {
                Ok(part) => (log::view(&ui, id, &part, part.is_open)),
                Err(problem) => p.hint { (escape::lines(&problem.text)) },
            }
        }
        div #past data-live {
            (runs(&ui, &one, id))
            (hooks(&ui, &one))
            (events(&ui, &history))
            (details(&one))
        }
    };
    Ok(shown(app, asked, &Frame { title: &title, place: "/jobs", body }))
}

fn progress(progress: &Value) -> Markup {
    html! {
        @if !progress.is_null() {
            span.progress {
                @if let Some(percent) = progress["percent"].as_f64() {
                    progress max="100" value=(percent) aria-label="Progress" {}
                    " " (percent.round()) " %"
                }
                @if let Some(text) = progress["text"].as_str() { " " (short(text)) }
            }
        }
    }
}

/// Shows what can be done with a job in its state.
fn buttons(ui: &Ui<'_>, job: &Value, findings: &[Value], here: &str) -> Markup {
    let (state, suspension) = (text(job, "state"), text(&job["suspension"], "state"));
    let is_held = job["hold"] == "user";
    let button = |verb: &str, name: &'static str, asks: Option<&'static str>| {
        ui.button(&Button {
            path: format!("{here}/{verb}"),
            name,
            back: here,
            asks,
            is_quiet: matches!(verb, "suspend" | "hold" | "rerun"),
            ..Button::default()
        })
    };
    html! {
        div.row.actions {
            @match state {
                "queued" => {
                    @if is_held { (button("release", "Release", None)) } @else { (button("hold", "Hold", None)) }
                    (button("cancel", "Cancel", Some("Cancel this job? It never starts.")))
                },
                "running" => {
                    @if job["cancelling"] == true { "" }
                    @else if suspension.is_empty() || suspension == "resuming" { (button("suspend", "Suspend", None)) }
                    @else { (button("resume", "Resume", None)) }
                    (button("cancel", "Cancel", Some("Cancel this job? Its processes are ended.")))
                },
                "failed" | "cancelled" => {
                    // Alone it would be refused, as others depend on it; that remedy has a button.
                    @if !findings.iter().any(|one| text(one, "code") == "dependency_broken") { (button("retry", "Retry", None)) }
                    (button("rerun", "Add a job like it", None))
                },
                _ => (button("rerun", "Add a job like it", None)),
            }
        }
    }
}

fn facts(ui: &Ui<'_>, job: &Value) -> Markup {
    let attempts = format!("{} of {}", number(job, "attempts"), number(job, "max_attempts"));
    let mut all = vec![
        ("Queue", ui.jobs_of("queue", text(job, "queue"), short(text(job, "queue")))),
        ("Lane", maybe(&job["lane"])),
        ("Priority", maybe(&job["priority"])),
        ("Attempts", html! { (attempts) }),
        ("Added", ui.ago(&job["created_at"])),
        ("Started", ui.ago(&job["started_at"])),
        ("Ended", ui.ago(&job["finished_at"])),
        ("Took", ui.took(&job["started_at"], &job["finished_at"])),
        ("Directory", maybe(&job["cwd"])),
    ];
    if let Some(label) = job["label"].as_str() {
        all.push(("Label", ui.jobs_of("label", label, short(label))));
    }
    if let Some(code) = job["exit_code"].as_i64() {
        all.push(("Exit code", html! { (code) }));
    }
    if !job["signal"].is_null() {
        all.push(("Signal", maybe(&job["signal"])));
    }
    if let Some(task) = job["task"].as_i64() {
        all.push((
            "Task",
            html! { a href=(ui.to(&format!("/tasks/{task}"))) { (task) } " " span.dim { (short(text(job, "stage"))) } },
        ));
    }
    for (key, name) in [("unique", "Unique key"), ("result", "Result")] {
        if let Some(value) = job[key].as_str() {
            all.push((name, said(value)));
        }
    }
    if let Some(uses) = job["uses"].as_object().filter(|uses| !uses.is_empty()) {
        all.push(("Uses", html! { @for (pool, n) in uses { (short(pool)) " " (n) " " } }));
    }
    pairs(&all)
}

fn runs(ui: &Ui<'_>, job: &Value, id: i64) -> Markup {
    let all = rows(job, "runs");
    html! {
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            @if all.is_empty() { p.empty { "It has not been started." } } @else {
                table {
                    thead { tr { th.id { "Run" } th { "Kind" } th.num { "Attempt" } th { "Outcome" } th { "Started" } th.num { "Took" } th.num { "Memory" } th.num { "CPU" } th { "Log" } } }
                    tbody {
                        @for run in all.iter().rev().take(ROWS_MAX) {
                            tr {
                                td.id { (run["id"]) }
                                td data-name="Kind" { (said(text(run, "kind"))) }
                                td.num data-name="Attempt" { (run["attempt"]) }
                                td data-name="Outcome" { (outcome(run)) }
                                td data-name="Started" { (ui.ago(&run["started_at"])) }
                                td.num data-name="Took" { (ui.took(&run["started_at"], &ended(run))) }
                                td.num data-name="Memory" { (size(&run["max_rss_bytes"])) }
                                td.num data-name="CPU" { (cpu(run)) }
                                td data-name="Log" { a href=(ui.to(&format!("/jobs/{id}/log?run={}", run["id"]))) aria-label=(format!("Log of run {}", run["id"])) { "log" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Shows what a run came to.
pub fn outcome(run: &Value) -> Markup {
    html! {
        @match run["outcome"].as_str() {
            Some(outcome) => { (badge(outcome)) " " span.why { (said(text(run, "reason"))) @if let Some(code) = run["exit_code"].as_i64() { @if code != 0 { " " (code) } } } },
            None => (badge("running")),
        }
        @if let Some(error) = run["error"].as_str() { div.error { (short(error)) } }
        @if let Some(left) = run["leftovers"].as_str() { div.dim { "ended with it: " (short(left)) } }
    }
}

fn ended(run: &Value) -> Value {
    if run["exited_at"].is_null() { run["finished_at"].clone() } else { run["exited_at"].clone() }
}

fn cpu(run: &Value) -> Markup {
    match (run["user_ms"].as_u64(), run["system_ms"].as_u64()) {
        (None, None) => html! { span.none { "–" } },
        (user, system) => html! { (units::duration_text(user.unwrap_or(0) + system.unwrap_or(0))) },
    }
}

fn hooks(ui: &Ui<'_>, job: &Value) -> Markup {
    let all = rows(job, "hooks");
    html! {
        @if !all.is_empty() {
            section aria-labelledby="hooks" {
                h2 #hooks { "Hooks" }
                table {
                    thead { tr { th { "Event" } th { "Command" } th { "State" } th.num { "Failures" } th { "Next" } } }
                    tbody { @for hook in all { tr {
                        td data-name="Event" { (said(text(hook, "event"))) }
                        td.what { code { (short(&command(&hook["command"]))) } @if let Some(error) = hook["error"].as_str() { div.error { (short(error)) } } }
                        td data-name="State" { (badge(text(hook, "state"))) }
                        td.num data-name="Failures" { (hook["failures"]) }
                        td data-name="Next" { (ui.ago(&hook["next_at"])) }
                    } } }
                }
            }
        }
    }
}

fn events(ui: &Ui<'_>, history: &Value) -> Markup {
    html! {
        section aria-labelledby="events" {
            h2 #events { "Events" }
            ol.events {
                @for event in rows(history, "events").iter().rev().take(ROWS_MAX) {
                    li {
                        (ui.local(&event["at"])) " " b { (said(text(event, "kind"))) } " " (said(text(event, "reason")))
                        @if let Some(run) = event["run"].as_i64() { " " span.dim { "run " (run) } }
                        @if let Some(detail) = event["detail"].as_str() { " " span.dim { (short(detail)) } }
                    }
                }
            }
        }
    }
}

/// Shows the limits of a job, and the names of its variables: a person who looks over a shoulder
/// does not see their values.
fn details(job: &Value) -> Markup {
    let env = job["env"].as_object();
    let policy = job["policy"].as_object().filter(|policy| !policy.is_empty());
    html! {
        @if let Some(policy) = policy {
            details { summary { "Options" }
                dl.pairs { @for (key, value) in policy { div { dt { (short(key)) } dd { (short(&value.to_string())) } } } }
            }
        }
        @if let Some(env) = env.filter(|env| !env.is_empty()) {
            details { summary { "Variables (" (env.len()) ")" }
                p { @for key in env.keys().take(ROWS_MAX) { code { (short(key)) } " " } }
                p.hint { "Their values: " code { "tenure show " (job["id"]) " --json" } }
            }
        }
    }
}
