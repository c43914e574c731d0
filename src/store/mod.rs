//! SQLITE ONLY. The one file: who may open it, how it is written, and when a write is on the disk.
//!
//! ```text
//!   Reader   one read-only connection; makes nothing, changes nothing
//!   Client   one connection; each write inline: turn -> BEGIN IMMEDIATE .. COMMIT -> flush -> answer
//!   Worker   callers ──▶ one of them, or the writer thread ──▶ flusher thread ──▶ callers
//!                        groups what waits                     one fdatasync for all who wait
//!                             └─ nudges ─▶ checkpointer thread
//!            reads come from a small pool of read-only connections
//! ```
//!
//! Commit fast, acknowledge after the flush. A transaction commits with `synchronous=NORMAL`, the write lock is free again, and then the
//! write-ahead log is flushed once for everybody who waits. The log is one file and is written in commit order, so a flush that began after a
//! commit covers it and all before it, of every process. What only commits (`commit`) may vanish in a power cut; what returned from `write`
//! may not.
//!
//! Rules of this room:
//! * Only SQLite opens the main file or `-shm`: closing such a descriptor would drop SQLite's locks in this process, and another
//!   program could then delete the log under us. (The worker's lock is on a descriptor of the main file that is never closed.) Size, owner and identity are asked with `stat`.
//! * A closure given to `write` may run more than once (a full disk, a neighbour in its group that was undone): it changes nothing outside.
//! * A closure given to `read` or `write` uses the connection that it gets, and never the store that it is called by: that would wait for itself.
//! * No transaction and no open statement is held while anything else is waited for.
//!
//! # Subjects
//!
//! | folder | holds |
//! | --- | --- |
//! | [`engine`] | open a connection, group writes, flush, checkpoint, health |
//! | [`mod@file`] | which file this is: its directory, its copies, backup and restore |
//! | [`schema`] | creates, upgrades, verifies and repairs the tables of `schema.sql` |
//! | [`job`] | the life of a job: enqueue, claim, settle, what a person asks for, what a person reads |
//! | [`upkeep`] | due jobs, repair of impossible rows, retention |
//! | [`lease`], [`workspace`], [`resource`], [`schedule`], [`pipeline`] | one feature each, with its statements |
//!
//! The verbs are plain functions of a connection, their arguments and the present instant, their SQL beside them. They run inside a
//! transaction that the engine opens and ends, so what a verb does is done whole or not at all.
//!
//! Who stands at the head of a lane, what is counted and what is an event is kept by triggers in `schema.sql`, so that it is right
//! whichever client writes.
//!
//! Deliberately absent: the worker lock (its holder is `worker`), run files, any decision about a job.

#[macro_use]
mod sql;

pub mod engine;
pub mod file;
pub mod job;
pub mod lease;
pub mod pipeline;
pub mod resource;
pub mod schedule;
pub mod schema;
pub mod upkeep;
pub mod workspace;

#[cfg(test)]
#[path = "../../tests/model/file.rs"]
pub(crate) mod fixture;

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rusqlite::Connection;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::place::Place;

use engine::{flush, health, open, schema_watch, write, writer};
use file::backup;

pub use engine::locks;
pub use file::{belief, home, restore, stamp, standing};
pub use job::{check, claim, control, enqueue, errand, ids, look, nested, read, retry, rows, settle, why};
pub use pipeline::{task, task_rows};
pub use resource::teardown;
pub use schedule::plan;
pub use schema::{guard, upgrade};
pub use upkeep::{heal, inspect, mend, prune, reap, tend, unreadable};

pub use engine::changes::Changes;
pub use engine::health::{Blocked, Health, blocked_file, read_blocked};
pub use engine::open::{Opened, random_name};
pub use engine::path::make_beside;
pub use engine::permission::read_only;
pub use file::backup::sweep as sweep_copies;
pub use file::declare::{Is, declare};
pub use file::kept::Kept;
pub use file::restore::{Restored, adopt_older_copy, place_to_restore, restore};
pub use schema::altered::Altered;
pub use schema::{altered_tables, create_schema, foreign_columns, repair_schema, schema_differences};

/// What a process wants of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Looks only. The file must exist; nothing is made.
    Reader,
    /// Writes now and then, each time inline. Makes the file on first use.
    Client,
    /// The holder of the worker lock: threads that group, flush and checkpoint. Makes and upgrades the file.
    Worker,
}

/// How a commit gets onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// `synchronous=NORMAL`, and a flush of our own before anything is acknowledged.
    #[default]
    Flush,
    /// `synchronous=FULL`: SQLite flushes inside each commit.
    Full,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    pub role: Role,
    pub durability: Durability,
    pub clock: Clock,
    /// A worker accepts a file, or a directory around it, that others may write. They may then run commands as this user.
    pub allow_shared: bool,
    /// A client may open a file of an earlier version, which it must not read or write: for a program that is about to be its worker, which
    /// upgrades it.
    pub allow_older: bool,
}

impl Options {
    /// The defaults for a role.
    pub fn new(role: Role) -> Self {
        Self { role, durability: Durability::default(), clock: Clock::System, allow_shared: false, allow_older: false }
    }
}

impl Default for Options {
    /// A client's.
    fn default() -> Self {
        Self::new(Role::Client)
    }
}

/// Names a commit, to wait for a flush that covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// An open file. Clones share it; the last one to be dropped ends its threads.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    // Declared first: threads and connections end before anything that they look at.
    engine: Engine,
    place: Place,
    options: Options,
    opened: Opened,
    health: Arc<health::Shared>,
}

enum Engine {
    Reader(Mutex<Connection>),
    Client(Mutex<write::Inline>),
    Worker(writer::Worker),
}

/// Locks even if another thread panicked while it held the lock: what is behind these mutexes is whole at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens the file at `path` in a role; a client or worker makes it first if it is not there.
    ///
    /// # Errors
    /// [`Error::File`] with the remedy where the file cannot be used: a reader finds none, it is foreign, damaged, newer than this program,
    /// not permitted, on a network file system, or has a second hard link. Two processes may make the same file at once: both get the same one.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        open::open(path, options)
    }

    /// The paths that belong to this file; its links are resolved.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    pub fn clock(&self) -> &Clock {
        &self.0.options.clock
    }

    pub fn role(&self) -> Role {
        self.0.options.role
    }

    pub fn durability(&self) -> Durability {
        self.0.options.durability
    }

    /// What was found and done while the file was opened.
    pub fn opened(&self) -> &Opened {
        &self.0.opened
    }

    /// Reads in one snapshot. Keep it short: an open snapshot keeps the log from being emptied. What it sees may not be on the disk yet,
    /// see [`Store::flush_now`].
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        match &self.0.engine {
            Engine::Reader(conn) => snapshot(&lock(conn), f),
            Engine::Client(inline) => lock(inline).read(f),
            Engine::Worker(worker) => {
                let conn = worker.reader()?;
                snapshot(&conn, f)
            }
        }
    }

    /// Writes in one transaction and returns when it is on the disk. A closure that fails undoes what it did, and nothing else.
    ///
    /// The closure may run more than once, see the head of this module.
    pub fn write<T: Send + 'static>(&self, f: impl FnMut(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let (value, ticket) = self.commit(f)?;
        self.flushed(ticket)?;
        Ok(value)
    }

    /// Writes in one transaction and returns when it is committed: others see it, but a power cut may still undo it.
    pub fn commit<T: Send + 'static>(&self, f: impl FnMut(&Connection) -> Result<T> + Send + 'static) -> Result<(T, Ticket)> {
        match &self.0.engine {
            Engine::Reader(_) => Err(Error::Internal("a reader was asked to write".into())),
            Engine::Client(inline) => lock(inline).commit(f),
            Engine::Worker(worker) => worker.commit(f, true),
        }
    }

    /// As [`Store::commit`], but in a worker never on this thread: for many threads that write once, whose stacks should stay small.
    pub fn commit_elsewhere<T: Send + 'static>(
        &self,
        f: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<(T, Ticket)> {
        match &self.0.engine {
            Engine::Worker(worker) => worker.commit(f, false),
            _ => self.commit(f),
        }
    }

    /// Waits until a flush that began after that commit has ended.
    ///
    /// # Errors
    /// The flush failed, or the file was replaced: the commit may be lost in a power cut, and this store acknowledges nothing any more.
    pub fn flushed(&self, ticket: Ticket) -> Result<()> {
        match &self.0.engine {
            Engine::Reader(_) => Err(Error::Internal("a reader has no tickets".into())),
            Engine::Client(inline) => lock(inline).flushed(ticket),
            Engine::Worker(worker) => worker.flusher().flushed(ticket),
        }
    }

    /// Calls `then` when that commit is on the disk; never if the flush fails. In a worker on the flusher thread, so it must be short and
    /// must not wait for this store; in a client at once, after a flush.
    pub fn after_flush(&self, ticket: Ticket, then: impl FnOnce() + Send + 'static) {
        match &self.0.engine {
            Engine::Worker(worker) => worker.flusher().after_flush(ticket, Box::new(then)),
            _ => match self.flushed(ticket) {
                Ok(()) => then(),
                Err(error) => log::error!("not flushed, so nothing is done after it: {error}"),
            },
        }
    }

    /// As [`Store::after_flush`], for what a caller waits for: before all other calls, and at once where that commit is on the disk already.
    ///
    /// # Errors
    /// Nothing will ever be flushed again; the call is not made.
    pub fn as_soon_as_flushed(&self, ticket: Ticket, then: impl FnOnce() + Send + 'static) -> Result<()> {
        match &self.0.engine {
            Engine::Worker(worker) => worker.flusher().as_soon_as_flushed(ticket, Box::new(then)),
            _ => self.flushed(ticket).map(|()| then()),
        }
    }

    /// Whether that commit is on the disk.
    pub fn is_flushed(&self, ticket: Ticket) -> bool {
        match &self.0.engine {
            Engine::Worker(worker) => worker.flusher().is_flushed(ticket),
            _ => self.flushed(ticket).is_ok(),
        }
    }

    /// Makes durable whatever this store has read so far, whichever client wrote it: for a caller that is about to state an outcome to a person.
    pub fn flush_now(&self) -> Result<()> {
        match &self.0.engine {
            Engine::Reader(_) => flush::flush_from_outside(&self.0.place),
            Engine::Client(inline) => lock(inline).flush_now(),
            Engine::Worker(worker) => worker.flusher().flush_now(),
        }
    }

    /// Lets the writer look at the schema where it is not the one that it has last found in order, or cannot be repaired so far: an idle worker
    /// begins no other transaction. Writes nothing where nothing is wrong.
    pub fn verify_schema(&self) -> Result<()> {
        match self.read(|conn| schema_watch::is_unverified(conn, &self.0.health))? {
            true => self.commit(|_| Ok(())).map(drop),
            false => Ok(()),
        }
    }

    /// How the file is doing. Cheap: a few calls of `stat`.
    pub fn health(&self) -> Health {
        self.0.health.look()
    }

    /// Nothing is written any more: what this store holds cannot be trusted. Only opening it again helps.
    pub fn distrust(&self, why: &str) {
        self.0.health.set_fatal(why);
    }

    /// From now on a write that would wait for another program's write lock fails with [`Error::Busy`] instead: for a worker that shuts down.
    pub fn stop_waiting(&self) {
        if let Engine::Worker(worker) = &self.0.engine {
            worker.stop_waiting();
        }
    }

    /// Copies the file, as it is now, into a single plain file. Jobs go on meanwhile.
    ///
    /// # Errors
    /// `to` exists and `overwrite` is not given. Under a crash either no file of that name is there, or a complete one.
    pub fn backup(&self, to: &Path, overwrite: bool) -> Result<()> {
        backup::backup(&self.0.place, to, overwrite)
    }
}

/// Runs `f` in a read transaction, which is ended even if it panics.
fn snapshot<T>(conn: &Connection, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let transaction = conn.unchecked_transaction()?;
    let value = f(&transaction)?;
    transaction.finish()?;
    Ok(value)
}
