//! Is the file that we have open still the one that its name leads to?
//!
//! A file that was replaced or removed under a living process goes on working, silently, in a place
//! that no other process sees. `stat` tells.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::place::Place;

/// Device and inode: which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct FileId(pub u64, pub u64);

impl FileId {
    pub(in crate::store) fn of(meta: &fs::Metadata) -> Self {
        Self(meta.dev(), meta.ino())
    }

    pub(in crate::store) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

/// The file, its log and the log's index, as they were when they were opened.
#[derive(Debug)]
pub(in crate::store) struct Watch {
    place: Place,
    db: Option<FileId>,
    wal: Option<FileId>,
    shm: Option<FileId>,
}

impl Watch {
    /// Notes what the names lead to now. A connection must be open that has read already: from then
    /// on no other process can be the last one to close, so that the log keeps its inode.
    pub(in crate::store) fn begin(place: &Place) -> Self {
        Self { place: place.clone(), db: FileId::at(place.db()), wal: FileId::at(&place.wal()), shm: FileId::at(&place.shm()) }
    }

    pub(in crate::store) fn db(&self) -> Option<FileId> {
        self.db
    }

    pub(in crate::store) fn wal(&self) -> Option<FileId> {
        self.wal
    }

    /// What has been replaced or removed, in words.
    pub(in crate::store) fn replaced(&self) -> Option<String> {
        let three = [(self.place.db().to_owned(), self.db), (self.place.wal(), self.wal), (self.place.shm(), self.shm)];
        three.iter().find_map(|(path, was)| changed(path, (*was)?))
    }
}

fn changed(path: &Path, was: FileId) -> Option<String> {
    match fs::metadata(path) {
        Ok(meta) if FileId::of(&meta) == was => None,
        Ok(_) => Some(format!("{} was replaced while it was open", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{} was removed while it was open", path.display())),
        // Not to be allowed to look proves nothing.
        Err(_) => None,
    }
}
