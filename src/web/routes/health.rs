//! Whether this process lives, and whether jobs can start.

use serde_json::json;

use crate::document::picture::Picture;
use crate::document::{problems, shapes};
use crate::host::sight::Process;
use crate::job::Advice;
use crate::queue::why::around;
use crate::web::app::App;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, get_short};

pub const ROUTES: &[Route] =
    &[Route { is_open: true, is_bare: true, ..get_short("/healthz", &[], health) }, get_short("/readyz", &[], ready)];

/// Codes of problems while which no job starts.
const STOPS_CLAIMS: [&str; 11] = [
    "writer_blocked",
    "write_lock_held",
    "read_only",
    "file_replaced",
    "flush_failed",
    "all_paused",
    "worker_starting",
    "worker_draining",
    "worker_leaving",
    "worker_silent",
    "worker_stopped",
];

fn health(_: &App, _: &Asked) -> Answered {
    Ok(Answer::Text("text/plain; charset=utf-8", "ok\n".to_owned()))
}

/// Claims are possible; otherwise why not.
fn ready(app: &App, _: &Asked) -> Answered {
    let store = app.reader()?.store;
    let picture = Picture::take(&store, app.setup.workspaces_bytes_max)?;
    let gate = around::gate(&app.setup.floors, store.place(), picture.worker.as_ref());
    match obstacle(&picture, gate) {
        None => Ok(Answer::Document(shapes::versioned(json!({"ready": true})))),
        Some(Advice { code, text, remedy, .. }) => {
            Err(Problem { status: 503, code: "not_ready", text: format!("{code}: {text}"), remedy, is_of_server: false })
        }
    }
}

/// Returns the first reason why no job starts, no matter which jobs there are.
fn obstacle(picture: &Picture, gate: Option<Advice>) -> Option<Advice> {
    let Some(worker) = &picture.worker else {
        return Some(Advice::with_remedy("no_worker", "there is no worker".to_owned(), "tenure work"));
    };
    if matches!(worker.process, Process::Stopped | Process::Traced) {
        return Some(Advice::with_remedy("worker_stopped", "the worker is stopped by a signal".to_owned(), "kill -CONT its pid"));
    }
    let held_back = worker.report.iter().flat_map(|report| report.held_back()).map(|one| one.advice.clone()).next();
    held_back
        .or_else(|| gate.clone())
        .or_else(|| problems::of(picture, None).into_iter().find(|one| STOPS_CLAIMS.contains(&one.code.as_ref())))
}
