//! What the forms of the pages do: each what a route of the API does.

use serde_json::{Map, Value};

use crate::web::app::App;
use crate::web::page::documents::Api;
use crate::web::page::form::Form;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, form};
use crate::web::routes::change;

pub const ROUTES: &[Route] = &[
    form("/jobs/selected", selected),
    form("/jobs/{id}/cancel", |app, asked| act(app, asked, change::cancel, "cancel")),
    form("/jobs/{id}/hold", |app, asked| act(app, asked, |app, asked| change::hold(app, asked, true), "hold")),
    form("/jobs/{id}/release", |app, asked| act(app, asked, |app, asked| change::hold(app, asked, false), "release")),
    form("/jobs/{id}/retry", |app, asked| act(app, asked, change::retry, "retry")),
    form("/jobs/{id}/rerun", rerun),
    form("/jobs/{id}/suspend", |app, asked| act(app, asked, change::suspend, "suspend")),
    form("/jobs/{id}/resume", |app, asked| act(app, asked, change::resume, "resume")),
    form("/queues/{name}/pause", |app, asked| act(app, asked, |app, asked| change::pause_queue(app, asked, true), "pause")),
    form("/queues/{name}/resume", |app, asked| act(app, asked, |app, asked| change::pause_queue(app, asked, false), "resume")),
    form("/pause", |app, asked| act(app, asked, |app, asked| change::pause_all(app, asked, true), "pause")),
    form("/resume", |app, asked| act(app, asked, |app, asked| change::pause_all(app, asked, false), "resume")),
    form("/schedules/{name}/pause", |app, asked| act(app, asked, |app, asked| change::pause_schedule(app, asked, true), "pause")),
    form("/schedules/{name}/resume", |app, asked| {
        act(app, asked, |app, asked| change::pause_schedule(app, asked, false), "resume")
    }),
    form("/schedules/{name}/run", |app, asked| act(app, asked, change::run_schedule, "run")),
    form("/resources/{id}/release", |app, asked| act(app, asked, change::release_resource, "teardown")),
    form("/resources/{id}/gone", gone),
    form("/resources/sweep", |app, asked| act(app, asked, change::sweep, "sweep")),
    form("/seen", |app, asked| act(app, asked, change::seen, "seen")),
];

/// What the selected jobs may be asked.
const VERBS: [(&str, Api); 4] = [
    ("cancel", change::cancel),
    ("hold", |app, asked| change::hold(app, asked, true)),
    ("release", |app, asked| change::hold(app, asked, false)),
    ("retry", change::retry),
];

/// Asks a route of the API.
fn ask(app: &App, names: &[String], api: Api, body: Map<String, Value>) -> Answered {
    let body = if body.is_empty() { Vec::new() } else { Value::Object(body).to_string().into_bytes() };
    api(app, &Asked { names: names.to_vec(), body, ..Asked::default() })
}

fn act(app: &App, asked: &Asked, api: Api, word: &str) -> Answered {
    let form = Form::of(&asked.body)?;
    match ask(app, &asked.names, api, form.body())? {
        Answer::Document(value) if value["changed"] == "unchanged" || value["changed"] == false => Ok(form.back("nothing")),
        _ => Ok(form.back(word)),
    }
}

/// Adds a job like another one, and shows it.
fn rerun(app: &App, asked: &Asked) -> Answered {
    match ask(app, &asked.names, change::rerun, Map::new())? {
        Answer::Created(value) => Ok(Answer::See(format!("/jobs/{}?done=rerun", value["id"]), None)),
        _ => Form::of(&asked.body).map(|form| form.back("rerun")),
    }
}

/// A person has removed a resource.
fn gone(app: &App, asked: &Asked) -> Answered {
    let body = Map::from_iter([("force".to_owned(), Value::from(true))]);
    ask(app, &asked.names, change::release_resource, body)?;
    Ok(Form::of(&asked.body)?.back("gone"))
}

/// Asks the same of several jobs. One that cannot do it (it may have ended meanwhile) does not keep
/// the others from it; if none can, the reason of the first is told.
fn selected(app: &App, asked: &Asked) -> Answered {
    let form = Form::of(&asked.body)?;
    let verb = form.get("verb").unwrap_or("");
    if verb == "nothing" {
        return Ok(form.back(verb));
    }
    let api = VERBS.iter().find(|(name, _)| *name == verb).map(|(_, api)| *api);
    let api = api.ok_or_else(|| Problem::usage("the form does not say what to do with the jobs"))?;
    let (mut changed, mut refused) = (false, None);
    for id in form.all("id") {
        match ask(app, &[id.to_owned()], api, Map::new()) {
            Ok(Answer::Document(value)) if value["changed"] == "unchanged" => {}
            Ok(_) => changed = true,
            // The file cannot be written: the others would wait as long, on this thread.
            Err(problem) if problem.status >= 500 => return Err(problem),
            Err(problem) => _ = refused.get_or_insert(problem),
        }
    }
    match (changed, refused) {
        (false, Some(problem)) => Err(problem),
        (true, Some(_)) => Ok(form.back("some")),
        (true, None) => Ok(form.back("several")),
        (false, None) => Ok(form.back("nothing")),
    }
}
