//! The thread pool for monitors and teardowns: grows when no thread is free, and keeps its threads
//! for later work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::error::{Error, Result};
use crate::sync::lock;

/// Stack of a thread, in bytes. SQLite runs on it, which recurses only as deep as an expression.
const STACK_BYTES: usize = 1 << 20;

/// What a thread does.
type Work = Box<dyn FnOnce() + Send>;

/// Hands work to threads.
pub(super) struct Pool {
    /// `None` once the worker detaches from its runs.
    tx: Mutex<Option<Sender<Work>>>,
    rx: Receiver<Work>,
    /// Threads that wait for work, less work that waits for a thread.
    free: Arc<AtomicUsize>,
}

/// A thread that is reserved for one piece of work. Dropping it unused frees the thread.
pub(super) struct Seat<'a> {
    pool: &'a Pool,
}

impl Pool {
    pub fn new() -> Self {
        let (tx, rx) = unbounded();
        Self { tx: Mutex::new(Some(tx)), rx, free: Arc::new(AtomicUsize::new(0)) }
    }

    /// Reserves a free thread, or starts a new one.
    ///
    /// # Errors
    /// No thread is free and none can be started.
    pub fn reserve(&self) -> Result<Seat<'_>> {
        self.reserve_or(|| self.grow())
    }

    fn reserve_or(&self, grow: impl FnOnce() -> Result<()>) -> Result<Seat<'_>> {
        let waits = self.free.try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if !waits {
            grow()?;
        }
        Ok(Seat { pool: self })
    }

    /// Lets threads end when they have done their work.
    pub fn close(&self) {
        lock(&self.tx).take();
    }

    fn grow(&self) -> Result<()> {
        let (rx, free) = (self.rx.clone(), Arc::clone(&self.free));
        std::thread::Builder::new()
            .name("monitor".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Ok(work) = rx.recv() {
                    work();
                    free.fetch_add(1, Ordering::SeqCst);
                }
            })
            .map(drop)
            .map_err(|e| Error::io("starting a monitor thread", e))
    }
}

impl Seat<'_> {
    /// Gives the thread its work.
    ///
    /// # Errors
    /// The worker is ending: the work is dropped.
    pub fn run(self, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let tx = lock(&self.pool.tx);
        let sent = tx.as_ref().is_some_and(|tx| tx.send(Box::new(work)).is_ok());
        drop(tx);
        std::mem::forget(self);
        if sent { Ok(()) } else { Err(Error::Refused("the worker is ending".into())) }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.pool.free.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_seat_is_free_again_and_a_closed_pool_drops_its_work() {
        let pool = Pool::new();
        assert!(pool.reserve_or(|| Err(Error::Refused("no thread can be started".into()))).is_err());
        drop(pool.reserve_or(|| Ok(())).unwrap());
        let seat = pool.reserve_or(|| panic!("a thread waits")).unwrap();
        pool.close();
        let held = Arc::new(());
        let given = Arc::clone(&held);
        assert!(seat.run(move || drop(given)).is_err());
        assert_eq!(Arc::strong_count(&held), 1, "what the work owned was dropped with it");
    }
}
