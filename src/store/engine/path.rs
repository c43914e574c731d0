//! From the path that a person typed to the place of the file: resolves links, creates directories,
//! and explains refusals.
//!
//! Nothing here opens the file: another thread of this process may have it open, and closing a
//! second descriptor would release its locks.

use crate::store::engine::small_file::sync_directory;
use std::fs::{self, DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, StatxFlags, statx};

use crate::error::{Error, Result, said, words};
use crate::owner;
use crate::place::Place;
use crate::store::engine::{network, permission};
use crate::store::file::home;

/// Maximum number of links that are followed to the file, as in the kernel.
const LINKS_MAX: usize = 40;
/// The smallest file that SQLite can have created, in bytes. SQLite takes a file of one byte for an
/// empty one and would overwrite it.
const DATABASE_BYTES_MIN: u64 = 512;

/// Finds the place of a file that must exist.
pub(in crate::store) fn find(path: &Path) -> Result<Place> {
    let missing = || Error::File(format!("there is no file {}; `tenure add` makes it, --db names another", path.display()));
    let path = follow(path)?;
    let place = Place::new(in_real_directory(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing(),
        _ => looking(&path, error),
    })?);
    match stat(place.db())? {
        Some(meta) => check(&place, &meta)?,
        None => return Err(gone(&place).unwrap_or_else(missing)),
    }
    Ok(place)
}

/// What to do if the file does not exist, but its log or directory does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Missing {
    /// Refuse: a new file would be created beside the log and the directory of another.
    Begin,
    /// A backup is about to replace it.
    Restore,
}

/// Finds the place of a file. If it does not exist, creates it empty (0600), with the directories
/// above it (0700).
pub(in crate::store) fn find_or_make(path: &Path, missing: Missing) -> Result<Place> {
    let path = follow(path)?;
    let parent = path.parent().ok_or_else(|| not_a_file(&path))?;
    make_directories(parent)?;
    let real = in_real_directory(&path).map_err(|error| looking(&path, error))?;
    let place = Place::new(real);
    network::refuse(parent)?;
    permission::check_not_planted(&place)?;
    let found = stat(place.db())?;
    let is_empty = found.as_ref().is_none_or(|meta| meta.len() == 0 && place.stamp().exists());
    if is_empty
        && missing == Missing::Begin
        && let Some(error) = gone(&place)
    {
        // Another process may have created all of it meanwhile.
        if stat(place.db())?.is_none_or(|meta| meta.len() == 0) {
            return Err(error);
        }
    }
    if found.is_none() {
        make_file(place.db())?;
    }
    let meta = stat(place.db())?.ok_or_else(|| Error::File(format!("{} was removed just now", place.db().display())))?;
    check(&place, &meta)?;
    Ok(place)
}

/// Explains why no new file may be created where another one was.
fn gone(place: &Place) -> Option<Error> {
    let left = home::left_behind(place)?;
    Some(Error::File(format!(
        "{db} is not there, and {left} of it is: put the file back, or bring a backup into its place with tenure restore; \
         to begin a new queue, move what is left away first: mv {left} {left}.old",
        db = place.db().display(),
        left = left.display()
    )))
}

/// Follows a link in the last part of the path, even if its target does not exist yet.
fn follow(path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::Invalid("the name of the file is empty".into()));
    }
    let looking = |error| looking(path, error);
    let mut now = std::path::absolute(path).map_err(looking)?;
    for _ in 0..LINKS_MAX {
        let parent = match (now.parent(), now.file_name()) {
            (Some(parent), Some(_)) => parent.to_owned(),
            _ => return Err(not_a_file(path)),
        };
        match fs::symlink_metadata(&now) {
            Ok(meta) if meta.is_symlink() => {
                permission::check_ours(&now)?;
                now = parent.join(fs::read_link(&now).map_err(looking)?);
            }
            Ok(_) => return Ok(now),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(now),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(Error::File(format!("{}: a part of this path is not a directory", path.display())));
            }
            Err(error) => return Err(looking(error)),
        }
    }
    Err(Error::File(format!("{}: its symbolic links go round in a circle", path.display())))
}

/// A file whose metadata cannot be read cannot be used.
fn looking(path: &Path, error: std::io::Error) -> Error {
    let what = format!("resolving {}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied => Error::File(format!(
            "{what}: {}; its directories must let this user in, or name another file with --db",
            said(&error)
        )),
        _ => Error::io(what, error),
    }
}

fn in_real_directory(path: &Path) -> std::io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    Ok(fs::canonicalize(parent)?.join(name))
}

fn not_a_file(path: &Path) -> Error {
    Error::File(format!("{} is a directory; name a file in it with --db", path.display()))
}

fn stat(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::File(format!("{}: {}", path.display(), words(&error)))),
    }
}

/// Refuses a file that SQLite could open but not keep safe.
fn check(place: &Place, meta: &Metadata) -> Result<()> {
    let db = place.db();
    if meta.is_dir() {
        return Err(not_a_file(db));
    }
    if !meta.is_file() {
        return Err(Error::File(format!("{} is not a regular file; name another with --db", db.display())));
    }
    if (1..DATABASE_BYTES_MIN).contains(&meta.len()) {
        return Err(Error::File(format!(
            "{} is not a tenure file, or what is left of one; name another with --db, or move it away and bring a backup back with tenure restore",
            db.display()
        )));
    }
    if meta.nlink() > 1 {
        return Err(Error::File(format!(
            "{} has {} names (hard links), and each would get a log of its own, which loses jobs; keep one: \
             find {} -xdev -samefile {} shows them",
            db.display(),
            meta.nlink(),
            db.parent().unwrap_or(Path::new("/")).display(),
            db.display()
        )));
    }
    if is_a_mount(db) {
        return Err(Error::File(format!(
            "{} is mounted by itself, and its log would be in another directory than that of the original, which loses jobs; \
             mount the directory that it is in",
            db.display()
        )));
    }
    network::refuse(db)
}

/// Whether a single file was bind mounted here.
fn is_a_mount(path: &Path) -> bool {
    const MOUNT_ROOT: u64 = 0x2000;
    let asked = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE);
    asked.is_ok_and(|found| found.stx_attributes.bits() & MOUNT_ROOT != 0)
}

/// Creates a directory and those above it, 0700, and makes their names durable.
fn make_directories(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_directories(above)?;
    }
    make_directory(dir)?;
    sync_directory(dir.parent().unwrap_or(dir))
}

fn make_directory(dir: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => permission::check_ours(dir),
        Err(error) => Err(Error::File(format!("the directory {} cannot be created: {}", dir.display(), words(&error)))),
        Ok(()) => give(dir),
    }
}

/// `mknod` creates the file with its mode in one step and without a descriptor that would have to
/// be closed.
fn make_file(path: &Path) -> Result<()> {
    match rustix::fs::mknodat(CWD, path, FileType::RegularFile, Mode::from_raw_mode(0o600), 0) {
        Ok(()) => {
            give(path)?;
            sync_directory(path.parent().unwrap_or(Path::new("/")))
        }
        Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(Error::File(format!("{} cannot be made: {}", path.display(), words(&error.into())))),
    }
}

/// What root creates in the directory of another user belongs to that user.
fn give(path: &Path) -> Result<()> {
    let around = path.parent().unwrap_or(Path::new("/"));
    owner::give_path(path, around).map_err(|error| Error::io(format!("giving {} to its owner", path.display()), error))
}

/// Creates the directory beside the file, with its subdirectories.
///
/// # Errors
/// It cannot be created, or the existing one belongs to another user.
pub fn make_beside(place: &Place) -> Result<()> {
    let new = !place.dir().exists();
    for dir in [place.dir().to_owned(), place.runs(), place.logs(), place.results(), place.secrets(), place.work()] {
        make_directory(&dir)?;
    }
    if new {
        sync_directory(place.dir())?;
        sync_directory(place.db().parent().unwrap_or(Path::new("/")))?;
    }
    Ok(())
}
