//! Settles a job's run, claims the next job for its slot in the same transaction, and removes its
//! files after the flush.

use std::sync::Arc;

use super::attempt::Ending;
use super::claimer::{Claimed, Claimer};
use super::context::Context;
use super::job_log;
use super::job_run::JobRun;
use super::shortage::Admits;
use super::slots::Slot;
use crate::error::Result;
use crate::host::secrets;
use crate::job::{JobId, Next, RunEnd, RunId};
use crate::run::machine;
use crate::store::job::claim::{Claim, Engine, Scope};
use crate::store::job::settle::{self, Settle, Settled};
use crate::store::{Ticket, hook::delivery, resource::teardown};

/// Settles the run, and claims the next job for its slots in the same transaction. Consequences
/// outside the file wait for the flush, and are applied by the winner only.
///
/// # Errors
/// The file refuses it; the run is left to recovery.
pub(super) fn settle(ctx: &Arc<Context>, job: &JobRun, slot: &Slot, ending: Ending) -> Result<Option<Claimed>> {
    if let RunEnd::NoMeans { errno, error } = &ending.end {
        ctx.lacks(*errno, error);
    }
    let Ending { end, record, has_its_file } = ending;
    let settle = Settle { job: job.row.id, run: job.key.run, end, record, chance: machine::chance() };
    // It had no slot of this machine.
    let claimer = if job.launched.is_some() { None } else { next_of_slot(ctx) };
    let (done, ticket) = commit(ctx, &settle, slot, claimer.as_ref())?;
    // A slot that takes its next job immediately needs no round of the claim loop, unless there is
    // a new time to wait for, a resource to tear down, or a free slot for what else may start now.
    let waits = matches!(&done.settled, Settled::Won { decision, .. } if matches!(decision.next, Next::Again { .. }));
    let has_room = ctx.slots.free() > 0;
    if done.next.is_none() || done.leaves || waits || has_room {
        ctx.wake_claims();
    }
    if let Settled::Won { decision, .. } = &done.settled {
        job_log::ended(&job.row, job.key.run, decision, &settle.record, ctx.now_ms());
    }
    follow_up(ctx, job.row.id, job.key.run, done.settled, has_its_file, ticket);
    let claims = done.next.into_iter().collect();
    Ok(claimer.and_then(|claimer| claimer.claimed(claims, ticket).pop()))
}

/// Result of the transaction.
struct Done {
    settled: Settled,
    /// The job has left chores to do now: resources to tear down, hooks.
    leaves: bool,
    next: Option<Claim>,
}

fn commit(ctx: &Arc<Context>, settle: &Settle, slot: &Slot, claimer: Option<&Claimer<'_>>) -> Result<(Done, Ticket)> {
    // Only its own slots: the claim loop has the others.
    let scope = Scope { room: Some(slot.width()), engine: Engine::Here, ..ctx.options.scope.clone() };
    ctx.persist("settling a run", || {
        let (settle, now_ms) = (settle.clone(), ctx.now_ms());
        let request = claimer.map(|claimer| claimer.request(&scope));
        ctx.commit_believing(move |conn| {
            let settled = settle::settle(conn, &settle, now_ms)?;
            let leaves = teardown::is_due(conn, now_ms)? || delivery::is_due(conn, now_ms)?;
            let next = request.as_ref().map_or(Ok(None), |request| request.claim_beside(conn))?;
            Ok(Done { settled, leaves, next })
        })
    })
}

/// Takes a run file for the next job of this slot, if one may be claimed.
fn next_of_slot(ctx: &Arc<Context>) -> Option<Claimer<'_>> {
    let may = ctx.may_claim()
        && ctx.admits() == Admits::All
        && ctx.slots.busy() <= ctx.slots.limit()
        && ctx.options.scope.only.is_none();
    if !may {
        return None;
    }
    let prepared = Claimer::prepare(ctx, 1);
    prepared
        .inspect_err(|error| {
            if !ctx.notes_want(error) {
                log::warn!("making a run file: {error}");
            }
        })
        .ok()
}

fn follow_up(ctx: &Arc<Context>, job: JobId, run: RunId, settled: Settled, has_its_file: bool, ticket: Ticket) {
    let freed = match settled {
        Settled::Won { freed, .. } => freed,
        Settled::Late => {
            log::warn!("job {job} run {run}: it no longer owned its job; nothing was changed");
            Vec::new()
        }
    };
    let then = Arc::clone(ctx);
    ctx.store.after_flush(ticket, move || {
        let place = then.place();
        if has_its_file && let Err(error) = then.run_files.retire(place, run) {
            log::warn!("run {run}: removing its run file: {error} (recovery tries again)");
        }
        let _most_runs_write_no_result = std::fs::remove_file(place.result_file(run));
        secrets::remove(place, &freed);
        then.roster.disown(run);
    });
}
