//! How far the end of a worker has progressed: it claims nothing more, it launches nothing more, it
//! has detached from its runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::sync::lock;

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A signal requested it.
    Asked,
    /// Nothing was left to do.
    Idle,
    /// A `work` wanted the lock.
    Yielded,
    /// The store cannot be trusted any more: a flush failed, or the file was replaced.
    Fatal(String),
    /// Another worker has started on the file, and has the runs of this one.
    Superseded(String),
}

impl Ended {
    /// Returns why the file is not this worker's to write any more, if it is not.
    pub fn fatal(&self) -> Option<&str> {
        match self {
            Self::Fatal(why) | Self::Superseded(why) => Some(why),
            Self::Asked | Self::Idle | Self::Yielded => None,
        }
    }
}

/// The end of a worker, as its threads see it.
pub(super) struct StopFlag {
    why: Mutex<Option<Ended>>,
    /// Wakes the threads that pause, and those that wait for the end.
    changed: Condvar,
    stopping: AtomicBool,
    ending_runs: AtomicBool,
    detaching: AtomicBool,
    /// Wakes the main thread when the worker is to end.
    end: Receiver<()>,
    tell_end: Sender<()>,
}

impl StopFlag {
    pub fn new() -> Self {
        let (tell_end, end) = bounded(1);
        Self {
            why: Mutex::new(None),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            ending_runs: AtomicBool::new(false),
            detaching: AtomicBool::new(false),
            end,
            tell_end,
        }
    }

    /// Whether nothing more is claimed.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether nothing more is launched: the runs are being ended together with the worker.
    pub fn is_ending_runs(&self) -> bool {
        self.ending_runs.load(Ordering::SeqCst)
    }

    pub fn set_ending_runs(&self) {
        self.ending_runs.store(true, Ordering::SeqCst);
    }

    /// Whether monitors leave their runs to the shims, without settling them.
    pub fn is_detaching(&self) -> bool {
        self.detaching.load(Ordering::SeqCst)
    }

    pub fn set_detaching(&self) {
        self.detaching.store(true, Ordering::SeqCst);
        // A thread that has read the flag before is waiting once this thread has had the lock.
        drop(self.why.lock());
        self.changed.notify_all();
    }

    /// Ends the worker; the first reason counts.
    pub fn end(&self, why: Ended) {
        let mut ending = lock(&self.why);
        if ending.is_none() {
            log::debug!("the worker ends: {why:?}");
            *ending = Some(why);
        }
        let _told_already = self.tell_end.try_send(());
        self.changed.notify_all();
    }

    /// Returns a channel that becomes readable when the worker must end.
    pub fn end_waker(&self) -> &Receiver<()> {
        &self.end
    }

    /// Returns why the worker ends, once it does; waits at most this long.
    pub fn wait_for_end(&self, at_most: Duration) -> Option<Ended> {
        let why = lock(&self.why);
        let (why, _timeout) = self
            .changed
            .wait_timeout_while(why, at_most, |why| why.is_none() && !self.is_detaching())
            .unwrap_or_else(PoisonError::into_inner);
        why.clone()
    }

    /// Waits this long, or until the worker detaches from its runs.
    pub fn pause(&self, ms: u64) {
        let why = lock(&self.why);
        let _woken = self.changed.wait_timeout_while(why, Duration::from_millis(ms), |_| !self.is_detaching());
    }
}
