//! The worker as threads of this process.
//!
//! It holds the worker lock of the file, so there is one for each file on the machine; several
//! files may each have one in the same process. It installs no signal handler, reaps no foreign
//! children, and does not talk to a service manager: that is left to the program, which says with
//! [`WorkerBuilder::end_jobs_on_stop`] that its jobs would not survive it. A crash of the
//! program is a crash of the worker: running jobs continue under their shims, and the next worker
//! of the file adopts them.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::{Queue, start};
use crate::error::{Error, Result};
use crate::store::{Options as StoreOptions, Role};
use crate::units::duration_ms;
use crate::worker::signals::Order;
use crate::worker::{self, OnTerm, Options, SlotsFrom, Until};

/// Settings of a worker, see [`Queue::worker`].
#[must_use = "no worker runs until it is started"]
pub struct WorkerBuilder {
    pub(super) queue: Queue,
    pub(super) options: Options,
}

impl Queue {
    /// Returns the settings of a worker for this file: as many slots as there are CPUs, all queues,
    /// until it is stopped.
    pub fn worker(&self) -> WorkerBuilder {
        WorkerBuilder { queue: self.clone(), options: Options::work() }
    }
}

impl WorkerBuilder {
    /// Runs up to `n` jobs at once, 1 to 10,000. [`Worker::set_slots`] changes that while it runs.
    pub fn slots(mut self, n: usize) -> Self {
        self.options.slots = n;
        self.options.slots_from = SlotsFrom::Named("program".to_owned());
        self
    }

    /// Runs only jobs of these queues.
    pub fn queues(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options.scope.queues = names.into_iter().map(Into::into).collect();
        self
    }

    /// Ends by itself when no job is running and none could start now.
    pub fn until_idle(mut self) -> Self {
        self.options.until = Until::Idle;
        self
    }

    /// Ends by itself when no job is running and none waits for its time.
    pub fn until_empty(mut self) -> Self {
        self.options.until = Until::Empty;
        self
    }

    /// Starts jobs from this program instead of the running one, for a program whose `main` is not
    /// its own: a test, a library.
    ///
    /// It is `tenure`, or another program that begins with [`init`](crate::init), and of the same
    /// version of this crate.
    pub fn helper(mut self, program: impl Into<PathBuf>) -> Self {
        self.options.spawner = Some(program.into());
        self
    }

    /// Prunes jobs that ended longer ago than this.
    pub fn keep(mut self, time: Duration) -> Self {
        self.options.keep_ms = Some(duration_ms(time));
        self
    }

    /// Drops the middle of a log above this size, in bytes, unless the job sets a limit.
    pub fn log_limit(mut self, bytes: u64) -> Self {
        self.options.log_limit_bytes = bytes;
        self
    }

    /// Starts no job while less memory than this is available, in bytes.
    pub fn min_memory(mut self, bytes: u64) -> Self {
        self.options.floors.memory_bytes = Some(bytes);
        self
    }

    /// Starts no job while less space than this is free on the disk of the file, in bytes.
    pub fn min_disk(mut self, bytes: u64) -> Self {
        self.options.floors.disk_bytes = Some(bytes);
        self
    }

    /// Starts no job while the load average of one minute is above this.
    pub fn max_load(mut self, load: f64) -> Self {
        self.options.floors.load_max = Some(load);
        self
    }

    /// Ends the running jobs cleanly at [`Worker::stop`], and if the file cannot be trusted any
    /// more, instead of leaving them to their shims: for a program whose service manager or
    /// container ends everything together with it.
    ///
    /// Each gets TERM and its own grace, and KILL after `within` at the latest. Those that may be
    /// retried are queued again.
    pub fn end_jobs_on_stop(mut self, within: Duration) -> Self {
        self.options.on_term = Some(OnTerm::End);
        self.options.stop_timeout_ms = duration_ms(within);
        self
    }

    /// Starts the worker. It adopts what an earlier one has left before this returns.
    ///
    /// It raises the soft limit of open files of this program to the hard limit; jobs get the
    /// original one.
    ///
    /// # Errors
    /// [`Error::Held`] if the file has a worker already; [`Error::Invalid`] for a setting out of
    /// range, or if [`init`](crate::init) was not called and no helper is set; [`Error::Unfit`] if
    /// the machine or the helper cannot keep the guarantees; [`Error::File`].
    pub fn start(self) -> Result<Worker> {
        if self.options.spawner.is_none() && !start::is_initialized() {
            let remedy = "call tenure::init() first in main, or name a program that does with helper()";
            return Err(Error::Invalid(format!("this program cannot be started again as a spawner; {remedy}")));
        }
        let options = self.store_options();
        let worker = worker::Worker::start(&self.queue.store, options, self.options)?;
        let (orders, ordered) = unbounded();
        let (ending, ended) = bounded::<()>(0);
        let body = move || {
            let _closed_when_it_has_ended = ending;
            worker.wait(&ordered)
        };
        let thread = std::thread::Builder::new()
            .name("worker".into())
            .spawn(body)
            .map_err(|e| Error::io("starting the worker's thread", e))?;
        Ok(Worker { queue: self.queue, orders, ended, thread: Some(thread) })
    }

    /// Returns how the worker opens the file: as the queue does.
    pub(super) fn store_options(&self) -> StoreOptions {
        StoreOptions { role: Role::Worker, allow_older: false, ..self.queue.store.options().clone() }
    }
}

/// A running worker. Dropping it is like [`Worker::stop`] without its result.
#[must_use = "dropping it stops the worker"]
pub struct Worker {
    queue: Queue,
    orders: Sender<Order>,
    /// Closed when the worker has ended.
    ended: Receiver<()>,
    thread: Option<JoinHandle<Result<worker::Summary>>>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    pub ended: Ended,
    /// Runs that continue under their shims; the next worker adopts them.
    pub left_running: usize,
}

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It was stopped.
    Stopped,
    /// Nothing was left to do.
    Idle,
}

impl Worker {
    /// Stops the worker. Running jobs continue under their shims, and the next worker of the file
    /// adopts them. They are ended cleanly if the program says so
    /// ([`WorkerBuilder::end_jobs_on_stop`]), or if no process survives its end, as in a container
    /// whose first process it is.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be trusted any more, or another worker has started on it;
    /// [`Error::Io`] if a commit could not be made durable. Otherwise [`Error::Stuck`] if a thread
    /// of the worker has not ended: the file is free for the next worker when it has.
    pub fn stop(self) -> Result<()> {
        self.end(&[Order::Leave]).map(drop)
    }

    /// Starts no more jobs, waits for the running ones, and stops.
    ///
    /// # Errors
    /// As [`Worker::stop`].
    pub fn drain(self) -> Result<()> {
        self.end(&[Order::Drain]).map(drop)
    }

    /// Cancels the running jobs, waits until their process trees are gone, and stops.
    ///
    /// # Errors
    /// As [`Worker::stop`].
    pub fn cancel(self) -> Result<()> {
        self.end(&[Order::Drain, Order::Drain]).map(drop)
    }

    /// Waits until the worker ends by itself: see [`WorkerBuilder::until_idle`].
    ///
    /// # Errors
    /// As [`Worker::stop`].
    pub fn wait(self) -> Result<Summary> {
        self.end(&[])
    }

    /// Sets how many jobs it runs at once, 1 to 10,000. With fewer slots than running jobs none of
    /// these ends, and none is started until there is room.
    ///
    /// # Errors
    /// As [`Queue::set_slots`].
    pub fn set_slots(&self, n: usize) -> Result<()> {
        self.queue.set_slots(Some(n))
    }

    /// Whether the worker has not ended: by itself, or because the file cannot be trusted any more.
    pub fn is_running(&self) -> bool {
        !self.has_ended_within(Duration::ZERO)
    }

    /// Waits until the worker ends by itself, at most this long; true if it has ended.
    /// [`Worker::wait`] returns why.
    pub fn has_ended_within(&self, at_most: Duration) -> bool {
        self.ended.recv_timeout(at_most) == Err(RecvTimeoutError::Disconnected)
    }

    fn end(mut self, orders: &[Order]) -> Result<Summary> {
        for order in orders {
            let _it_has_ended_by_itself = self.orders.send(*order);
        }
        let thread = self.thread.take().ok_or_else(|| Error::Internal("a worker was ended twice".into()))?;
        let summary = thread.join().map_err(|_| Error::Internal("the worker's thread panicked".into()))??;
        Ok(Summary { ended: why_ended(summary.ended)?, left_running: summary.left_running })
    }
}

/// Returns why a worker ended.
///
/// # Errors
/// The file cannot be trusted any more.
pub(super) fn why_ended(ended: worker::Ended) -> Result<Ended> {
    match ended {
        worker::Ended::Fatal(why) | worker::Ended::Superseded(why) => Err(Error::File(why)),
        worker::Ended::Idle => Ok(Ended::Idle),
        worker::Ended::Asked | worker::Ended::Yielded => Ok(Ended::Stopped),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let _it_has_ended_by_itself = self.orders.send(Order::Leave);
        match thread.join() {
            Ok(Err(error)) => log::error!("stopping the worker: {error}"),
            Err(_) => log::error!("the worker's thread panicked; please report it"),
            Ok(Ok(_)) => {}
        }
    }
}
