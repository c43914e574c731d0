//! The form that adds a job.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::random;
use crate::web::app::App;
use crate::web::page::form::Form;
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::Ui;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, form, page};
use crate::web::routes;

pub const ROUTES: &[Route] = &[page("/add", &["done"], show), form("/add", add)];

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
    let ui = Ui::of(app);
    let key = key()?;
    let body = html! {
        form.add method="post" action=(ui.to("/add")) {
            input type="hidden" name="key" value=(key);
            div.wide {
                label for="command" { "Shell command" }
                textarea #command name="command" rows="3" required autofocus spellcheck="false" autocapitalize="off"
                    aria-describedby="about" {}
                p.hint #about { "It is run by " code { "sh -c" } ", in " code { "/" } " unless a directory is given, with a short environment: that of a job of the worker, not of a shell." }
            }
            @for (name, title, example) in OPTIONS { (field(name, title, example)) }
            div.wide.row {
                label { input type="checkbox" name="hold" value="true"; " Hold it until it is released" }
                button type="submit" { "Add the job" }
            }
        }
    };
    Ok(shown(app, asked, &Frame { title: "Add a job", place: "/add", body }))
}

fn field(name: &str, title: &str, example: &str) -> Markup {
    html! {
        div {
            label for=(name) { (title) }
            input id=(name) name=(name) placeholder=(example) spellcheck="false" autocapitalize="off";
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
    let mut body: Map<String, Value> = form.body();
    body.remove("key");
    let command = form.get("command").filter(|text| !text.trim().is_empty());
    let command = command.ok_or_else(|| Problem::usage("there is no command; write one, such as make test"))?;
    body.insert("command".into(), ["sh", "-c", command].as_slice().into());
    for number in ["priority", "retries"] {
        if let Some(value) = body.get(number).and_then(Value::as_str) {
            let whole: i64 = value.trim().parse().map_err(|_| Problem::usage(format!("{number}: it is not a whole number")))?;
            body.insert(number.into(), whole.into());
        }
    }
    let asked = Asked {
        body: Value::Object(body).to_string().into_bytes(),
        key: form.get("key").filter(|key| !key.is_empty()).map(str::to_owned),
        ..Asked::default()
    };
    let word = |word: &str, value: &Value| Ok(Answer::See(format!("/jobs/{}?done={word}", value["id"]), None));
    match routes::add::add(app, &asked) {
        Ok(Answer::Created(value)) => word("add", &value),
        Ok(Answer::Document(value)) => word("known", &value),
        Ok(other) => Ok(other),
        // The browser went back to a form that it has sent.
        Err(problem) if problem.status == 409 && problem.text.contains("key was used") => {
            let told = "this form has added another job already; open the form again to add a further one";
            Err(Problem::new(409, "refused", told))
        }
        Err(problem) => Err(problem),
    }
}
