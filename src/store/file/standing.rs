//! Do this file, this path and this directory belong together?
//!
//! A copy of the file has the same jobs, the same runs and the same cookies as the original. A
//! worker on it would end the original's running jobs and run its queued jobs a second time. So
//! each side records the other ([`crate::store::file::home`]):
//!
//! * `home` in the directory: the ids that its file has had, and the path and the inodes of file
//!   and directory;
//! * `meta.home` in the file: the path and the inode that it had when a worker last started on it.
//!
//! Inodes stay the same when a file is renamed and differ in every copy, except that a snapshot of
//! a volume keeps them; so if the path has changed, the old path is checked too. A file that cannot
//! be told from a copy is not written until a person declares what it is
//! ([`crate::store::declare()`]). Readers are not affected.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::Advice;
use crate::place::{Place, typed};
use crate::store::Store;
use crate::store::engine::connection::snapshot;
use crate::store::engine::locks;
use crate::store::engine::watch::FileId;
use crate::store::file::home::{Home, Noted, load, lossy};
use crate::store::file::identity::{Identity, identify};
use crate::store::job::read;

/// File systems (`f_type`) that may assign another inode each time they are mounted: FAT, exFAT,
/// FUSE.
const INODES_CHANGE: [u32; 3] = [0x4d44, 0x2011_bab0, 0x6573_5546];

/// The relation of a file to its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// They belong together.
    Home,
    /// They belong together, and one of them has been moved, or the directory was lost: the next
    /// worker records it.
    Moved,
    /// The directory belongs to the file, and the content is older. The text says how that is
    /// known.
    OlderCopy(String),
    /// The file is a copy of the one at this path, or was moved from there. `is_there`: the one at
    /// the path exists, with its directory.
    Copy { of: String, is_there: bool },
    /// They do not belong together: the reason, and the remedy.
    Apart { why: String, remedy: String },
}

/// Advice about the place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceAdvice {
    pub advice: Advice,
    /// Nothing may be written before the remedy.
    pub is_refused: bool,
}

/// The facts to assess.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Evidence {
    path: String,
    file: u64,
    directory: u64,
    inodes_stay: bool,
    file_id: String,
    /// A worker has started on the file.
    is_used: bool,
    noted: Option<Noted>,
    /// Its schema is of a version that recorded nothing.
    is_older: bool,
    home: Option<Home>,
    /// A worker of an earlier version has left its stamp in the directory.
    has_stamp: bool,
}

/// What exists at a path where the file was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Before {
    /// Inode of a file other than this one.
    other_file: Option<u64>,
    /// The directory beside it records this file.
    directory_is_ours: bool,
    /// A log that is not empty, without a file.
    log_alone: bool,
    /// There is no file, and a process has this one open with the log that is there.
    opened_by: Option<i32>,
}

impl Standing {
    /// # Errors
    /// [`Error::File`] with the remedy if the file must not be written here.
    pub fn check(&self, place: &Place) -> Result<()> {
        match self.advice(place).filter(|found| found.is_refused) {
            None => Ok(()),
            Some(PlaceAdvice { advice, .. }) => Err(Error::File(advice.sentence())),
        }
    }

    /// Returns advice for a person; `None`: there is none.
    pub fn advice(&self, place: &Place) -> Option<PlaceAdvice> {
        let db = place.db().display();
        // The command is about this file as it is. The configuration may name another one.
        let declare = |is: &str| format!("tenure --db {} doctor --is {is}", typed(place.db()));
        let advice = |code, text: String, remedy: &str, is_refused| {
            Some(PlaceAdvice { advice: Advice::with_remedy(code, text, remedy), is_refused })
        };
        match self {
            Self::Home | Self::Moved => None,
            Self::OlderCopy(why) => {
                let text = format!("{why}: the next worker holds every job that had not ended, as after tenure restore");
                advice("older_copy", text, "tenure work; then look, and tenure release ID", false)
            }
            Self::Apart { why, remedy } => advice("file_apart", why.clone(), remedy, true),
            Self::Copy { of, is_there: true } => {
                let text = format!("{db} is a copy of {of}: a worker on both would run its jobs twice");
                let remedy = format!(
                    "use the other (--db {}), or make this a file of its own, with every job held: {}",
                    typed(Path::new(of)),
                    declare("copy")
                );
                advice("file_copy", text, &remedy, true)
            }
            Self::Copy { of, .. } => {
                let text = format!(
                    "{db} is a copy of {of}, or was moved from there without a sign: a worker on both would run its jobs twice"
                );
                let remedy = format!(
                    "if the other is gone: {}; if this is a copy, to make it a file of its own, with every job held: {}",
                    declare("moved"),
                    declare("copy")
                );
                advice("file_copy", text, &remedy, true)
            }
        }
    }
}

/// Assesses the file, its place and its directory. Changes nothing. What the file says is of one
/// instant: another process may upgrade it meanwhile.
///
/// # Errors
/// The file or the directory cannot be read.
pub fn assess(place: &Place, conn: &Connection) -> Result<Standing> {
    snapshot(conn, |conn| assess_now(place, conn))
}

fn assess_now(place: &Place, conn: &Connection) -> Result<Standing> {
    let Some(file_id) = read::meta(conn, "file_id")? else { return Ok(Standing::Home) };
    let inode = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.ino());
    let generation = read::meta(conn, "generation")?;
    let evidence = Evidence {
        path: lossy(place.db()),
        file: inode(place.db()),
        directory: inode(place.dir()),
        inodes_stay: inodes_stay(place.db()),
        file_id,
        is_used: generation.is_some_and(|generation| generation != "0"),
        noted: read::meta(conn, "home")?.and_then(|text| serde_json::from_str(&text).ok()),
        is_older: matches!(identify(conn)?, Identity::Older { .. }),
        home: load(place)?,
        has_stamp: place.stamp().exists(),
    };
    Ok(evidence.assess(|path| read_before(place, path, &evidence.file_id)))
}

/// Returns advice if the file, its path and its directory do not clearly belong together.
///
/// # Errors
/// The file or the directory cannot be read.
pub fn advice(store: &Store) -> Result<Option<PlaceAdvice>> {
    let place = store.place().clone();
    Ok(store.read(|conn| assess(&place, conn))?.advice(&place))
}

/// The same for an empty file that is about to be filled.
///
/// # Errors
/// The directory cannot be read.
pub fn assess_empty(place: &Place) -> Result<Standing> {
    let path = lossy(place.db());
    if let Some(home) = load(place)?
        && home.path != path
        && let Some(apart) = read_before(place, &home.path, "").standing(&path, &home.path)
    {
        return Ok(apart);
    }
    // A file that a worker has used is never empty, and its directory outlives it.
    Ok(match place.stamp().exists() {
        false => Standing::Home,
        true => Standing::Apart {
            why: format!("{path} is empty, and {} belongs to a file with jobs", place.dir().display()),
            remedy: format!(
                "put that file back with its log, or bring a backup into its place with tenure restore; to begin a new queue: {}",
                rename(&lossy(place.dir()), &format!("{}.old", lossy(place.dir())))
            ),
        },
    })
}

impl Before {
    /// Derives what follows from these facts alone.
    fn standing(&self, path: &str, was: &str) -> Option<Standing> {
        if let Some(pid) = self.opened_by {
            return Some(Standing::Apart {
                why: format!("{path} was {was} until it was moved, and pid {pid} still has it open as that"),
                remedy: format!("end pid {pid}, or move it back: {}", rename(path, was)),
            });
        }
        self.log_alone.then(|| Standing::Apart {
            why: format!("{path} was moved here from {was} without its log, which has jobs in it"),
            remedy: format!("end what has it open, then: {}", rename(&format!("{was}-wal"), &format!("{path}-wal"))),
        })
    }
}

impl Evidence {
    fn assess(&self, before: impl Fn(&str) -> Before) -> Standing {
        match &self.home {
            Some(home) => self.assess_by_home(home, before),
            None => self.assess_without(before),
        }
    }

    fn assess_by_home(&self, home: &Home, before: impl Fn(&str) -> Before) -> Standing {
        let Home { path: was, .. } = home;
        let beside = format!("{}.d", self.path);
        if !home.file_ids.contains(&self.file_id) {
            return Standing::Apart {
                why: format!("{beside} belongs to another file than {}, the one that was {was}", self.path),
                remedy: format!("put that file back, or move the directory aside: {}", rename(&beside, &format!("{beside}.old"))),
            };
        }
        let same_path = self.path == *was;
        let same_directory = if self.inodes_stay { home.directory == self.directory } else { same_path };
        let same_file = if self.inodes_stay { home.file == self.file } else { same_path };
        let there = if same_path { Before::default() } else { before(was) };
        if let Some(apart) = there.standing(&self.path, was) {
            return apart;
        }
        let original_is_there = there.other_file.is_some() && there.directory_is_ours;
        if original_is_there || !same_directory && !same_file {
            return Standing::Copy { of: was.clone(), is_there: original_is_there };
        }
        if let Some(replaced) = &home.replaced {
            return Standing::OlderCopy(format!("the content of the file was replaced under a living worker ({})", replaced.why));
        }
        match (same_file, same_directory && same_path) {
            (true, true) => Standing::Home,
            (true, false) => Standing::Moved,
            (false, _) if there.other_file == Some(home.file) => Standing::Apart {
                why: format!("{beside} belongs to {was}"),
                remedy: format!("move it back: {}", rename(&beside, &format!("{was}.d"))),
            },
            (false, _) => Standing::OlderCopy("another file was put in the place of the one that this directory knows".into()),
        }
    }

    /// The directory records nothing: it is new, was emptied, or stayed behind.
    fn assess_without(&self, before: impl Fn(&str) -> Before) -> Standing {
        // Of an earlier version, which wrote no home.
        if self.has_stamp || self.noted.is_none() && (self.is_older || !self.is_used) {
            return Standing::Moved;
        }
        let Some(noted) = &self.noted else { return Standing::Copy { of: "an unknown file".into(), is_there: false } };
        if noted.path == self.path && (noted.file == self.file || !self.inodes_stay) {
            return Standing::Moved;
        }
        let there = if noted.path == self.path { Before::default() } else { before(&noted.path) };
        if there.directory_is_ours && there.other_file.is_none() {
            return Standing::Apart {
                why: format!("{} was moved here from {} without the directory that belongs to it", self.path, noted.path),
                remedy: format!("stop the worker, then: {}", rename(&format!("{}.d", noted.path), &format!("{}.d", self.path))),
            };
        }
        Standing::Copy { of: noted.path.clone(), is_there: there.other_file.is_some() && there.directory_is_ours }
    }
}

fn read_before(ours: &Place, path: &str, file_id: &str) -> Before {
    let there = Place::new(PathBuf::from(path));
    let found = FileId::at(there.db());
    Before {
        other_file: found.filter(|found| Some(*found) != FileId::at(ours.db())).map(|found| found.1),
        directory_is_ours: load(&there).is_ok_and(|home| home.is_some_and(|home| home.file_ids.iter().any(|id| id == file_id)))
            && FileId::at(there.dir()) != FileId::at(ours.dir()),
        opened_by: locks::opened_elsewhere(ours).filter(|_| found.is_none()).map(|holder| holder.pid),
        log_alone: found.is_none() && fs::metadata(there.wal()).is_ok_and(|meta| meta.len() > 0),
    }
}

fn inodes_stay(path: &Path) -> bool {
    #[allow(clippy::cast_possible_truncation)] // the type has 32 bits, in a field whose width differs between machines
    rustix::fs::statfs(path).is_ok_and(|found| !INODES_CHANGE.contains(&(found.f_type as u32)))
}

/// Returns the command to type.
fn rename(from: &str, to: &str) -> String {
    format!("mv {} {}", typed(Path::new(from)), typed(Path::new(to)))
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
