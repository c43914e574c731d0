//! Maintains `work/` and `logs/`: a separate thread, as measuring and removing trees may take long.
//!
//! The same round runs at start and at every tick: directories that belong to no run are removed,
//! new ones are flushed and recorded as durable, used ones are measured, and the least recently
//! used ones above the operator's limit are evicted. A crash between any two steps leaves a
//! directory that belongs to no run, which the next round removes.

use std::sync::Arc;

use super::leftovers::{Logs, tell_of_what_is_left};
use crate::error::Result;
use crate::run::workspace::Work;
use crate::store::{upkeep::open_runs, workspace};
use crate::worker::context::Context;

/// Most workspaces that are measured in one round.
const MEASURED_MAX: usize = 100;

/// The thread: a round at every tick until the worker stops.
pub fn run(ctx: &Arc<Context>) {
    let mut logs = Logs::default();
    while !ctx.is_stopping() && !ctx.is_detaching() {
        if let Err(error) = round(ctx) {
            log::warn!("workspaces: {error}");
        }
        if let Err(error) = logs.round(ctx) {
            log::warn!("logs: {error}");
        }
        ctx.pause_unless_ending(ctx.options.tick_ms);
    }
}

fn round(ctx: &Context) -> Result<()> {
    let Some(work) = Work::find(ctx.place())? else { return Ok(()) };
    sweep(ctx, &work)?;
    sync(ctx, &work)?;
    measure(ctx, &work)?;
    if evict(ctx)? {
        sweep(ctx, &work)?;
    }
    Ok(())
}

fn goes_on(ctx: &Context) -> bool {
    !ctx.is_stopping() && !ctx.is_detaching()
}

/// Removes directories that belong to no run. They are listed first: a directory that a run creates
/// or enters afterwards is not in the list.
fn sweep(ctx: &Context, work: &Work) -> Result<()> {
    let names = work.names()?;
    if names.is_empty() {
        tell_of_what_is_left(ctx, "workspace_left", None);
        return Ok(());
    }
    let in_hand = ctx.store.read(workspace::in_hand)?;
    // The rows that they replaced must not return after a power cut when they are gone.
    let orphans: Vec<String> = names.into_iter().filter(|name| in_hand.is_orphan(name)).collect();
    if orphans.is_empty() {
        tell_of_what_is_left(ctx, "workspace_left", None);
        return Ok(());
    }
    ctx.store.flush_now()?;
    let (mut swept, mut left) = (0, None);
    for name in &orphans {
        match work.remove(name, &|| goes_on(ctx)) {
            Ok(true) => swept += 1,
            Ok(false) => break,
            // The others are removed nevertheless, and this one is retried.
            Err(error) => left = Some(error),
        }
    }
    tell_of_what_is_left(ctx, "workspace_left", left);
    if swept > 0 {
        let now_ms = ctx.now_ms();
        ctx.store.commit(move |conn| open_runs::count(conn, "workspaces_swept_total", swept, None, now_ms))?;
    }
    Ok(())
}

/// After this they survive a power cut complete.
fn sync(ctx: &Context, work: &Work) -> Result<()> {
    let fresh = ctx.store.read(workspace::unsynced)?;
    if fresh.is_empty() {
        return Ok(());
    }
    work.sync()?;
    ctx.store.commit(move |conn| workspace::synced(conn, &fresh))?;
    Ok(())
}

fn measure(ctx: &Context, work: &Work) -> Result<()> {
    for _ in 0..MEASURED_MAX {
        let Some(dir) = ctx.store.read(workspace::to_measure)? else { break };
        // A missing one has no size; the next run that needs it prepares it again.
        let bytes = work.size(&dir, &|| goes_on(ctx))?.unwrap_or(0);
        if !goes_on(ctx) {
            break;
        }
        let now_ms = ctx.now_ms();
        ctx.store.commit(move |conn| workspace::measured(conn, &dir, bytes, now_ms))?;
    }
    Ok(())
}

/// Returns true if a directory belongs to no run now.
fn evict(ctx: &Context) -> Result<bool> {
    let Some(most) = ctx.options.workspaces_bytes_max else { return Ok(false) };
    if ctx.store.read(workspace::total_bytes)? <= most {
        return Ok(false);
    }
    let now_ms = ctx.now_ms();
    let (evicted, _) = ctx.store.commit(move |conn| {
        let evicted = workspace::evict(conn, most)?;
        if !evicted.is_empty() {
            let keys = evicted.iter().map(|row| row.key.as_str()).collect::<Vec<_>>().join(", ");
            let count = i64::try_from(evicted.len()).unwrap_or(i64::MAX);
            open_runs::count(conn, "workspaces_evicted_total", count, Some(&keys), now_ms)?;
        }
        Ok(evicted)
    })?;
    for row in &evicted {
        log::info!("workspace {:?} is removed: workspaces take more than max_size, and it was used least recently", row.key);
    }
    Ok(!evicted.is_empty())
}
