//! Checks that the open file is still the one that its name refers to.
//!
//! A file that was replaced or removed while it is open keeps working, silently, where no other
//! process sees it. `stat` shows that.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::place::Place;

/// Device and inode: the identity of a file, independent of its name.
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

/// The identities of the file, its log and the log's index when they were opened.
#[derive(Debug)]
pub(in crate::store) struct Watch {
    place: Place,
    db: Option<FileId>,
    wal: Option<FileId>,
    shm: Option<FileId>,
}

impl Watch {
    /// Records what the names refer to now. A connection that has read must be open: from then on
    /// no other process can be the last one to close, so the log keeps its inode.
    pub(in crate::store) fn begin(place: &Place) -> Self {
        Self { place: place.clone(), db: FileId::at(place.db()), wal: FileId::at(&place.wal()), shm: FileId::at(&place.shm()) }
    }

    pub(in crate::store) fn db(&self) -> Option<FileId> {
        self.db
    }

    pub(in crate::store) fn wal(&self) -> Option<FileId> {
        self.wal
    }

    /// Says which files have been replaced or removed.
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
        // A failed check proves nothing.
        Err(_) => None,
    }
}
