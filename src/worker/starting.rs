//! A worker that is told to end while it starts: it may be waiting for another program's write lock, and no loop of it listens yet.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};

use super::options::{Kind, Options};
use super::signals::Order;
use super::start::Worker;
use super::stop_flag::Ended;
use crate::error::{Error, Result};
use crate::host::lock::{Holder, WorkerLock};
use crate::host::waker;
use crate::store::{self, Store, locks};

/// How long a `work` waits for a `run` to give the lock up, in milliseconds.
const YIELD_MS: u64 = 10_000;

impl Worker {
    /// As [`Worker::start`], and heeds `orders` meanwhile: after one, no write waits for another program's lock any more, and the worker ends
    /// before it serves (`None`).
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn start_heeding(
        client: &Store,
        store_options: store::Options,
        options: Options,
        orders: &Receiver<Order>,
    ) -> Result<Option<Self>> {
        match Self::start_unless_told(client, store_options, options, orders)? {
            Started::Serves(worker) => return Ok(Some(*worker)),
            Started::Told { worker: Some(worker), .. } => {
                worker.end_runs_if_asked(orders);
                worker.stop(Ended::Asked)?;
            }
            Started::Told { worker: None, .. } => {}
        }
        if let Some(holder) = locks::writer(client.place()) {
            let db = client.place().db().display();
            log::warn!("told to end while {holder} held the write lock of {db}; nothing was started");
        }
        Ok(None)
    }

    /// As [`Worker::start`], and says what came from `orders` meanwhile; after that, no write of the worker waits for another program's lock.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn start_unless_told<T: Send + 'static>(
        client: &Store,
        store_options: store::Options,
        options: Options,
        orders: &Receiver<T>,
    ) -> Result<Started<T>> {
        let (done, is_done) = bounded::<()>(1);
        let (open, opened) = bounded::<Store>(1);
        let heard = orders.clone();
        let heeds = thread::Builder::new()
            .name("starting".into())
            .spawn(move || heed(&heard, &opened, &is_done))
            .map_err(|e| Error::io("starting the thread that heeds signals", e))?;
        let started = Self::start_with(client, store_options, options, move |store| drop(open.send(store.clone())));
        drop(done);
        match (started, heeds.join().unwrap_or(None)) {
            (started, None) => started.map(|worker| Started::Serves(Box::new(worker))),
            (Ok(worker), Some(order)) => Ok(Started::Told { order, worker: Some(Box::new(worker)), is_blocked: false }),
            (Err(Error::Busy(_)), Some(order)) => Ok(Started::Told { order, worker: None, is_blocked: true }),
            // The order was taken, so it is passed on; that another process is the worker meanwhile does not matter any more.
            (Err(Error::Held(_)), Some(order)) => Ok(Started::Told { order, worker: None, is_blocked: false }),
            (Err(error), Some(_)) => Err(error),
        }
    }
}

/// What became of a worker that heeds orders while it starts.
pub enum Started<T> {
    Serves(Box<Worker>),
    /// An order came. The worker, if it came so far, is only to be stopped.
    Told {
        order: T,
        worker: Option<Box<Worker>>,
        /// It waited for another program's write lock.
        is_blocked: bool,
    },
}

/// The order that came, if any.
fn heed<T>(orders: &Receiver<T>, opened: &Receiver<Store>, is_done: &Receiver<()>) -> Option<T> {
    select! {
        recv(orders) -> order => {
            // Before the store is open nothing waits for long.
            if order.is_ok()
                && let Ok(store) = opened.recv()
            {
                store.stop_waiting();
            }
            order.ok()
        }
        recv(is_done) -> _ => None,
    }
}

/// Becomes the holder of the worker lock; a `tenure run` is asked to give it up.
pub(super) fn take_lock(client: &Store, options: &Options, instance: &str, now_ms: i64) -> Result<WorkerLock> {
    let place = client.place();
    let until = Instant::now() + Duration::from_millis(YIELD_MS);
    loop {
        let holder = match WorkerLock::take(place, options.kind, options.slots, instance, now_ms)? {
            Ok(lock) => return Ok(lock),
            Err(holder) => holder,
        };
        // A worker that was killed while it started a process leaves its lock to that process for an instant.
        let is_dying = holder.is_here() && !Path::new(&format!("/proc/{}", holder.pid)).exists();
        let yields = options.kind == Kind::Work && holder.kind == Kind::Run.as_str();
        if !(is_dying || yields) || Instant::now() > until {
            return Err(refused(&holder));
        }
        if yields {
            waker::ask_to_yield(place);
        }
        // The other lets go within milliseconds; there is no event for a lock that is freed in another process.
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn refused(holder: &Holder) -> Error {
    Error::Held(format!(
        "this file has a worker already ({}, tenure {}); stop it first, or name another file with --db",
        holder.named(),
        holder.kind
    ))
}
