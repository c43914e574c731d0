//! Changes jobs, queues, schedules and resources: each as the verb of the command line does.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::clock::rfc3339 as utc;
use crate::document::shapes::versioned;
use crate::error::{Error, Result};
use crate::host::{secrets, waker};
use crate::job::{JobId, ResourceId};
use crate::parse::options::{JobOptions, Surroundings};
use crate::parse::values;
use crate::queue::Queue;
use crate::run::machine;
use crate::store::job::control::{self, Cancelled};
use crate::store::job::describe;
use crate::store::job::enqueue;
use crate::store::{resource, schedule, schedule::plan};
use crate::web::app::App;
use crate::web::problem::Problem;
use crate::web::query::{job_id, row_id};
use crate::web::route::{Answer, Answered, Asked, Route, post};

pub const ROUTES: &[Route] = &[
    post("/api/v1/jobs/{id}/cancel", &[], cancel),
    post("/api/v1/jobs/{id}/hold", &[], |app, asked| hold(app, asked, true)),
    post("/api/v1/jobs/{id}/release", &[], |app, asked| hold(app, asked, false)),
    post("/api/v1/jobs/{id}/retry", &[], retry),
    post("/api/v1/jobs/{id}/rerun", &[], rerun),
    post("/api/v1/jobs/{id}/suspend", &[], suspend),
    post("/api/v1/jobs/{id}/resume", &[], resume),
    post("/api/v1/queues/{name}/pause", &[], |app, asked| pause_queue(app, asked, true)),
    post("/api/v1/queues/{name}/resume", &[], |app, asked| pause_queue(app, asked, false)),
    post("/api/v1/pause", &[], |app, asked| pause_all(app, asked, true)),
    post("/api/v1/resume", &[], |app, asked| pause_all(app, asked, false)),
    post("/api/v1/schedules/{name}/pause", &[], |app, asked| pause_schedule(app, asked, true)),
    post("/api/v1/schedules/{name}/resume", &[], |app, asked| pause_schedule(app, asked, false)),
    post("/api/v1/schedules/{name}/run", &[], run_schedule),
    post("/api/v1/resources/{id}/release", &[], release_resource),
    post("/api/v1/resources/sweep", &[], sweep),
    post("/api/v1/seen", &[], seen),
];

/// The keys of a body.
struct Body(serde_json::Map<String, Value>);

impl Body {
    /// Reads a body that may have these keys.
    fn of(asked: &Asked, keys: &[&str]) -> std::result::Result<Self, Problem> {
        let map = match asked.json()? {
            None => serde_json::Map::new(),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(Problem::usage("the body is not an object")),
        };
        match map.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(Self(map)),
            Some(other) => Err(Problem::usage(format!("the key {:?} is not known here", values::shorten(other)))),
        }
    }

    fn text(&self, key: &str) -> std::result::Result<Option<String>, Problem> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                values::parse_label(text).map(Some).map_err(|why| Problem::usage(format!("{key}: {why}")))
            }
            Some(_) => Err(Problem::usage(format!("{key}: it is not a string"))),
        }
    }

    fn flag(&self, key: &str) -> std::result::Result<bool, Problem> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Problem::usage(format!("{key}: it is not true or false"))),
        }
    }
}

fn document(value: Value) -> Answered {
    Ok(Answer::Document(versioned(value)))
}

/// Returns the file for writing, and a job that exists.
fn job(app: &App, asked: &Asked) -> std::result::Result<(Queue, JobId), Problem> {
    let queue = app.client()?;
    let id = queue.job(job_id(asked.name(0))?)?.id;
    Ok((queue, id))
}

pub fn cancel(app: &App, asked: &Asked) -> Answered {
    let why = Body::of(asked, &["why"])?.text("why")?;
    let (queue, id) = job(app, asked)?;
    let mut came_to = Cancelled::AlreadyEnded;
    queue.cancel_each(&[id], why, |_, cancelled| {
        came_to = cancelled?;
        Ok(())
    })?;
    let word = match came_to {
        Cancelled::Ended { .. } => "ended",
        Cancelled::Asked { .. } => {
            queue.stop_directly(id)?;
            "asked"
        }
        Cancelled::AlreadyEnded => return Err(Error::Refused(format!("job {id} has ended already")).into()),
    };
    document(json!({"id": id, "cancelled": word}))
}

/// Returns the result of a verb for one job: the word for a change, or that there was none.
fn changed(id: JobId, word: &str, result: Option<Result<bool>>) -> Answered {
    let changed = result.unwrap_or_else(|| Err(Error::Internal("a verb has no result".into())))?;
    document(json!({"id": id, "changed": if changed { word } else { "unchanged" }}))
}

pub fn hold(app: &App, asked: &Asked, held: bool) -> Answered {
    Body::of(asked, &[])?;
    let (queue, id) = job(app, asked)?;
    let mut result = None;
    queue.hold_each(&[id], held, |_, one| {
        result = Some(one);
        Ok(())
    })?;
    changed(id, if held { "held" } else { "released" }, result)
}

pub fn suspend(app: &App, asked: &Asked) -> Answered {
    let why = Body::of(asked, &["why"])?.text("why")?;
    let (queue, id) = job(app, asked)?;
    let mut result = None;
    queue.suspend_each(&[id], why, |_, one| {
        result = Some(one);
        Ok(())
    })?;
    changed(id, "suspended", result)
}

pub fn resume(app: &App, asked: &Asked) -> Answered {
    Body::of(asked, &[])?;
    let (queue, id) = job(app, asked)?;
    let mut result = None;
    queue.resume_each(&[id], |_, one| {
        result = Some(one);
        Ok(())
    })?;
    changed(id, "resumed", result)
}

pub fn retry(app: &App, asked: &Asked) -> Answered {
    let with_dependants = Body::of(asked, &["with_dependants"])?.flag("with_dependants")?;
    let (queue, id) = job(app, asked)?;
    let back = match with_dependants {
        true => queue.retry_with_dependants(id)?,
        false => queue.retry(id).map(|()| vec![id])?,
    };
    document(json!({"id": id, "queued": back}))
}

/// Cancels several jobs; passes for each whether that has changed something.
pub fn cancel_all(queue: &Queue, ids: &[JobId], came_to: &mut dyn FnMut(Result<bool>) -> Result<()>) -> Result<()> {
    let mut asked = Vec::new();
    queue.cancel_each(ids, None, |id, cancelled| {
        came_to(match cancelled {
            Ok(Cancelled::AlreadyEnded) => Err(Error::Refused(format!("job {id} has ended already"))),
            Ok(Cancelled::Ended { .. }) => Ok(true),
            Ok(Cancelled::Asked { .. }) => {
                asked.push(id);
                Ok(true)
            }
            Err(error) => Err(error),
        })
    })?;
    asked.into_iter().try_for_each(|id| queue.stop_directly(id).map(drop))
}

/// Queues several jobs again; passes for each whether that has changed something.
pub fn retry_all(queue: &Queue, ids: &[JobId], came_to: &mut dyn FnMut(Result<bool>) -> Result<()>) -> Result<()> {
    queue.retry_each(ids, false, |id, back| {
        came_to(match back {
            Ok(back) if back.is_empty() => Err(queue.why_no_retry(id)?),
            Ok(_) => Ok(true),
            Err(error) => Err(error),
        })
    })
}

/// Adds a job with the description of another one.
pub fn rerun(app: &App, asked: &Asked) -> Answered {
    Body::of(asked, &[])?;
    let (queue, id) = job(app, asked)?;
    let around = Surroundings::nothing(app.now(), || machine::nonce().to_string());
    let like = |why: String| Error::Invalid(format!("like job {id}: {why}"));
    let jobs = JobOptions::default().jobs_like(None, queue.description(id)?, &around).map_err(like)?;
    let add = move |conn: &Connection, now_ms| {
        let added = enqueue::add(conn, &jobs, now_ms)?;
        added.iter().filter(|one| !one.existing).try_for_each(|one| describe::made_like(conn, one.id, id))?;
        Ok((added, ()))
    };
    let (added, ()) = queue.adding().commit(add)?;
    let one = added.first().ok_or_else(|| Error::Internal("a job was added and no number came back".into()))?;
    Ok(Answer::Created(versioned(json!({"id": one.id, "existing": one.existing, "replaced": one.replaced}))))
}

pub fn pause_queue(app: &App, asked: &Asked, paused: bool) -> Answered {
    Body::of(asked, &[])?;
    let name = values::parse_name(asked.name(0)).map_err(|why| Problem::usage(format!("the queue: {why}")))?;
    let store = app.client()?.store;
    let of_change = name.clone();
    store.write(move |conn| control::queue_pause(conn, &of_change, paused))?;
    waker::send(store.place());
    document(json!({"name": name, "paused": paused}))
}

pub fn pause_all(app: &App, asked: &Asked, paused: bool) -> Answered {
    Body::of(asked, &[])?;
    let queue = app.client()?;
    if paused {
        queue.pause_all()?
    } else {
        queue.resume_all()?
    };
    document(json!({"all_paused_at": queue.all_paused_since_ms()?.map(utc)}))
}

pub fn pause_schedule(app: &App, asked: &Asked, paused: bool) -> Answered {
    Body::of(asked, &[])?;
    let store = app.client()?.store;
    let (name, now_ms) = (asked.name(0).to_owned(), store.clock().now_ms());
    let of_change = name.clone();
    let changed = store.write(move |conn| schedule::pause(conn, &of_change, paused, now_ms))?;
    waker::send(store.place());
    document(json!({"name": name, "paused": paused, "changed": changed}))
}

pub fn run_schedule(app: &App, asked: &Asked) -> Answered {
    Body::of(asked, &[])?;
    let store = app.client()?.store;
    let (name, now_ms) = (asked.name(0).to_owned(), store.clock().now_ms());
    let (id, freed, existing) = store.write(move |conn| plan::by_hand(conn, &name, now_ms))?;
    waker::send(store.place());
    secrets::remove(store.place(), &freed);
    Ok(Answer::Created(versioned(json!({"id": id, "existing": existing}))))
}

pub fn release_resource(app: &App, asked: &Asked) -> Answered {
    let force = Body::of(asked, &["force"])?.flag("force")?;
    let id = ResourceId(row_id(asked.name(0), "resource")?);
    let store = app.client()?.store;
    let now_ms = store.clock().now_ms();
    store.write(move |conn| if force { resource::give_up(conn, id, now_ms) } else { resource::release(conn, id) })?;
    waker::send(store.place());
    document(json!({"id": id, "released": if force { "given_up" } else { "asked" }}))
}

pub fn sweep(app: &App, asked: &Asked) -> Answered {
    Body::of(asked, &[])?;
    let store = app.client()?.store;
    let releasing = store.write(resource::sweep)?;
    waker::send(store.place());
    document(json!({"releasing": releasing}))
}

/// The failures so far were looked at.
pub fn seen(app: &App, asked: &Asked) -> Answered {
    Body::of(asked, &[])?;
    let queue = app.client()?;
    let unseen = queue.unseen_failures(0)?;
    queue.seen()?;
    document(json!({"jobs": unseen.jobs, "hooks": unseen.hooks}))
}
