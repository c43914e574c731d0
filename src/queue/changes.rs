//! Waits for the file to change: polls SQLite's change counter at increasing intervals, or sleeps
//! until the write-ahead log is written.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::inotify;

use crate::error::Result;
use crate::store::{self, Store};

/// Intervals between two polls, in milliseconds: short after a change, long when there are none.
const LADDER_MS: [u64; 7] = [2, 5, 10, 25, 50, 100, 200];
/// Interval between two polls at rest while the log is watched, in milliseconds.
const RESTING_MS: u64 = 5_000;

/// What has been seen of a file.
#[derive(Default)]
pub(crate) struct Changes {
    counter: Option<store::Changes>,
    seen: Option<i64>,
    rung: usize,
    watch: Option<OwnedFd>,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The file may have changed, or the time is over.
    Poll,
    /// Another descriptor is ready.
    Other,
}

impl Changes {
    /// Whether another process has written since the last poll. The first poll returns true.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn poll(&mut self, store: &Store) -> Result<bool> {
        let counter = match self.counter.take() {
            Some(counter) => counter,
            None => store::Changes::of(store.place())?,
        };
        let now = self.counter.insert(counter).count()?;
        let changed = self.seen != Some(now);
        self.seen = Some(now);
        Ok(changed)
    }

    /// Something happened: poll again soon.
    pub fn stir(&mut self) {
        self.rung = 0;
    }

    /// Waits for the next poll, but not after `until`.
    pub fn rest(&mut self, until: Option<Instant>) {
        let wait = Duration::from_millis(LADDER_MS[self.rung]);
        let left = until.map_or(wait, |until| until.saturating_duration_since(Instant::now()));
        // For a caller that also reads logs, which nothing announces.
        std::thread::sleep(wait.min(left));
        self.climb();
    }

    /// Waits for the next poll like [`Changes::rest`], at rest until the log is written. Ends
    /// earlier when one of the others is ready for its flags.
    pub fn wait(&mut self, store: &Store, others: &[(BorrowedFd<'_>, PollFlags)], at_most: Duration) -> Heard {
        self.watch = self.watch.take().or_else(new_watch);
        // The log appears with the first write after a clean close, so this is repeated.
        let add = |watch| inotify::add_watch(watch, store.place().wal(), inotify::WatchFlags::MODIFY);
        let is_watched = self.watch.as_ref().is_some_and(|watch| add(watch).is_ok());
        let at_rest = self.rung + 1 == LADDER_MS.len();
        let wait = Duration::from_millis(if is_watched && at_rest { RESTING_MS } else { LADDER_MS[self.rung] });
        let mut fds: Vec<PollFd<'_>> = self.watch.iter().map(|watch| PollFd::new(watch, PollFlags::IN)).collect();
        let watches = fds.len();
        fds.extend(others.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
        let timeout = Timespec::try_from(wait.min(at_most)).ok();
        // An interrupted wait ends like one whose time is over.
        let _count = poll(&mut fds, timeout.as_ref());
        let is_written = fds[..watches].iter().any(|fd| !fd.revents().is_empty());
        let is_other = fds[watches..].iter().any(|fd| !fd.revents().is_empty());
        drop(fds);
        match is_written {
            true => {
                self.watch.iter().for_each(drain);
                // The event may precede the visibility of the commit, so polls follow; and what a
                // busy writer writes meanwhile is one event.
                self.stir();
                std::thread::sleep(Duration::from_millis(LADDER_MS[0]));
            }
            false if !is_other && wait <= at_most => self.climb(),
            false => {}
        }
        if is_other { Heard::Other } else { Heard::Poll }
    }

    fn climb(&mut self) {
        self.rung = (self.rung + 1).min(LADDER_MS.len() - 1);
    }
}

fn new_watch() -> Option<OwnedFd> {
    inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()
}

fn drain(watch: &OwnedFd) {
    let mut buffer = [0u8; 4096];
    while rustix::io::read(watch, &mut buffer).is_ok_and(|n| n > 0) {}
}
