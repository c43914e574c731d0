//! The stop loop: passes stop requests to the runs.
//!
//! A separate thread, which runs until the worker detaches from its runs: while it drains, while it
//! holds claims back, and while its claim loop fails. It never writes, so that another program's
//! write lock does not delay it. One round reads the open cancels and the max-runtimes of the
//! queues, and asks the monitors of those runs to stop them. A read that fails is logged once, and
//! repeated in the next round.

use std::sync::Arc;

use super::NextCall;
use crate::error::{Error, Result};
use crate::job::Cause;
use crate::run::machine::boottime_ms;
use crate::store::job::pending;
use crate::worker::context::Context;

/// Longest interval between two rounds, in milliseconds: the delay of a limit that is set later,
/// and of a lost hint.
const ROUND_MS: u64 = 1_000;

/// The thread.
pub fn run(ctx: &Arc<Context>) {
    let mut told: Option<String> = None;
    while !ctx.is_detaching() {
        let (next, failed) = round(ctx);
        let failed = failed.map(|error| error.to_string());
        if failed != told {
            match &failed {
                Some(error) => log::error!("reading stop requests: {error}"),
                None => log::info!("stop requests can be read again"),
            }
            told = failed;
        }
        ctx.stops.wait(next.after);
    }
}

/// Runs one round. A part that fails does not affect the others.
fn round(ctx: &Context) -> (NextCall, Option<Error>) {
    if ctx.clock_steps.was_set(ctx.now_ms()) {
        ctx.wake_claims();
    }
    let failed = ctx.pass_on_cancels().and(stop_what_ran_too_long(ctx)).err();
    (NextCall::after_ms(ROUND_MS), failed)
}

/// Enforces the operator's limit, for queues whose `max_runtime` was set after the run had started.
/// It counts on the clock of the boot: a step of the wall clock does not change it.
fn stop_what_ran_too_long(ctx: &Context) -> Result<()> {
    let now_ms = boottime_ms();
    for (run, max_runtime_ms) in ctx.store.read(pending::max_runtimes)? {
        if ctx.roster.began_ms(run).is_some_and(|began| now_ms >= began.saturating_add(max_runtime_ms)) {
            ctx.roster.request_stop(run, Cause::Backstop);
        }
    }
    Ok(())
}
