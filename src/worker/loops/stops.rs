//! The stop loop: passes stop requests and suspensions to the runs.
//!
//! A separate thread, which runs until the worker detaches from its runs: while it drains, while it
//! holds claims back, and while its claim loop fails. It never writes, so that another program's
//! write lock does not delay it. One round reads the open cancels, the open suspensions and the
//! max-runtimes of the queues, and asks the monitors of those runs to act; the next one follows a
//! change of the file, or the earliest of those limits. A read that fails is logged once, and
//! repeated in the next round.

use std::sync::Arc;

use super::NextCall;
use crate::error::{Error, Result};
use crate::job::Cause;
use crate::run::machine::boottime_ms;
use crate::store::job::pending;
use crate::worker::context::Context;

/// Longest interval between two rounds, in milliseconds: the delay of a lost hint; and where a part
/// has failed or a run has no monitor yet.
const ROUND_MS: u64 = 10_000;
const ROUND_AGAIN_MS: u64 = 1_000;

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
    let (cancels, suspensions, limits) = (ctx.pass_on_cancels(), ctx.pass_on_suspensions(), stop_what_ran_too_long(ctx));
    match cancels.and_then(|all| Ok((all & suspensions?, limits?))) {
        Ok((true, next_ms)) => (NextCall::after_ms(next_ms.unwrap_or(ROUND_MS).min(ROUND_MS)), None),
        Ok((false, _)) => (NextCall::after_ms(ROUND_AGAIN_MS), None),
        Err(error) => (NextCall::after_ms(ROUND_AGAIN_MS), Some(error)),
    }
}

/// Enforces the operator's limit, for queues whose `max_runtime` was set after the run had started.
/// It counts on the clock of the boot: a step of the wall clock does not change it. Returns in how
/// many milliseconds the next run has reached its limit.
fn stop_what_ran_too_long(ctx: &Context) -> Result<Option<u64>> {
    let now_ms = boottime_ms();
    let mut next_ms: Option<u64> = None;
    for (run, max_runtime_ms) in ctx.store.read(pending::max_runtimes)? {
        let began = match ctx.roster.began_ms(run) {
            // The monitor knows when it continues, and the time until then does not count.
            Some(None) => continue,
            began => began.flatten(),
        };
        let left_ms = began.map(|began| began.saturating_add(max_runtime_ms).saturating_sub(now_ms));
        match left_ms {
            Some(0) => _ = ctx.roster.request_stop(run, Cause::Backstop),
            // A run that has no monitor yet has one soon.
            left => next_ms = Some(left.unwrap_or(ROUND_AGAIN_MS).min(next_ms.unwrap_or(u64::MAX))),
        }
    }
    Ok(next_ms)
}
