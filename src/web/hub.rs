//! What followers of the changes share: the news that the file has changed, and the pages that one
//! of them has read.
//!
//! Each follower has a position of its own and reads on from there, so that it sees each change
//! once. Those at the end have the same position, and one of them reads for all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;

use tokio::sync::watch;

use crate::document::shapes::{change as shape, versioned};
use crate::error::Result;
use crate::job::{Position, State};
use crate::queue::{Change, Queue};
use crate::sync::lock;

/// Pages that are kept.
const PAGES_MAX: usize = 16;
/// Rows of each kind in one page.
const PAGE_ROWS: usize = 256;
/// A change, ready to be sent.
pub struct Line {
    pub position: Position,
    pub queue: String,
    pub label: Option<String>,
    pub state: Option<State>,
    /// The document.
    pub text: String,
}

/// Some changes after a position.
pub struct Page {
    from: Position,
    pub next: Position,
    pub is_full: bool,
    pub lines: Vec<Line>,
}

/// What followers share.
pub struct Live {
    pages: Mutex<VecDeque<Arc<Page>>>,
    /// Counts how often the file may have changed.
    changed: watch::Sender<u64>,
    thread: OnceLock<Thread>,
}

impl Default for Live {
    fn default() -> Self {
        Self { pages: Mutex::default(), changed: watch::channel(0).0, thread: OnceLock::new() }
    }
}

impl Live {
    /// Returns a receiver that is told when the file may have changed.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        let receiver = self.changed.subscribe();
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        receiver
    }

    /// Returns the changes after a position, from memory or from the file.
    ///
    /// # Errors
    /// The file has no such position, or cannot be read.
    pub fn page(&self, queue: &Queue, from: Position) -> Result<Arc<Page>> {
        // Others that wait for the same page find it.
        let mut pages = lock(&self.pages);
        if let Some(page) = pages.iter().find(|page| page.from == from) {
            return Ok(Arc::clone(page));
        }
        let read = queue.changes_page(from, PAGE_ROWS)?;
        let page =
            Arc::new(Page { from, next: read.next, is_full: read.is_full, lines: read.changes.iter().map(Line::of).collect() });
        if page.next != from {
            pages.push_back(Arc::clone(&page));
            if pages.len() > PAGES_MAX {
                pages.pop_front();
            }
        }
        Ok(page)
    }

    /// Tells all followers that the file may have changed.
    pub fn tell(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Names the thread that waits for changes, which a new follower wakes.
    pub fn watched_by(&self, thread: Thread) {
        let _once = self.thread.set(thread);
    }

    /// Forgets all pages: no client needs them, or they are of another file.
    pub fn forget(&self) {
        lock(&self.pages).clear();
    }
}

impl Line {
    pub fn of(change: &Change) -> Self {
        Self {
            position: change.position,
            queue: change.queue.clone(),
            label: change.label.clone(),
            state: change.state,
            text: versioned(shape(change)).to_string(),
        }
    }
}
