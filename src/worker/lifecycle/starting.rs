//! Handles a request to end while a worker starts: it may be waiting for another program's write
//! lock, and no loop of it listens yet.

use std::thread;

use crossbeam_channel::{Receiver, bounded, select};

use super::signals::Order;
use super::start::Worker;
use crate::error::{Error, Result};
use crate::store::{self, Store, engine::locks};
use crate::worker::options::Options;
use crate::worker::stop_flag::Ended;

impl Worker {
    /// Like [`Worker::start`], but obeys `orders` meanwhile: after one, no write waits for another
    /// program's lock any more, and the worker ends before it serves (`None`).
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
                worker.end_runs_if_asked(orders, true);
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

    /// Like [`Worker::start`], and returns an order that arrived meanwhile; after that, no write of
    /// the worker waits for another program's lock.
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
            // The order was received, so it is passed on; it does not matter any more that another
            // process is the worker meanwhile.
            (Err(Error::Held(_)), Some(order)) => Ok(Started::Told { order, worker: None, is_blocked: false }),
            (Err(error), Some(_)) => Err(error),
        }
    }
}

/// Result of starting a worker that obeys orders.
pub enum Started<T> {
    Serves(Box<Worker>),
    /// An order came. The worker, if there is one, must only be stopped.
    Told {
        order: T,
        worker: Option<Box<Worker>>,
        /// It waited for another program's write lock.
        is_blocked: bool,
    },
}

/// Waits for an order.
fn heed<T>(orders: &Receiver<T>, opened: &Receiver<Store>, is_done: &Receiver<()>) -> Option<T> {
    select! {
        recv(orders) -> order => {
            // Before the store is open nothing waits long.
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
