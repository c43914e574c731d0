//! Repair: rows that only a client with dropped guards can have written. Part of each round of
//! recovery.

use crate::error::Result;
use crate::host::secrets;
use crate::job::RunKey;
use crate::store::upkeep::inspect::{self, LOOKED_AT_MAX};
use crate::store::{upkeep::prune, upkeep::recount, upkeep::repair};
use crate::worker::attempt::end_tree;
use crate::worker::context::Context;

/// Repairs impossible rows and contradictions, and counts them. Writes nothing if nothing is wrong.
pub fn round(ctx: &Context, cursor: &mut inspect::Cursor) -> Result<()> {
    let (repairs, now_ms) = (ctx.options.repair, ctx.now_ms());
    // The check takes no lock; nothing is written if nothing is wrong.
    let from = cursor.clone();
    let (found, is_faulty, next) = ctx.store.read(|conn| {
        let mut next = from.clone();
        let found = inspect::find(conn, &mut next, LOOKED_AT_MAX)?;
        Ok((found, repairs && repair::is_needed(conn)?, next))
    })?;
    *cursor = next;
    if !is_faulty && found.is_nothing() {
        return remove_empty(ctx, found);
    }
    let ((repaired, recounted), ticket) = ctx.store.commit(move |conn| {
        let repaired = if repairs { repair::repair(conn, now_ms)? } else { Vec::new() };
        // A repaired row may have caused contradictions that no check has seen.
        let found = if repaired.is_empty() { found.clone() } else { inspect::find(conn, &mut from.clone(), LOOKED_AT_MAX)? };
        Ok((repaired, recount::found(conn, &found, now_ms)?))
    })?;
    if !recounted.is_nothing() {
        log::warn!("corrected values that a client had changed past the guards: {recounted}");
        if !recounted.freed.is_empty() {
            ctx.store.flushed(ticket)?;
        }
        secrets::remove(ctx.place(), &recounted.freed);
    }
    if !repaired.is_empty() {
        ctx.store.flushed(ticket)?;
    }
    for one in &repaired {
        log::warn!("repaired job {}: {}: {}", one.job, one.rule, one.text);
        for (run, nonce) in &one.runs {
            // Its run file stays if this fails, and is found again below and at the next tick.
            if let Err(error) = end_tree(ctx, RunKey { run: *run, nonce: *nonce }) {
                log::warn!("{error}");
            }
            ctx.report.step_of_reaper();
        }
    }
    Ok(())
}

/// Removes queues and lanes that are not needed.
fn remove_empty(ctx: &Context, found: inspect::Found) -> Result<()> {
    if !found.empty_queues.is_empty() || !found.empty_lanes.is_empty() {
        let _ticket =
            ctx.store.commit(move |conn| prune::remove_empty(conn, found.empty_queues.iter(), found.empty_lanes.iter()))?;
    }
    Ok(())
}
