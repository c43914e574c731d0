//! What is around every page: its head, the navigation, and what was done last.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::escape;
use crate::web::app::App;
use crate::web::page::files;
use crate::web::page::parts::Ui;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Asked};

/// The pages that the navigation names.
const PLACES: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/jobs", "Jobs"),
    ("/timeline", "Timeline"),
    ("/tasks", "Tasks"),
    ("/schedules", "Schedules"),
    ("/owned", "Resources"),
    ("/machine", "Machine"),
];

/// What was done, by the word in the query of the page that is shown afterwards.
const DONE: [(&str, &str); 18] = [
    ("cancel", "Cancel requested."),
    ("hold", "Held."),
    ("release", "Released."),
    ("retry", "Queued again."),
    ("rerun", "Added a job like it."),
    ("add", "Added."),
    ("suspend", "Suspension requested."),
    ("resume", "Resumed."),
    ("pause", "Paused."),
    ("run", "Added the job of the schedule."),
    ("teardown", "The teardown is tried again now."),
    ("gone", "Recorded as released."),
    ("sweep", "All pending teardowns are tried now."),
    ("seen", "Marked as seen: no longer a problem. The failures stay in the lists."),
    ("several", "Done for the selected jobs."),
    ("some", "Done for some of the selected jobs; the others could not do it."),
    ("known", "A live job has this unique key: nothing was added."),
    ("nothing", "Nothing has changed: no job was selected, or it is so already."),
];

/// A page.
pub struct Frame<'a> {
    pub title: &'a str,
    /// The path of the place in the navigation that it belongs to.
    pub place: &'a str,
    pub body: Markup,
}

/// Answers with a page.
pub fn page(app: &App, asked: &Asked, frame: &Frame<'_>) -> Answer {
    Answer::Page(text(app, asked, frame))
}

/// Returns a page as it is sent.
pub fn text(app: &App, asked: &Asked, frame: &Frame<'_>) -> String {
    let done = asked.query.get("done").and_then(|word| DONE.iter().find(|(known, _)| *known == word));
    let logs_out = asked.session.is_some() && app.setup.rules.token.is_some();
    whole(&Ui::of(app), frame, done.map(|(_, text)| *text), logs_out).into_string()
}

/// Returns the page of a refusal.
pub fn refusal(app: &App, problem: &Problem) -> String {
    let ui = Ui::of(app);
    let body = html! {
        section.refusal role="alert" {
            p { (escape::lines(&problem.text)) }
            @if problem.status == 401 { p { "The session has ended." } p { a href=(ui.to("/login")) { "Log in" } } }
            @else if let Some(remedy) = &problem.remedy { p.remedy { (escape::lines(remedy)) } }
            p { a href=(ui.to("/")) { "Overview" } }
        }
    };
    let title = match problem.status {
        404 => "Not found",
        401 | 403 | 421 => "Not allowed",
        400..=499 => "Refused",
        _ => "Not possible now",
    };
    whole(&ui, &Frame { title, place: "none", body }, None, false).into_string()
}

/// Returns a page without navigation.
pub fn bare(ui: &Ui<'_>, title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · tenure on " (escape::line(&ui.host)) }
                link rel="icon" type="image/svg+xml" href=(ui.to(&files::path("icon.svg")));
                link rel="stylesheet" href=(ui.to(&files::path("page.css")));
                (head)
            }
            body { (body) }
        }
    }
}

fn whole(ui: &Ui<'_>, frame: &Frame<'_>, done: Option<&str>, logs_out: bool) -> Markup {
    let script = html! { script defer src=(ui.to(&files::path("page.js"))) data-base=(ui.base) {} };
    let body = html! {
        a.skip href="#main" { "Skip to the page" }
        header.top {
            a.brand href=(ui.to("/")) { (PreEscaped(files::MARK)) span { "tenure" } span.host { (escape::line(&ui.host)) } }
            nav aria-label="Pages" {
                @for (path, name) in PLACES {
                    a href=(ui.to(path)) aria-current=[(path == frame.place).then_some("page")] { (name) }
                }
            }
            div.corner {
                a.add href=(ui.to("/add")) aria-current=[(frame.place == "/add").then_some("page")] { "Add a job" }
                @if logs_out { form.button method="post" action=(ui.to("/logout")) { button.quiet type="submit" { "Log out" } } }
            }
        }
        main #main tabindex="-1" {
            h1 { (frame.title) }
            @if let Some(done) = done { p.done role="status" { (done) } }
            (frame.body)
        }
        footer {
            span #live hidden { "Live" }
            span.keys hidden { kbd { "/" } " search " kbd { "j" } " " kbd { "k" } " move " kbd { "Enter" } " open" }
            span { "Times: " (ui.zone()) }
            a href=(ui.to("/api/v1/openapi.json")) { "API" }
        }
    };
    bare(ui, frame.title, &script, &body)
}
