//! The worker's lock on the main file itself: on a byte that SQLite does not use.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::Mutex;

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::run::record_lock::{self, Bytes};
use crate::store::engine::locks;
use crate::sync::lock;

/// The lock on the main file.
const OF_MAIN: Bytes = Bytes { first: locks::WORKER_BYTE, length: 1 };

/// A main file that this process has opened. Its descriptor is never closed: that would release the
/// locks of SQLite in this process.
struct MainFile {
    file: File,
    /// A worker in this process holds it. Two would share a description, and the second would be
    /// admitted as well.
    held: bool,
}

/// By device and inode.
static MAIN_FILES: Mutex<BTreeMap<(u64, u64), MainFile>> = Mutex::new(BTreeMap::new());

/// The lock on the main file itself.
#[derive(Debug)]
pub struct MainLock {
    id: (u64, u64),
}

impl MainLock {
    /// `None`: another worker has it.
    pub fn take(place: &Place) -> Result<Option<Self>> {
        let path = place.db();
        let told = |e: std::io::Error| Error::io(format!("locking {}", path.display()), e);
        let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let mut files = lock(&MAIN_FILES);
        let mut id = identity(fs::symlink_metadata(path).map_err(told)?);
        if !files.contains_key(&id) {
            let flags = OFlags::NOFOLLOW.bits().cast_signed();
            let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).map_err(told)?;
            id = identity(file.metadata().map_err(told)?);
            match files.entry(id) {
                Entry::Vacant(new) => {
                    new.insert(MainFile { file, held: false });
                }
                // The name now refers to another file, which is open already.
                Entry::Occupied(_) => std::mem::forget(file),
            }
        }
        let Some(main) = files.get_mut(&id) else { return Ok(None) };
        if main.held || !record_lock::try_lock(&main.file, record_lock::Kind::Exclusive, OF_MAIN).map_err(told)? {
            return Ok(None);
        }
        main.held = true;
        Ok(Some(Self { id }))
    }

    /// Whether the name of the file refers to this one.
    pub fn is_at(&self, place: &Place) -> bool {
        fs::symlink_metadata(place.db()).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.id)
    }

    pub fn free(&self) {
        let mut files = lock(&MAIN_FILES);
        if let Some(main) = files.get_mut(&self.id).filter(|main| main.held) {
            main.held = false;
            let _it_can_only_fail_for_a_closed_descriptor = record_lock::unlock(&main.file, OF_MAIN);
        }
    }
}
