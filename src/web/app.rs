//! What all requests share: the file, the operator's settings, and what is left of each limit.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::clock;
use crate::error::Result;
use crate::host::gates::Floors;
use crate::queue::Queue;
use crate::queue::kept::Kept;
use crate::run::open_files;
use crate::store::{Options, Role};
use crate::web::guard::Rules;
use crate::web::hub::Live;
use crate::web::limits::{
    ANSWERS_KIB_MAX, BODIES_MAX, CONNECTIONS_MAX, DESCRIPTORS_SHARE, FOLLOWERS_MAX, PACE_LEAST, PACE_LEAST_OF_PAGES, Patience,
    THREADS_MAX,
};
use crate::web::metrics::counted::Counted;
use crate::web::pace::Pace;
use crate::web::recent::Minutes;
use crate::web::token::Sessions;

/// How the server is started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How the file is opened. The role is chosen by each request.
    pub options: Options,
    /// The floors of the configuration, which count if no worker reports its own.
    pub floors: Floors,
    pub workspaces_bytes_max: Option<u64>,
    pub rules: Rules,
    /// The path under which a reverse proxy shows the server: empty, or as in `/tenure`.
    pub base: String,
    pub patience: Patience,
}

/// What all requests share.
pub struct App {
    pub setup: Setup,
    reader: Kept,
    client: Kept,
    pub sessions: Sessions,
    pub threads: Arc<Semaphore>,
    /// How many of them may write.
    pub writes: Arc<Semaphore>,
    pub bodies: Arc<Semaphore>,
    /// In KiB.
    pub answers: Arc<Semaphore>,
    /// Of lists, and of the old events of a stream.
    pub pace_of_lists: Arc<Pace>,
    /// Of documents about one thing: they wait for no list.
    pub pace_of_documents: Arc<Pace>,
    /// Of pages: a person waits for no program.
    pub pace_of_pages: Arc<Pace>,
    pub followers: Arc<Semaphore>,
    pub connections_max: usize,
    pub tally: Tally,
    pub live: Live,
    /// How often the file was opened again because another one has taken its place.
    pub reopened: AtomicU64,
    pub counted: Mutex<Counted>,
    pub minutes: Minutes,
    db: PathBuf,
}

/// What the server counts of itself.
#[derive(Debug, Default)]
pub struct Tally {
    pub connections: AtomicUsize,
    pub requests: AtomicU64,
    /// Connections that were closed because there were too many, requests that the guard refused,
    /// and requests for which there was no thread, no processor, no room, or no place to follow.
    pub turned_away: AtomicU64,
}

/// Returns how many connections there may be, for a process that may have so many descriptors.
fn connections_max(descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(usize::MAX, |most| usize::try_from(most / DESCRIPTORS_SHARE).unwrap_or(usize::MAX));
    share.clamp(1, CONNECTIONS_MAX)
}

impl Tally {
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl App {
    /// Opens the file for reading: it must exist and be usable.
    ///
    /// # Errors
    /// It is not.
    pub fn new(db: &std::path::Path, setup: Setup) -> Result<Self> {
        let kept = |db: &std::path::Path, role| Kept::new(db.to_owned(), Options { role, ..setup.options.clone() });
        let reader = kept(db, Role::Reader);
        let queue = reader.open(|| ())?;
        let client = kept(queue.store.place().db(), Role::Client);
        let counted = Counted::from(queue.newest_position()?.event);
        Ok(Self {
            reader,
            client,
            sessions: Sessions::default(),
            threads: Arc::new(Semaphore::new(THREADS_MAX)),
            writes: Arc::new(Semaphore::new(THREADS_MAX - 1)),
            bodies: Arc::new(Semaphore::new(BODIES_MAX)),
            answers: Arc::new(Semaphore::new(ANSWERS_KIB_MAX)),
            pace_of_lists: Pace::new(PACE_LEAST),
            pace_of_documents: Pace::new(PACE_LEAST),
            pace_of_pages: Pace::new(PACE_LEAST_OF_PAGES),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            connections_max: connections_max(open_files::current()),
            tally: Tally::default(),
            live: Live::default(),
            reopened: AtomicU64::new(0),
            counted: Mutex::new(counted),
            minutes: Minutes::default(),
            db: queue.store.place().db().to_owned(),
            setup,
        })
    }

    /// Returns the file for reading.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn reader(&self) -> Result<Queue> {
        self.opened(&self.reader)
    }

    /// Returns the file for writing. It must exist: the server creates none.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn client(&self) -> Result<Queue> {
        self.reader()?;
        self.opened(&self.client)
    }

    fn opened(&self, kept: &Kept) -> Result<Queue> {
        kept.open(|| {
            self.live.forget();
            self.minutes.forget();
            self.reopened.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Returns what the file is, by its inode and its birth; empty: it is not there. A copy that
    /// takes its place is another one.
    pub fn file_identity(&self) -> String {
        let Ok(meta) = std::fs::metadata(&self.db) else { return String::new() };
        let born = meta.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        format!("{:x}-{:x}-{:x}", meta.dev(), meta.ino(), born.map_or(0, |at| at.as_nanos()))
    }

    /// The present instant in the local time zone.
    pub fn now(&self) -> jiff::Zoned {
        clock::here(self.setup.options.clock.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_worker() {
        assert_eq!([None, Some(1024), Some(64), Some(1)].map(connections_max), [256, 256, 16, 1]);
    }
}
