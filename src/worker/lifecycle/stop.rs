//! The end of a worker: waits for it, and stops in a fixed order: no more claims; the runs are
//! detached, waited for, or ended; commits are flushed; the lock is released last.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use super::shutdown;
use super::signals::Order;
use super::start::Worker;
use crate::error::Result;
use crate::host::waker;
use crate::job::{Cause, RunId};
use crate::store::pipeline::task;
use crate::worker::context::Context;
use crate::worker::loops::service_manager;
use crate::worker::options::OnTerm;
use crate::worker::stop_flag::Ended;

/// How long to wait for the end of the threads, in milliseconds; then the process ends, which is
/// equivalent to a crash.
const JOIN_MS: u64 = 5_000;
/// How long the monitors may take to close the file, in milliseconds.
const CLOSE_MS: u64 = 1_000;

/// Longest wait of the main thread, in milliseconds.
const WAIT_MS: u64 = 60_000;
/// Interval between two checks of a draining worker whether its runs have ended, in milliseconds.
const DRAIN_LOOK_MS: u64 = 50;

/// What a worker leaves behind.
#[derive(Debug, Clone)]
pub struct Summary {
    pub ended: Ended,
    /// Runs that were left to their shims.
    pub left_running: usize,
    /// Why these do not continue without the worker, if they do not.
    pub nothing_survives: Option<&'static str>,
}

impl Worker {
    /// Waits until it ends by itself, or `orders` requests it.
    pub fn wait(self, orders: &Receiver<Order>) -> Result<Summary> {
        let mut orders_seen = 0;
        let ended = loop {
            if self.ctx.is_stopping() && self.ctx.slots.busy() <= self.left_to_shims(orders_seen) {
                break Ended::Asked;
            }
            if let Some(why) = self.ctx.wait_for_end(Duration::ZERO) {
                break why;
            }
            // An order, the end, or, while draining, a check whether the runs have ended.
            let at_most = if self.ctx.is_stopping() { DRAIN_LOOK_MS } else { WAIT_MS };
            select! {
                recv(orders) -> order => if let Ok(order) = order {
                    orders_seen += 1;
                    if order == Order::Leave {
                        self.end_runs_if_asked(orders);
                        break Ended::Asked;
                    }
                    self.drain(orders_seen);
                },
                recv(self.ctx.stop.end_waker()) -> _ => {}
                default(Duration::from_millis(at_most)) => {}
            }
        };
        if matches!(ended, Ended::Fatal(_)) && self.ctx.options.on_term != Some(OnTerm::Detach) {
            self.end_runs_if_nothing_survives(orders, false);
        }
        self.stop(ended)
    }

    /// The worker was told to detach: ends the runs if `--on-term end` is set, or if they would not
    /// survive it.
    pub(super) fn end_runs_if_asked(&self, orders: &Receiver<Order>) {
        match self.ctx.options.on_term {
            Some(OnTerm::End) => shutdown::end_runs(&self.ctx, orders, None, true),
            Some(OnTerm::Detach) => {}
            Some(OnTerm::Drain) | None => drop(self.end_runs_if_nothing_survives(orders, true)),
        }
    }

    /// Ends the runs in order if the pid namespace ends with the worker, which ends by itself: no
    /// service manager is involved.
    pub fn end_runs_if_namespace_ends(&self, orders: &Receiver<Order>) {
        if self.ctx.slots.busy() > 0
            && let Some(why) = self.surroundings.why_namespace_ends()
        {
            shutdown::end_runs(&self.ctx, orders, Some(why), true);
        }
    }

    /// Ends the runs in order if they would not survive the worker; false if there is nothing to
    /// end.
    pub fn end_runs_if_nothing_survives(&self, orders: &Receiver<Order>, may_settle: bool) -> bool {
        if self.ctx.slots.busy() == 0 {
            return false;
        }
        let why = self.surroundings.why_nothing_survives();
        if why.is_some() {
            shutdown::end_runs(&self.ctx, orders, why, may_settle);
        }
        why.is_some()
    }

    /// Returns why the worker has ended, once it has; waits at most this long.
    pub fn ended(&self, within: Duration) -> Option<Ended> {
        self.ctx.wait_for_end(within)
    }

    fn drain(&self, times: usize) {
        self.ctx.stop_claiming();
        let busy = self.ctx.slots.busy();
        let jobs = if busy == 1 { "1 job".to_owned() } else { format!("{busy} jobs") };
        if busy == 0 {
            self.ctx.say("no more jobs are claimed, and none runs");
        } else if times == 1 {
            self.ctx.say(&format!("no more jobs are claimed; waiting for {jobs} to end (interrupt again to cancel)"));
        } else {
            // A run that must not be interrupted continues under its shim, and the next worker
            // adopts it.
            let critical = self.critical_runs();
            let spared = match critical.len() {
                0 => String::new(),
                n => format!(", but for {n} in a critical stage, left to {}", if n == 1 { "its shim" } else { "their shims" }),
            };
            self.ctx.say(&format!("cancelling {jobs}{spared}"));
            self.ctx.roster.request_stop_of_all_but(&critical, Cause::Cancel);
        }
    }

    /// Counts the runs that a worker does not wait for after a second request to end.
    fn left_to_shims(&self, orders_seen: usize) -> usize {
        if orders_seen < 2 { 0 } else { self.critical_runs().len() }
    }

    fn critical_runs(&self) -> Vec<RunId> {
        let read = self.ctx.store.read(task::critical_runs);
        read.unwrap_or_else(|error| {
            log::error!("looking for critical stages: {error}");
            Vec::new()
        })
    }

    /// Ends the worker; its runs continue under their shims.
    ///
    /// # Errors
    /// Commits could not be flushed.
    pub fn stop(self, ended: Ended) -> Result<Summary> {
        let Self { ctx, lock, threads, surroundings } = self;
        if ctx.options.owns_process {
            service_manager::stopping("stopping");
        }
        ctx.end(ended.clone());
        ctx.stop_claiming();
        let left_running = ctx.slots.busy();
        ctx.detach();
        // Its wake thread waits for a hint.
        waker::send(ctx.place());
        // A write that waits for another program's lock is abandoned: what it would settle is in
        // the run files.
        ctx.store.stop_waiting();
        join(threads);
        ctx.run_files.clear(&ctx.store);
        let _no_next_worker_is_misled = std::fs::remove_file(ctx.place().wake_socket());
        let closed = ctx.store.flush_now();
        ctx.pool.close();
        ctx.report.remove();
        lock.release();
        wait_for_monitors(ctx);
        if !matches!(ended, Ended::Fatal(_)) {
            closed?;
        }
        let nothing_survives = if left_running > 0 { surroundings.why_nothing_survives() } else { None };
        Ok(Summary { ended, left_running, nothing_survives })
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    let until = Instant::now() + Duration::from_millis(JOIN_MS);
    for thread in threads {
        while !thread.is_finished() && Instant::now() < until {
            // There is no join with a timeout.
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() && thread.join().is_err() {
            log::error!("a thread of the worker panicked; please report it");
        }
    }
}

/// The last process to close the file empties its log into it, so that the file alone is complete.
/// Monitors hold it for a moment longer.
fn wait_for_monitors(ctx: Arc<Context>) {
    let until = Instant::now() + Duration::from_millis(CLOSE_MS);
    while Arc::strong_count(&ctx) > 1 && Instant::now() < until {
        // There is no event for a count.
        std::thread::sleep(Duration::from_millis(1));
    }
}
