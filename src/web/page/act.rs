//! What the forms of the pages do: each what a route of the API does.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::job::JobId;
use crate::web::app::App;
use crate::web::page::documents::Api;
use crate::web::page::form::Form;
use crate::web::page::parts::Ui;
use crate::web::problem::Problem;
use crate::web::query::job_id;
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

/// Asks a route of the API.
fn ask(app: &App, names: &[String], api: Api, body: Map<String, Value>) -> Answered {
    let body = if body.is_empty() { Vec::new() } else { Value::Object(body).to_string().into_bytes() };
    api(app, &Asked { names: names.to_vec(), body, ..Asked::default() })
}

fn act(app: &App, asked: &Asked, api: Api, word: &str) -> Answered {
    let form = form_of(app, asked)?;
    match ask(app, &asked.names, api, form.body())? {
        Answer::Document(value) if value["changed"] == "unchanged" || value["changed"] == false => Ok(form.back("nothing")),
        _ => Ok(form.back(word)),
    }
}

/// Adds a job like another one, and shows it.
fn rerun(app: &App, asked: &Asked) -> Answered {
    let form = form_of(app, asked)?;
    match ask(app, &asked.names, change::rerun, Map::new())? {
        Answer::Created(value) => Ok(Answer::See(format!("/jobs/{}?done=rerun", value["id"]), None)),
        _ => Ok(form.back("rerun")),
    }
}

/// A person has removed a resource.
fn gone(app: &App, asked: &Asked) -> Answered {
    let form = form_of(app, asked)?;
    let body = Map::from_iter([("force".to_owned(), Value::from(true))]);
    ask(app, &asked.names, change::release_resource, body)?;
    Ok(form.back("gone"))
}

/// Asks the same of several jobs, as the command does of several: in few transactions. One that
/// cannot do it (it may have ended meanwhile) does not keep the others from it; if none can, the
/// reason of the first is told.
fn selected(app: &App, asked: &Asked) -> Answered {
    let form = form_of(app, asked)?;
    let verb = form.get("verb").unwrap_or("");
    if verb == "nothing" {
        return Ok(form.back(verb));
    }
    let mut ids = form.all("id").map(job_id).collect::<Result<Vec<JobId>, Problem>>()?;
    // The list has the newest first, and what another one waits for goes before it.
    ids.sort_unstable();
    ids.dedup();
    let queue = app.client()?;
    let (mut changed, mut refused) = (false, None);
    let mut came_to = |result: crate::error::Result<bool>| match result {
        Ok(one) => {
            changed |= one;
            Ok(())
        }
        Err(error @ (Error::Refused(_) | Error::NotFound(_) | Error::Invalid(_))) => {
            _ = refused.get_or_insert(Problem::from(error));
            Ok(())
        }
        Err(error) => Err(error),
    };
    match verb {
        "cancel" => change::cancel_all(&queue, &ids, &mut came_to)?,
        "hold" => queue.hold_each(&ids, true, |_, one| came_to(one))?,
        "release" => queue.hold_each(&ids, false, |_, one| came_to(one))?,
        "retry" => change::retry_all(&queue, &ids, &mut came_to)?,
        _ => return Err(Problem::usage("the form does not say what to do with the jobs")),
    }
    match (changed, refused) {
        (false, Some(problem)) => Err(problem),
        (true, Some(_)) => Ok(form.back("some")),
        (true, None) => Ok(form.back("several")),
        (false, None) => Ok(form.back("nothing")),
    }
}

/// Returns a form of a page. One that shows another file, as before a restore, is refused: its
/// numbers are those of other jobs.
fn form_of(app: &App, asked: &Asked) -> Result<Form, Problem> {
    let form = Form::of(&asked.body)?;
    match form.get("file") {
        Some(file) if file != Ui::of(app).file => {
            let told = "this page shows another file, which has been replaced since; open it again";
            Err(Problem::new(409, "refused", told))
        }
        _ => Ok(form),
    }
}
