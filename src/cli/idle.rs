//! `tenure work --until-idle` beside a worker that is there already: that one does the work, and this waits until it has nothing to do.

use super::changes::Changes;
use super::face::{self, Face};
use super::work;
use super::worker_calls::{self, Phase, Sight};
use crate::error::Result;
use crate::store::claim::{self, Scope};
use crate::store::{Store, look, plan, read, reap, teardown};

/// Waits until nothing runs and nothing could be started. False: there is no such worker, or it serves no queue that is meant.
///
/// # Errors
/// When the file cannot be read.
pub fn wait(face: &Face, args: &work::Args) -> Result<bool> {
    if !args.until_idle && !args.until_empty {
        return Ok(false);
    }
    // A file that is not there, or is of another version, is the worker's to make or to refuse.
    let Ok(store) = face.reader() else { return Ok(false) };
    let (mut changes, mut said) = (Changes::default(), false);
    loop {
        let Some(worker) = worker_calls::sight(store.place())?.filter(|one| one.holder.kind == "work" && one.holder.is_here())
        else {
            return Ok(false);
        };
        let served = worker.report.as_ref().map(|report| report.queues.clone()).unwrap_or_default();
        if !served.is_empty() && args.queue.iter().any(|queue| !served.contains(queue)) {
            return Ok(false);
        }
        if !said {
            said = true;
            face::say(&format!("{} runs what is queued; waiting until it has nothing to do", worker.holder.named()));
            worker_calls::wake(store.place());
        }
        let queues = if args.queue.is_empty() { served } else { args.queue.clone() };
        if is_idle(face, &store, &worker, Scope { queues, only: None }, args.until_empty)? {
            return Ok(true);
        }
        if changes.look(&store)? {
            changes.stir();
        }
        changes.rest(None);
    }
}

/// As a worker judges it that ends when it has nothing to do.
fn is_idle(face: &Face, store: &Store, worker: &Sight, scope: Scope, until_empty: bool) -> Result<bool> {
    let now_ms = face.now_ms();
    let claims = worker
        .report
        .as_ref()
        .is_none_or(|report| matches!(report.phase, Phase::Serving | Phase::Starting) && report.held_back().next().is_none());
    store.read(|conn| {
        let goes_on = read::counts(conn)?.running > 0 || !reap::open_errands(conn)?.is_empty() || teardown::is_due(conn, now_ms)?;
        let could_start =
            claims && (claim::has_ready(conn, &scope)? || look::needs_tending(conn, now_ms)? || plan::is_due(conn, now_ms)?);
        Ok(!(goes_on || could_start || until_empty && look::waits_for_time(conn)?))
    })
}
