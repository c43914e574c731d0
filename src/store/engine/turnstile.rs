//! The queue of tenure's processes for the write lock.
//!
//! SQLite waits for its lock by polling, which is unfair: one process may commit thousands of times
//! while another does not get the lock once. A single lock file is unfair too, since the process
//! that releases it takes it again before the others wake up. Two lock files form a queue: lock the
//! gate, lock the turn, unlock the gate, write, unlock the turn. Only one process waits for the
//! turn, and the one that has just written must pass the gate again.
//!
//! This is for fairness only; SQLite's lock is what separates the writers. So a stopped holder is
//! bypassed after two seconds, and programs other than tenure do not take part.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result, words};
use crate::owner;
use crate::place::Place;
use crate::store::engine::seldom::Seldom;

/// How long a process waits in the queue before it bypasses it, in milliseconds: longer than a
/// worker holds up the writers (`hold_up`).
const WAIT_MS: u64 = 2_000;

/// One thread's place in the queue. Each thread that writes has its own: two threads that share one
/// would be admitted together.
pub(in crate::store) struct Turnstile {
    locks: Arc<Locks>,
    waiter: Option<Waiter>,
    told: Seldom,
}

struct Locks {
    gate: File,
    turn: File,
}

/// The right to write next, released when it is dropped.
pub(in crate::store) struct Turn {
    held: Option<Arc<Locks>>,
}

impl Turn {
    /// Whether the turn was granted or the queue was bypassed.
    #[cfg(test)]
    fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(locks) = &self.held {
            unlock(&locks.turn);
        }
    }
}

impl Turnstile {
    pub(in crate::store) fn open(place: &Place) -> Result<Self> {
        let open = |path: std::path::PathBuf| {
            owner::open_or_make(&path, place.dir())
                .map_err(|error| Error::File(format!("{} cannot be opened: {}", path.display(), words(&error))))
        };
        let locks = Arc::new(Locks { gate: open(place.gate())?, turn: open(place.turn())? });
        Ok(Self { locks, waiter: None, told: Seldom::default() })
    }

    /// Waits for the turn, or bypasses the queue. An earlier [`Turn`] must have been dropped.
    pub(in crate::store) fn take(&mut self) -> Turn {
        if self.waiter.as_ref().is_some_and(Waiter::is_still_waiting) {
            return self.pass_by();
        }
        if !try_lock(&self.locks.gate) {
            return self.wait(Ask::GateAndTurn);
        }
        if !try_lock(&self.locks.turn) {
            return self.wait(Ask::Turn);
        }
        unlock(&self.locks.gate);
        self.held()
    }

    fn held(&mut self) -> Turn {
        self.told.over();
        Turn { held: Some(self.locks.clone()) }
    }

    fn pass_by(&mut self) -> Turn {
        if self.told.now() {
            log::warn!("a process of tenure keeps its turn to write for more than {WAIT_MS} ms; it is passed by");
        }
        Turn { held: None }
    }

    fn wait(&mut self, ask: Ask) -> Turn {
        let waiter = match &self.waiter {
            Some(waiter) => waiter,
            None => match Waiter::start(self.locks.clone()) {
                Ok(waiter) => self.waiter.insert(waiter),
                Err(error) => {
                    log::warn!("no thread to wait for our turn to write: {error}");
                    if matches!(ask, Ask::Turn) {
                        unlock(&self.locks.gate);
                    }
                    return Turn { held: None };
                }
            },
        };
        if waiter.wait(ask) { self.held() } else { self.pass_by() }
    }
}

#[derive(Clone, Copy)]
enum Ask {
    GateAndTurn,
    /// The gate is already held.
    Turn,
}

/// A thread for the blocking calls, since `flock` has no timeout. It may be blocked for as long as
/// another process is stopped; no caller waits for it then, and it ends with this process.
struct Waiter {
    ask: Sender<Ask>,
    granted: Receiver<()>,
    step: Arc<AtomicU8>,
}

/// Nothing was asked, or it has been answered.
const IDLE: u8 = 0;
const WAITING: u8 = 1;
/// The caller has bypassed the queue: release what is granted.
const ABANDONED: u8 = 2;

impl Waiter {
    fn start(locks: Arc<Locks>) -> std::io::Result<Self> {
        let (ask, asked) = bounded::<Ask>(1);
        let (grant, granted) = bounded(1);
        let step = Arc::new(AtomicU8::new(IDLE));
        let shared = step.clone();
        thread::Builder::new().name("tenure-turn".into()).spawn(move || {
            for ask in asked {
                stand_in_line(&locks, ask);
                if shared.compare_exchange(WAITING, IDLE, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    let _ = grant.send(());
                } else {
                    unlock(&locks.turn);
                    shared.store(IDLE, Ordering::SeqCst);
                }
            }
        })?;
        Ok(Self { ask, granted, step })
    }

    fn is_still_waiting(&self) -> bool {
        self.step.load(Ordering::SeqCst) != IDLE
    }

    /// Whether the turn was granted. False after [`WAIT_MS`].
    fn wait(&self, ask: Ask) -> bool {
        self.step.store(WAITING, Ordering::SeqCst);
        if self.ask.send(ask).is_err() {
            self.step.store(IDLE, Ordering::SeqCst);
            return false;
        }
        if self.granted.recv_timeout(Duration::from_millis(WAIT_MS)).is_ok() {
            return true;
        }
        if self.step.compare_exchange(WAITING, ABANDONED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return false;
        }
        // It was granted just now, and the message is on its way.
        self.granted.recv().is_ok()
    }
}

fn stand_in_line(locks: &Locks, ask: Ask) {
    if matches!(ask, Ask::GateAndTurn) {
        lock_blocking(&locks.gate);
    }
    lock_blocking(&locks.turn);
    unlock(&locks.gate);
}

fn lock_blocking(file: &File) {
    while let Err(rustix::io::Errno::INTR) = flock(file, FlockOperation::LockExclusive) {}
}

fn try_lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn unlock(file: &File) {
    // It can only fail for a descriptor that is not open.
    let _ = flock(file, FlockOperation::Unlock);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &tempfile::TempDir) -> Place {
        let place = Place::new(dir.path().join("t.db"));
        std::fs::create_dir(place.dir()).unwrap();
        place
    }

    #[test]
    fn the_turn_is_held_by_one_and_goes_to_the_one_who_waits() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        let (mut a, mut b) = (Turnstile::open(&place).unwrap(), Turnstile::open(&place).unwrap());
        let first = a.take();
        assert!(first.is_held());
        let waiting = thread::spawn(move || {
            let turn = b.take();
            let held = turn.is_held();
            drop(turn);
            (held, b)
        });
        // The other process waits for the turn and holds the gate as soon as the gate is locked.
        let gate = File::open(place.gate()).unwrap();
        while try_lock(&gate) {
            unlock(&gate);
            thread::yield_now();
        }
        drop(first);
        let (held, mut b) = waiting.join().unwrap();
        assert!(held);
        assert!(a.take().is_held());
        assert!(b.take().is_held());
    }

    #[test]
    fn a_stuck_holder_is_bypassed_and_blocks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        let (mut a, mut b) = (Turnstile::open(&place).unwrap(), Turnstile::open(&place).unwrap());
        let stuck = a.take();
        assert!(!b.take().is_held(), "after the wait it passes by");
        assert!(!b.take().is_held(), "and then at once, as its waiter is still in line");
        drop(stuck);
        let waiter = b.waiter.as_ref().unwrap();
        while waiter.is_still_waiting() {
            thread::yield_now();
        }
        assert!(a.take().is_held(), "the waiter gave back a lock that no caller wanted any more");
        assert!(b.take().is_held());
    }
}
