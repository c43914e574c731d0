//! The desk: where requests to write wait, and who sees to them.
//!
//! If no write is in progress, the caller writes on its own thread: no other has to be woken, and to wake one and to be woken by it costs more than a
//! small transaction. What comes meanwhile waits, and is handed to the writer thread as one group, so no caller writes for others for
//! longer than one transaction.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::sync::lock;

/// Requests that wait. Who comes when so many wait already, waits until there is room.
const WAITING_MAX: usize = 1_024;
/// Requests in one transaction.
const GROUP_MAX: usize = 256;

pub(in crate::store) struct Desk<R> {
    state: Mutex<State<R>>,
    /// The writer thread has something to do, or nothing ever again.
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

/// What becomes of a request that was brought.
pub(in crate::store) enum Brought<R> {
    /// See to this group, and then drop what [`Desk::hands_on`] gives.
    Write(Vec<R>),
    /// Another thread does.
    Left,
    /// No thread does any more.
    Closed,
}

impl<R> Desk<R> {
    pub(in crate::store) fn new() -> Self {
        let state = State { waiting: VecDeque::new(), writing: Writing::NoThread, closed: false };
        Self { state: Mutex::new(state), handed: Condvar::new(), room: Condvar::new() }
    }

    /// Brings a request. `may_write`: whether this thread may be the one to write; otherwise the writer thread is.
    pub(in crate::store) fn bring(&self, request: R, may_write: bool) -> Brought<R> {
        let mut state = lock(&self.state);
        while state.waiting.len() >= WAITING_MAX && !state.closed {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Brought::Closed;
        }
        if state.writing != Writing::NoThread {
            state.waiting.push_back(request);
            return Brought::Left;
        }
        if may_write {
            state.writing = Writing::AThread;
            return Brought::Write(vec![request]);
        }
        state.waiting.push_back(request);
        state.writing = Writing::Handed;
        self.handed.notify_one();
        Brought::Left
    }

    /// When this is dropped, a group was seen to, and what has come meanwhile is handed on.
    pub(in crate::store) fn hands_on(&self) -> HandsOn<'_, R> {
        HandsOn(self)
    }

    fn hand_on(&self) {
        let mut state = lock(&self.state);
        let (next, tell) = if state.waiting.is_empty() { (Writing::NoThread, state.closed) } else { (Writing::Handed, true) };
        state.writing = next;
        if tell {
            self.handed.notify_one();
        }
    }

    /// For the writer thread: the next group; `None` when the desk is closed and empty.
    pub(in crate::store) fn next(&self) -> Option<Vec<R>> {
        let mut state = lock(&self.state);
        loop {
            if state.writing == Writing::Handed {
                state.writing = Writing::AThread;
                let n = state.waiting.len().min(GROUP_MAX);
                self.room.notify_all();
                return Some(state.waiting.drain(..n).collect());
            }
            if state.closed && state.writing == Writing::NoThread {
                return None;
            }
            state = self.handed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing more is taken; what waits is seen to.
    pub(in crate::store) fn close(&self) {
        lock(&self.state).closed = true;
        self.handed.notify_one();
        self.room.notify_all();
    }
}

/// See [`Desk::hands_on`].
pub(in crate::store) struct HandsOn<'a, R>(&'a Desk<R>);

impl<R> Drop for HandsOn<'_, R> {
    fn drop(&mut self) {
        self.0.hand_on();
    }
}

/// One answer, and who waits for it.
pub(in crate::store) struct Answer<T>(Mutex<Option<T>>, Condvar);

impl<T> Answer<T> {
    pub(in crate::store) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None), Condvar::new()))
    }

    pub(in crate::store) fn give(&self, value: T) {
        *lock(&self.0) = Some(value);
        self.1.notify_one();
    }

    pub(in crate::store) fn wait(&self) -> T {
        let mut answer = lock(&self.0);
        loop {
            match answer.take() {
                Some(value) => return value,
                None => answer = self.1.wait(answer).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group<R>(brought: Brought<R>) -> Option<Vec<R>> {
        match brought {
            Brought::Write(group) => Some(group),
            Brought::Left | Brought::Closed => None,
        }
    }

    #[test]
    fn who_comes_first_writes_and_the_others_are_one_group() {
        let desk = Desk::new();
        assert_eq!(group(desk.bring(1, true)), Some(vec![1]));
        let writing = desk.hands_on();
        for n in [2, 3, 4] {
            assert!(matches!(desk.bring(n, true), Brought::Left));
        }
        drop(writing);
        assert!(matches!(desk.bring(5, true), Brought::Left), "the writer thread has its turn before anybody else");
        assert_eq!(desk.next(), Some(vec![2, 3, 4, 5]));
        drop(desk.hands_on());
        assert_eq!(group(desk.bring(6, true)), Some(vec![6]));
    }

    #[test]
    fn who_may_not_write_leaves_it_to_the_writer_thread() {
        let desk = Desk::new();
        assert!(matches!(desk.bring(1, false), Brought::Left));
        assert_eq!(desk.next(), Some(vec![1]));
    }

    #[test]
    fn what_waits_at_a_closed_desk_is_seen_to_and_nothing_more_is_taken() {
        let desk = Desk::new();
        assert!(matches!(desk.bring(1, false), Brought::Left));
        desk.close();
        assert!(matches!(desk.bring(2, true), Brought::Closed));
        assert_eq!(desk.next(), Some(vec![1]));
        drop(desk.hands_on());
        assert_eq!(desk.next(), None);
    }

    #[test]
    fn a_full_desk_has_room_again_when_a_group_is_taken() {
        let desk = Desk::new();
        for n in 0..WAITING_MAX {
            assert!(matches!(desk.bring(n, false), Brought::Left));
        }
        std::thread::scope(|scope| {
            let late = scope.spawn(|| matches!(desk.bring(WAITING_MAX, true), Brought::Left));
            assert_eq!(desk.next().map(|group| group.len()), Some(GROUP_MAX));
            assert!(late.join().unwrap());
        });
    }
}
