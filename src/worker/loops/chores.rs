//! Chores: what is done for ended jobs beside the slots. External resources of ended owners are
//! torn down, and hooks tell of ends, a limited number of each at once.
//!
//! A round starts the due chores; it runs at start, at each tick, when an end has left one, and
//! when the wait of a failed one is over. Each is done on a thread of the pool ([`steps`]). One
//! that fails waits by itself and delays no other, and those that have failed before never occupy
//! the last place.

use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use rusqlite::Connection;

use super::unwatched::Unwatched;
use crate::error::Result;
use crate::job::chore::Due;
use crate::job::limits::CHORES_PER_ROUND_MAX;
use crate::job::{HookId, ResourceId};
use crate::store::job::rows::Run;
use crate::store::{hook::delivery, resource::teardown, upkeep::open_runs};
use crate::worker::attempt::Halt;
use crate::worker::context::Context;
use crate::worker::due_queue::DueQueue;
use crate::worker::steps;

/// A kind of chore.
trait Chore {
    type Id: Copy + Eq + Hash + Display + Send + 'static;
    /// What its number is a number of.
    const OF: &str;

    fn queue(ctx: &Context) -> &DueQueue<Self::Id>;

    /// Returns the due ones, at most `limit`.
    fn due(conn: &Connection, now_ms: i64, limit: usize) -> Result<Vec<Due<Self::Id>>>;

    /// Makes one attempt, or resumes an open run of it. Its row says how far it is.
    fn attempt(ctx: &Arc<Context>, id: Self::Id, open: Option<Run>) -> Result<(), Halt>;
}

/// The teardown of a resource.
struct Teardown;

impl Chore for Teardown {
    type Id = ResourceId;
    const OF: &str = "resource";

    fn queue(ctx: &Context) -> &DueQueue<ResourceId> {
        &ctx.teardowns
    }

    fn due(conn: &Connection, now_ms: i64, limit: usize) -> Result<Vec<Due<ResourceId>>> {
        teardown::due(conn, now_ms, limit)
    }

    fn attempt(ctx: &Arc<Context>, id: ResourceId, open: Option<Run>) -> Result<(), Halt> {
        steps::teardown::tear_down(ctx, id, open)
    }
}

/// A hook.
struct Telling;

impl Chore for Telling {
    type Id = HookId;
    const OF: &str = "hook";

    fn queue(ctx: &Context) -> &DueQueue<HookId> {
        &ctx.hooks
    }

    fn due(conn: &Connection, now_ms: i64, limit: usize) -> Result<Vec<Due<HookId>>> {
        delivery::due(conn, now_ms, limit)
    }

    fn attempt(ctx: &Arc<Context>, id: HookId, open: Option<Run>) -> Result<(), Halt> {
        steps::hook::tell(ctx, id, open)
    }
}

/// Runs one round. If nothing is due, this is one query of an empty index for each kind.
pub fn round(ctx: &Arc<Context>) -> Result<()> {
    round_of::<Teardown>(ctx)?;
    round_of::<Telling>(ctx)
}

fn round_of<C: Chore>(ctx: &Arc<Context>) -> Result<()> {
    let now_ms = ctx.now_ms();
    C::queue(ctx).refill(ctx.store.read(move |conn| C::due(conn, now_ms, CHORES_PER_ROUND_MAX))?);
    while let Some(due) = C::queue(ctx).next() {
        give::<C>(ctx, due.id, None)?;
    }
    Ok(())
}

/// Whether a chore is in progress, or could be now: a worker that ends when idle does not end yet.
///
/// # Errors
/// The file cannot be read.
pub fn is_busy(ctx: &Context) -> Result<bool> {
    Ok(is_busy_with::<Teardown>(ctx)? || is_busy_with::<Telling>(ctx)?)
}

fn is_busy_with<C: Chore>(ctx: &Context) -> Result<bool> {
    let now_ms = ctx.now_ms();
    Ok(!C::queue(ctx).is_still() || ctx.store.read(move |conn| Ok(!C::due(conn, now_ms, 1)?.is_empty()))?)
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
    match (run.resource, run.hook) {
        (Some(resource), _) => resume::<Teardown>(ctx, resource, run),
        (None, Some(hook)) => resume::<Telling>(ctx, hook, run),
        (None, None) => {
            let then = Arc::clone(ctx);
            ctx.pool.reserve()?.run(move || steps::teardown::resume_alone(&then, &run))
        }
    }
}

fn resume<C: Chore>(ctx: &Arc<Context>, id: C::Id, open: Run) -> Result<()> {
    C::queue(ctx).adopt(id);
    give::<C>(ctx, id, Some(open))
}

fn give<C: Chore>(ctx: &Arc<Context>, id: C::Id, open: Option<Run>) -> Result<()> {
    let run = open.as_ref().map(|run| run.id);
    let then = Arc::clone(ctx);
    let given = ctx.pool.reserve().and_then(|seat| seat.run(move || work_off::<C>(&then, id, open)));
    if given.is_err() {
        C::queue(ctx).done(id);
        run.inspect(|run| ctx.roster.disown(*run));
    }
    given
}

/// A thread: this chore, and then the next ones.
fn work_off<C: Chore>(ctx: &Arc<Context>, first: C::Id, mut open: Option<Run>) {
    let (mut next, mut is_well) = (Some(first), true);
    while let Some(id) = next {
        let run = open.as_ref().map(|run| run.id);
        if let Err(Halt::Failed(error)) = C::attempt(ctx, id, open.take()) {
            // Its row says how far it is: the next round continues from there.
            log::error!("{} {id}: {error}", C::OF);
            run.inspect(|run| ctx.roster.disown(*run));
            is_well = false;
        }
        C::queue(ctx).done(id);
        next = if ctx.is_stopping() || !is_well { None } else { C::queue(ctx).next().map(|due| due.id) };
    }
    // If the file or the system refused something (a full disk), the next tick is soon enough.
    if is_well {
        ctx.wake_claims();
    }
}
