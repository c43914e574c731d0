//! Runs a hook once: an auxiliary run that tells of the end of a job.
//!
//! Its consequence (done, again after a wait, given up) is written in the transaction that closes
//! its run. A worker that detaches leaves the run to its shim, and the next one resumes it. No
//! cancel reaches it, and it takes no slot.

use std::sync::Arc;

use crate::error::Result;
use crate::job::ending::verdict;
use crate::job::{HookId, Outcome};
use crate::store::hook::{self, Hook, delivery};
use crate::store::job::auxiliary::Opening;
use crate::store::job::read;
use crate::store::job::rows::Run;
use crate::worker::attempt::{Auxiliary, Came, Halt, of_hook};
use crate::worker::context::Context;

/// Makes one attempt, or resumes an open run.
pub fn tell(ctx: &Arc<Context>, id: HookId, open: Option<Run>) -> Result<(), Halt> {
    let found = ctx.store.read(move |conn| {
        let hook = hook::one(conn, id)?;
        let job = hook.as_ref().map_or(Ok(None), |hook| read::job(conn, hook.job))?;
        Ok(hook.zip(job))
    })?;
    let auxiliary = Auxiliary::without_owner(ctx, Opening::of_hook(id))?;
    let (came, hook) = match (open, found) {
        (Some(run), found) => {
            let came = auxiliary.resume(&run, verdict)?;
            let _swept_otherwise = std::fs::remove_file(ctx.place().hook_input(run.id));
            (came, found.map(|(hook, _)| hook))
        }
        (None, Some((hook, job))) if hook.outcome.is_none() => {
            let input = std::cell::Cell::new(None);
            let make = |key: crate::job::RunKey| {
                input.set(Some(key.run));
                of_hook(ctx, &hook, &job, key)
            };
            let came = auxiliary.run(make, verdict)?;
            let _swept_otherwise = input.get().map(|run| std::fs::remove_file(ctx.place().hook_input(run)));
            (came, Some(hook))
        }
        (None, _) => return Ok(()),
    };
    match (came, hook) {
        (Came::NotMade(why), _) => not_made(ctx, id, why)?,
        (Came::Over(over), Some(hook)) => report(ctx, &hook, over.closed.outcome, over.closed.error.as_deref()),
        (Came::NotBegun | Came::Over(_), _) => {}
    }
    Ok(())
}

fn report(ctx: &Context, hook: &Hook, outcome: Outcome, error: Option<&str>) {
    let Hook { id, job, event, .. } = hook;
    if outcome == Outcome::Done {
        log::info!("hook {id} has told the end of job {job} ({event})");
        return;
    }
    log::warn!("hook {id} of job {job} ({event}): {}", error.unwrap_or("it did not say why"));
    // Its wait may be the next instant for which the claim loop must wake.
    ctx.wake_claims();
}

fn not_made(ctx: &Context, id: HookId, why: String) -> Result<()> {
    log::warn!("hook {id} cannot be run: {why}");
    let now_ms = ctx.now_ms();
    ctx.store.commit(move |conn| delivery::not_made(conn, id, &why, now_ms))?;
    ctx.wake_claims();
    Ok(())
}
