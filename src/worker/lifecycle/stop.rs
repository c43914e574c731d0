//! The end of a worker: waits for it, and stops in a fixed order: no more claims; the runs are
//! detached, waited for, or ended; commits are flushed; the lock is released last.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use super::shutdown;
use super::signals::Order;
use super::start::Worker;
use crate::error::{Error, Result};
use crate::host::lock::WorkerLock;
use crate::host::waker;
use crate::job::{Cause, RunId};
use crate::store::pipeline::task;
use crate::worker::loops::service_manager;
use crate::worker::options::OnTerm;
use crate::worker::stop_flag::Ended;

/// How long to wait for the end of the threads, in milliseconds. Then the process ends, which is
/// equivalent to a crash; or, inside another program, the lock stays.
const JOIN_MS: u64 = 5_000;
/// How long the monitors may take to close the file, in milliseconds.
const CLOSE_MS: u64 = 1_000;

/// Longest wait of the main thread, in milliseconds.
const WAIT_MS: u64 = 60_000;
/// Interval between two checks of a draining worker whether its runs have ended, in milliseconds.
const DRAIN_LOOK_MS: u64 = 50;

/// What an embedding program is told if it does not get the lock back.
const HAS_NOT_ENDED: &str =
    "a thread of the worker has not ended, and may still write; no worker of the file can start until it has";

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
            if self.ctx.is_stopping() && self.ctx.busy() <= self.left_to_shims(orders_seen) {
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
                        self.end_runs_if_asked(orders, true);
                        break Ended::Asked;
                    }
                    self.drain(orders_seen);
                },
                recv(self.ctx.stop.end_waker()) -> _ => {}
                default(Duration::from_millis(at_most)) => {}
            }
        };
        match &ended {
            Ended::Fatal(_) => self.end_runs_if_asked(orders, false),
            // The runs are the other worker's, even if these are to end with this one.
            Ended::Superseded(_) if self.ctx.options.on_term != Some(OnTerm::Detach) => {
                self.end_runs_if_nothing_survives(orders, false);
            }
            _ => {}
        }
        self.stop(ended)
    }

    /// The worker was told to detach, or cannot trust its file: ends the runs if `--on-term end` is
    /// set, or if they would not survive it.
    pub(super) fn end_runs_if_asked(&self, orders: &Receiver<Order>, may_settle: bool) {
        match self.ctx.options.on_term {
            Some(OnTerm::End) => shutdown::end_runs(&self.ctx, orders, None, may_settle),
            Some(OnTerm::Detach) => {}
            Some(OnTerm::Drain) | None => drop(self.end_runs_if_nothing_survives(orders, may_settle)),
        }
    }

    /// Ends the runs cleanly if the pid namespace ends with the worker, which ends by itself: no
    /// service manager is involved.
    pub fn end_runs_if_namespace_ends(&self, orders: &Receiver<Order>) {
        if self.ctx.busy() > 0
            && let Some(why) = self.surroundings.why_namespace_ends()
        {
            shutdown::end_runs(&self.ctx, orders, Some(why), true);
        }
    }

    /// Ends the runs cleanly if they would not survive the worker; false if there is nothing to
    /// end.
    pub fn end_runs_if_nothing_survives(&self, orders: &Receiver<Order>, may_settle: bool) -> bool {
        if self.ctx.busy() == 0 {
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
        let busy = self.ctx.busy();
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
            log::error!("reading critical stages: {error}");
            Vec::new()
        })
    }

    /// Ends the worker; its runs continue under their shims.
    ///
    /// # Errors
    /// Commits could not be flushed; or, inside another program, [`Error::Stuck`]. A file that
    /// cannot be trusted is not an error here: it is why the worker has ended.
    pub fn stop(self, ended: Ended) -> Result<Summary> {
        let Self { ctx, lock, threads, surroundings } = self;
        if ctx.options.owns_process {
            service_manager::stopping("stopping");
        }
        ctx.end(ended.clone());
        ctx.stop_claiming();
        let left_running = ctx.busy();
        ctx.detach();
        // Its wake thread waits for a hint.
        waker::send(ctx.place());
        // A write that waits for another program's lock is abandoned: what it would settle is in
        // the run files.
        ctx.store.stop_waiting();
        join(threads);
        ctx.run_files.clear(&ctx.store);
        let _no_next_worker_is_misled = std::fs::remove_file(ctx.place().wake_socket());
        let _no_client_is_misled = std::fs::remove_file(ctx.place().handover_socket());
        let flushed = ctx.store.flush_now();
        ctx.pool.close();
        ctx.report.remove();
        let is_free = if ctx.options.owns_process {
            lock.release();
            // The last process to close the file empties its log into it, so that the file alone is
            // complete. Monitors hold it for a moment longer.
            let _the_process_ends = is_last(&ctx, Duration::from_millis(CLOSE_MS));
            true
        } else {
            release_as_last(&lock, &ctx, Duration::from_millis(JOIN_MS))
        };
        drop(ctx);
        if !is_free {
            log::error!("{HAS_NOT_ENDED}");
        }
        let ended = outcome(ended, flushed, is_free)?;
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

/// Returns why the worker has ended. A file that cannot be trusted comes first, then a failed
/// flush: both also keep threads from ending, so that is only a consequence.
///
/// # Errors
/// [`Error::Stuck`] if nothing else is wrong, and the lock is not free.
fn outcome(ended: Ended, flushed: Result<()>, is_free: bool) -> Result<Ended> {
    let still_held = if is_free { String::new() } else { format!("; {HAS_NOT_ENDED}") };
    match ended {
        Ended::Fatal(why) => Ok(Ended::Fatal(why + &still_held)),
        Ended::Superseded(why) => Ok(Ended::Superseded(why + &still_held)),
        _ if flushed.is_err() => flushed.map(|()| ended),
        _ if is_free => Ok(ended),
        _ => Err(Error::Stuck(HAS_NOT_ENDED.into())),
    }
}

/// Releases the lock once no other thread has what is shared, and so none writes any more. If one
/// has it for longer, the lock is released with the last of them: the lock is a part of it, and
/// this returns false.
fn release_as_last<T>(lock: &WorkerLock, shared: &Arc<T>, at_most: Duration) -> bool {
    let is_last = is_last(shared, at_most);
    if is_last {
        lock.release();
    }
    is_last
}

/// Waits until no other thread has it.
fn is_last<T>(shared: &Arc<T>, at_most: Duration) -> bool {
    let until = Instant::now() + at_most;
    while Arc::strong_count(shared) > 1 && Instant::now() < until {
        // There is no event for a count.
        std::thread::sleep(Duration::from_millis(1));
    }
    Arc::strong_count(shared) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::lock::Kind;
    use crate::place::Place;

    fn take(place: &Place) -> Option<Arc<WorkerLock>> {
        WorkerLock::take(place, Kind::Work, 1, "a worker", 0).unwrap().ok().map(Arc::new)
    }

    #[test]
    fn the_lock_is_held_until_no_thread_can_write() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("q.db");
        std::fs::write(&db, "").unwrap(); // No connection is open yet.
        let place = Place::new(db);
        std::fs::create_dir(place.dir()).unwrap();
        let lock = take(&place).unwrap();
        let shared = Arc::new(Arc::clone(&lock));
        let of_a_thread = Arc::clone(&shared);
        assert!(!release_as_last(&lock, &shared, Duration::ZERO));
        drop((lock, shared));
        assert!(take(&place).is_none(), "a thread may still write");
        drop(of_a_thread);
        let lock = take(&place).expect("the last thread has released it");
        assert!(release_as_last(&lock, &Arc::new(()), Duration::ZERO));
        assert!(take(&place).is_some());
    }

    #[test]
    fn a_thread_that_has_not_ended_hides_no_cause() {
        let failed = || Err(Error::io("the commit is not known to be on the disk", std::io::Error::other("I/O error")));
        for is_free in [true, false] {
            for ended in [Ended::Fatal("replaced".into()), Ended::Superseded("replaced".into())] {
                for flushed in [Ok(()), failed()] {
                    let outcome = outcome(ended.clone(), flushed, is_free).unwrap();
                    assert_eq!(std::mem::discriminant(&outcome), std::mem::discriminant(&ended));
                    let why = outcome.fatal().unwrap();
                    assert!(why.starts_with("replaced") && why.ends_with(HAS_NOT_ENDED) != is_free, "{why}");
                }
            }
            assert!(matches!(outcome(Ended::Asked, failed(), is_free), Err(Error::Io { .. })));
        }
        assert_eq!(outcome(Ended::Idle, Ok(()), true).unwrap(), Ended::Idle);
        assert!(matches!(outcome(Ended::Idle, Ok(()), false), Err(Error::Stuck(_))));
    }
}
