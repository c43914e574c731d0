//! Lists of everything but jobs. Each page names the cursor of the next one: the last key of this
//! page, so that rows that come and go meanwhile shift nothing.

use serde_json::{Value, json};

use crate::clock::rfc3339 as utc;
use crate::document::{lease, pipeline, schedule, shapes, status, task, workspace};
use crate::error::Error;
use crate::job::{ResourceId, TaskState};
use crate::queue::RunInfo;
use crate::store::job::{pending, pool, read};
use crate::store::pipeline::task_rows::{self, TaskFilter};
use crate::store::{pipeline as pipelines, resource, schedule as schedules, workspace as workspaces};
use crate::web::app::App;
use crate::web::problem::Problem;
use crate::web::query::{Query, row_id};
use crate::web::route::{Answer, Answered, Asked, Route, get};

pub const ROUTES: &[Route] = &[
    get("/api/v1/queues", PAGED, queues),
    get("/api/v1/lanes", PAGED, lanes),
    get("/api/v1/pools", PAGED, pools),
    get("/api/v1/leases", PAGED, leases),
    get("/api/v1/workspaces", PAGED, all_workspaces),
    get("/api/v1/pipelines", PAGED, all_pipelines),
    get("/api/v1/schedules", PAGED, all_schedules),
    get("/api/v1/schedules/{name}/next", &["n"], next),
    get("/api/v1/tasks", &["state*", "pipeline", "key", "limit", "cursor"], tasks),
    get("/api/v1/tasks/{id}", &[], one_task),
    get("/api/v1/resources", &["all", "limit", "cursor"], resources),
    get("/api/v1/resources/{id}", &[], one_resource),
];

const PAGED: &[&str] = &["limit", "cursor"];
/// Occurrences of a schedule, unless the request says otherwise, and at most.
const OCCURRENCES_DEFAULT: u64 = 10;
const OCCURRENCES_MAX: u64 = 1_000;

/// Returns one page of rows that are named, in the order of their names.
fn page<T>(query: &Query, mut rows: Vec<T>, name: fn(&T) -> &str) -> Result<(Vec<T>, Value), Problem> {
    let limit = query.limit()?;
    rows.sort_by(|a, b| name(a).cmp(name(b)));
    if let Some(last) = query.get("cursor") {
        rows.retain(|row| name(row) > last);
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map_or(Value::Null, |row| name(row).into());
    Ok((rows, next))
}

fn document(key: &str, rows: impl IntoIterator<Item = Value>, next: Value) -> Value {
    let mut value = shapes::list(key, rows);
    value["next"] = next;
    shapes::versioned(value)
}

/// Also what the worker's reaper has done, and what is held: leases and resources.
pub fn queues(app: &App, asked: &Asked) -> Answered {
    let store = app.reader()?.store;
    let (rows, all_paused, counters, counts) = store
        .read(|conn| Ok((read::queues(conn)?, pending::all_paused_at(conn)?, read::counters(conn)?, resource::counts(conn)?)))?;
    let leases = lease::all(&store)?;
    let (rows, next) = page(&asked.query, rows, |row| &row.name)?;
    let mut value = document("queues", rows.iter().map(shapes::queue), next);
    value["all_paused_at"] = all_paused.map(utc).into();
    value["reaper"] = status::reaper(&counters);
    value["leases"] = leases.iter().map(lease::document).collect();
    value["resources"] = json!({"held": counts.held, "releasing": counts.releasing});
    Ok(Answer::Document(value))
}

pub fn lanes(app: &App, asked: &Asked) -> Answered {
    let rows = app.reader()?.store.read(read::lanes)?;
    let (rows, next) = page(&asked.query, rows, |row| &row.key)?;
    Ok(Answer::Document(document("lanes", rows.iter().map(shapes::lane), next)))
}

pub fn pools(app: &App, asked: &Asked) -> Answered {
    let rows = app.reader()?.store.read(pool::all)?;
    let (rows, next) = page(&asked.query, rows, |row| &row.name)?;
    Ok(Answer::Document(document("pools", rows.iter().map(shapes::pool), next)))
}

pub fn leases(app: &App, asked: &Asked) -> Answered {
    let rows = lease::all(&app.reader()?.store)?;
    let (rows, next) = page(&asked.query, rows, |row| &row.lease.name)?;
    Ok(Answer::Document(document("leases", rows.iter().map(lease::document), next)))
}

pub fn all_workspaces(app: &App, asked: &Asked) -> Answered {
    let store = app.reader()?.store;
    let (rows, next) = page(&asked.query, store.read(workspaces::list)?, |row| &row.key)?;
    Ok(Answer::Document(document("workspaces", workspace::seen(store.place(), rows).iter().map(workspace::document), next)))
}

pub fn all_pipelines(app: &App, asked: &Asked) -> Answered {
    let (rows, next) = page(&asked.query, app.reader()?.store.read(pipelines::list)?, |row| &row.name)?;
    // One that another program has spoilt does not hide the others.
    let one = |row| pipeline::document(row).unwrap_or_else(|error| json!({"name": row.name, "error": error.to_string()}));
    Ok(Answer::Document(document("pipelines", rows.iter().map(one), next)))
}

pub fn all_schedules(app: &App, asked: &Asked) -> Answered {
    let (rows, next) = page(&asked.query, app.reader()?.store.read(schedules::list)?, |row| &row.schedule.name)?;
    Ok(Answer::Document(document("schedules", rows.iter().map(schedule::schedule), next)))
}

pub fn next(app: &App, asked: &Asked) -> Answered {
    let n = asked.query.number("n", OCCURRENCES_MAX)?.unwrap_or(OCCURRENCES_DEFAULT);
    let store = app.reader()?.store;
    let found = store.read(|conn| schedules::existing(conn, asked.name(0)))?;
    let calendar = found.calendar().map_err(|error| Error::Refused(format!("schedule {}: {error}", found.name)))?;
    let due = schedule::next_after(&calendar, store.clock().now_ms(), usize::try_from(n).unwrap_or(0));
    let due = due.iter().map(|at| schedule::occurrence_to_come(&found, &calendar, *at));
    Ok(Answer::Document(shapes::versioned(shapes::list("occurrences", due))))
}

pub fn tasks(app: &App, asked: &Asked) -> Answered {
    let query = &asked.query;
    let state = |word: &str| TaskState::ALL.into_iter().find(|state| state.to_string() == word);
    let states = query.all("state").map(|word| state(word).ok_or_else(|| Problem::usage("state: it is not a state of a task")));
    let limit = query.limit()?;
    let filter = TaskFilter {
        states: states.collect::<Result<_, _>>()?,
        pipeline: query.get("pipeline").map(str::to_owned),
        key: query.get("key").map(str::to_owned),
        before: query.get("cursor").map(|text| row_id(text, "page of tasks")).transpose()?,
        limit: Some(limit + 1),
    };
    let mut found = app.reader()?.store.read(|conn| {
        let tasks = task_rows::tasks(conn, &filter)?;
        tasks.into_iter().rev().map(|task| Ok((task_rows::steps(conn, task.id)?, task))).collect::<Result<Vec<_>, Error>>()
    })?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map_or(Value::Null, |(_, task)| task.id.to_string().into());
    Ok(Answer::Document(document("tasks", found.iter().map(|(steps, one)| task::document(one, steps)), next)))
}

pub fn one_task(app: &App, asked: &Asked) -> Answered {
    let id = row_id(asked.name(0), "task")?;
    let found = app.reader()?.store.read(|conn| Ok((task_rows::task(conn, id)?, task_rows::steps(conn, id)?)))?;
    match found {
        (Some(one), steps) => Ok(Answer::Document(shapes::versioned(task::document(&one, &steps)))),
        (None, _) => Err(Problem::not_found(format!("there is no task {id}"))),
    }
}

pub fn resources(app: &App, asked: &Asked) -> Answered {
    let (limit, released) = (asked.query.limit()?, asked.query.flag("all")?);
    let before = asked.query.get("cursor").map(|text| row_id(text, "page of resources")).transpose()?.map(ResourceId);
    let store = app.reader()?.store;
    let mut found = store.read(|conn| resource::page(conn, before, released, limit + 1))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map_or(Value::Null, |one| one.id.to_string().into());
    Ok(Answer::Document(document("resources", found.iter().map(|one| shapes::resource(one, store.place())), next)))
}

pub fn one_resource(app: &App, asked: &Asked) -> Answered {
    let id = ResourceId(row_id(asked.name(0), "resource")?);
    let store = app.reader()?.store;
    let (one, runs) = store.read(|conn| Ok((resource::existing(conn, id)?, read::runs_of_resource(conn, id)?)))?;
    let runs: Vec<RunInfo> = runs.iter().map(|run| RunInfo::of(run, store.place())).collect();
    Ok(Answer::Document(shapes::versioned(shapes::resource_with_runs(&one, &runs, store.place()))))
}
