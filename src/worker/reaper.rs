//! The reaper: what no monitor of this worker watches.
//!
//! The same round at start and at every tick. It asks the kernel, never a clock; it leaves out what stands in the roster; and each
//! of its acts is one that may be repeated. Once all is well it reads and writes nothing.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::monitor::{self, Assignment};
use super::recover;
use super::sweep;
use super::teardown;
use crate::error::Result;
use crate::host::condition::Condition;
use crate::host::lease;
use crate::job::RunId;
use crate::job::verdict::{self, Leftover, Row};
use crate::run::runfile::{self, Look};
use crate::store::inspect::{self, LOOKED_AT_MAX};
use crate::store::{heal, mend, prune, reap};

/// Most ended jobs that one tick prunes.
const PRUNE_MAX: usize = 1_000;

/// The thread: a round at every tick until the worker lets go of its runs, also while it drains.
pub(super) fn run(ctx: &Arc<Context>, mut walks: Walks) {
    loop {
        let is_ending = ctx.wait_for_end(Duration::from_millis(ctx.options.tick_ms)).is_some();
        if is_ending || ctx.is_detaching() {
            return;
        }
        match round(ctx, &mut walks) {
            Ok(()) => ctx.report.clear("recovery_error"),
            Err(error) => {
                let text = format!("recovery fails: {error}");
                ctx.report.set(Condition::notice(
                    "recovery_error",
                    text,
                    "tenure doctor says more; it is tried again at each tick",
                ));
            }
        }
        ctx.report.round_of_reaper();
    }
}

type Step = fn(&Arc<Context>, &mut Walks) -> Result<()>;

/// The steps of a round, in order; those that make new work or forget old work are left out while the worker stops.
const STEPS: [Step; 11] = [
    |ctx, _| ctx.look_at_the_file(),
    // Before anything that an altered table would make fail.
    |ctx, _| verify_schema(ctx),
    |ctx, _| look_at_the_clock(ctx),
    heal,
    |ctx, _| adopt_open_runs(ctx),
    |ctx, _| teardown::adopt(ctx),
    |ctx, _| clear_run_files(ctx),
    |ctx, _| reclaim_leases(ctx),
    |ctx, _| sweep::secrets(ctx),
    |ctx, _| sweep_groups(ctx),
    |ctx, _| sweep::results(ctx),
];
const STEPS_OF_A_SERVING_WORKER: [Step; 2] = [prune, |ctx, _| teardown::round(ctx)];

/// One round. What fails for one run is told and does not keep the others.
pub(super) fn round(ctx: &Arc<Context>, walks: &mut Walks) -> Result<()> {
    ctx.look_at_spawner();
    ctx.keep_home();
    if let Err(error) = steps(ctx, walks, &STEPS) {
        // An altered table may be why, and what heals it is to be told.
        let _the_first_error_is_told = verify_schema(ctx);
        return Err(error);
    }
    if !ctx.is_stopping() {
        steps(ctx, walks, &STEPS_OF_A_SERVING_WORKER)?;
    }
    ctx.wake_claims();
    Ok(())
}

/// Each step is a sign of life: a round may take as long as there is much to do.
fn steps(ctx: &Arc<Context>, walks: &mut Walks, all: &[Step]) -> Result<()> {
    for step in all {
        step(ctx, walks)?;
        ctx.report.step_of_reaper();
    }
    Ok(())
}

fn verify_schema(ctx: &Arc<Context>) -> Result<()> {
    ctx.store.verify_schema()?;
    if ctx.store.health().schema.is_some() {
        // The claim loop tells of it, and may be waiting.
        ctx.wake_claims();
    }
    Ok(())
}

/// Leases of owners that are gone.
fn reclaim_leases(ctx: &Arc<Context>) -> Result<()> {
    for one in lease::reclaim(&ctx.store)? {
        log::info!("the lease {:?} is free: nothing of its owner (pid {:?}) lives", one.name, one.pid);
    }
    Ok(())
}

fn look_at_the_clock(ctx: &Arc<Context>) -> Result<()> {
    if ctx.clock_steps.look(&ctx.store)? {
        ctx.wake_claims();
    }
    Ok(())
}

fn sweep_groups(ctx: &Arc<Context>) -> Result<()> {
    ctx.limiter.sweep(|run| ctx.roster.owns(run) || is_locked(ctx, run));
    Ok(())
}

/// Impossible rows and contradictions, made whole and counted.
fn heal(ctx: &Arc<Context>, walks: &mut Walks) -> Result<()> {
    let (healers, now_ms) = (ctx.options.healers, ctx.now_ms());
    // Looking takes no lock; where nothing is wrong nothing is written.
    let from = walks.inspect.clone();
    let (found, is_sick, next) = ctx.store.read(|conn| {
        let mut walk = from.clone();
        let found = inspect::look(conn, &mut walk, LOOKED_AT_MAX)?;
        Ok((found, heal::is_needed(conn, healers)?, walk))
    })?;
    walks.inspect = next;
    if !is_sick && found.is_nothing() {
        return remove_empty(ctx, found);
    }
    let ((healed, mended), ticket) = ctx.store.commit(move |conn| {
        let healed = heal::heal(conn, healers, now_ms)?;
        // A row that was healed may have made contradictions that no look has seen.
        let found = if healed.is_empty() { found.clone() } else { inspect::look(conn, &mut from.clone(), LOOKED_AT_MAX)? };
        Ok((healed, mend::mend_found(conn, &found, now_ms)?))
    })?;
    if !mended.is_nothing() {
        log::warn!("mended: {mended:?}");
        if !mended.freed.is_empty() {
            ctx.store.flushed(ticket)?;
        }
        mended.freed.iter().for_each(|token| sweep::remove_secret(ctx.place(), token));
    }
    if !healed.is_empty() {
        ctx.store.flushed(ticket)?;
    }
    for one in &healed {
        log::warn!("healed job {}: {}", one.job, one.text);
        for (run, nonce) in &one.runs {
            // Its run file stays where this fails, and is met again below and at the next tick.
            if let Err(error) = recover::end_tree(ctx, *run, *nonce) {
                log::warn!("{error}");
            }
            ctx.report.step_of_reaper();
        }
    }
    Ok(())
}

/// Queues and lanes that are not needed go.
fn remove_empty(ctx: &Arc<Context>, found: inspect::Found) -> Result<()> {
    if !found.empty_queues.is_empty() || !found.empty_lanes.is_empty() {
        let _ticket =
            ctx.store.commit(move |conn| prune::remove_empty(conn, found.empty_queues.iter(), found.empty_lanes.iter()))?;
    }
    Ok(())
}

/// Every running row without a monitor gets one, which finds out what became of its run.
fn adopt_open_runs(ctx: &Arc<Context>) -> Result<()> {
    for open in ctx.store.read(reap::open_runs)? {
        if ctx.roster.owns(open.run.id) {
            continue;
        }
        log::info!("job {} run {}: no monitor watches it; taking it over", open.job.id, open.run.id);
        ctx.roster.own(open.run.id);
        let adopted = Assignment::Adopt { open: Box::new(open), slot: ctx.slots.take() };
        match ctx.pool.reserve() {
            Ok(seat) => monitor::give(ctx, seat, adopted),
            Err(error) => {
                adopted.leave_to_recovery(ctx);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Run files that no open run needs.
fn clear_run_files(ctx: &Arc<Context>) -> Result<()> {
    let left: Vec<RunId> = runfile::list(ctx.place())?.into_iter().filter(|run| !ctx.roster.owns(*run)).collect();
    for chunk in left.chunks(500) {
        let ids = chunk.to_vec();
        // A run that was settled between the two looks is settled here and cleared below; one that was claimed stands in the roster.
        for (run, row) in ctx.store.read(move |conn| reap::run_rows(conn, &ids))? {
            if !ctx.roster.owns(run)
                && let Err(error) = clear(ctx, run, row)
            {
                log::warn!("run {run}: {error}");
            }
            ctx.report.step_of_reaper();
        }
    }
    Ok(())
}

fn clear(ctx: &Arc<Context>, run: RunId, row: Row) -> Result<()> {
    let (locked, progress, nonce) = match runfile::look(ctx.place(), run)? {
        Look::Missing => return Ok(()),
        Look::Unreadable(_) if row == Row::Open => return Ok(()),
        Look::Unreadable(why) => {
            log::warn!("run {run}: its run file is unreadable ({why}) and it is not needed; removing it");
            return runfile::unlink(ctx.place(), run);
        }
        Look::Found { header, records, locked } => (locked, records.progress(), header.nonce),
    };
    match verdict::of_run_file(row, locked, progress) {
        Leftover::Leave => Ok(()),
        Leftover::Unlink => {
            // The settle may be committed and not yet on the disk; the record must not go before it.
            ctx.store.flush_now()?;
            runfile::unlink(ctx.place(), run)
        }
        Leftover::EmptyTreeThenUnlink => {
            recover::end_tree(ctx, run, nonce)?;
            ctx.store.flush_now()?;
            runfile::unlink(ctx.place(), run)
        }
        Leftover::Stray => {
            recover::end_tree(ctx, run, nonce)?;
            let now_ms = ctx.now_ms();
            let note = format!("run {run}: the file does not know it; its processes were ended, its log was kept");
            log::warn!("{note}");
            ctx.store.write(move |conn| reap::count(conn, "stray_total", 1, Some(&note), now_ms))?;
            runfile::unlink(ctx.place(), run)
        }
    }
}

/// Whether a shim may be about to put its job into the group of this run.
fn is_locked(ctx: &Context, run: RunId) -> bool {
    !matches!(runfile::look(ctx.place(), run), Ok(Look::Missing | Look::Found { locked: false, .. }))
}

/// Retention: rows first, then the logs of their runs.
fn prune(ctx: &Arc<Context>, walks: &mut Walks) -> Result<()> {
    let Some(keep_ms) = ctx.options.keep_ms else { return Ok(()) };
    let before = ctx.clock_steps.never_early(ctx.now_ms()).saturating_sub_unsigned(keep_ms);
    let from = walks.prune;
    // What must stay (a live job waits for it) is looked at without writing, and not all of it at each tick.
    let found = ctx.store.read(move |conn| prune::find(conn, before, from, PRUNE_MAX))?;
    walks.prune = found.next.unwrap_or_default();
    if found.is_nothing() {
        return Ok(());
    }
    let (pruned, _) = ctx.store.write(move |conn| prune::prune_from(conn, before, from, PRUNE_MAX))?;
    for run in &pruned.runs {
        let _a_run_may_have_no_log = std::fs::remove_file(ctx.place().log_file(*run));
    }
    log::info!("pruned what ended long ago: {} jobs, {} slots of schedules", pruned.jobs, pruned.slots);
    Ok(())
}

/// Where the reaper's walks over the file go on at the next tick.
#[derive(Debug, Default)]
pub(super) struct Walks {
    inspect: inspect::Walk,
    prune: prune::Walk,
}
