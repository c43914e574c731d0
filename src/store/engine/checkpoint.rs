//! The checkpointer: copies the log into the file, so that the log stays small.
//!
//! A thread with its own connection, woken by the writer. It runs below the size at which the
//! SQLite of other programs would checkpoint (1000 pages), so that a client with `synchronous=OFF`
//! never does. Under constant writes the log never restarts by itself: when it is too long, the
//! checkpointer holds up the writers so that it can (`hold_up`). What can be copied and flushed
//! before is, so that they wait for little. When nothing is written the log is emptied, memory is
//! given back, and the thread sleeps until the next commit.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};
use crate::store::engine::connection::{Access, connect};
use crate::store::engine::health::Shared;
use crate::store::engine::hold_up;
use crate::store::engine::hold_up::HoldUp;
use crate::store::engine::options::Durability;
use crate::store::engine::seldom::Seldom;
use crate::store::engine::turnstile::Turnstile;
use crate::store::engine::{changes, flush};

/// Length of the log at which it is copied into the file, in bytes.
const COPY_AT_BYTES: u32 = 2 << 20;
/// Length of the log at which writers are delayed so that it can restart, in bytes.
pub(in crate::store) const RESTART_AT_BYTES: u32 = 12 << 20;
/// Time without a commit after which the log is emptied, in milliseconds.
const QUIET_MS: u64 = 5_000;
/// Longest interval between two attempts to empty the log while a reader has a snapshot, in
/// milliseconds.
const QUIET_MS_MAX: u64 = 300_000;
/// Size of a page in the log with its header, in bytes.
const FRAME_BYTES: u32 = 4096 + 24;

thread_local! {
    /// Pages in the log after the latest commit of this thread.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// What else to do when it is quiet.
pub(in crate::store) type AtRest = Box<dyn FnMut() + Send>;

pub(in crate::store) struct Checkpointer {
    wake: Sender<()>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// Number of commits of the writer.
    commits: AtomicU64,
    /// Length of the log after the latest commit, in pages.
    pages: AtomicU32,
    closing: AtomicBool,
    /// Length at which to wake the checkpointer next; 0 = at the next commit.
    wake_at: AtomicU32,
}

/// The writer's side.
pub(in crate::store) struct Nudge {
    wake: Sender<()>,
    state: Arc<State>,
}

impl Nudge {
    /// Runs on the thread that committed.
    pub(in crate::store) fn after_commit(&self) {
        let pages = observed_pages();
        if pages < self.state.pages.swap(pages, Ordering::SeqCst) {
            // The log has restarted from its beginning.
            self.state.wake_at.fetch_min(pages_of(COPY_AT_BYTES), Ordering::SeqCst);
        }
        self.state.commits.fetch_add(1, Ordering::SeqCst);
        if pages >= self.state.wake_at.load(Ordering::SeqCst) {
            let _ = self.wake.try_send(());
        }
    }

    /// Requests a checkpoint because the disk is full: pages of the log may fit into the existing
    /// file.
    pub(in crate::store) fn make_room(&self) {
        self.state.wake_at.store(0, Ordering::SeqCst);
        let _ = self.wake.try_send(());
    }
}

impl Checkpointer {
    pub(in crate::store) fn start(health: &Arc<Shared>, durability: Durability, at_rest: AtRest) -> Result<Self> {
        let conn = connect(&health.place, Access::Checkpoint, durability)?;
        // The first read opens the log.
        changes::count(&conn)?;
        hold_up::limit_waits(&conn)?;
        let turnstile = Turnstile::open(&health.place)?;
        let state = Arc::new(State::default());
        let (wake, woken) = bounded(1);
        let mut round = Round {
            conn,
            turnstile,
            state: state.clone(),
            health: health.clone(),
            hold_up: HoldUp::default(),
            told: Seldom::default(),
            quiet_ms: QUIET_MS,
            seen: 0,
            at_rest,
        };
        let thread = thread::Builder::new()
            .name("tenure-ckpt".into())
            .spawn(move || round.run(&woken))
            .map_err(|error| Error::io("starting the checkpointer thread", error))?;
        Ok(Self { wake, state, thread: Some(thread) })
    }

    pub(in crate::store) fn nudge(&self) -> Nudge {
        Nudge { wake: self.wake.clone(), state: self.state.clone() }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::SeqCst);
        // A pending nudge serves this one too.
        let _ = self.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Round {
    conn: Connection,
    turnstile: Turnstile,
    state: Arc<State>,
    health: Arc<Shared>,
    hold_up: HoldUp,
    told: Seldom,
    quiet_ms: u64,
    /// Number of commits at the latest check.
    seen: u64,
    at_rest: AtRest,
}

/// Result of a checkpoint.
pub(in crate::store) struct Done {
    /// A reader or a writer blocked it.
    pub busy: bool,
    /// Length of the log, in pages.
    pub log_pages: u32,
    /// How many of them are in the file.
    pub copied_pages: u32,
}

/// Observes the length of the log after each commit, in place of SQLite's automatic checkpoint,
/// which uses the same hook.
pub(in crate::store) fn observe(conn: &Connection) {
    conn.wal_hook(Some(|_, pages| {
        LOG_PAGES.set(pages.unsigned_abs());
        Ok(())
    }));
}

/// Returns the length of the log after the latest commit of this thread, in pages.
pub(in crate::store) fn observed_pages() -> u32 {
    LOG_PAGES.get()
}

/// Returns how many pages of the log have this length, in bytes.
pub(in crate::store) fn pages_of(bytes: u32) -> u32 {
    bytes / FRAME_BYTES
}

/// How much a checkpoint does.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Mode {
    /// Copies what no reader needs in the log, and waits for none.
    Passive,
    /// Also waits until the next commit can begin the log anew.
    Restart,
    /// And empties it.
    Truncate,
}

/// Copies the log into the file. By the function and not by the pragma, which would read the whole
/// schema into the memory of the connection.
pub(in crate::store) fn checkpoint(conn: &Connection, mode: Mode) -> rusqlite::Result<Done> {
    let mode = match mode {
        Mode::Passive => ffi::SQLITE_CHECKPOINT_PASSIVE,
        Mode::Restart => ffi::SQLITE_CHECKPOINT_RESTART,
        Mode::Truncate => ffi::SQLITE_CHECKPOINT_TRUNCATE,
    };
    let (mut log, mut copied) = (0, 0);
    // SAFETY: `handle` is open as long as `conn` is borrowed, and this thread is the only one that
    // uses it. The function writes to the two numbers only, and not after it has returned.
    let (code, text) = unsafe {
        let handle = conn.handle();
        let code = ffi::sqlite3_wal_checkpoint_v2(handle, c"main".as_ptr(), mode, &raw mut log, &raw mut copied);
        (code, CStr::from_ptr(ffi::sqlite3_errmsg(handle)).to_string_lossy().into_owned())
    };
    if code != ffi::SQLITE_OK && code != ffi::SQLITE_BUSY {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text)));
    }
    let pages = |pages| u32::try_from(pages).unwrap_or(0);
    Ok(Done { busy: code == ffi::SQLITE_BUSY, log_pages: pages(log), copied_pages: pages(copied) })
}

impl Round {
    fn run(&mut self, woken: &Receiver<()>) {
        let mut empty = false;
        loop {
            let next = if empty {
                woken.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                woken.recv_timeout(Duration::from_millis(self.quiet_ms))
            };
            match next {
                _ if self.state.closing.load(Ordering::SeqCst) => return,
                Ok(()) => {
                    empty = false;
                    self.quiet_ms = QUIET_MS;
                    self.keep_short();
                }
                Err(RecvTimeoutError::Timeout) if self.has_commits() => {}
                Err(RecvTimeoutError::Timeout) => {
                    empty = self.when_quiet();
                    (self.at_rest)();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Copies the log when it is long, and restarts it when it is too long.
    fn keep_short(&mut self) {
        if self.log_bytes() >= COPY_AT_BYTES || self.health.snapshot().disk_full_since_ms.is_some() {
            let copied = self.checkpoint(Mode::Passive).map_or(0, |done| done.copied_pages);
            if self.log_bytes() >= RESTART_AT_BYTES && self.hold_up.may_succeed(copied) {
                self.restart();
            }
        }
        self.wake_at_next();
    }

    /// Restarts the log, while the writers wait.
    fn restart(&mut self) {
        // An incomplete copy is not flushed, and its flush takes longest. What is written meanwhile
        // is copied before the writers wait.
        if let Err(error) = flush::flush_file(&self.conn) {
            return self.health.set_fatal(&error.to_string());
        }
        self.checkpoint(Mode::Passive);
        let turn = self.turnstile.take();
        let held_up = self.hold_up.begin();
        let done = self.checkpoint(Mode::Restart);
        self.hold_up.end(held_up, done.as_ref().is_some_and(|done| !done.busy), done.map_or(0, |done| done.copied_pages));
        drop(turn);
    }

    /// After a copy the log restarts or continues; in both cases the next check is due after
    /// another stretch of it was written.
    fn wake_at_next(&self) {
        let (pages, step) = (self.state.pages.load(Ordering::SeqCst), pages_of(COPY_AT_BYTES));
        let next = if pages < step { step } else { pages + step };
        self.state.wake_at.store(next, Ordering::SeqCst);
    }

    fn log_bytes(&self) -> u32 {
        self.state.pages.load(Ordering::SeqCst).saturating_mul(FRAME_BYTES)
    }

    /// Whether something was committed since the latest check.
    fn has_commits(&mut self) -> bool {
        let commits = self.state.commits.load(Ordering::SeqCst);
        std::mem::replace(&mut self.seen, commits) != commits
    }

    /// Empties the log. True if it is empty and needs no check until the next commit.
    fn when_quiet(&mut self) -> bool {
        // From here on the next commit wakes this thread, including one that arrives while the log
        // is being emptied.
        self.state.wake_at.store(0, Ordering::SeqCst);
        // While a writer waits for the end of this, nothing is left to copy and to flush.
        self.checkpoint(Mode::Passive);
        match self.checkpoint(Mode::Truncate) {
            Some(Done { busy: false, log_pages: 0, .. }) => true,
            _ => {
                self.quiet_ms = (self.quiet_ms * 2).min(QUIET_MS_MAX);
                false
            }
        }
    }

    fn checkpoint(&mut self, mode: Mode) -> Option<Done> {
        match checkpoint(&self.conn, mode) {
            Ok(done) => Some(done),
            Err(error) => {
                if flush::is_failed(&error) {
                    self.health.set_fatal(&format!("a flush failed: {error}"));
                } else if self.told.now() {
                    log::warn!("the log could not be copied into the file: {error}");
                }
                None
            }
        }
    }
}
