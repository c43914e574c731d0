//! The thread pool that monitors and errands run on: grows when nobody is free, and keeps its threads for the next run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::monitor::{self, Assignment};
use super::shared::Shared;
use crate::error::{Error, Result};

/// Stack of a monitor's thread, in bytes. SQLite runs on it, which recurses no deeper than an expression does.
const STACK_BYTES: usize = 1 << 20;

/// What a thread is given.
pub(super) enum Work {
    Run(Assignment),
    Errand(Task),
}

/// Something to be done once, on a thread of its own.
pub(super) type Task = Box<dyn FnOnce(&Arc<Shared>) + Send>;

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
    pub fn assign(&self, shared: &Arc<Shared>, work: Work) -> Result<()> {
        let waits = self.free.try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if !waits {
            self.grow(shared)?;
        }
        let tx = self.tx.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = tx.as_ref().is_some_and(|tx| tx.send(work).is_ok());
        if sent { Ok(()) } else { Err(Error::Refused("the worker is ending".into())) }
    }

    /// Threads end when they have done what they were given.
    pub fn close(&self) {
        self.tx.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn grow(&self, shared: &Arc<Shared>) -> Result<()> {
        let (shared, rx, free) = (Arc::clone(shared), self.rx.clone(), Arc::clone(&self.free));
        std::thread::Builder::new()
            .name("monitor".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Ok(work) = rx.recv() {
                    match work {
                        Work::Run(assignment) => monitor::drive(&shared, assignment),
                        Work::Errand(errand) => errand(&shared),
                    }
                    free.fetch_add(1, Ordering::SeqCst);
                }
            })
            .map(drop)
            .map_err(|e| Error::io("starting a monitor thread", e))
    }
}
