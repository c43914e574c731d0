//! Tears down one external resource: run the probe, the teardown, and the probe again, each an
//! auxiliary run.
//!
//! The consequence of a step is written in the transaction that closes its run, so a worker that
//! dies between two steps leaves a row that says where to continue. A worker that detaches leaves
//! the open step to its shim, and the next one resumes it. No cancel reaches it.

use std::sync::Arc;

use crate::error::Result;
use crate::job::ending::verdict;
use crate::job::resource::{After, Step};
use crate::job::{ResourceId, ResourceState};
use crate::store::job::auxiliary::Opening;
use crate::store::job::rows::Run;
use crate::store::resource::teardown;
use crate::store::resource::{self, Resource};
use crate::worker::attempt::{Auxiliary, Came, Halt, of_resource};
use crate::worker::context::Context;

/// Makes one attempt: the steps, until the resource is gone or one of them has failed.
pub fn tear_down(ctx: &Arc<Context>, id: ResourceId, mut open: Option<Run>) -> Result<(), Halt> {
    let mut step = None;
    loop {
        let found = ctx.store.read(move |conn| resource::one(conn, id))?;
        let Some(resource) = found.filter(|resource| resource.state == ResourceState::Releasing || open.is_some()) else {
            return Ok(());
        };
        let begun = step.unwrap_or_else(|| Step::first(resource.was_torn_down, resource.probe.is_some()));
        let auxiliary = Auxiliary::without_owner(ctx, Opening::of_resource(id, begun))?;
        let came = match open.take() {
            Some(run) => auxiliary.resume(&run, verdict)?,
            None => auxiliary.run(|key| of_resource(ctx, &resource, begun, key), verdict)?,
        };
        match came {
            Came::NotBegun => return Ok(()),
            Came::NotMade(why) => return Ok(not_made(ctx, id, why)?),
            Came::Over(over) => match over.after {
                Some(After::Next(next)) => step = Some(next),
                Some(After::Failed(error)) => {
                    tell(ctx, &resource, &error);
                    return Ok(());
                }
                Some(After::Gone(by)) => {
                    log::info!("resource {id} is gone ({by})");
                    return Ok(());
                }
                None => return Ok(()),
            },
        }
    }
}

fn tell(ctx: &Context, resource: &Resource, error: &str) {
    let tried = resource.attempts.saturating_add(1);
    let times = if tried == 1 { "once".to_owned() } else { format!("{tried} times") };
    log::warn!("resource {} could not be torn down ({times}): {error}", resource.id);
    // Its wait may be the next instant for which the claim loop must wake.
    ctx.wake_claims();
}

fn not_made(ctx: &Context, id: ResourceId, why: String) -> Result<()> {
    log::warn!("resource {id} cannot be torn down: {why}");
    let now_ms = ctx.now_ms();
    ctx.store.commit(move |conn| teardown::not_made(conn, id, &why, now_ms))?;
    ctx.wake_claims();
    Ok(())
}

/// Resumes an auxiliary run that only has to be closed.
pub fn resume_alone(ctx: &Arc<Context>, run: &Run) {
    let opening = Opening { kind: run.kind, of: None, resource: None, workspace: run.workspace.clone(), hook: None };
    let seen = Auxiliary::without_owner(ctx, opening).map_err(Halt::from).and_then(|auxiliary| auxiliary.resume(run, verdict));
    if let Err(Halt::Failed(error)) = seen {
        log::error!("{} {}: {error}", run.kind, run.id);
        ctx.roster.disown(run.id);
    }
}
