//! The thread pool that monitors and errands run on: grows when no thread is free, and keeps its threads for the next run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::context::Context;
use super::monitor::{self, Assignment};
use super::roster::Roster;
use crate::error::{Error, Result};

/// Stack of a monitor's thread, in bytes. SQLite runs on it, which recurses no deeper than an expression does.
const STACK_BYTES: usize = 1 << 20;

/// What a thread is given.
pub(super) enum Work {
    Run(Assignment),
    Errand(Task),
}

/// Something to be done once, on a thread of its own.
pub(super) type Task = Box<dyn FnOnce(&Arc<Context>) + Send>;

/// Hands work to threads.
pub(super) struct Pool {
    /// `None` once the worker lets go of its runs.
    tx: Mutex<Option<Sender<Work>>>,
    rx: Receiver<Work>,
    /// Threads that wait for work, less work that waits for a thread.
    free: Arc<AtomicUsize>,
}

impl Pool {
    pub fn new() -> Self {
        let (tx, rx) = unbounded();
        Self { tx: Mutex::new(Some(tx)), rx, free: Arc::new(AtomicUsize::new(0)) }
    }

    /// Gives work to a thread that waits, or to a new one.
    ///
    /// # Errors
    /// When no thread waits and none can be started; the work is dropped, and the run is found again by the reaper.
    pub fn assign(&self, ctx: &Arc<Context>, work: Work) -> Result<()> {
        self.assign_or_drop(&ctx.roster, work, || self.grow(ctx))
    }

    /// What is dropped leaves the roster, after its run file: else the reaper would leave it alone for good.
    fn assign_or_drop(&self, roster: &Roster, work: Work, grow: impl FnOnce() -> Result<()>) -> Result<()> {
        let run = match &work {
            Work::Run(assignment) => Some(assignment.identity()),
            Work::Errand(_) => None,
        };
        let given = self.give(work, grow);
        if let (Err(_), Some((run, slot))) = (&given, run) {
            roster.disown(run);
            roster.free_slot(slot);
        }
        given
    }

    /// As [`Pool::assign`], for a job that was just claimed: gives it back where there is no thread for it.
    pub fn assign_start(&self, ctx: &Arc<Context>, start: Assignment) -> std::result::Result<(), (Error, Assignment)> {
        if let Err(error) = self.reserve(|| self.grow(ctx)) {
            return Err((error, start));
        }
        let run = start.identity();
        if self.send(Work::Run(start)).is_err() {
            // The worker lets go of its runs: the next one finds it.
            ctx.roster.disown(run.0);
            ctx.roster.free_slot(run.1);
        }
        Ok(())
    }

    fn give(&self, work: Work, grow: impl FnOnce() -> Result<()>) -> Result<()> {
        self.reserve(grow)?;
        self.send(work)
    }

    /// A thread that waits is kept for us, or a new one is started.
    fn reserve(&self, grow: impl FnOnce() -> Result<()>) -> Result<()> {
        let waits = self.free.try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if waits { Ok(()) } else { grow() }
    }

    fn send(&self, work: Work) -> Result<()> {
        let tx = self.tx.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = tx.as_ref().is_some_and(|tx| tx.send(work).is_ok());
        if sent { Ok(()) } else { Err(Error::Refused("the worker is ending".into())) }
    }

    /// Threads end when they have done what they were given.
    pub fn close(&self) {
        self.tx.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn grow(&self, ctx: &Arc<Context>) -> Result<()> {
        let (ctx, rx, free) = (Arc::clone(ctx), self.rx.clone(), Arc::clone(&self.free));
        std::thread::Builder::new()
            .name("monitor".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Ok(work) = rx.recv() {
                    match work {
                        Work::Run(assignment) => monitor::drive(&ctx, assignment),
                        Work::Errand(errand) => errand(&ctx),
                    }
                    free.fetch_add(1, Ordering::SeqCst);
                }
            })
            .map(drop)
            .map_err(|e| Error::io("starting a monitor thread", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Argv, NewJob, Nonce, RunId};
    use crate::store::claim::{self, Scope};
    use crate::store::ids::Prepared;
    use crate::store::{enqueue, fixture, reap};

    #[test]
    fn a_run_that_no_thread_can_be_found_for_is_left_to_the_reaper_and_gives_its_slot_back() {
        let conn = fixture::fresh();
        enqueue::add(&conn, &[NewJob::new(Argv::from_strs(&["true"]).unwrap())], 1).unwrap();
        let prepared = [Prepared { run: RunId(1), nonce: Nonce([1; 16]) }];
        assert_eq!(claim::claim(&conn, &Scope::default(), &prepared, "w", "b", 2).unwrap().len(), 1);
        let (roster, pool) = (Roster::default(), Pool::new());
        for refusal in ["no thread can be started", "the worker lets go"] {
            let open = Box::new(reap::open_runs(&conn).unwrap().remove(0));
            roster.own(RunId(1));
            let work = Work::Run(Assignment::Adopt { open, slot: roster.take_slot() });
            let given = pool.assign_or_drop(&roster, work, || match refusal {
                "the worker lets go" => Ok(()),
                no_thread => Err(Error::Refused(no_thread.into())),
            });
            assert!(given.is_err(), "{refusal}");
            assert!(!roster.owns(RunId(1)) && roster.busy() == 0, "{refusal}");
            pool.close();
        }
    }
}
