//! Retention: removes history that is older than the operator keeps it. Part of each round of
//! recovery.

use crate::error::Result;
use crate::run::machine::boottime_ms;
use crate::store::{receipt, upkeep::prune};
use crate::worker::context::Context;

/// Most ended jobs that one tick reads although they must stay.
const READ_MAX: usize = 1_000;

/// Removes receipts that neither a client nor this worker can look for any more.
pub fn receipts(ctx: &Context) -> Result<()> {
    // In steps: claims and settles wait for a transaction.
    while !ctx.is_detaching() && ctx.store.read(|conn| receipt::has_old(conn, boottime_ms()))? {
        ctx.store.commit(|conn| receipt::prune(conn, boottime_ms()))?;
    }
    Ok(())
}

/// Prunes old history: rows first, then the logs of their runs.
pub fn round(ctx: &Context, cursor: &mut prune::Cursor) -> Result<()> {
    let Some(keep_ms) = ctx.options.keep_ms else { return Ok(()) };
    let before = ctx.clock_steps.never_early(ctx.now_ms()).saturating_sub_unsigned(keep_ms);
    let from = *cursor;
    // History that must stay (a live job waits for it) is read without writing, and not all of it
    // at each tick.
    let found = ctx.store.read(move |conn| prune::find(conn, before, from, READ_MAX))?;
    if found.is_nothing() {
        *cursor = found.next.unwrap_or_default();
        return Ok(());
    }
    let (pruned, next) = prune::pass(&ctx.store, before, from)?;
    *cursor = next.unwrap_or_default();
    for run in &pruned.runs {
        let _a_run_may_have_no_log = std::fs::remove_file(ctx.place().log_file(*run));
    }
    log::info!("pruned what ended long ago: {} jobs, {} occurrences of schedules", pruned.jobs, pruned.occurrences);
    Ok(())
}
