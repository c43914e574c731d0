//! The worker's writer: the one connection of this process that writes.
//!
//! If no write is in progress, the caller writes itself. Requests that arrive meanwhile are run by
//! the writer thread, all of them in one transaction up to a limit (see `write_queue`). Each is
//! answered when it is committed. While another program holds the write lock, the writer keeps the
//! requests, retries, and reports the holder and the duration. On a full disk it releases the
//! ballast and tries once more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::store::engine::checkpoint::{self, AtRest, Checkpointer, Nudge};
use crate::store::engine::flush::{self, Flusher};
use crate::store::engine::health::Shared;
use crate::store::engine::options::{Durability, Ticket};
use crate::store::engine::readers::{Reader, Readers};
use crate::store::engine::schema_watch::SchemaWatch;
use crate::store::engine::seldom::Seldom;
use crate::store::engine::turnstile::Turnstile;
use crate::store::engine::write;
use crate::store::engine::write::{Request, Typed, Undone};
use crate::store::engine::write_queue::{Answer, Submitted, WriteQueue};
use crate::store::engine::{changes, rest};
use crate::sync::lock;

/// How long one attempt to get the write lock lasts, in milliseconds. After it, the writer counts
/// as blocked.
const TRY_MS: u64 = 1_000;
/// The threads of a worker's store.
pub(in crate::store) struct Worker {
    // Dropped in this order, by `drop` below.
    queue: Arc<WriteQueue<Box<dyn Request>>>,
    thread: Option<JoinHandle<()>>,
    writer: Arc<Mutex<Option<Writer>>>,
    flusher: Option<Arc<Flusher>>,
    checkpointer: Option<Checkpointer>,
    readers: Option<Arc<Readers>>,
    closing: Arc<AtomicBool>,
    health: Arc<Shared>,
}

impl Worker {
    /// Takes a connection that has read from the file.
    pub(in crate::store) fn start(
        conn: Connection,
        turnstile: Turnstile,
        durability: Durability,
        health: Arc<Shared>,
    ) -> Result<Self> {
        conn.busy_timeout(Duration::from_millis(TRY_MS))?;
        let flusher = Arc::new(Flusher::start(health.clone(), durability)?);
        let readers = Arc::new(Readers::new(&health.place, durability)?);
        let (queue, writer) = (Arc::new(WriteQueue::new()), Arc::new(Mutex::new(None::<Writer>)));
        let checkpointer = Checkpointer::start(&health, durability, at_rest(&writer, &readers))?;
        let nudge = checkpointer.nudge();
        checkpoint::observe(&conn);
        let closing = Arc::new(AtomicBool::new(false));
        *lock(&writer) = Some(Writer {
            conn,
            turnstile,
            flusher: flusher.clone(),
            nudge,
            health: health.clone(),
            closing: closing.clone(),
            told_blocked: Seldom::default(),
            told_full: Seldom::default(),
            schema: SchemaWatch::default(),
        });
        let (served, shared) = (queue.clone(), writer.clone());
        let thread = thread::Builder::new()
            .name("tenure-write".into())
            .spawn(move || {
                while let Some(group) = served.next() {
                    see_to(&served, &shared, group);
                }
            })
            .map_err(|error| Error::io("starting the writer thread", error))?;
        Ok(Self {
            queue,
            thread: Some(thread),
            writer,
            flusher: Some(flusher),
            checkpointer: Some(checkpointer),
            readers: Some(readers),
            closing,
            health,
        })
    }

    /// `here`: on this thread, if no write is in progress. `may_take_ballast`: on a full disk.
    pub(in crate::store) fn commit<T: Send + 'static>(
        &self,
        f: impl FnMut(&Connection) -> Result<T> + Send + 'static,
        here: bool,
        may_take_ballast: bool,
    ) -> Result<(T, Ticket)> {
        write::refuse_if_fatal(&self.health)?;
        let answer = Answer::new();
        let reply = Reply(Some(answer.clone()));
        let reply = move |result| reply.give(result);
        match self.queue.submit(Box::new(Typed { f, result: None, reply, may_take_ballast }), here) {
            Submitted::Write(group) => see_to(&self.queue, &self.writer, group),
            Submitted::Queued => {}
            Submitted::Closed => return Err(Error::Internal("the writer has ended".into())),
        }
        answer.wait()
    }

    pub(in crate::store) fn stop_waiting(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Returns SQLite's counter on the writer's connection, which changes when another connection
    /// commits, and not with this worker's own commits. `None`: the writer is in use.
    pub(in crate::store) fn changes_by_others(&self) -> Result<Option<i64>> {
        let Ok(writer) = self.writer.try_lock() else { return Ok(None) };
        writer.as_ref().map(|writer| changes::count(&writer.conn)).transpose()
    }

    pub(in crate::store) fn flusher(&self) -> &Flusher {
        self.flusher.as_deref().expect("the flusher is there until the worker is dropped")
    }

    pub(in crate::store) fn reader(&self) -> Result<Reader<'_>> {
        self.readers.as_ref().expect("the pool is there until the worker is dropped").get()
    }
}

/// A writer that is in use keeps its cache.
fn at_rest(writer: &Arc<Mutex<Option<Writer>>>, readers: &Arc<Readers>) -> AtRest {
    let (writer, readers, mut told) = (writer.clone(), readers.clone(), Seldom::default());
    Box::new(move || {
        let empty_cache = || match writer.try_lock().as_deref() {
            Ok(Some(writer)) => writer.conn.release_memory(),
            _ => Ok(()),
        };
        if let Err(error) = rest::give_back(empty_cache, &readers)
            && told.now()
        {
            log::warn!("giving memory back: {error}");
        }
    })
}

/// A request that is dropped without an answer gets this error.
struct Reply<T>(Option<Arc<Answer<Result<T>>>>);

impl<T> Reply<T> {
    fn give(mut self, result: Result<T>) {
        if let Some(answer) = self.0.take() {
            answer.give(result);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer.give(Err(Error::Internal("the writer dropped a request".into())));
        }
    }
}

fn see_to(queue: &WriteQueue<Box<dyn Request>>, writer: &Mutex<Option<Writer>>, group: Vec<Box<dyn Request>>) {
    let _handed_on_even_after_a_panic = queue.hand_over();
    if let Some(writer) = lock(writer).as_mut() {
        writer.write(group);
    }
}

impl Drop for Worker {
    /// The log and its descriptor must outlive the flush of the last commit, so the writer's
    /// connection is closed last.
    fn drop(&mut self) {
        self.stop_waiting();
        self.queue.close();
        let on_writer = self.thread.as_ref().is_some_and(|thread| thread.thread().id() == thread::current().id());
        let conn = match self.thread.take() {
            Some(thread) if !on_writer => {
                let _it_does_not_panic = thread.join();
                lock(&self.writer).take().map(|writer| writer.conn)
            }
            _ => None,
        };
        self.flusher = None;
        self.checkpointer = None;
        self.readers = None;
        drop(conn);
    }
}

struct Writer {
    conn: Connection,
    turnstile: Turnstile,
    flusher: Arc<Flusher>,
    nudge: Nudge,
    health: Arc<Shared>,
    closing: Arc<AtomicBool>,
    told_blocked: Seldom,
    told_full: Seldom,
    schema: SchemaWatch,
}

impl Writer {
    /// Runs a group: each of its requests is answered.
    fn write(&mut self, mut group: Vec<Box<dyn Request>>) {
        let mut ballast_tried = false;
        while !group.is_empty() {
            if let Err(error) = write::refuse_if_fatal(&self.health) {
                return refuse(group, || Error::io("nothing can be written", std::io::Error::other(error.to_string())));
            }
            let turn = self.turnstile.take();
            if let Err(error) = self.begin() {
                return refuse(group, || write::again(&error));
            }
            if let Err(error) = self.still_ours() {
                let _rolled_back = write::undo(&self.conn, None, rusqlite::Error::InvalidQuery);
                return refuse(group, || Error::File(error.clone()));
            }
            let end = match self.schema.check(&self.conn, &self.health) {
                Ok(()) => write::run_group(&self.conn, &mut group),
                Err(error) => write::undo(&self.conn, None, error),
            };
            match &end {
                Ok(()) => self.schema.committed(&self.health),
                Err(_) => self.schema.undone(),
            }
            drop(turn);
            match end {
                Ok(()) => return self.committed(group),
                Err(undone) if write::is_full(&undone.error) && !ballast_tried => {
                    // What a client can do without goes first.
                    let (kept, refused): (Vec<_>, Vec<_>) = group.into_iter().partition(|request| request.may_take_ballast());
                    group = kept;
                    if refused.is_empty() {
                        ballast_tried = true;
                        self.make_room();
                    }
                    refuse(refused, || write::again(&undone.error));
                }
                Err(undone) => self.sort_out(&mut group, &undone),
            }
        }
    }

    /// A commit to a file that its name no longer refers to goes into a log that has kept its name,
    /// and would damage the file that has replaced it.
    fn still_ours(&self) -> std::result::Result<(), String> {
        match self.health.watch.replaced() {
            None => Ok(()),
            Some(what) => {
                self.health.set_fatal(&what);
                Err(what)
            }
        }
    }

    fn committed(&mut self, group: Vec<Box<dyn Request>>) {
        let ticket = self.flusher.committed();
        for request in group {
            request.answer(Ok(ticket));
        }
        self.nudge.after_commit();
    }

    /// Waits for the write lock without a limit, and reports why.
    fn begin(&mut self) -> rusqlite::Result<()> {
        let since = (Instant::now(), self.health.clock.now_ms());
        loop {
            match write::begin(&self.conn) {
                Ok(()) => {
                    self.health.unblocked();
                    self.told_blocked.over();
                    return Ok(());
                }
                Err(error) if write::is_busy(&error) && !self.closing.load(Ordering::SeqCst) => {
                    let blocked = self.health.set_blocked(since.1);
                    if self.told_blocked.now() {
                        let who = blocked.by.map_or("another program".to_owned(), |holder| holder.to_string());
                        log::warn!("{who} has held the write lock for {} s; writes wait for it", since.0.elapsed().as_secs());
                    }
                }
                Err(error) => {
                    self.health.unblocked();
                    return Err(error);
                }
            }
        }
    }

    fn make_room(&mut self) {
        let released = self.health.disk_is_full();
        self.nudge.make_room();
        if self.told_full.now() {
            let ballast = if released { "the space kept back for this is given back" } else { "no space was kept back" };
            log::error!("the disk of {} is full; {ballast}", self.health.place.db().display());
        }
    }

    /// If one request caused the failure, the others run again without it. Otherwise all get the
    /// error.
    fn sort_out(&mut self, group: &mut Vec<Box<dyn Request>>, undone: &Undone) {
        if flush::is_failed(&undone.error) {
            self.health.set_fatal(&format!("a flush failed: {}", undone.error));
        }
        match undone.culprit {
            Some(i) => group.remove(i).answer(Err(write::again(&undone.error))),
            None => refuse(std::mem::take(group), || write::again(&undone.error)),
        }
    }
}

fn refuse(group: Vec<Box<dyn Request>>, why: impl Fn() -> Error) {
    for request in group {
        request.answer(Err(why()));
    }
}
