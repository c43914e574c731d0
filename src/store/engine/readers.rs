//! The read connections of a worker: a small pool, each opened on first use. At rest one is kept.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use r2d2::{ManageConnection, PooledConnection};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::connection;
use crate::store::engine::connection::Access;
use crate::store::engine::options::Durability;
use crate::sync::lock;

/// Connections that can read at the same time.
const READERS_MAX: u32 = 4;
/// How long a caller waits for a connection, in milliseconds.
const READER_WAIT_MS: u64 = 5_000;
/// How long a caller waits for one that is in use before it opens another, in milliseconds: about
/// as long as that takes. Most reads are shorter, and each connection has the schema in memory.
const OPEN_AFTER_MS: u64 = 2;
/// Threads that the pool itself uses.
const POOL_THREADS: usize = 3;

pub(in crate::store) struct Readers {
    pool: r2d2::Pool<Manager>,
    surplus: Arc<AtomicUsize>,
    /// Held while one returns to the pool.
    returning: Mutex<()>,
    returned: Condvar,
}

/// Opens connections, and has the pool close those that are too many.
struct Manager {
    inner: SqliteConnectionManager,
    /// How many of the next ones that return are closed.
    surplus: Arc<AtomicUsize>,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Connection> {
        self.inner.connect()
    }

    fn is_valid(&self, conn: &mut Connection) -> rusqlite::Result<()> {
        self.inner.is_valid(conn)
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        self.surplus.try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    }
}

/// A connection that returns to the pool when it is dropped.
pub(in crate::store) struct Reader<'a> {
    readers: &'a Readers,
    conn: Option<PooledConnection<Manager>>,
}

impl Readers {
    /// # Errors
    /// The system refuses more threads.
    pub(in crate::store) fn new(place: &Place, durability: Durability) -> Result<Self> {
        // The pool panics if it gets no thread, so that is checked before, and the small remaining
        // race is caught.
        try_threads(POOL_THREADS).map_err(threads_refused)?;
        let inner = SqliteConnectionManager::file(place.db())
            .with_flags(connection::flags(Access::Read))
            .with_init(move |conn| connection::prepare(conn, Access::Read, durability));
        let surplus = Arc::new(AtomicUsize::new(0));
        let manager = Manager { inner, surplus: surplus.clone() };
        let build = || {
            r2d2::Pool::builder()
                .max_size(READERS_MAX)
                .min_idle(Some(0))
                .max_lifetime(None)
                .idle_timeout(None)
                .test_on_check_out(false)
                .connection_timeout(Duration::from_millis(READER_WAIT_MS))
                .build_unchecked(manager)
        };
        let pool = catch_unwind(AssertUnwindSafe(build))
            .map_err(|_| threads_refused(std::io::Error::from_raw_os_error(libc::EAGAIN)))?;
        Ok(Self { pool, surplus, returning: Mutex::new(()), returned: Condvar::new() })
    }

    /// Returns a connection for exclusive use.
    ///
    /// # Errors
    /// None was free in time, or a new one could not be opened.
    pub(in crate::store) fn get(&self) -> Result<Reader<'_>> {
        let told = |error| Error::Busy(format!("no connection was free to read with for {READER_WAIT_MS} ms ({error})"));
        let conn = self.idle_soon().map_or_else(|| self.pool.get().map_err(told), Ok)?;
        Ok(Reader { readers: self, conn: Some(conn) })
    }

    /// Returns one that is idle, or is in a moment.
    fn idle_soon(&self) -> Option<PooledConnection<Manager>> {
        let begun = Instant::now();
        let mut returning = lock(&self.returning);
        loop {
            if let Some(conn) = self.pool.try_get() {
                return Some(conn);
            }
            let left = Duration::from_millis(OPEN_AFTER_MS).saturating_sub(begun.elapsed());
            if left.is_zero() || self.pool.state().connections == 0 {
                return None;
            }
            returning = self.returned.wait_timeout(returning, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Closes the connections that are not in use, but for the last one that was used, which gives
    /// back its cache: each has the whole schema in memory, about a megabyte.
    pub(in crate::store) fn rest(&self) -> Result<()> {
        let Some(kept) = self.pool.try_get() else { return Ok(()) };
        let others: Vec<_> = std::iter::from_fn(|| self.pool.try_get()).collect();
        self.surplus.store(others.len(), Ordering::SeqCst);
        drop(others);
        self.surplus.store(0, Ordering::SeqCst);
        Ok(kept.release_memory()?)
    }

    /// How many are open.
    #[cfg(test)]
    pub(in crate::store) fn open(&self) -> u32 {
        self.pool.state().connections
    }
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect("it is there until the reader is dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let returning = lock(&self.readers.returning);
        self.conn = None;
        drop(returning);
        self.readers.returned.notify_one();
    }
}

fn threads_refused(error: std::io::Error) -> Error {
    Error::io("starting the threads of the readers", error)
}

/// Checks whether the system allows so many threads at once.
fn try_threads(count: usize) -> std::io::Result<()> {
    let mut begun = Vec::new();
    let mut failed = Ok(());
    for _ in 0..count {
        let (go, waits) = channel::<()>();
        // It ends when `go` is dropped.
        match thread::Builder::new().name("probe".into()).spawn(move || _ = waits.recv()) {
            Ok(thread) => begun.push((go, thread)),
            Err(error) => {
                failed = Err(error);
                break;
            }
        }
    }
    for (go, thread) in begun {
        drop(go);
        let _it_only_waits = thread.join();
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Role, Store};

    fn readers() -> (tempfile::TempDir, Store, Readers) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
        let readers = Readers::new(store.place(), Durability::default()).unwrap();
        (dir, store, readers)
    }

    fn jobs(reader: &Connection) -> i64 {
        reader.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn readers_that_take_turns_share_a_connection() {
        let (_dir, _store, readers) = readers();
        assert_eq!((0..10).map(|_| jobs(&readers.get().unwrap())).sum::<i64>(), 0);
        assert_eq!(readers.open(), 1);
    }

    #[test]
    fn readers_at_once_have_a_connection_each_and_one_stays() {
        let (_dir, _store, readers) = readers();
        let all: Vec<Reader<'_>> = (0..READERS_MAX).map(|_| readers.get().unwrap()).collect();
        assert!(all.iter().all(|reader| jobs(reader) == 0) && readers.open() == READERS_MAX);
        readers.rest().unwrap();
        assert_eq!(readers.open(), READERS_MAX, "none that is in use is closed");
        drop(all);
        readers.rest().unwrap();
        assert_eq!((readers.open(), jobs(&readers.get().unwrap())), (1, 0));
        readers.rest().unwrap();
        assert_eq!(readers.open(), 1);
    }
}
