//! The health of the file, for `status`, `doctor` and the worker, which must not claim in some of
//! these conditions.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::place::Place;
use crate::store::engine::ballast::Ballast;
use crate::store::engine::locks;
use crate::store::engine::locks::Holder;
use crate::store::engine::watch::Watch;
use crate::store::schema::altered::Altered;
use crate::sync::lock;

/// Conditions of the file. Claim no jobs while [`Health::may_claim`] is false.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Size of the write-ahead log, in bytes. If it is far above 12 MB, a reader keeps a snapshot
    /// open: [`Health::readers`].
    pub wal_bytes: u64,
    /// The writer waits for another program's write lock.
    pub blocked: Option<Blocked>,
    /// When the disk was found full, in milliseconds UTC, if it still is.
    pub disk_full_since_ms: Option<i64>,
    /// The file or its log was replaced or removed while it was open.
    pub replaced: Option<String>,
    /// A flush failed: nothing is acknowledged any more. The store must be opened again.
    pub fatal: Option<String>,
    /// The schema was changed in a way that cannot be repaired.
    pub schema: Option<Altered>,
    /// The processes that prevent an unusually large log from being emptied.
    pub readers: Vec<Holder>,
}

impl Health {
    /// Whether new runs may be started.
    pub fn may_claim(&self) -> bool {
        self.disk_full_since_ms.is_none() && self.replaced.is_none() && self.fatal.is_none() && self.schema.is_none()
    }
}

/// The writer has waited for the write lock for longer than SQLite's own timeout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Start of the wait, in milliseconds UTC.
    pub since_ms: i64,
    /// The holder of the lock, if the kernel reports it.
    pub by: Option<Holder>,
}

/// Returns the file in which a blocked writer reports that, for `doctor` in another process.
pub fn blocked_file(place: &Place) -> PathBuf {
    place.dir().join("blocked")
}

/// Reads what the writer of another process has reported in [`blocked_file`].
pub fn read_blocked(place: &Place) -> Option<Blocked> {
    serde_json::from_slice(&fs::read(blocked_file(place)).ok()?).ok()
}

/// Size of the log above which its readers are looked up, in bytes.
const WAL_LARGE_BYTES: u64 = 24 << 20;

/// The conditions that the threads of one store have found.
pub(in crate::store) struct Shared {
    pub place: Place,
    pub clock: Clock,
    pub watch: Watch,
    pub ballast: Option<Ballast>,
    /// The schema version that the writer last verified.
    pub schema_version: AtomicI64,
    troubles: Mutex<Troubles>,
}

#[derive(Default)]
struct Troubles {
    blocked: Option<Blocked>,
    disk_full_since_ms: Option<i64>,
    fatal: Option<String>,
    schema: Option<Altered>,
}

impl Shared {
    pub(in crate::store) fn new(place: &Place, clock: &Clock, watch: Watch, ballast: Option<Ballast>) -> Self {
        Self {
            place: place.clone(),
            clock: clock.clone(),
            watch,
            ballast,
            schema_version: AtomicI64::new(-1),
            troubles: Mutex::default(),
        }
    }

    pub(in crate::store) fn snapshot(&self) -> Health {
        self.regain();
        let wal_bytes = fs::metadata(self.place.wal()).map_or(0, |meta| meta.len());
        let readers = if wal_bytes > WAL_LARGE_BYTES { locks::readers(&self.place) } else { Vec::new() };
        let troubles = lock(&self.troubles);
        Health {
            wal_bytes,
            blocked: troubles.blocked.clone(),
            disk_full_since_ms: troubles.disk_full_since_ms,
            replaced: self.watch.replaced(),
            fatal: troubles.fatal.clone(),
            schema: troubles.schema.clone(),
            readers,
        }
    }

    /// Keeps the first reason: later ones are consequences of it.
    pub(in crate::store) fn set_fatal(&self, why: &str) {
        let mut troubles = lock(&self.troubles);
        if troubles.fatal.is_none() {
            log::error!("{why}");
            troubles.fatal = Some(why.to_owned());
        }
    }

    /// `None`: the schema is valid.
    pub(in crate::store) fn set_schema(&self, why: Option<Altered>) {
        lock(&self.troubles).schema = why;
    }

    pub(in crate::store) fn fatal(&self) -> Option<String> {
        lock(&self.troubles).fatal.clone()
    }

    /// Records, here and in the file, that the writer waits, and since when.
    pub(in crate::store) fn set_blocked(&self, since_ms: i64) -> Blocked {
        let blocked = Blocked { since_ms, by: locks::writer(&self.place) };
        let mut troubles = lock(&self.troubles);
        if troubles.blocked.as_ref() != Some(&blocked) {
            if let Ok(text) = serde_json::to_vec(&blocked) {
                // The file is only informative; a full disk must not stop the writer.
                let _ = fs::write(blocked_file(&self.place), text);
            }
            troubles.blocked = Some(blocked.clone());
        }
        blocked
    }

    pub(in crate::store) fn unblocked(&self) {
        if lock(&self.troubles).blocked.take().is_some() {
            let _ = fs::remove_file(blocked_file(&self.place));
        }
    }

    /// Releases the ballast. False if there was none.
    pub(in crate::store) fn disk_is_full(&self) -> bool {
        let mut troubles = lock(&self.troubles);
        troubles.disk_full_since_ms.get_or_insert_with(|| self.clock.now_ms());
        self.ballast.as_ref().is_some_and(Ballast::release)
    }

    /// Allocates the ballast again if there is room, which ends the condition.
    pub(in crate::store) fn regain(&self) {
        let mut troubles = lock(&self.troubles);
        if troubles.disk_full_since_ms.is_some() && self.ballast.as_ref().is_none_or(Ballast::take_on) {
            log::info!("the disk has room again");
            troubles.disk_full_since_ms = None;
        }
    }
}
