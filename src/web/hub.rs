//! What followers of the changes share: the news that the file has changed, and the pages that one
//! of them has read.
//!
//! Each follower has a position of its own and reads on from there, so that it sees each change
//! once. Those at the end have the same position, and one of them reads for all; the others find
//! that page for a moment, and later ones what the file has then.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::watch;

use crate::document::shapes::{change as shape, versioned};
use crate::error::Result;
use crate::job::{Position, State};
use crate::queue::{Change, ChangesPage, Queue};
use crate::sync::lock;

/// Pages that are kept.
const PAGES_MAX: usize = 16;
/// Rows of each kind in one page.
const PAGE_ROWS: usize = 256;
/// How long clients share a page.
const SHARED: Duration = Duration::from_millis(250);

/// What clients choose changes by.
pub struct Line {
    pub position: Position,
    pub queue: String,
    pub label: Option<String>,
    pub state: Option<State>,
}

/// Some changes after a position.
pub struct Page {
    /// When it was read.
    at: Instant,
    from: Position,
    pub next: Position,
    pub is_full: bool,
    /// Each change, and where it is in the text.
    pub lines: Vec<(Line, Range<usize>)>,
    /// All of it as events, made once for all who share it.
    pub text: Bytes,
}

impl Page {
    fn of(from: Position, read: &ChangesPage) -> Self {
        let (mut text, mut lines) = (String::new(), Vec::with_capacity(read.changes.len()));
        for change in &read.changes {
            let start = text.len();
            // No text of a job has a raw line break in JSON.
            text += &format!("id: {}\ndata: {}\n\n", change.position, versioned(shape(change)));
            lines.push((Line::of(change), start..text.len()));
        }
        if read.changes.last().is_some_and(|last| last.position != read.next) {
            text += &moved_to(read.next);
        }
        Self { at: Instant::now(), from, next: read.next, is_full: read.is_full, lines, text: text.into() }
    }
}

/// An event that only moves the position of a client.
pub fn moved_to(position: Position) -> String {
    format!("id: {position}\n\n")
}

/// The pages of one file.
#[derive(Default)]
struct Kept {
    /// How often the file had been opened again.
    of: u64,
    pages: VecDeque<Arc<Page>>,
}

/// What followers share.
pub struct Live {
    kept: Mutex<Kept>,
    /// The newest position that was read, and how often the file had been opened again by then.
    newest: Mutex<Option<(Position, u64)>>,
    /// Counts how often the file may have changed.
    changed: watch::Sender<u64>,
    thread: OnceLock<Thread>,
}

impl Default for Live {
    fn default() -> Self {
        Self { kept: Mutex::default(), newest: Mutex::default(), changed: watch::channel(0).0, thread: OnceLock::new() }
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

    /// Returns the changes after a position. Clients that are at the same position when the file
    /// changes share a page (`shared`). One that comes back gets what the file has now: the changes
    /// of a job that was removed went with it, and those of one that was set have another queue.
    /// `of`: how often the file had been opened again; pages of another one are not mixed with
    /// them.
    ///
    /// # Errors
    /// The file has no such position, or cannot be read.
    pub fn page(&self, queue: &Queue, from: Position, of: u64, shared: bool) -> Result<Arc<Page>> {
        if !shared {
            return Ok(Arc::new(Page::of(from, &queue.changes_page(from, PAGE_ROWS)?)));
        }
        // Others that wait for the same page find it.
        let mut kept = lock(&self.kept);
        if kept.of < of {
            *kept = Kept { of, pages: VecDeque::new() };
        }
        kept.pages.retain(|page| page.at.elapsed() < SHARED);
        if let Some(page) = kept.pages.iter().find(|page| page.from == from && kept.of == of) {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(Page::of(from, &queue.changes_page(from, PAGE_ROWS)?));
        if page.next != from && kept.of == of {
            kept.pages.push_back(Arc::clone(&page));
            if kept.pages.len() > PAGES_MAX {
                kept.pages.pop_front();
            }
        }
        Ok(page)
    }

    /// Remembers the newest position of a file.
    pub fn learn(&self, newest: Position, of: u64) {
        *lock(&self.newest) = Some((newest, of));
    }

    /// Returns a position of the file up to which it has all: later ones may have come.
    pub fn newest(&self, of: u64) -> Option<Position> {
        lock(&self.newest).filter(|(_, known_of)| *known_of == of).map(|(newest, _)| newest)
    }

    /// Tells all followers that the file may have changed.
    pub fn tell(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Names the thread that waits for changes, which a new follower wakes.
    pub fn watched_by(&self, thread: Thread) {
        let _once = self.thread.set(thread);
    }

    /// Forgets what was read: no client needs it, or it is of another file.
    pub fn forget(&self) {
        *lock(&self.newest) = None;
        self.forget_pages();
    }

    /// Forgets the pages alone.
    pub fn forget_pages(&self) {
        lock(&self.kept).pages.clear();
    }
}

impl Line {
    pub fn of(change: &Change) -> Self {
        Self { position: change.position, queue: change.queue.clone(), label: change.label.clone(), state: change.state }
    }
}
