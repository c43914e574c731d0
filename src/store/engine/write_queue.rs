//! The write queue: write requests wait here for the thread that runs them.
//!
//! If no write is in progress, the caller writes on its own thread: waking another thread costs
//! more than a small transaction. Requests that arrive meanwhile wait and are handed to the writer
//! thread as one group, so no caller writes for others for longer than one transaction.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::sync::lock;

/// Requests that may wait. When so many wait, the next caller waits until there is room.
const WAITING_MAX: usize = 1_024;
/// Requests in one transaction.
const GROUP_MAX: usize = 256;

pub(in crate::store) struct WriteQueue<R> {
    state: Mutex<State<R>>,
    /// The writer thread has something to do, or must end.
    handed: Condvar,
    /// There may be room.
    room: Condvar,
}

struct State<R> {
    waiting: VecDeque<R>,
    writing: Writing,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    NoThread,
    AThread,
    /// It is the writer thread's turn.
    Handed,
}

/// Result of submitting a request.
pub(in crate::store) enum Submitted<R> {
    /// Write this group, then drop the guard of [`WriteQueue::hand_over`].
    Write(Vec<R>),
    /// Another thread writes it.
    Queued,
    /// The queue is closed; no thread writes it.
    Closed,
}

impl<R> WriteQueue<R> {
    pub(in crate::store) fn new() -> Self {
        let state = State { waiting: VecDeque::new(), writing: Writing::NoThread, closed: false };
        Self { state: Mutex::new(state), handed: Condvar::new(), room: Condvar::new() }
    }

    /// Submits a request. `may_write`: whether this thread may write; otherwise the writer thread
    /// does.
    pub(in crate::store) fn submit(&self, request: R, may_write: bool) -> Submitted<R> {
        let mut state = lock(&self.state);
        while state.waiting.len() >= WAITING_MAX && !state.closed {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Submitted::Closed;
        }
        if state.writing != Writing::NoThread {
            state.waiting.push_back(request);
            return Submitted::Queued;
        }
        if may_write {
            state.writing = Writing::AThread;
            return Submitted::Write(vec![request]);
        }
        state.waiting.push_back(request);
        state.writing = Writing::Handed;
        self.handed.notify_one();
        Submitted::Queued
    }

    /// Returns a guard; dropping it ends the write and hands over the requests that have arrived
    /// meanwhile.
    pub(in crate::store) fn hand_over(&self) -> HandOver<'_, R> {
        HandOver(self)
    }

    fn hand_on(&self) {
        let mut state = lock(&self.state);
        let (next, tell) = if state.waiting.is_empty() { (Writing::NoThread, state.closed) } else { (Writing::Handed, true) };
        state.writing = next;
        if tell {
            self.handed.notify_one();
        }
    }

    /// Returns the next group to the writer thread; `None` when the queue is closed and empty.
    pub(in crate::store) fn next(&self) -> Option<Vec<R>> {
        let mut state = lock(&self.state);
        loop {
            if state.writing == Writing::Handed {
                state.writing = Writing::AThread;
                let n = state.waiting.len().min(GROUP_MAX);
                // A call to the system even if no caller waits, as is each `notify` below.
                if state.waiting.len() >= WAITING_MAX {
                    self.room.notify_all();
                }
                return Some(state.waiting.drain(..n).collect());
            }
            if state.closed && state.writing == Writing::NoThread {
                return None;
            }
            state = self.handed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Closes the queue: waiting requests are still written, new ones are refused.
    pub(in crate::store) fn close(&self) {
        lock(&self.state).closed = true;
        self.handed.notify_one();
        self.room.notify_all();
    }
}

/// See [`WriteQueue::hand_over`].
pub(in crate::store) struct HandOver<'a, R>(&'a WriteQueue<R>);

impl<R> Drop for HandOver<'_, R> {
    fn drop(&mut self) {
        self.0.hand_on();
    }
}

/// One answer, and the caller that waits for it.
pub(in crate::store) struct Answer<T>(Mutex<Given<T>>, Condvar);

struct Given<T> {
    value: Option<T>,
    /// A caller waits, so it must be woken. (The caller that writes itself finds the answer.)
    is_awaited: bool,
}

impl<T> Answer<T> {
    pub(in crate::store) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Given { value: None, is_awaited: false }), Condvar::new()))
    }

    pub(in crate::store) fn give(&self, value: T) {
        let mut given = lock(&self.0);
        given.value = Some(value);
        if given.is_awaited {
            self.1.notify_one();
        }
    }

    pub(in crate::store) fn wait(&self) -> T {
        let mut given = lock(&self.0);
        loop {
            if let Some(value) = given.value.take() {
                return value;
            }
            given.is_awaited = true;
            given = self.1.wait(given).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group<R>(brought: Submitted<R>) -> Option<Vec<R>> {
        match brought {
            Submitted::Write(group) => Some(group),
            Submitted::Queued | Submitted::Closed => None,
        }
    }

    #[test]
    fn the_first_caller_writes_and_the_others_form_one_group() {
        let queue = WriteQueue::new();
        assert_eq!(group(queue.submit(1, true)), Some(vec![1]));
        let writing = queue.hand_over();
        for n in [2, 3, 4] {
            assert!(matches!(queue.submit(n, true), Submitted::Queued));
        }
        drop(writing);
        assert!(matches!(queue.submit(5, true), Submitted::Queued), "the writer thread has its turn before every other writer");
        assert_eq!(queue.next(), Some(vec![2, 3, 4, 5]));
        drop(queue.hand_over());
        assert_eq!(group(queue.submit(6, true)), Some(vec![6]));
    }

    #[test]
    fn a_caller_that_may_not_write_leaves_it_to_the_thread() {
        let queue = WriteQueue::new();
        assert!(matches!(queue.submit(1, false), Submitted::Queued));
        assert_eq!(queue.next(), Some(vec![1]));
    }

    #[test]
    fn a_closed_queue_serves_what_waits_and_takes_no_more() {
        let queue = WriteQueue::new();
        assert!(matches!(queue.submit(1, false), Submitted::Queued));
        queue.close();
        assert!(matches!(queue.submit(2, true), Submitted::Closed));
        assert_eq!(queue.next(), Some(vec![1]));
        drop(queue.hand_over());
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_full_queue_has_room_when_a_group_is_taken() {
        let queue = WriteQueue::new();
        for n in 0..WAITING_MAX {
            assert!(matches!(queue.submit(n, false), Submitted::Queued));
        }
        std::thread::scope(|scope| {
            let late = scope.spawn(|| matches!(queue.submit(WAITING_MAX, true), Submitted::Queued));
            assert_eq!(queue.next().map(|group| group.len()), Some(GROUP_MAX));
            assert!(late.join().unwrap());
        });
    }
}
