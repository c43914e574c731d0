//! The settle of a run, and what follows it: the next claim for its slot in the same transaction, and after the flush the end of its files.

use std::sync::Arc;

use super::context::Context;
use super::job_log;
use super::monitor::{Assignment, chance};
use super::run_files::Ready;
use super::shortage::Admits;
use crate::error::Result;
use crate::job::{JobId, Next, RunEnd, RunId};
use crate::store::claim;
use crate::store::rows::Job;
use crate::store::settle::{self, RunRecord, Settle, Settled};
use crate::store::{Ticket, teardown};

/// What goes with a run that is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Its {
    /// Its run file.
    File,
    /// The file of that name is another's: the reaper sees to the run that it stands for.
    Nothing,
}

/// Settles the run, and claims the next job for its slot in the same transaction. What follows a settle outside the file waits
/// for the flush, and is done by the winner alone.
pub(super) fn conclude(
    ctx: &Arc<Context>,
    job: &Job,
    run: RunId,
    end: RunEnd,
    record: RunRecord,
    goes: Its,
    slot: usize,
) -> Result<Option<Assignment>> {
    if let RunEnd::NoMeans { errno, error } = &end {
        ctx.lacks(*errno, error);
    }
    let settle = Settle { job: job.id, run, end, record, chance: chance() };
    let ready = next_ready(ctx);
    let prepared = ready.as_ref().map(Ready::prepared);
    let done = ctx.persist("settling a run", || {
        let (settle, prepared) = (settle.clone(), prepared);
        let (scope, instance, boot_id) = (ctx.options.scope.clone(), ctx.instance.clone(), ctx.boot_id.clone());
        let now_ms = ctx.now_ms();
        ctx.commit_believing(move |conn| {
            let settled = settle::settle(conn, &settle, now_ms)?;
            let leaves = teardown::is_due(conn, now_ms)?;
            let next = match prepared {
                Some(prepared) => claim::claim_beside(conn, &scope, prepared, &instance, &boot_id, now_ms)?,
                None => None,
            };
            Ok((settled, leaves, next))
        })
    });
    let ((settled, leaves, next), ticket) = match done {
        Ok(done) => done,
        Err(error) => {
            ctx.run_files.put_back(ready);
            return Err(error);
        }
    };
    // A slot that goes on at once needs no look of the claim loop, unless there is a new time to wait for or something to tear down.
    if next.is_none()
        || leaves
        || matches!(&settled, Settled::Won { decision, .. } if matches!(decision.next, Next::Again { .. }))
    {
        ctx.wake_claims();
    }
    if let Settled::Won { decision, .. } = &settled {
        job_log::ended(job, run, decision, &settle.record, ctx.now_ms());
    }
    follow_up(ctx, job.id, run, settled, goes, ticket);
    match (next, ready) {
        (Some(claim), Some(ready)) => {
            ctx.run_files.begun(claim.run);
            Ok(Some(Assignment::Start { claim: Box::new(claim), ready, ticket, slot }))
        }
        (_, ready) => {
            ctx.run_files.put_back(ready);
            Ok(None)
        }
    }
}

/// A run file for the next job of this slot, where one may be claimed.
fn next_ready(ctx: &Arc<Context>) -> Option<Ready> {
    let may = ctx.may_claim()
        && ctx.admits() == Admits::All
        && ctx.slots.busy() <= ctx.options.slots
        && ctx.options.scope.only.is_none();
    if !may {
        return None;
    }
    ctx.keep_home();
    let made = ctx.run_files.take(&ctx.store, &ctx.roster);
    made.inspect_err(|error| {
        if !ctx.notes_want(error) {
            log::warn!("making a run file: {error}");
        }
    })
    .ok()
}

fn follow_up(ctx: &Arc<Context>, job: JobId, run: RunId, settled: Settled, goes: Its, ticket: Ticket) {
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
        if goes == Its::File
            && let Err(error) = then.run_files.retire(place, run)
        {
            log::warn!("run {run}: removing its run file: {error} (the reaper tries again)");
        }
        let _most_runs_write_no_result = std::fs::remove_file(place.result_file(run));
        for token in &freed {
            super::sweep::remove_secret(place, token);
        }
        then.roster.disown(run);
    });
}
