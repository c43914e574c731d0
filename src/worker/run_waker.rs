//! Wakes the thread that watches a run, and tells it why the run is to be stopped, and whether it
//! is to be suspended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};

use crate::error::{Error, Result};
use crate::job::Cause;
use crate::run::machine::boottime_ms;
use crate::store::job::suspend::Wanted;
use crate::sync::lock;

/// Wakes the thread that watches a run, and carries the stop request for that run, if there is one.
#[derive(Debug)]
pub(super) struct RunWaker {
    fd: Arc<OwnedFd>,
    cause: AtomicU8,
    /// Since when the run counts as running, in milliseconds since the boot: the start of its
    /// process, or, before that, of its monitor.
    began_ms: AtomicU64,
    /// The run is suspended, and its limits stand still.
    stands_still: AtomicBool,
    /// Whether it is to be suspended; `None`: no client has asked for anything.
    wanted: Mutex<Option<Wanted>>,
    /// It carries no stop request.
    only_wakes: bool,
    /// Another engine has the run.
    is_launched: bool,
}

impl RunWaker {
    pub fn new() -> Result<Self> {
        Ok(Self { is_launched: false, ..Self::of_launched(Arc::new(descriptor()?)) })
    }

    /// For a run that another engine has: one thread watches all of those, and they share the
    /// descriptor.
    pub fn of_launched(fd: Arc<OwnedFd>) -> Self {
        Self {
            fd,
            cause: AtomicU8::new(0),
            began_ms: AtomicU64::new(boottime_ms()),
            stands_still: AtomicBool::new(false),
            wanted: Mutex::new(None),
            only_wakes: false,
            is_launched: true,
        }
    }

    /// For work that no stop request ends: it wakes, and never has a cause.
    pub fn without_stop_requests() -> Result<Self> {
        Ok(Self { only_wakes: true, ..Self::new()? })
    }

    /// Asks the monitor to stop its run. The first cause counts.
    pub fn request_stop(&self, cause: Cause) {
        if !self.only_wakes {
            let _first = self.cause.compare_exchange(0, cause.code(), Ordering::SeqCst, Ordering::SeqCst);
        }
        self.wake();
    }

    pub fn is_launched(&self) -> bool {
        self.is_launched
    }

    /// Asks the monitor to suspend or to continue its run.
    pub fn want(&self, wanted: Wanted) {
        let before = lock(&self.wanted).replace(wanted);
        if before != Some(wanted) {
            self.wake();
        }
    }

    /// The same of a row that was read before the run could be asked: what was asked since counts.
    pub fn want_at_first(&self, wanted: Wanted) {
        let mut now = lock(&self.wanted);
        if now.is_none() {
            *now = Some(wanted);
            drop(now);
            self.wake();
        }
    }

    /// Returns whether the run is to be suspended.
    pub fn wanted(&self) -> Option<Wanted> {
        *lock(&self.wanted)
    }

    /// Sets since when the run counts as running, in milliseconds since the boot: the start of its
    /// process, and later by the time for which it was suspended.
    pub fn began(&self, at_ms: u64) {
        self.began_ms.store(at_ms, Ordering::SeqCst);
    }

    pub fn limits_stand_still(&self, still: bool) {
        self.stands_still.store(still, Ordering::SeqCst);
    }

    /// Since when the run counts as running, in milliseconds since the boot; `None` while it is
    /// suspended.
    pub fn began_ms(&self) -> Option<u64> {
        let began_ms = self.began_ms.load(Ordering::SeqCst);
        (!self.stands_still.load(Ordering::SeqCst)).then_some(began_ms)
    }

    /// Wakes the monitor without a cause, so that it checks its run.
    pub fn wake(&self) {
        let _full_counter_wakes_as_well = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// Returns why the run must be stopped, if so. Clears the wake-up.
    pub fn cause(&self) -> Option<Cause> {
        let _nothing_woke_it = rustix::io::read(&self.fd, &mut [0u8; 8]);
        self.cause_without_clearing()
    }

    /// The same for one of several that share a wake-up.
    pub fn cause_without_clearing(&self) -> Option<Cause> {
        Cause::from_code(self.cause.load(Ordering::SeqCst))
    }
}

/// Makes the descriptor of a waker.
///
/// # Errors
/// The system gives none.
pub(super) fn descriptor() -> Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| Error::io("making an eventfd", e))
}

impl AsFd for RunWaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_request_keeps_its_first_cause() {
        let waker = RunWaker::new().unwrap();
        assert_eq!(waker.cause(), None);
        waker.request_stop(Cause::Cancel);
        waker.request_stop(Cause::Shutdown);
        assert_eq!(waker.cause(), Some(Cause::Cancel));
        assert_eq!(waker.cause(), Some(Cause::Cancel));
    }

    #[test]
    fn what_only_wakes_never_has_a_cause() {
        let waker = RunWaker::without_stop_requests().unwrap();
        waker.request_stop(Cause::Cancel);
        assert_eq!(waker.cause(), None);
    }
}
