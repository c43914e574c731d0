//! The tasks of pipelines, each as a walk through its stages.

use maud::{Markup, html};
use serde_json::Value;

use crate::job::TaskState;
use crate::web::app::App;
use crate::web::page::documents::{document, number, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::{Ui, badge, encoded, maybe, pairs, said, short, with_query};
use crate::web::query::row_id;
use crate::web::route::{Answered, Asked, Route, page};
use crate::web::routes::lists;

pub const ROUTES: &[Route] =
    &[page("/tasks", &["state", "pipeline", "cursor", "done"], show), page("/tasks/{id}", &["done"], one)];

/// Tasks of a page.
const ROWS: &str = "30";
/// Most steps of a task in the list, the latest; its own page has more.
const STEPS_MAX: usize = 12;
/// Most steps on the page of a task, the latest.
const STEPS_OF_ONE_MAX: usize = 500;

fn show(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let given: Vec<(&str, &str)> =
        asked.query.pairs().filter(|(key, value)| *key != "done" && !value.trim().is_empty()).collect();
    let with_limit: Vec<(&str, &str)> = given.iter().copied().chain([("limit", ROWS)]).collect();
    let list = document(app, lists::tasks, &[], &with_limit)?;
    let pipelines = document(app, lists::all_pipelines, &[], &[("limit", "100")])?;
    let state = asked.query.get("state").unwrap_or("");
    let here = with_query("/tasks", &given);
    let body = html! {
        form.filters method="get" action=(ui.to("/tasks")) {
            div { label for="state" { "State" } select #state name="state" {
                option value="" { "all" }
                @for one in TaskState::ALL { option value=(one) selected[one.to_string() == state] { (one) } }
            } }
            div { label for="pipeline" { "Pipeline" } input #pipeline name="pipeline" value=(asked.query.get("pipeline").unwrap_or("")); }
            button type="submit" { "Show" }
        }
        div #tasks data-live {
            @if rows(&list, "tasks").is_empty() { p.empty { "No task is like that." } }
            @for task in rows(&list, "tasks") { (card(&ui, task)) }
            nav.pages aria-label="Pages of the list" {
                @if let Some(next) = list["next"].as_str() { a rel="next" href=(ui.to(&format!("{here}&cursor={next}"))) { "Older" } }
            }
            (pipelines_of(&ui, rows(&pipelines, "pipelines")))
        }
    };
    Ok(shown(app, asked, &Frame { title: "Tasks", place: "/tasks", body }))
}

fn card(ui: &Ui<'_>, task: &Value) -> Markup {
    let id = number(task, "id");
    html! {
        article.card {
            h2 { a href=(ui.to(&format!("/tasks/{id}"))) { "Task " (id) } " " span.dim { (short(text(task, "pipeline"))) @if let Some(key) = task["key"].as_str() { " · " (short(key)) } } " " (badge(text(task, "state"))) }
            (walk(ui, rows(task, "steps"), STEPS_MAX))
            @if let Some(error) = task["error"].as_str() { p.error { (short(error)) } }
        }
    }
}

/// Shows the stages that a task went through.
fn walk(ui: &Ui<'_>, steps: &[Value], most: usize) -> Markup {
    let left = steps.len().saturating_sub(most);
    html! {
        ol.walk start=(left + 1) {
            @if left > 0 { li.dim { (left) " earlier" } }
            @for step in &steps[left..] {
                li {
                    b { (short(text(step, "stage"))) }
                    span { (badge(step["outcome"].as_str().unwrap_or("running"))) }
                    span.dim { "job " (ui.job(&step["job"])) ", " (ui.took(&step["entered_at"], &step["ended_at"])) }
                }
            }
        }
    }
}

fn one(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let id = row_id(asked.name(0), "task")?;
    let task = document(app, lists::one_task, &[asked.name(0)], &[])?;
    let title = format!("Task {id}");
    let body = html! {
        div #task data-live {
            div.row.head { (badge(text(&task, "state"))) @if task["held"] == true { " " (badge("held")) } }
            @if let Some(error) = task["error"].as_str() {
                p.error { (said(error)) }
                @if task["state"] == "failed" { p { code { "tenure task retry " (id) } } }
            }
            @if let Some(why) = task["stop_why"].as_str() { p { "A stop was requested: " (said(why)) } }
            (walk(&ui, rows(&task, "steps"), STEPS_OF_ONE_MAX))
            (pairs(&[
                ("Pipeline", html! { a href=(ui.to(&format!("/tasks?pipeline={}", encoded(text(&task, "pipeline"))))) { (short(text(&task, "pipeline"))) } " " span.dim { "revision " (task["revision"]) } }),
                ("Key", maybe(&task["key"])),
                ("Stage", maybe(&task["stage"])),
                ("Job", ui.job(&task["job"])),
                ("Started", ui.ago(&task["created_at"])),
                ("Ended", ui.ago(&task["finished_at"])),
                ("Took", ui.took(&task["created_at"], &task["finished_at"])),
            ]))
            details { summary { "Parameters" } p { code { (said(&task["params"].to_string())) } } }
        }
    };
    Ok(shown(app, asked, &Frame { title: &title, place: "/tasks", body }))
}

fn pipelines_of(ui: &Ui<'_>, pipelines: &[Value]) -> Markup {
    html! {
        section aria-labelledby="pipelines" {
            h2 #pipelines { "Pipelines" }
            @if pipelines.is_empty() { p.empty { "There is none: " code { "tenure pipeline apply FILE" } } } @else {
                table {
                    thead { tr { th { "Pipeline" } th { "Stages" } th.num { "Running" } th { "Applied" } } }
                    tbody { @for one in pipelines { tr {
                        td.what { a href=(ui.to(&format!("/tasks?pipeline={}", encoded(text(one, "name"))))) { (short(text(one, "name"))) } " " span.dim { @if !one["revision"].is_null() { "revision " (one["revision"]) } }
                            @if let Some(error) = one["error"].as_str() { div.error { (said(error)) } } }
                        td data-name="Stages" { @if let Some(stages) = one["stages"].as_object() { (stages.len()) ", from " (short(text(one, "start"))) } }
                        td.num data-name="Running" { (maybe(&one["running"])) }
                        td data-name="Applied" { (ui.ago(&one["applied_at"])) }
                    } } }
                }
            }
        }
    }
}
