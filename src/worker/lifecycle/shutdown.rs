//! Ends the runs together with the worker, if none of them would survive it or `--on-term end`
//! requests it.
//!
//! Nothing more is claimed or launched; every shim is asked to stop its run for a shutdown, with
//! the job's own grace, bounded by the stop timeout, and then KILL; the monitors settle the records
//! of the shims, so that the file says how each run ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::signals::Order;
use crate::run::shutdown::EndRuns;
use crate::units::duration_text;
use crate::worker::context::Context;
use crate::worker::loops::service_manager;

/// Interval between two checks of the runs, in milliseconds.
const LOOK_MS: u64 = 20;
/// Interval between two messages to the service manager, in milliseconds.
const TELL_MS: u64 = 1_000;
/// How long the monitors may take to settle ended runs, in milliseconds.
const SETTLE_MS: u64 = 2_000;

/// Ends the runs of this worker and settles them. A further order ends their grace.
pub fn end_runs(ctx: &Arc<Context>, orders: &Receiver<Order>, why: Option<&str>, may_settle: bool) {
    ctx.end_runs();
    let timeout_ms = ctx.options.stop_timeout_ms;
    let jobs = match ctx.busy() {
        1 => "1 job".to_owned(),
        n => format!("{n} jobs"),
    };
    let because = why.map(|why| format!(", because {why}")).unwrap_or_default();
    ctx.say(&format!("ending {jobs}{because}: TERM now, KILL after {} at the latest", duration_text(timeout_ms)));
    let mut ending = EndRuns::new(ctx.place(), Duration::from_millis(timeout_ms));
    let (mut last_alive, mut told) = (Instant::now(), None);
    loop {
        // A run file that was created in advance is locked by this process, and would look like a
        // run.
        ctx.run_files.clear(&ctx.store);
        let alive = ending.round().unwrap_or_else(|error| {
            log::error!("ending the runs: {error}");
            0
        });
        if told.is_none_or(|(at, runs): (Instant, usize)| runs != alive || at.elapsed() > Duration::from_millis(TELL_MS)) {
            if ctx.options.owns_process {
                service_manager::stopping(&format!("ending {alive} {}", if alive == 1 { "run" } else { "runs" }));
            }
            told = Some((Instant::now(), alive));
        }
        if alive > 0 {
            last_alive = Instant::now();
        }
        let is_settled = !may_settle || (ctx.busy() == 0 && ctx.teardowns.is_still() && ctx.hooks.is_still());
        let has_waited = last_alive.elapsed() > Duration::from_millis(SETTLE_MS);
        if (alive == 0 && (is_settled || has_waited)) || ending.is_over() {
            return;
        }
        match orders.recv_timeout(Duration::from_millis(LOOK_MS)) {
            Ok(_) => ending.hasten(),
            Err(RecvTimeoutError::Timeout) => {}
            // No order can arrive any more, so the channel does not pace the checks.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(LOOK_MS)),
        }
    }
}
