//! The read connections of a worker: a small pool, each opened on first use.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use r2d2::PooledConnection;
use r2d2_sqlite::SqliteConnectionManager;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::connection;
use crate::store::engine::connection::Access;
use crate::store::engine::options::Durability;

/// Connections that can read at the same time.
const READERS_MAX: u32 = 4;
/// How long a caller waits for a connection, in milliseconds.
const READER_WAIT_MS: u64 = 5_000;
/// Threads that the pool itself uses.
const POOL_THREADS: usize = 3;

pub(in crate::store) struct Readers(r2d2::Pool<SqliteConnectionManager>);

/// A connection that returns to the pool when it is dropped.
pub(in crate::store) type Reader = PooledConnection<SqliteConnectionManager>;

impl Readers {
    /// # Errors
    /// The system refuses more threads.
    pub(in crate::store) fn new(place: &Place, durability: Durability) -> Result<Self> {
        // The pool panics if it gets no thread, so that is checked before, and the small remaining
        // race is caught.
        try_threads(POOL_THREADS).map_err(threads_refused)?;
        let manager = SqliteConnectionManager::file(place.db())
            .with_flags(connection::flags(Access::Read))
            .with_init(move |conn| connection::prepare(conn, Access::Read, durability));
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
        let pool = catch_unwind(AssertUnwindSafe(build));
        pool.map(Self).map_err(|_| threads_refused(std::io::Error::from_raw_os_error(libc::EAGAIN)))
    }

    /// Returns a connection for exclusive use.
    ///
    /// # Errors
    /// None was free in time, or a new one could not be opened.
    pub(in crate::store) fn get(&self) -> Result<Reader> {
        let told = |error| Error::Busy(format!("no connection was free to read with for {READER_WAIT_MS} ms ({error})"));
        self.0.get().map_err(told)
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
