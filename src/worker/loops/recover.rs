//! The recovery loop: everything that no monitor of this worker watches.
//!
//! The same round runs at start and at every tick. It asks the kernel, never a clock; it skips runs
//! in the roster; and each of its actions may be repeated. Once all is well it reads and writes
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use super::unwatched::Unwatched;
use super::{chores, engines, leftovers, repair, retention};
use crate::error::Result;
use crate::host::condition::Condition;
use crate::host::lease;
use crate::job::verdict::{self, Leftover, Row};
use crate::job::{RunId, RunKey};
use crate::run::runfile::{self, Inspection};
use crate::store::{upkeep::inspect, upkeep::open_runs, upkeep::prune};
use crate::worker::attempt::end_tree;
use crate::worker::context::Context;
use crate::worker::run_job;

/// Where the cursors over the file continue at the next tick.
#[derive(Debug, Default)]
pub struct Cursors {
    repair: inspect::Cursor,
    retention: prune::Cursor,
}

/// The thread: a round at every tick until the worker detaches from its runs, also while it drains.
pub fn run(ctx: &Arc<Context>, mut cursors: Cursors) {
    loop {
        let is_ending = ctx.wait_for_end(Duration::from_millis(ctx.options.tick_ms)).is_some();
        if is_ending || ctx.is_detaching() {
            return;
        }
        match round(ctx, &mut cursors) {
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

type Step = fn(&Arc<Context>, &mut Cursors) -> Result<()>;

/// The steps of a round, in order; those that create work or remove history are skipped while the
/// worker stops.
const STEPS: [Step; 11] = [
    |ctx, _| ctx.check_file(),
    // Before anything that an altered table would make fail.
    |ctx, _| verify_schema(ctx),
    |ctx, _| check_clock(ctx),
    |ctx, cursors| repair::round(ctx, &mut cursors.repair),
    |ctx, _| adopt_open_runs(ctx),
    |ctx, _| chores::adopt(ctx),
    |ctx, _| clear_run_files(ctx),
    |ctx, _| reclaim_leases(ctx),
    |ctx, _| leftovers::secrets(ctx),
    |ctx, _| sweep_groups(ctx),
    |ctx, _| leftovers::results(ctx),
];
const STEPS_OF_A_SERVING_WORKER: [Step; 3] = [
    |ctx, cursors| retention::round(ctx, &mut cursors.retention),
    |ctx, _| retention::receipts(ctx),
    |ctx, _| chores::round(ctx),
];

/// Runs one round. A failure for one run is logged and does not affect the others.
pub fn round(ctx: &Arc<Context>, cursors: &mut Cursors) -> Result<()> {
    ctx.check_spawner();
    ctx.keep_home();
    if let Err(error) = steps(ctx, cursors, &STEPS) {
        // An altered table may be the cause, and its remedy must be reported.
        let _the_first_error_is_told = verify_schema(ctx);
        return Err(error);
    }
    if !ctx.is_stopping() {
        steps(ctx, cursors, &STEPS_OF_A_SERVING_WORKER)?;
    }
    ctx.wake_claims();
    Ok(())
}

/// Each step is a sign of life: the duration of a round depends on the amount of work.
fn steps(ctx: &Arc<Context>, cursors: &mut Cursors, all: &[Step]) -> Result<()> {
    for step in all {
        step(ctx, cursors)?;
        ctx.report.step_of_reaper();
    }
    Ok(())
}

fn verify_schema(ctx: &Arc<Context>) -> Result<()> {
    ctx.store.verify_schema()?;
    if ctx.store.health().schema.is_some() {
        // The claim loop reports it, and may be waiting.
        ctx.wake_claims();
    }
    Ok(())
}

/// Reclaims leases of owners that are gone.
fn reclaim_leases(ctx: &Arc<Context>) -> Result<()> {
    for one in lease::reclaim(&ctx.store)? {
        log::info!("the lease {:?} is free: nothing of its owner (pid {:?}) lives", one.name, one.pid);
    }
    Ok(())
}

fn check_clock(ctx: &Arc<Context>) -> Result<()> {
    if ctx.clock_steps.check(&ctx.store)? {
        ctx.wake_claims();
    }
    Ok(())
}

fn sweep_groups(ctx: &Arc<Context>) -> Result<()> {
    ctx.limiter.sweep(|run| ctx.roster.owns(run) || is_locked(ctx, run));
    Ok(())
}

/// Gives every running row without a monitor one, which determines the fate of its run.
fn adopt_open_runs(ctx: &Arc<Context>) -> Result<()> {
    Unwatched::find(ctx, open_runs::open_runs, |open| open.run.id)?.each(|open| {
        if let Some(launched) = open.launched.as_ref().filter(|launched| launched.is_sent) {
            return engines::adopt(ctx, &open, launched);
        }
        let seat = ctx.pool.reserve()?;
        log::info!("job {} run {}: no monitor watches it; taking it over", open.job.id, open.run.id);
        let slot = match open.launched {
            None => ctx.slots.take(open.job.slots),
            Some(_) => ctx.engines.submitting.take(1),
        };
        run_job::adopt(ctx, seat, open, slot);
        Ok(())
    })
}

/// Removes run files that no open run needs.
fn clear_run_files(ctx: &Arc<Context>) -> Result<()> {
    let left: Vec<RunId> = runfile::list(ctx.place())?.into_iter().filter(|run| !ctx.roster.owns(*run)).collect();
    for chunk in left.chunks(500) {
        let ids = chunk.to_vec();
        // A run that was settled between the two reads is settled here and cleared below; a claimed
        // one is in the roster.
        for (run, row) in ctx.store.read(move |conn| open_runs::run_rows(conn, &ids))? {
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
    let (locked, progress, header) = match runfile::inspect(ctx.place(), run)? {
        Inspection::Missing => return Ok(()),
        Inspection::Unreadable(_) if row == Row::Open => return Ok(()),
        Inspection::Unreadable(why) => {
            log::warn!("run {run}: its run file is unreadable ({why}) and it is not needed; removing it");
            return runfile::unlink(ctx.place(), run);
        }
        Inspection::Found { header, records, locked } => (locked, records.progress(), header),
    };
    let nonce = header.nonce;
    if header.asks {
        end_tree(ctx, RunKey { run, nonce })?;
        return runfile::unlink(ctx.place(), run);
    }
    match verdict::of_run_file(row, locked, progress) {
        Leftover::Leave => Ok(()),
        Leftover::Unlink => {
            // The settle may be committed and not durable yet; the record must not be removed
            // before it is.
            ctx.store.flush_now()?;
            runfile::unlink(ctx.place(), run)
        }
        Leftover::EmptyTreeThenUnlink => {
            end_tree(ctx, RunKey { run, nonce })?;
            ctx.store.flush_now()?;
            runfile::unlink(ctx.place(), run)
        }
        Leftover::Stray => {
            end_tree(ctx, RunKey { run, nonce })?;
            let now_ms = ctx.now_ms();
            let note = format!("run {run}: the file does not know it; its processes were ended, its log was kept");
            log::warn!("{note}");
            ctx.store.write(move |conn| open_runs::count(conn, "stray_total", 1, Some(&note), now_ms))?;
            runfile::unlink(ctx.place(), run)
        }
    }
}

/// Whether a shim may be about to put its job into the group of this run.
fn is_locked(ctx: &Context, run: RunId) -> bool {
    !matches!(runfile::inspect(ctx.place(), run), Ok(Inspection::Missing | Inspection::Found { locked: false, .. }))
}
