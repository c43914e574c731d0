//! What jobs own or share: external resources, leases, workspaces, lanes and pools.

use maud::{Markup, html};
use serde_json::Value;

use crate::web::app::App;
use crate::web::page::documents::{document, number, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::{Button, Ui, badge, command, said, short, size};
use crate::web::route::{Answered, Asked, Route, page};
use crate::web::routes::lists;

pub const ROUTES: &[Route] = &[page("/owned", &["all", "cursor", "done"], show)];

/// Rows of each table.
const ROWS: (&str, &str) = ("limit", "100");

fn show(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let is_all = asked.query.flag("all")?;
    let mut query = vec![ROWS];
    query.extend(is_all.then_some(("all", "true")));
    query.extend(asked.query.get("cursor").map(|cursor| ("cursor", cursor)));
    let resources = document(app, lists::resources, &[], &query)?;
    let list = |api| document(app, api, &[], &[ROWS]);
    let (leases, workspaces) = (list(lists::leases)?, list(lists::all_workspaces)?);
    let (pools, lanes) = (list(lists::pools)?, list(lists::lanes)?);
    let all = if is_all { "&all=true" } else { "" };
    let body = html! {
        div #owned data-live {
            section aria-labelledby="resources" {
                div.row {
                    h2 #resources { "External resources" }
                    @if is_all { a href=(ui.to("/owned")) { "Without released ones" } } @else { a href=(ui.to("/owned?all=true")) { "Also released ones" } }
                    (ui.button(&Button { path: "/resources/sweep".into(), name: "Try all pending teardowns now", back: "/owned", is_quiet: true, ..Button::default() }))
                }
                (resources_of(&ui, rows(&resources, "resources")))
                @if let Some(next) = resources["next"].as_str() { nav.pages aria-label="Pages of the resources" { a rel="next" href=(ui.to(&format!("/owned?cursor={next}{all}"))) { "Older" } } }
            }
            section aria-labelledby="leases" { h2 #leases { "Leases" } (leases_of(&ui, rows(&leases, "leases"))) }
            section aria-labelledby="workspaces" { h2 #workspaces { "Workspaces" } (workspaces_of(&ui, rows(&workspaces, "workspaces"))) }
            section aria-labelledby="lanes" { h2 #lanes { "Lanes" } (shares(rows(&lanes, "lanes"), "key", "running", "Running")) }
            section aria-labelledby="pools" { h2 #pools { "Pools" } (shares(rows(&pools, "pools"), "name", "taken", "Taken")) }
            @if [&leases, &workspaces, &pools, &lanes].iter().any(|list| list["next"].is_string()) {
                p.hint { "The first 100 of each are shown; the commands and the API list all." }
            }
        }
    };
    Ok(shown(app, asked, &Frame { title: "Resources", place: "/owned", body }))
}

fn resources_of(ui: &Ui<'_>, all: &[Value]) -> Markup {
    if all.is_empty() {
        return html! { p.empty { "No job has an external resource." } };
    }
    html! {
        table {
            thead { tr { th.id { "No." } th { "Name" } th { "State" } th { "Owner" } th.num { "Failures" } th { "Next" } th { span.unseen { "Actions" } } } }
            tbody { @for one in all { (resource(ui, one)) } }
        }
    }
}

fn resource(ui: &Ui<'_>, one: &Value) -> Markup {
    let (id, state) = (number(one, "id"), text(one, "state"));
    let button = |verb: &str, name, asks| {
        ui.button(&Button {
            path: format!("/resources/{id}/{verb}"),
            name,
            of: Some(format!("of resource {id}")),
            back: "/owned",
            asks,
            ..Button::default()
        })
    };
    html! {
        tr {
            td.id { (id) }
            td.what {
                b { (short(text(one, "name"))) }
                div { code.dim { (short(&command(&one["teardown"]))) } }
                @if let Some(error) = one["last_error"].as_str() { div.error { (said(error)) } }
            }
            td data-name="State" { (badge(state)) @if let Some(by) = one["released_by"].as_str() { " " span.why { (said(by)) } } }
            td data-name="Owner" {
                @if !one["job"].is_null() { "job " (ui.job(&one["job"])) }
                @else if let Some(task) = one["task"].as_i64() { a href=(ui.to(&format!("/tasks/{task}"))) { "task " (task) } }
                @else { span.dim { "none" } }
            }
            td.num data-name="Failures" { (number(one, "attempts")) }
            td data-name="Next" { (ui.ago(&one["next_at"])) }
            td { @if state != "released" { div.row {
                (button("release", "Tear down", (state == "held").then_some("Tear this resource down, although its owner is alive?")))
                @if state == "releasing" { (button("gone", "It is gone", Some("Record this resource as released, because you have removed it by hand?"))) }
            } } }
        }
    }
}

fn leases_of(ui: &Ui<'_>, all: &[Value]) -> Markup {
    html! {
        @if all.is_empty() { p.empty { "No lease is held." } } @else {
            table {
                thead { tr { th { "Lease" } th { "State" } th { "Holder" } th { "Since" } } }
                tbody { @for one in all { tr {
                    td.what { b { (short(text(one, "name"))) } @if let Some(why) = one["why"].as_str() { div.dim { (short(why)) } } }
                    td data-name="State" { (badge(text(one, "state"))) }
                    td data-name="Holder" {
                        @if !one["job"].is_null() { "job " (ui.job(&one["job"])) } @else { "pid " (one["pid"]) }
                        div { code.dim { (short(&command(&one["command"]))) } }
                    }
                    td data-name="Since" { (ui.ago(&one["since"])) }
                } } }
            }
        }
    }
}

fn workspaces_of(ui: &Ui<'_>, all: &[Value]) -> Markup {
    html! {
        @if all.is_empty() { p.empty { "There is no workspace." } } @else {
            table {
                thead { tr { th { "Workspace" } th.num { "Size" } th.num { "Jobs" } th { "Prepared" } th { "Last used" } } }
                tbody { @for one in all { tr {
                    td.what { b { (short(text(one, "key"))) } @if one["present"] == false { " " span.badge.bad { "not there" } } div { code.dim { (short(text(one, "path"))) } } }
                    td.num data-name="Size" { (size(&one["bytes"])) }
                    td.num data-name="Jobs" { (number(one, "jobs")) }
                    td data-name="Prepared" { (ui.ago(&one["prepared_at"])) }
                    td data-name="Last used" { (ui.ago(&one["last_used_at"])) }
                } } }
            }
        }
    }
}

/// Shows lanes or pools: how much of each is taken.
fn shares(all: &[Value], key: &str, taken: &str, title: &str) -> Markup {
    html! {
        @if all.is_empty() { p.empty { "There is none." } } @else {
            table {
                thead { tr { th { "Name" } th.num { (title) } th.num { "Limit" } th.num { "Waiting" } } }
                tbody { @for one in all { tr {
                    td.what { b { (short(text(one, key))) } }
                    td.num data-name=(title) { (number(one, taken)) }
                    td.num data-name="Limit" { (number(one, "limit")) }
                    td.num data-name="Waiting" { (number(one, "waiting")) }
                } } }
            }
        }
    }
}
