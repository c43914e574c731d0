//! The changes of all jobs, in one order, for a program that follows them.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;

use super::Queue;
use super::changes::{Changes, Heard};
use crate::clock::time_of;
use crate::error::Result;
use crate::job::{JobId, Position, RunId, State};
use crate::store::job::stream;

/// Rows of each kind that are read at a time.
const PAGE_ROWS: usize = 256;

/// A change of a job, see [`Queue::changes`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The position after it: a reader that continues there sees every later change once.
    pub position: Position,
    pub at: SystemTime,
    pub job: JobId,
    pub run: Option<RunId>,
    /// A word such as `added`, `claimed`, `done`.
    pub kind: String,
    /// The state that the job entered, if it entered one.
    pub state: Option<State>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    /// The queue of the job as it is now.
    pub queue: String,
    /// The label of the job as it is now.
    pub label: Option<String>,
}

/// Some changes, and where to continue.
pub(crate) struct ChangesPage {
    pub changes: Vec<Change>,
    pub next: Position,
    /// There may be more.
    pub is_full: bool,
}

/// The changes of all jobs, see [`Queue::changes`]. An iterator.
pub struct ChangeStream {
    queue: Queue,
    next: Position,
    read: VecDeque<Change>,
    follow: bool,
    /// The last read has found the newest change.
    is_at_end: bool,
    changes: Changes,
}

impl Queue {
    /// Returns every change of a job after a position, oldest first: that it was added, claimed,
    /// ended, held, and so on. Each is durable when it is returned. What was pruned is not among
    /// them.
    ///
    /// A program that stores the [`position`](Change::position) of the last change that it has
    /// handled, and continues there, handles each change exactly once, however often it is
    /// restarted.
    pub fn changes(&self, after: Position) -> ChangeStream {
        let read = VecDeque::new();
        ChangeStream { queue: self.clone(), next: after, read, follow: false, is_at_end: false, changes: Changes::default() }
    }

    /// Returns about `rows` changes of each kind after a position, which are durable then.
    ///
    /// # Errors
    /// The file has no such position, or cannot be read.
    pub(crate) fn changes_page(&self, from: Position, rows: usize) -> Result<ChangesPage> {
        let page = self.store.read(|conn| stream::page(conn, from, rows))?;
        if page.next != from {
            // After a power cut, the numbers of what was lost are given out again.
            self.store.flush_now()?;
        }
        let changes = page.changes.into_iter().map(Change::of).collect();
        Ok(ChangesPage { changes, next: page.next, is_full: page.is_full })
    }

    /// Returns the position after the newest change, if the file has this one.
    ///
    /// # Errors
    /// It has not, or cannot be read.
    #[cfg(feature = "web")]
    pub(crate) fn newest_of(&self, position: Position) -> Result<Position> {
        self.store.read(move |conn| stream::newest_of(conn, position))
    }

    /// Returns the position after the newest change.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest_position(&self) -> Result<Position> {
        self.store.read(stream::newest)
    }
}

impl ChangeStream {
    /// Waits for later changes, without end.
    #[must_use = "it reads nothing until it is read"]
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// Reads the next changes. `false`: there is none now.
    fn fill(&mut self) -> Result<bool> {
        // Before the rows are read, so that a commit in between is seen by the next poll.
        let may_be_new = self.changes.poll(&self.queue.store)? || !self.is_at_end;
        if !may_be_new {
            return Ok(false);
        }
        // If the read fails, there is still something to read.
        self.is_at_end = false;
        let from = self.next;
        let page = self.queue.changes_page(from, PAGE_ROWS)?;
        if page.next != from {
            self.changes.stir();
        }
        self.is_at_end = !page.is_full;
        self.next = page.next;
        self.read.extend(page.changes);
        Ok(page.next != from)
    }

    /// Returns what was read; at the end of a file that is not followed, `None`.
    #[cfg(feature = "cli")]
    pub(crate) fn read_on(&mut self) -> Result<Option<Vec<Change>>> {
        while self.read.is_empty() && self.fill()? {}
        let is_over = self.read.is_empty() && !self.follow;
        Ok((!is_over).then(|| self.read.drain(..).collect()))
    }

    /// Waits until there may be more. Returns false if the reader of a descriptor has gone.
    pub(crate) fn wait(&mut self, reader: Option<BorrowedFd<'_>>) -> bool {
        // Only errors are reported.
        let reader: Vec<_> = reader.map(|fd| (fd, PollFlags::empty())).into_iter().collect();
        self.changes.wait(&self.queue.store, &reader, Duration::MAX) != Heard::Other
    }
}

impl Iterator for ChangeStream {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(change) = self.read.pop_front() {
                return Some(Ok(change));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) if !self.follow => return None,
                Ok(false) => _ = self.wait(None),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Change {
    fn of(row: stream::Change) -> Self {
        let state = row.state();
        let stream::Change { position, at, job, run, kind, reason, detail, queue, label } = row;
        Self { position, at: time_of(at), job, run, kind, state, reason, detail, queue, label }
    }
}
