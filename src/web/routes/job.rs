//! One job: everything that is recorded of it, its history, and why it waits or has ended.

use crate::document::shapes;
use crate::queue::JobInfo;
use crate::queue::why::{Explainer, stopped};
use crate::web::app::App;
use crate::web::query::job_id;
use crate::web::route::{Answer, Answered, Asked, Route, get};

pub const ROUTES: &[Route] = &[
    get("/api/v1/jobs/{id}", &[], show),
    get("/api/v1/jobs/{id}/history", &[], history),
    get("/api/v1/jobs/{id}/why", &[], why),
];

pub fn show(app: &App, asked: &Asked) -> Answered {
    let queue = app.reader()?;
    let mut jobs = [queue.job(job_id(asked.name(0))?)?];
    stopped::mark(&queue, &mut jobs)?;
    let [job] = &jobs;
    Ok(Answer::Document(shapes::job_with_record(job, &queue.record(job.id)?)))
}

pub fn history(app: &App, asked: &Asked) -> Answered {
    let (events, more) = app.reader()?.history_and_more(job_id(asked.name(0))?)?;
    let mut value = shapes::list("events", events.iter().map(shapes::event));
    value["more"] = more.into();
    Ok(Answer::Document(shapes::versioned(value)))
}

pub fn why(app: &App, asked: &Asked) -> Answered {
    let queue = app.reader()?;
    let id = queue.job(job_id(asked.name(0))?)?.id;
    let (facts, all) = Explainer::new(&queue.store, app.now(), &app.setup.floors)?.of(id)?;
    let step = queue.step(id)?;
    Ok(Answer::Document(shapes::versioned(shapes::why(&JobInfo::of(facts.job), step.as_ref(), &all))))
}
