//! A worker that is its whole process, such as `tenure work`: it runs in the calling thread, reaps
//! orphans, and reports to the service manager. Signals and messages are the caller's.

use std::path::Path;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::Queue;
use super::worker::{Ended, WorkerBuilder, why_ended};
use crate::error::{Error, Result};
use crate::host::lock::Holder;
use crate::place::Place;
use crate::run::shutdown::EndRuns;
use crate::units::{count, duration_ms};
use crate::worker::signals::Order;
use crate::worker::{self, Options};

/// Interval between two checks of runs that are being ended, in milliseconds.
const END_POLL_MS: u64 = 20;

/// What a worker leaves behind.
pub(crate) struct Finished {
    /// An error: the file cannot be trusted any more.
    pub ended: Result<Ended>,
    /// Runs that were left to their shims.
    pub left_running: usize,
    /// Why these do not continue without the worker, if they do not.
    pub nothing_survives: Option<&'static str>,
    /// The queue, as the worker had it open.
    pub queue: Queue,
}

impl WorkerBuilder {
    /// Replaces all settings.
    pub(crate) fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets the interval between two rounds of recovery.
    pub(crate) fn tick(mut self, interval: Duration) -> Self {
        self.options.tick_ms = duration_ms(interval);
        self
    }

    /// Runs the worker in this thread until it ends. `None`: an order came before it served.
    /// `started` is called with the path of the file and the number of slots when it serves.
    ///
    /// # Errors
    /// As [`WorkerBuilder::start`]; a commit could not be made durable.
    pub(crate) fn run(self, orders: &Receiver<Order>, started: impl FnOnce(&Path, usize)) -> Result<Option<Finished>> {
        let options = self.store_options();
        let Some(worker) = worker::Worker::start_heeding(&self.queue.store, options, self.options, orders)? else {
            return Ok(None);
        };
        // A worker has the file open once.
        drop(self.queue);
        let queue = Queue::of(worker.store());
        started(queue.path(), worker.slots());
        let worker::Summary { ended, left_running, nothing_survives } = worker.wait(orders)?;
        Ok(Some(Finished { ended: why_ended(ended), left_running, nothing_survives, queue }))
    }
}

/// Ends every run of the file cleanly, with or without a worker, and without opening the file.
/// Returns how many were asked to end. A run that has not ended after `at_most` gets KILL.
///
/// # Errors
/// [`Error::Refused`] if there is a worker, or one starts, unless `beside_worker`: it starts the
/// next job in each slot that becomes free, and that run would be ended as well, until the queue is
/// empty. The run files cannot be listed, or a run does not end.
pub(crate) fn end_runs(file: &Path, at_most: Duration, beside_worker: bool) -> Result<usize> {
    let place = Place::new(std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()));
    let mut ending = EndRuns::new(&place, at_most);
    loop {
        if !beside_worker && let Some(worker) = Holder::read(&place)? {
            return Err(has_worker(&worker));
        }
        let alive = ending.round()?;
        if alive == 0 {
            return Ok(ending.asked());
        }
        if ending.is_over() {
            let left = count(i64::try_from(alive).unwrap_or(i64::MAX), "run", "does not end", "do not end");
            return Err(Error::Stuck(format!("{left}; tenure doctor names the processes")));
        }
        // The runs are not children of this process; each round checks their locks and passes the
        // signals on.
        std::thread::sleep(Duration::from_millis(END_POLL_MS));
    }
}

fn has_worker(worker: &Holder) -> Error {
    // Elsewhere the number is that of another process.
    let how = if worker.is_here() { format!("kill {}", worker.pid) } else { "there, where it runs".to_owned() };
    Error::Refused(format!("the worker of this file ({}) would start the next jobs; end it first: {how}", worker.named()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_is_ended_where_its_number_is_its_own() {
        let here = Holder { pid: 4_711, ..Holder::unknown() };
        assert!(has_worker(&here).to_string().ends_with("end it first: kill 4711"));
        for worker in [Holder::unknown(), Holder { pid_ns: 1, ..here }] {
            let text = has_worker(&worker).to_string();
            assert!(!text.contains("kill") && text.ends_with("where it runs"), "{text}");
        }
    }
}
