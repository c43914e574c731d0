//! Tearing down what work has made outside, once its owner has ended.
//!
//! A round takes up what is due, a limited number at once; it is done at start, at each tick, when an end has left something to tear down,
//! and when the wait of one that failed is over. For each resource the steps follow one another on a thread of the pool, each an errand
//! ([`super::errand`]) of its own: ask the probe, run the teardown, ask again. What the end of a step means is written in the
//! transaction that closes it, so a worker that dies between any two of them leaves a row that says where to go on. One that fails
//! waits by itself; it keeps no other waiting, and those that have failed before never take the last place.
//!
//! A worker that lets go leaves the step that is under way to its shim, and the next one goes on with it. No cancel reaches it.

use std::sync::Arc;

use super::context::Context;
use super::errand::{Came, Errand};
use super::launch;
use crate::error::Result;
use crate::job::ending::verdict;
use crate::job::limits::TEARDOWNS_PER_ROUND_MAX;
use crate::job::resource::{After, Step};
use crate::job::{ResourceId, ResourceState};
use crate::store::errand::Opening;
use crate::store::reap;
use crate::store::resource::{self, Resource};
use crate::store::rows::Run;
use crate::store::teardown;

/// One round: takes up what is due. Where nothing is, this is one question of an empty index.
pub(super) fn round(ctx: &Arc<Context>) -> Result<()> {
    let now_ms = ctx.now_ms();
    let due = ctx.store.read(move |conn| teardown::due(conn, now_ms, TEARDOWNS_PER_ROUND_MAX))?;
    ctx.teardowns.refill(due);
    while let Some(due) = ctx.teardowns.next() {
        give(ctx, due.id, None)?;
    }
    Ok(())
}

/// Whether something is under way, or could be now: a worker that ends when there is nothing to do does not end yet.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_busy(ctx: &Context) -> Result<bool> {
    let now_ms = ctx.now_ms();
    Ok(!ctx.teardowns.is_still() || ctx.store.read(move |conn| teardown::is_due(conn, now_ms))?)
}

/// Every open errand without a parent and without a watcher is gone on with.
pub(super) fn adopt(ctx: &Arc<Context>) -> Result<()> {
    for run in ctx.store.read(reap::open_errands)? {
        if ctx.roster.owns(run.id) {
            continue;
        }
        log::info!("{} {}: no worker watches it; taking it over", run.kind, run.id);
        let id = run.id;
        ctx.roster.own(id);
        // What could not be taken over is met again at the next tick.
        adopt_one(ctx, run).inspect_err(|_| ctx.roster.disown(id))?;
    }
    Ok(())
}

fn adopt_one(ctx: &Arc<Context>, run: Run) -> Result<()> {
    let (id, instance) = (run.id, ctx.instance.clone());
    ctx.store.commit(move |conn| reap::adopted(conn, id, &instance))?;
    match run.resource {
        Some(resource) => {
            ctx.teardowns.adopt(resource);
            give(ctx, resource, Some(run))
        }
        None => {
            let then = Arc::clone(ctx);
            ctx.pool.reserve()?.run(move || go_on_alone(&then, &run))
        }
    }
}

/// An errand of which only the end is to be seen.
fn go_on_alone(ctx: &Arc<Context>, run: &Run) {
    let opening = Opening { kind: run.kind, of: None, resource: None, workspace: run.workspace.clone() };
    let seen = Errand::without_owner(ctx, opening).and_then(|errand| errand.go_on(run, verdict));
    if let Err(error) = seen {
        log::error!("{} {}: {error}", run.kind, run.id);
        ctx.roster.disown(run.id);
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

/// A thread: this one, and then whichever is next.
fn work_off(ctx: &Arc<Context>, first: ResourceId, mut open: Option<Run>) {
    let (mut next, mut is_well) = (Some(first), true);
    while let Some(id) = next {
        let run = open.as_ref().map(|run| run.id);
        if let Err(error) = tear_down(ctx, id, open.take()) {
            // Its row says how far it is: the next round goes on from there.
            log::error!("resource {id}: {error}");
            run.inspect(|run| ctx.roster.disown(*run));
            is_well = false;
        }
        ctx.teardowns.done(id);
        next = if ctx.is_stopping() || !is_well { None } else { ctx.teardowns.next().map(|due| due.id) };
    }
    // Where the file or the system refused something (a full disk), the next tick is soon enough.
    if is_well {
        ctx.wake_claims();
    }
}

/// One try: the steps, until the resource is gone or one of them has failed.
fn tear_down(ctx: &Arc<Context>, id: ResourceId, mut open: Option<Run>) -> Result<()> {
    let mut step = None;
    loop {
        let found = ctx.store.read(move |conn| resource::one(conn, id))?;
        let Some(resource) = found.filter(|resource| resource.state == ResourceState::Releasing || open.is_some()) else {
            return Ok(());
        };
        let begun = step.unwrap_or_else(|| Step::first(resource.torn, resource.probe.is_some()));
        let errand = Errand::without_owner(ctx, Opening::of_resource(id, begun))?;
        let came = match open.take() {
            Some(run) => errand.go_on(&run, verdict)?,
            None => errand.once(|run, nonce| launch::of_resource(ctx, &resource, begun, run, nonce), verdict)?,
        };
        match came {
            Came::Left | Came::NotBegun => return Ok(()),
            Came::NotMade(why) => return not_made(ctx, id, why),
            Came::Over(came_to) => match came_to.after {
                Some(After::Next(next)) => step = Some(next),
                Some(After::Failed(error)) => return tell(ctx, &resource, &error),
                Some(After::Gone(by)) => {
                    log::info!("resource {id} is gone ({by})");
                    return Ok(());
                }
                None => return Ok(()),
            },
        }
    }
}

fn tell(ctx: &Context, resource: &Resource, error: &str) -> Result<()> {
    let tried = resource.attempts.saturating_add(1);
    let times = if tried == 1 { "once".to_owned() } else { format!("{tried} times") };
    log::warn!("resource {} could not be torn down ({times}): {error}", resource.id);
    // Its wait may be the next thing that the claim loop has to wake for.
    ctx.wake_claims();
    Ok(())
}

fn not_made(ctx: &Context, id: ResourceId, why: String) -> Result<()> {
    log::warn!("resource {id} cannot be torn down: {why}");
    let now_ms = ctx.now_ms();
    ctx.store.commit(move |conn| teardown::not_made(conn, id, &why, now_ms))?;
    ctx.wake_claims();
    Ok(())
}
