//! The thread pool that monitors run on: grows when nobody is free, and keeps its threads for the next run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::monitor::{self, Assignment};
use super::shared::Shared;
use crate::error::{Error, Result};

/// Stack of a monitor's thread, in bytes. SQLite runs on it, which recurses no deeper than an expression does.
const STACK_BYTES: usize = 1 << 20;

/// Hands assignments to threads.
pub(super) struct Pool {
    /// `None` once the worker lets go of its runs.
    tx: Mutex<Option<Sender<Assignment>>>,
    rx: Receiver<Assignment>,
    /// Threads that wait for an assignment, less assignments that wait for a thread.
    free: Arc<AtomicUsize>,
}

impl Pool {
    pub fn new() -> Self {
        let (tx, rx) = unbounded();
        Self { tx: Mutex::new(Some(tx)), rx, free: Arc::new(AtomicUsize::new(0)) }
    }

    /// Gives an assignment to a thread that waits, or to a new one.
    ///
    /// # Errors
    /// When no thread waits and none can be started; the assignment is dropped, and the run is found again by the reaper.
    pub fn assign(&self, shared: &Arc<Shared>, assignment: Assignment) -> Result<()> {
        let waits = self.free.try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if !waits {
            self.grow(shared)?;
        }
        let tx = self.tx.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = tx.as_ref().is_some_and(|tx| tx.send(assignment).is_ok());
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
                while let Ok(assignment) = rx.recv() {
                    monitor::drive(&shared, assignment);
                    free.fetch_add(1, Ordering::SeqCst);
                }
            })
            .map(drop)
            .map_err(|e| Error::io("starting a monitor thread", e))
    }
}
