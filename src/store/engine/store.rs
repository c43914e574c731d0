//! An open file: routes each read, write and flush according to the role in which it was opened.

use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::connection::snapshot;
use crate::store::engine::health::Health;
use crate::store::engine::options::{Opened, Options, Role, Ticket};
use crate::store::engine::{changes, flush, health, schema_watch, write, writer};
use crate::sync::lock;

/// An open file. Clones share it; dropping the last one ends its threads.
#[derive(Clone)]
pub struct Store(pub(in crate::store) Arc<Inner>);

pub(in crate::store) struct Inner {
    // Declared first: threads and connections end before anything that they use.
    pub(in crate::store) engine: Engine,
    pub(in crate::store) place: Place,
    pub(in crate::store) options: Options,
    pub(in crate::store) opened: Opened,
    pub(in crate::store) health: Arc<health::Shared>,
}

pub(in crate::store) enum Engine {
    Reader(Mutex<Connection>),
    Client(Mutex<write::Inline>),
    Worker(writer::Worker),
}

impl Store {
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

    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Returns what was found and done while the file was opened.
    pub fn opened(&self) -> &Opened {
        &self.0.opened
    }

    /// Reads in one snapshot. Keep it short: an open snapshot prevents the log from being emptied.
    /// What it sees may not be durable yet, see [`Store::flush_now`].
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

    /// Writes in one transaction and returns when it is durable. A closure that fails undoes its
    /// own changes, and no others.
    ///
    /// The closure may run more than once; see the head of this room.
    pub fn write<T: Send + 'static>(&self, f: impl FnMut(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let (value, ticket) = self.commit(f)?;
        self.flushed(ticket)?;
        Ok(value)
    }

    /// Writes in one transaction and returns when it is committed: other clients see it, but a
    /// power cut may still undo it.
    pub fn commit<T: Send + 'static>(&self, f: impl FnMut(&Connection) -> Result<T> + Send + 'static) -> Result<(T, Ticket)> {
        match &self.0.engine {
            Engine::Reader(_) => Err(Error::Internal("a reader was asked to write".into())),
            Engine::Client(inline) => lock(inline).commit(f),
            Engine::Worker(worker) => worker.commit(f, true, true),
        }
    }

    /// Like [`Store::commit`], for a change that the caller can do without: on a full disk it
    /// fails, and the ballast is left to what must be recorded.
    pub fn commit_sparing<T: Send + 'static>(
        &self,
        f: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<(T, Ticket)> {
        match &self.0.engine {
            Engine::Worker(worker) => worker.commit(f, true, false),
            _ => self.commit(f),
        }
    }

    /// Like [`Store::commit`], but in a worker never on this thread: for many threads that write
    /// once and should have small stacks.
    pub fn commit_elsewhere<T: Send + 'static>(
        &self,
        f: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<(T, Ticket)> {
        match &self.0.engine {
            Engine::Worker(worker) => worker.commit(f, false, true),
            _ => self.commit(f),
        }
    }

    /// Waits until a flush that began after that commit has ended.
    ///
    /// # Errors
    /// The flush failed, or the file was replaced: the commit may be lost in a power cut, and this
    /// store acknowledges nothing any more.
    pub fn flushed(&self, ticket: Ticket) -> Result<()> {
        match &self.0.engine {
            Engine::Reader(_) => Err(Error::Internal("a reader has no tickets".into())),
            Engine::Client(inline) => lock(inline).flushed(ticket),
            Engine::Worker(worker) => worker.flusher().flushed(ticket),
        }
    }

    /// Calls `then` when that commit is durable; never if the flush fails. In a worker it runs on
    /// the flusher thread, so it must be short and must not wait for this store; in a client it
    /// runs immediately, after a flush.
    pub fn after_flush(&self, ticket: Ticket, then: impl FnOnce() + Send + 'static) {
        match &self.0.engine {
            Engine::Worker(worker) => worker.flusher().after_flush(ticket, Box::new(then)),
            _ => match self.flushed(ticket) {
                Ok(()) => then(),
                Err(error) => log::error!("not flushed, so nothing is done after it: {error}"),
            },
        }
    }

    /// Like [`Store::after_flush`], for a call that a caller waits for: before all other calls, and
    /// immediately if that commit is durable already.
    ///
    /// # Errors
    /// Nothing will ever be flushed again; the call is not made.
    pub fn as_soon_as_flushed(&self, ticket: Ticket, then: impl FnOnce() + Send + 'static) -> Result<()> {
        match &self.0.engine {
            Engine::Worker(worker) => worker.flusher().as_soon_as_flushed(ticket, Box::new(then)),
            _ => self.flushed(ticket).map(|()| then()),
        }
    }

    /// Whether that commit is durable.
    pub fn is_flushed(&self, ticket: Ticket) -> bool {
        match &self.0.engine {
            Engine::Worker(worker) => worker.flusher().is_flushed(ticket),
            _ => self.flushed(ticket).is_ok(),
        }
    }

    /// Makes everything durable that this store has read so far, whichever client wrote it: for a
    /// caller that is about to report an outcome to a person.
    pub fn flush_now(&self) -> Result<()> {
        match &self.0.engine {
            Engine::Reader(_) => flush::flush_from_outside(&self.0.place),
            Engine::Client(inline) => lock(inline).flush_now(),
            Engine::Worker(worker) => worker.flusher().flush_now(),
        }
    }

    /// Returns a number that changes when another connection than that of this store's writes has
    /// committed; its own commits do not change it. `None`: a write is in progress; ask again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn changes_by_others(&self) -> Result<Option<i64>> {
        match &self.0.engine {
            Engine::Worker(worker) => worker.changes_by_others(),
            _ => self.read(changes::count).map(Some),
        }
    }

    /// Has the writer verify the schema if it differs from the last verified one or could not be
    /// repaired: an idle worker begins no other transaction. Writes nothing if the schema is valid.
    pub fn verify_schema(&self) -> Result<()> {
        match self.read(|conn| schema_watch::is_unverified(conn, &self.0.health))? {
            true => self.commit(|_| Ok(())).map(drop),
            false => Ok(()),
        }
    }

    /// Returns the health of the file. Cheap: a few calls of `stat`.
    pub fn health(&self) -> Health {
        self.0.health.snapshot()
    }

    /// Stops all writes: what this store holds cannot be trusted. The store must be opened again.
    pub fn distrust(&self, why: &str) {
        self.0.health.set_fatal(why);
    }

    /// From now on a write that would wait for another program's write lock fails with
    /// [`Error::Busy`]: for a worker that shuts down.
    pub fn stop_waiting(&self) {
        if let Engine::Worker(worker) = &self.0.engine {
            worker.stop_waiting();
        }
    }
}
