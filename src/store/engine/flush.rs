//! The flush: makes committed transactions durable.
//!
//! A worker has a flusher thread with its own descriptor of the log (SQLite holds no POSIX locks on
//! the log, so this file may be opened separately). All callers that wait while one flush runs are
//! served by the next one. A failed flush is final: the kernel may have dropped the pages, and a
//! second attempt would report success for lost data. The same applies to a log or a file that was
//! replaced while it was open.
//!
//! A client flushes SQLite's own handle of the log on its own thread. A reader opens the log for
//! one flush.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::health::Shared;
use crate::store::engine::options::{Durability, Ticket};
use crate::store::engine::small_file::sync_directory;
use crate::store::engine::watch::FileId;
use crate::sync::lock;

/// Calls that are deferred while there is always something to flush. When there are more, they are
/// made anyway.
const PUT_OFF_MAX: usize = 256;
/// Calls that may wait for a flush. When so many wait, the next caller waits until there is room.
const AFTER_FLUSH_MAX: usize = 65_536;

pub(in crate::store) type Then = Box<dyn FnOnce() + Send>;

/// The flusher thread's handle.
pub(in crate::store) struct Flusher {
    ledger: Arc<Ledger>,
    thread: Option<JoinHandle<()>>,
}

struct Ledger {
    health: Arc<Shared>,
    book: Mutex<Book>,
    /// There is something to flush or to call.
    work: Condvar,
    /// A flush has ended, successfully or not.
    done: Condvar,
}

#[derive(Default)]
struct Book {
    /// The latest commit.
    committed: u64,
    /// The latest commit that is covered by a flush that began after it.
    flushed: u64,
    /// A flush was requested for commits of other processes.
    foreign: bool,
    /// Calls to make when their commit is flushed, oldest first: those that a caller waits for, and
    /// the others.
    at_once: VecDeque<(u64, Then)>,
    then: VecDeque<(u64, Then)>,
    closing: bool,
    /// No flush will succeed any more.
    dead: bool,
    /// The thread waits for work. (Waking a thread is a call to the system, also if none waits.)
    is_idle: bool,
    /// Callers that wait for the end of a flush.
    waiting: usize,
}

impl Flusher {
    /// Starts the thread. A connection of this process must have read from the file, so that the
    /// log exists and stays.
    pub(in crate::store) fn start(health: Arc<Shared>, durability: Durability) -> Result<Self> {
        let log = OpenLog::open(&health)?;
        let ledger = Arc::new(Ledger { health, book: Mutex::default(), work: Condvar::new(), done: Condvar::new() });
        let shared = ledger.clone();
        let thread = thread::Builder::new()
            .name("tenure-flush".into())
            .spawn(move || shared.run(&log, durability))
            .map_err(|error| Error::io("starting the flusher thread", error))?;
        Ok(Self { ledger, thread: Some(thread) })
    }

    /// Records a commit that has returned.
    pub(in crate::store) fn committed(&self) -> Ticket {
        let mut book = lock(&self.ledger.book);
        book.committed += 1;
        self.ledger.wake(&mut book);
        Ticket(book.committed)
    }

    pub(in crate::store) fn flushed(&self, ticket: Ticket) -> Result<()> {
        let mut book = lock(&self.ledger.book);
        while book.flushed < ticket.0 {
            if book.dead {
                return Err(not_flushed(&self.ledger.health));
            }
            book = self.ledger.wait_for_flush(book);
        }
        Ok(())
    }

    /// Flushes commits of other processes; the flush begins now.
    pub(in crate::store) fn flush_now(&self) -> Result<()> {
        lock(&self.ledger.book).foreign = true;
        let ticket = self.committed();
        self.flushed(ticket)
    }

    pub(in crate::store) fn after_flush(&self, ticket: Ticket, then: Then) {
        let on_flusher = self.thread.as_ref().is_some_and(|thread| thread.thread().id() == thread::current().id());
        let mut book = lock(&self.ledger.book);
        while book.then.len() >= AFTER_FLUSH_MAX && !on_flusher && !book.dead {
            book = self.ledger.wait_for_flush(book);
        }
        if !book.dead {
            book.then.push_back((ticket.0, then));
            self.ledger.wake(&mut book);
        }
    }
}

impl Flusher {
    /// Like [`Flusher::after_flush`], but before all of those; and immediately, on this thread, if
    /// the commit is flushed already.
    pub(in crate::store) fn as_soon_as_flushed(&self, ticket: Ticket, then: Then) -> Result<()> {
        let mut book = lock(&self.ledger.book);
        if book.dead {
            return Err(not_flushed(&self.ledger.health));
        }
        if book.flushed < ticket.0 {
            book.at_once.push_back((ticket.0, then));
            return Ok(());
        }
        drop(book);
        then();
        Ok(())
    }

    pub(in crate::store) fn is_flushed(&self, ticket: Ticket) -> bool {
        lock(&self.ledger.book).flushed >= ticket.0
    }
}

impl Drop for Flusher {
    /// Flushes all commits, makes the calls that wait for them, and ends the thread.
    fn drop(&mut self) {
        lock(&self.ledger.book).closing = true;
        self.ledger.work.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Ledger {
    /// Wakes the thread, if it waits for work.
    fn wake(&self, book: &mut Book) {
        if std::mem::take(&mut book.is_idle) {
            self.work.notify_one();
        }
    }

    fn wait_for_flush<'a>(&self, mut book: MutexGuard<'a, Book>) -> MutexGuard<'a, Book> {
        book.waiting += 1;
        let mut book = self.done.wait(book).unwrap_or_else(PoisonError::into_inner);
        book.waiting -= 1;
        book
    }

    /// A flush has ended, successfully or not, or there is room.
    fn tell_done(&self, book: MutexGuard<'_, Book>) {
        if book.waiting > 0 {
            self.done.notify_all();
        }
    }

    fn run(&self, log: &OpenLog, durability: Durability) {
        loop {
            let mut book = lock(&self.book);
            while book.committed == book.flushed && !book.has_ripe_call() && !book.closing {
                book.is_idle = true;
                book = self.work.wait(book).unwrap_or_else(PoisonError::into_inner);
                book.is_idle = false;
            }
            let target = book.committed;
            if book.closing && target == book.flushed && !book.has_ripe_call() {
                return;
            }
            let flush = target > book.flushed;
            // With FULL, commits of this process are durable when they return, but those of others
            // may not be.
            let sync = durability == Durability::Flush || std::mem::take(&mut book.foreign);
            drop(book);
            if flush && let Err(error) = log.flush(&self.health, sync) {
                return self.die(&error);
            }
            self.serve(target);
        }
    }

    /// Wakes the callers that wait for commits up to `target`, and makes the calls that a caller
    /// waits for. The other calls are made when there is nothing to flush, so that they delay no
    /// flush.
    fn serve(&self, target: u64) {
        let mut book = lock(&self.book);
        book.flushed = book.flushed.max(target);
        let at_once = take_ripe(&mut book.at_once, target);
        self.tell_done(book);
        call(at_once);
        let mut book = lock(&self.book);
        if book.committed > target && book.then.len() <= PUT_OFF_MAX {
            return;
        }
        let ripe = take_ripe(&mut book.then, target);
        self.tell_done(book);
        call(ripe);
    }

    fn die(&self, error: &Error) {
        self.health.set_fatal(&format!(
            "{error}; no write is acknowledged any more, as it may not survive a power cut: stop tenure, check the disk, start it again"
        ));
        let mut book = lock(&self.book);
        book.dead = true;
        book.at_once.clear();
        book.then.clear();
        self.tell_done(book);
    }
}

impl Book {
    fn has_ripe_call(&self) -> bool {
        self.then.iter().any(|(seq, _)| *seq <= self.flushed)
    }
}

fn call(calls: Vec<Then>) {
    for then in calls {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(then)).is_err() {
            log::error!("a call after a flush panicked");
        }
    }
}

fn take_ripe(calls: &mut VecDeque<(u64, Then)>, target: u64) -> Vec<Then> {
    let (ripe, unripe) = calls.drain(..).partition::<VecDeque<_>, _>(|(seq, _)| *seq <= target);
    *calls = unripe;
    ripe.into_iter().map(|(_, then)| then).collect()
}

fn not_flushed(health: &Shared) -> Error {
    let why = health.fatal().unwrap_or_else(|| "the flusher has ended".into());
    Error::io("the commit is not known to be on the disk", std::io::Error::other(why))
}

/// The flusher's own descriptor of the log.
struct OpenLog(File);

impl OpenLog {
    fn open(health: &Shared) -> Result<Self> {
        let path = health.place.wal();
        let file = File::open(&path).map_err(|error| Error::io(format!("opening {}", path.display()), error))?;
        let meta = file.metadata().map_err(|error| Error::io(format!("checking {}", path.display()), error))?;
        if Some(FileId::of(&meta)) != health.watch.wal() {
            return Err(Error::File(format!("{} was replaced just now; try again", path.display())));
        }
        // The name of the log must be durable as well, and the process that created it may not have
        // synced the directory.
        sync_directory(path.parent().unwrap_or(Path::new("/")))?;
        Ok(Self(file))
    }

    fn flush(&self, health: &Shared, sync: bool) -> Result<()> {
        if sync {
            rustix::fs::fdatasync(&self.0)
                .map_err(|error| Error::io(format!("flushing {}", health.place.wal().display()), error))?;
        }
        match health.watch.replaced() {
            None => Ok(()),
            Some(what) => Err(Error::File(what)),
        }
    }
}

/// Flushes for a reader: everything that it has read is in the file already, or in the log.
pub(in crate::store) fn flush_from_outside(place: &Place) -> Result<()> {
    let path = place.wal();
    let io = |error| Error::io(format!("flushing {}", path.display()), error);
    match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(file) => {
            if file.metadata().map_err(io)?.size() > 0 {
                rustix::fs::fdatasync(&file).map_err(|error| io(error.into()))?;
                sync_directory(path.parent().unwrap_or(Path::new("/")))?;
            }
            Ok(())
        }
    }
}

/// Whether SQLite could not flush: then nothing that it reports later about the disk can be
/// trusted.
pub(in crate::store) fn is_failed(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error().map(|error| error.extended_code), Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
}

/// Flushes the log through SQLite's own handle, and its directory the first time.
pub(in crate::store) fn flush_journal(conn: &Connection) -> Result<()> {
    sync_own(conn, ffi::SQLITE_FCNTL_JOURNAL_POINTER).map_err(|why| Error::io("flushing the log", why))
}

/// Flushes what was copied into the file. SQLite itself does so only when a checkpoint has copied
/// the whole log.
pub(in crate::store) fn flush_file(conn: &Connection) -> Result<()> {
    sync_own(conn, ffi::SQLITE_FCNTL_FILE_POINTER).map_err(|why| Error::io("flushing the file", why))
}

/// `which`: the operation that returns the file object.
fn sync_own(conn: &Connection, which: i32) -> std::io::Result<()> {
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    // SAFETY: `handle` is open as long as `conn` is borrowed, and this thread is the only one that
    // uses it. Both operations store a pointer to a file object, which belongs to the pager and
    // lives as long as the connection; nothing below closes the connection. xSync is a method of
    // that object and may be called between transactions, as SQLite's own checkpoint does.
    let code = unsafe {
        let asked = ffi::sqlite3_file_control(conn.handle(), c"main".as_ptr(), which, std::ptr::from_mut(&mut file).cast());
        if asked != ffi::SQLITE_OK {
            asked
        } else if file.is_null() || (*file).pMethods.is_null() {
            return Err(std::io::Error::other("SQLite does not have it open"));
        } else {
            match (*(*file).pMethods).xSync {
                Some(sync) => sync(file, ffi::SQLITE_SYNC_NORMAL | ffi::SQLITE_SYNC_DATAONLY),
                None => ffi::SQLITE_IOERR_FSYNC,
            }
        }
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(std::io::Error::other(ffi::code_to_str(code))) }
}
