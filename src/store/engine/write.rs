//! A write transaction: one group of requests, each in its own savepoint.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, ffi};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::client_log::ClientLog;
use crate::store::engine::connection::snapshot;
use crate::store::engine::health::Shared;
use crate::store::engine::options::{Durability, Ticket};
use crate::store::engine::turnstile::Turnstile;
use crate::store::engine::{flush, locks};

/// A request to write in a transaction. It may be attempted more than once, until it is answered.
pub(in crate::store) trait Request: Send {
    /// Runs the request. False if it failed by itself: then its savepoint is rolled back, and the
    /// group continues.
    fn attempt(&mut self, conn: &Connection) -> Attempt;
    /// Whether the ballast is released for it on a full disk.
    fn may_take_ballast(&self) -> bool;
    /// Answers the caller: with the commit that contains it, or with the reason why there is none.
    fn answer(self: Box<Self>, fate: Result<Ticket>);
}

/// Result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Attempt {
    Well,
    Failed,
    /// It failed for lack of space: it may succeed after the ballast is released.
    NoSpace,
}

/// A request made from a closure; the answer goes to `reply`.
pub(in crate::store) struct Typed<T, F, R> {
    pub f: F,
    pub result: Option<Result<T>>,
    pub reply: R,
    pub may_take_ballast: bool,
}

impl<T, F, R> Request for Typed<T, F, R>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T> + Send,
    R: FnOnce(Result<(T, Ticket)>) + Send,
{
    fn attempt(&mut self, conn: &Connection) -> Attempt {
        let result = catch_unwind(AssertUnwindSafe(|| (self.f)(conn))).unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        let result = result.map_err(|error| if matches!(error, Error::DiskFull(_)) { explain_full(conn, error) } else { error });
        let attempt = match &result {
            Ok(_) => Attempt::Well,
            Err(Error::DiskFull(_)) => Attempt::NoSpace,
            Err(_) => Attempt::Failed,
        };
        self.result = Some(result);
        attempt
    }

    fn may_take_ballast(&self) -> bool {
        self.may_take_ballast
    }

    fn answer(self: Box<Self>, fate: Result<Ticket>) {
        let answer = match (fate, self.result) {
            (Ok(ticket), Some(Ok(value))) => Ok((value, ticket)),
            // The request's own error says more than the fate of the group.
            (_, Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(_), None) => Err(Error::Internal("a write was committed without having been tried".into())),
        };
        (self.reply)(answer);
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Internal(format!("a write panicked: {}", text.unwrap_or("(no message)")))
}

/// The whole group was rolled back.
pub(in crate::store) struct Undone {
    /// The request at fault, if it was a single one.
    pub culprit: Option<usize>,
    pub error: rusqlite::Error,
}

/// Begins, attempts each request, and commits. On return no transaction is open.
pub(in crate::store) fn run_group<'a>(conn: &Connection, group: &mut [Box<dyn Request + 'a>]) -> Result<(), Undone> {
    if let [request] = group {
        return attempt_alone(conn, request.as_mut()).or_else(|error| undo(conn, Some(0), error));
    }
    for (i, request) in group.iter_mut().enumerate() {
        if let Err(error) = attempt(conn, request.as_mut()) {
            return undo(conn, Some(i), error);
        }
    }
    match run(conn, "COMMIT") {
        Ok(()) => Ok(()),
        Err(error) => undo(conn, None, error),
    }
}

pub(in crate::store) fn undo(conn: &Connection, culprit: Option<usize>, error: rusqlite::Error) -> Result<(), Undone> {
    // After a full disk or an I/O error SQLite has already rolled back, and a second ROLLBACK would
    // hide the real error.
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
    Err(Undone { culprit, error })
}

pub(in crate::store) fn begin(conn: &Connection) -> rusqlite::Result<()> {
    run(conn, "BEGIN IMMEDIATE")
}

/// # Errors
/// The transaction is gone, or must be rolled back.
fn attempt(conn: &Connection, request: &mut dyn Request) -> rusqlite::Result<()> {
    run(conn, "SAVEPOINT one")?;
    let attempt = request.attempt(conn);
    if attempt == Attempt::NoSpace {
        return Err(no_space());
    }
    if conn.is_autocommit() {
        return Err(ended_inside());
    }
    if attempt == Attempt::Failed {
        run(conn, "ROLLBACK TO one")?;
    }
    run(conn, "RELEASE one")
}

/// A request that is alone in its transaction needs no savepoint: a failure rolls back the whole.
/// An open savepoint makes each later statement slower by the number of pages changed since, so
/// that many rows would take quadratic time.
fn attempt_alone(conn: &Connection, request: &mut dyn Request) -> rusqlite::Result<()> {
    let attempt = request.attempt(conn);
    if attempt == Attempt::NoSpace {
        return Err(no_space());
    }
    if conn.is_autocommit() {
        return Err(ended_inside());
    }
    run(conn, if attempt == Attempt::Failed { "ROLLBACK" } else { "COMMIT" })
}

fn no_space() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), Some("no space".into()))
}

/// SQLite rolls everything back after some errors (I/O, memory); the request's own error says which
/// it was.
fn ended_inside() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK),
        Some("the transaction was ended inside a write".into()),
    )
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Copies an error for another caller that it affects.
pub(in crate::store) fn again(error: &rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => Error::from(rusqlite::Error::SqliteFailure(*code, text.clone())),
        other => Error::Internal(other.to_string()),
    }
}

pub(in crate::store) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

pub(in crate::store) fn is_full(error: &rusqlite::Error) -> bool {
    crate::error::is_for_want_of_room(error)
}

/// SQLITE_FULL has two causes: no space, or a table whose ids are exhausted because a client has
/// inserted the largest one.
fn explain_full(conn: &Connection, error: Error) -> Error {
    let used_up = sql!("write.sql", "sequences_end");
    match conn.query_row(used_up, [], |row| row.get(0)) {
        Ok(true) => Error::Refused(
            "no ids are left: a client has given a row the largest one, or changed sqlite_sequence; tenure doctor --fix repairs it"
                .into(),
        ),
        _ => error,
    }
}

pub(in crate::store) fn refuse_if_fatal(health: &Shared) -> Result<()> {
    match health.fatal() {
        None => Ok(()),
        Some(why) => Err(Error::io("nothing can be written", std::io::Error::other(why))),
    }
}

/// The connection of a client: it writes on the caller's thread.
pub(in crate::store) struct Inline {
    conn: Connection,
    turnstile: Turnstile,
    durability: Durability,
    health: Arc<Shared>,
    log: ClientLog,
    committed: u64,
    flushed: u64,
}

impl Inline {
    pub(in crate::store) fn new(conn: Connection, turnstile: Turnstile, durability: Durability, health: Arc<Shared>) -> Self {
        let log = ClientLog::observe(&conn);
        Self { conn, turnstile, durability, health, log, committed: 0, flushed: 0 }
    }

    pub(in crate::store) fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.conn.execute_batch("PRAGMA query_only = ON")?;
        let value = snapshot(&self.conn, f);
        self.conn.execute_batch("PRAGMA query_only = OFF")?;
        value
    }

    pub(in crate::store) fn commit<T: Send>(&mut self, f: impl FnMut(&Connection) -> Result<T> + Send) -> Result<(T, Ticket)> {
        refuse_if_fatal(&self.health)?;
        let mut answer = None;
        let request = Typed { f, result: None, reply: |result| answer = Some(result), may_take_ballast: false };
        self.commit_one(Box::new(request));
        answer.unwrap_or_else(|| Err(Error::Internal("a write was not answered".into())))
    }

    fn commit_one<'a>(&mut self, request: Box<dyn Request + 'a>) {
        let place = self.health.place.clone();
        let turn = self.turnstile.take();
        if let Err(error) = begin(&self.conn) {
            let error = if is_busy(&error) { busy(&place) } else { error.into() };
            return request.answer(Err(error));
        }
        if let Err(error) = self.still_ours() {
            let _rolled_back = undo(&self.conn, None, rusqlite::Error::InvalidQuery);
            return request.answer(Err(error));
        }
        let mut group = [request];
        let end = run_group(&self.conn, &mut group);
        drop(turn);
        let [request] = group;
        match end {
            Ok(()) => {
                self.committed += 1;
                self.log.committed();
                request.answer(Ok(Ticket(self.committed)));
            }
            Err(undone) => {
                if flush::is_failed(&undone.error) {
                    self.health.set_fatal(&format!("a flush failed: {}", undone.error));
                }
                request.answer(Err(undone.error.into()));
            }
        }
    }

    pub(in crate::store) fn flushed(&mut self, ticket: Ticket) -> Result<()> {
        if self.flushed >= ticket.0 {
            return Ok(());
        }
        match self.durability {
            Durability::Full => self.still_ours()?,
            Durability::Flush => self.flush_now()?,
        }
        // This commit is durable, even if the copy fails.
        if let Err(error) = self.log.keep_short(&self.conn, &mut self.turnstile) {
            self.health.set_fatal(&format!("a flush failed: {error}"));
        }
        Ok(())
    }

    pub(in crate::store) fn flush_now(&mut self) -> Result<()> {
        refuse_if_fatal(&self.health)?;
        let target = self.committed;
        if let Err(error) = flush::flush_journal(&self.conn) {
            self.health.set_fatal(&error.to_string());
            return Err(error);
        }
        self.still_ours()?;
        self.flushed = target;
        Ok(())
    }

    /// A commit to a file that its name no longer refers to is lost to all other processes, and its
    /// pages in the log, which has kept its name, would damage the file that has replaced it.
    fn still_ours(&self) -> Result<()> {
        match self.health.watch.replaced() {
            None => Ok(()),
            Some(what) => {
                self.health.set_fatal(&what);
                Err(Error::File(format!("{what}; try again")))
            }
        }
    }
}

fn busy(place: &Place) -> Error {
    Error::Busy(busy_text(place, locks::writer(place)))
}

/// Explains who kept a client from writing, and what helps. Only the writer at the end of the wait
/// is seen, and it may have arrived a moment ago.
fn busy_text(place: &Place, writer: Option<locks::Holder>) -> String {
    let (file, s) = (place.db().display(), crate::store::engine::connection::BUSY_TIMEOUT_MS / 1000);
    let waited = format!("{file} was locked by other writers for the {s} s that this command waited");
    match writer {
        Some(writer) if writer.is_stopped() => {
            format!("{waited}; {writer} is stopped inside a transaction; continue it (kill -CONT {}) and try again", writer.pid)
        }
        Some(writer) if writer.is_ours() => {
            format!("{waited}, now by {writer}, which writes in short transactions; nothing was changed, so try again")
        }
        Some(writer) => format!("{waited}, now by {writer}; end its transaction and try again"),
        None => format!("{waited}; nothing was changed, so try again"),
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
