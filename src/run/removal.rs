//! Removes a tree of any shape without following a link, without leaving it, and without recursion.
//!
//! Each directory in the trash is emptied of everything that is not a directory; its directories
//! are moved up into the trash itself; then it is removed. So two descriptors suffice for any
//! depth, and everything that a crash leaves is still in the trash, for the next process to
//! continue.
//!
//! A mount somewhere in the tree (a job may have bound a directory of the machine there) is not
//! part of the tree: it is not entered, and the rest is removed up to it. The kernel shows it by
//! the id of the mount, which the device does not.
//!
//! Two processes may remove the same tree at once (a person, and the worker that finds that it
//! belongs to no run): an entry that is gone already counts as removed.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RenameFlags, StatxFlags};
use rustix::io::Errno;

use crate::error::{Error, Result as Told};
use crate::place::typed;

/// Returns whether a long traversal should continue.
pub type GoesOn<'a> = &'a dyn Fn() -> bool;

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Names that are read from a directory at a time.
const BATCH: usize = 1_024;

/// How often a directory is read again because another process has created something in it
/// meanwhile.
const ROUNDS_MAX: usize = 100;

/// An entry that could not be removed, and why.
type Refused = (PathBuf, Errno);

/// Removes the entry at `path` with its content. False: it was asked to end before it was done.
///
/// # Errors
/// An entry in it cannot be removed (a mount, another user's file), with its name and the remedy.
pub fn remove(path: &Path, goes_on: GoesOn<'_>) -> Told<bool> {
    let told = |error: Errno| Error::io(format!("removing {}", path.display()), error);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
        return Err(told(Errno::INVAL));
    };
    // The parent is a directory of tenure, which may be a link of its user; a job cannot plant one
    // there.
    let parent = fs::openat(CWD, parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(told)?;
    all(&parent, name, goes_on).map_err(|refused| describe(path, refused))
}

/// Describes why a tree at `path` could not be removed completely.
pub(super) fn describe(path: &Path, (what, error): Refused) -> Error {
    let mounts = mounts_in(path);
    if mounts.is_empty() {
        return Error::io(format!("removing {} from {}", what.display(), path.display()), error);
    }
    let text = format!("what is mounted in it is not removed; {}", unmount(&mounts));
    Error::io(format!("removing {}", path.display()), std::io::Error::other(text))
}

/// Returns the command that a person must run before the directory can be removed.
pub fn unmount(mounts: &[PathBuf]) -> String {
    let paths: Vec<String> = mounts.iter().map(|path| typed(path)).collect();
    format!("umount {}", paths.join(" "))
}

/// Returns the mounts at or below a path, the deepest first.
pub fn mounts_in(path: &Path) -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let Ok(path) = path.canonicalize() else { return Vec::new() };
    let mut found: Vec<PathBuf> = mount_points(&table).filter(|point| point.starts_with(&path)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

/// The fifth word of each line; a space, a tab, a newline and a backslash stand there as three
/// octal digits.
fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    let points = table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(|word| {
        let (mut path, mut rest) = (Vec::new(), word);
        while let Some((first, after)) = rest.split_first() {
            let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
            match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
                Some(byte) => (path.push(byte), rest = &after[3..]).1,
                None => (path.push(*first), rest = after).1,
            }
        }
        PathBuf::from(OsStr::from_bytes(&path))
    })
}

/// Removes `name`, which is in `work`. False: it was asked to end before it was done.
pub(super) fn all(work: &OwnedFd, name: &str, goes_on: GoesOn<'_>) -> Result<bool, Refused> {
    let trash_name = CString::new(name).map_err(|_| (name.into(), Errno::INVAL))?;
    for _ in 0..ROUNDS_MAX {
        match once(work, &trash_name, goes_on) {
            Err((_, Errno::NOENT)) => return Ok(true),
            // Another process that removes the same tree moves directories up into it.
            Err((_, Errno::NOTEMPTY)) if goes_on() => {}
            done => return done,
        }
    }
    Err(refused(&trash_name, Errno::NOTEMPTY))
}

fn once(work: &OwnedFd, trash_name: &CStr, goes_on: GoesOn<'_>) -> Result<bool, Refused> {
    if !unlink_unless_directory(work.as_fd(), trash_name).map_err(|e| refused(trash_name, e))? {
        return Ok(true);
    }
    let trash = open(work.as_fd(), trash_name).map_err(|e| refused(trash_name, e))?;
    let mut moved = 0;
    // A refused entry must not affect the others.
    let mut first_refused = None;
    loop {
        // A refused entry stays, and the entries after it must be reached too.
        let most = if first_refused.is_some() { usize::MAX } else { BATCH };
        let names = names(&trash, most).map_err(|e| refused(trash_name, e))?;
        let count = names.len();
        let mut left = 0;
        for one in names {
            match empty_into(&trash, &one, &mut moved, goes_on) {
                Ok(true) => {}
                // No progress here; the remainder is checked below.
                Err((_, Errno::NOENT)) => left += 1,
                Ok(false) => return Ok(false),
                Err(error) => {
                    left += 1;
                    first_refused.get_or_insert(error);
                }
            }
        }
        if count == left {
            break;
        }
    }
    if let Some(error) = first_refused {
        return Err(error);
    }
    fs::unlinkat(work, trash_name, AtFlags::REMOVEDIR).map_err(|e| refused(trash_name, e))?;
    Ok(true)
}

fn refused(name: &CStr, error: Errno) -> Refused {
    (Path::new(OsStr::from_bytes(name.to_bytes())).to_owned(), error)
}

/// Removes one entry of the trash: its subdirectories become entries of the trash. False: it was
/// asked to end.
fn empty_into(trash: &OwnedFd, name: &CStr, moved: &mut u64, goes_on: GoesOn<'_>) -> Result<bool, Refused> {
    if !unlink_unless_directory(trash.as_fd(), name).map_err(|e| refused(name, e))? {
        return Ok(goes_on());
    }
    let dir = open(trash.as_fd(), name).map_err(|e| refused(name, e))?;
    let mut stuck: Option<Refused> = None;
    loop {
        let mut progress = false;
        let most = if stuck.is_some() { usize::MAX } else { BATCH };
        for entry in names(&dir, most).map_err(|e| refused(name, e))? {
            if !goes_on() {
                return Ok(false);
            }
            match unlink_unless_directory(dir.as_fd(), &entry).and_then(|is_directory| match is_directory {
                true => move_up(&dir, &entry, trash, moved),
                false => Ok(()),
            }) {
                Ok(()) => progress = true,
                Err(Errno::NOENT) => {}
                Err(error) => {
                    stuck.get_or_insert_with(|| refused(&entry, error));
                }
            }
        }
        if !progress {
            break;
        }
    }
    if let Some(error) = stuck {
        return Err(error);
    }
    fs::unlinkat(trash, name, AtFlags::REMOVEDIR).map_err(|e| refused(name, e))?;
    Ok(goes_on())
}

/// Unlinks a name that is not a directory; returns true if it is one.
fn unlink_unless_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    match fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR) => Ok(true),
        Err(error) => Err(error),
    }
}

fn move_up(dir: &OwnedFd, name: &CStr, trash: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    // To move a directory changes its "..", so it must be writable itself.
    drop(open(dir.as_fd(), name)?);
    loop {
        *moved += 1;
        let to = format!("{moved}.moved");
        match fs::renameat_with(dir, name, trash, &to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            Err(Errno::INVAL | Errno::NOSYS) => match fs::statat(trash, &to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => {}
                Err(_) => return fs::renameat(dir, name, trash, &to),
            },
            done => return done,
        }
    }
}

/// Opens a directory that is to be emptied, regardless of its permissions.
fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let found = fs::openat(parent, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if mount_of(found.as_fd())? != mount_of(parent)? {
        return Err(Errno::BUSY);
    }
    let mode = Mode::from_raw_mode(fs::fstat(&found)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        // By the descriptor: a change by name would follow a link that has replaced it. If it may
        // not be changed, the next steps report that.
        let _told_below = fs::chmodat(CWD, format!("/proc/self/fd/{}", found.as_raw_fd()), mode | Mode::RWXU, AtFlags::empty());
    }
    fs::openat(&found, c".", DIRECTORY, Mode::empty())
}

/// Returns the id of the mount that a descriptor is in: that of the mount on top, if there is one.
pub(super) fn mount_of(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let stat = fs::statx(fd, c"", AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID)?;
    if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 { Err(Errno::OPNOTSUPP) } else { Ok(stat.stx_mnt_id) }
}

/// The first of the names in a directory.
fn names(dir: &OwnedFd, most: usize) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
            if names.len() >= most {
                break;
            }
        }
    }
    Ok(names)
}
