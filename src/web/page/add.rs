//! The form that adds a job.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::document::failure::KEY_USED;
use crate::escape;
use crate::random;
use crate::units::shorten;
use crate::web::app::App;
use crate::web::limits::SHORT_BYTES;
use crate::web::page::form::Form;
use crate::web::page::frame::{self, Frame, page as shown};
use crate::web::page::parts::Ui;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, form, page};
use crate::web::routes;

pub const ROUTES: &[Route] = &[page("/add", &["done"], show), Route { again: Some(with_its_text), ..form("/add", add) }];

/// The fields that are options of a job, each with what is asked and an example.
const OPTIONS: [(&str, &str, &str); 10] = [
    ("label", "Label", "nightly report"),
    ("queue", "Queue", "default"),
    ("priority", "Priority", "0"),
    ("lane", "Lane", "at most one job of it at once"),
    ("cwd", "Directory", "/srv/app"),
    ("delay", "Start in", "10m"),
    ("timeout", "Time limit", "1h30m"),
    ("retries", "Retries", "2"),
    ("memory", "Memory limit", "2G"),
    ("unique", "Unique key", "one live job has it"),
];

fn show(app: &App, asked: &Asked) -> Answered {
    Ok(shown(app, asked, &filled(&Ui::of(app), &Form::default(), &key()?, None)))
}

/// The form, with what a person has written in it, and why it was refused.
fn filled(ui: &Ui<'_>, written: &Form, key: &str, refusal: Option<&Problem>) -> Frame<'static> {
    let body = html! {
        @if let Some(problem) = refusal { p.refusal #refusal role="alert" { (escape::lines(&problem.text)) @if let Some(remedy) = &problem.remedy { "; " (escape::lines(remedy)) } } }
        form.add method="post" action=(ui.to("/add")) {
            input type="hidden" name="key" value=(key);
            div.wide {
                label for="command" { "Shell command" }
                textarea #command name="command" rows="3" required autofocus spellcheck="false" autocapitalize="off"
                    aria-describedby="about" { (written.get("command").unwrap_or("")) }
                p.hint #about { "It is run by " code { "sh -c" } ", in " code { "/" } " unless a directory is given, with a short environment: that of a job of the worker, not of a shell." }
            }
            @for (name, title, example) in OPTIONS { (field(name, title, example, written.get(name).unwrap_or(""))) }
            div.wide.row {
                label { input type="checkbox" name="hold" value="true" checked[written.get("hold").is_some()]; " Hold it until it is released" }
                button type="submit" { "Add the job" }
            }
        }
    };
    Frame { title: "Add a job", place: "/add", body }
}

fn field(name: &str, title: &str, example: &str, written: &str) -> Markup {
    html! {
        div {
            label for=(name) { (title) }
            input id=(name) name=(name) placeholder=(example) value=[Some(written).filter(|text| !text.is_empty())] spellcheck="false" autocapitalize="off";
        }
    }
}

/// Draws the key of a form: if it is sent twice, one job is added.
fn key() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes).map_err(|_| Problem::busy("there are no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn add(app: &App, asked: &Asked) -> Answered {
    let form = Form::of(&asked.body)?;
    let given = form.get("key").filter(|key| !key.is_empty());
    let word = |word: &str, value: &Value| Ok(Answer::See(format!("/jobs/{}?done={word}", value["id"]), None));
    match request(&form, given).and_then(|asked| routes::add::add(app, &asked)) {
        Ok(Answer::Created(value)) => word("add", &value),
        Ok(Answer::Document(value)) => word("known", &value),
        Ok(other) => Ok(other),
        // The browser went back to a form that it has sent.
        Err(problem) if problem.code == KEY_USED => {
            let told = "this form has added another job already; press the button again to add this one too";
            again(app, asked, &form, &key()?, Problem::new(problem.status, problem.code, told))
        }
        // With its key: an answer that was lost may have added the job.
        Err(problem) => with_its_text(app, asked, problem),
    }
}

/// Shows a form again whose job could not be added, with its key.
fn with_its_text(app: &App, asked: &Asked, problem: Problem) -> Answered {
    let form = Form::of(&asked.body)?;
    let given = form.get("key").filter(|key| !key.is_empty());
    again(app, asked, &form, &given.map_or_else(key, |key| Ok(key.to_owned()))?, problem)
}

/// Shows the form again, with what was written, and why it was refused.
fn again(app: &App, asked: &Asked, form: &Form, key: &str, problem: Problem) -> Answered {
    if asked.body.len() > SHORT_BYTES {
        return Err(problem);
    }
    let text = frame::text(app, &Asked::default(), &filled(&Ui::of(app), form, key, Some(&problem)));
    Ok(Answer::Again(problem.status, text))
}

/// Makes the request of the API that a form stands for.
fn request(form: &Form, key: Option<&str>) -> Result<Asked, Problem> {
    let mut body: Map<String, Value> = form.body();
    body.remove("key");
    let is_of_form = |key: &str| key == "command" || key == "hold" || OPTIONS.iter().any(|(name, ..)| *name == key);
    if let Some(other) = body.keys().find(|key| !is_of_form(key)) {
        return Err(Problem::usage(format!("{:?} is not a field of this form", shorten(other))));
    }
    if let Some(twice) = body.keys().find(|key| form.all(key).nth(1).is_some()) {
        return Err(Problem::usage(format!("{twice}: it is given twice")));
    }
    let command = form.get("command").filter(|text| !text.trim().is_empty());
    let command = command.ok_or_else(|| Problem::usage("there is no command; write one, such as make test"))?;
    body.insert("command".into(), ["sh", "-c", command].as_slice().into());
    for number in ["priority", "retries"] {
        if let Some(value) = body.get(number).and_then(Value::as_str) {
            let whole: i64 = value.trim().parse().map_err(|_| Problem::usage(format!("{number}: it is not a whole number")))?;
            body.insert(number.into(), whole.into());
        }
    }
    Ok(Asked { body: Value::Object(body).to_string().into_bytes(), key: key.map(str::to_owned), ..Asked::default() })
}
