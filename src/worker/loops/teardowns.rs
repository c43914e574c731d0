//! Teardowns: external resources of ended owners are torn down, a limited number at once.
//!
//! A round starts the due teardowns; it runs at start, at each tick, when an end has released a
//! resource, and when the wait of a failed one is over. Each resource is torn down on a thread of
//! the pool ([`steps::teardown`]). One that fails waits by itself and delays no other, and those
//! that have failed before never occupy the last place.

use std::sync::Arc;

use super::unwatched::Unwatched;
use crate::error::Result;
use crate::job::ResourceId;
use crate::job::limits::TEARDOWNS_PER_ROUND_MAX;
use crate::store::job::rows::Run;
use crate::store::{resource::teardown, upkeep::open_runs};
use crate::worker::attempt::Halt;
use crate::worker::context::Context;
use crate::worker::steps;

/// Runs one round. If nothing is due, this is one query of an empty index.
pub fn round(ctx: &Arc<Context>) -> Result<()> {
    let now_ms = ctx.now_ms();
    let due = ctx.store.read(move |conn| teardown::due(conn, now_ms, TEARDOWNS_PER_ROUND_MAX))?;
    ctx.teardowns.refill(due);
    while let Some(due) = ctx.teardowns.next() {
        give(ctx, due.id, None)?;
    }
    Ok(())
}

/// Whether a teardown is in progress, or could be now: a worker that ends when idle does not end
/// yet.
///
/// # Errors
/// The file cannot be read.
pub fn is_busy(ctx: &Context) -> Result<bool> {
    let now_ms = ctx.now_ms();
    Ok(!ctx.teardowns.is_still() || ctx.store.read(move |conn| teardown::is_due(conn, now_ms))?)
}

/// Resumes every open auxiliary run without a parent and without a watcher.
pub fn adopt(ctx: &Arc<Context>) -> Result<()> {
    Unwatched::find(ctx, open_runs::open_auxiliaries, |run| run.id)?.each(|run| {
        log::info!("{} {}: no worker watches it; taking it over", run.kind, run.id);
        adopt_one(ctx, run)
    })
}

fn adopt_one(ctx: &Arc<Context>, run: Run) -> Result<()> {
    let (id, instance) = (run.id, ctx.instance.clone());
    ctx.store.commit(move |conn| open_runs::adopted(conn, id, &instance))?;
    match run.resource {
        Some(resource) => {
            ctx.teardowns.adopt(resource);
            give(ctx, resource, Some(run))
        }
        None => {
            let then = Arc::clone(ctx);
            ctx.pool.reserve()?.run(move || steps::teardown::resume_alone(&then, &run))
        }
    }
}

fn give(ctx: &Arc<Context>, id: ResourceId, open: Option<Run>) -> Result<()> {
    let run = open.as_ref().map(|run| run.id);
    let then = Arc::clone(ctx);
    let given = ctx.pool.reserve().and_then(|seat| seat.run(move || work_off(&then, id, open)));
    if given.is_err() {
        ctx.teardowns.done(id);
        run.inspect(|run| ctx.roster.disown(*run));
    }
    given
}

/// A thread: this resource, and then the next ones.
fn work_off(ctx: &Arc<Context>, first: ResourceId, mut open: Option<Run>) {
    let (mut next, mut is_well) = (Some(first), true);
    while let Some(id) = next {
        let run = open.as_ref().map(|run| run.id);
        if let Err(Halt::Failed(error)) = steps::teardown::tear_down(ctx, id, open.take()) {
            // Its row says how far it is: the next round continues from there.
            log::error!("resource {id}: {error}");
            run.inspect(|run| ctx.roster.disown(*run));
            is_well = false;
        }
        ctx.teardowns.done(id);
        next = if ctx.is_stopping() || !is_well { None } else { ctx.teardowns.next().map(|due| due.id) };
    }
    // If the file or the system refused something (a full disk), the next tick is soon enough.
    if is_well {
        ctx.wake_claims();
    }
}
