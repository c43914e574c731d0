//! Adds jobs: one object, or an array of them, with the keys of a line of `tenure add --from`. All
//! or nothing.

use serde_json::{Value, json};

use crate::document::shapes::versioned;
use crate::parse::library_words;
use crate::parse::lines::Asked as Job;
use crate::parse::objects::{self, Objects};
use crate::parse::options::{JobOptions, Surroundings};
use crate::run::machine;
use crate::store::job::parts::Part;
use crate::store::receipt::OneJob;
use crate::store::receipt::request::{self, Named};
use crate::web::app::App;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, post};

pub const ROUTES: &[Route] = &[Route { takes_key: true, ..post("/api/v1/jobs", &[], add) }];

pub fn add(app: &App, asked: &Asked) -> Answered {
    let wrong = |error: serde_json::Error| Problem::usage(format!("the body: {}", library_words::json(&error)));
    let Objects { all, is_one } = serde_json::from_slice(&asked.body).map_err(wrong)?;
    if all.is_empty() {
        return Err(Problem::usage("the array has no job"));
    }
    let named = |key: &String| Named::of("", key, &asked.body).map_err(|why| Problem::usage(format!("Idempotency-Key: {why}")));
    let named = asked.key.as_ref().map(named).transpose()?;
    let around = Surroundings::nothing(app.now(), || machine::nonce().to_string());
    let jobs = objects::read(all, &JobOptions::default(), &around);
    let jobs = jobs.map_err(|why| Problem::usage(format!("{why}; nothing was added")))?;
    let parts: Vec<Part> = jobs.into_iter().map(part).collect();
    let queue = app.client()?;
    let (_, done) = queue.adding().commit(move |conn, now_ms| request::once(conn, named.as_ref(), &parts, now_ms))?;
    let document = |one: &OneJob| json!({"id": one.id, "existing": one.existing, "replaced": one.replaced});
    let value = match done.as_slice() {
        [one] if is_one => document(one),
        all => json!({"jobs": all.iter().map(document).collect::<Vec<Value>>()}),
    };
    // Nothing new: the live jobs with these unique keys.
    let is_old = done.iter().all(|one| one.existing);
    Ok(if is_old { Answer::Document(versioned(value)) } else { Answer::Created(versioned(value)) })
}

fn part(job: Job) -> Part {
    Part { jobs: job.jobs, is_named: job.name.is_some(), after: job.after }
}
