//! `work/`: the directories of workspaces, and nothing else.
//!
//! ```text
//! .new-NONCE               is being filled by the maker with this nonce
//! SLUG-MARK                is whole; came here by a rename
//! .trash-NONCE.SLUG-MARK   is being removed
//! ```
//!
//! Everything here is relative to an open descriptor of `work/`, which was opened without following
//! a link, and uses names of one part that tenure has chosen. No symbolic link is followed: a
//! planted link is refused, or removed as a link. A mount in it is not entered. So nothing outside
//! `work/` is ever created, filled or removed.
//!
//! Deliberately absent: rows, and when to do any of this.

mod size;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, RenameFlags};
use rustix::io::Errno;

use super::machine;
use super::removal::{self, DIRECTORY, GoesOn};
use crate::error::{Error, Result};
use crate::job::workspace::{TRASH_PREFIX, is_ours};
use crate::place::Place;

/// Most bytes of a name, to Linux.
const NAME_MAX: usize = 255;

/// Whether the directory of a workspace exists: the cost of a warm hit. (A link in place of `work/`
/// itself is detected too.)
///
/// # Errors
/// The system cannot be queried.
pub fn is_there(place: &Place, dir: &str) -> Result<bool> {
    Ok(is_directory(&place.work())? && is_directory(&place.work().join(dir))?)
}

fn is_directory(path: &Path) -> Result<bool> {
    match fs::lstat(path) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(Error::io(format!("checking {}", path.display()), error)),
    }
}

/// `work/`, open.
#[derive(Debug)]
pub struct Work {
    fd: OwnedFd,
    path: PathBuf,
}

impl Work {
    /// Opens it, and creates it if it does not exist.
    ///
    /// # Errors
    /// Something else is in its place: a link is not followed.
    pub fn open(place: &Place) -> Result<Self> {
        let path = place.work();
        match fs::mkdirat(CWD, &path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(Error::io(format!("making {}", path.display()), error)),
        }
        Self::find(place)?.ok_or_else(|| Error::io(format!("opening {}", path.display()), Errno::NOENT))
    }

    /// Opens it, if it exists.
    ///
    /// # Errors
    /// As [`Work::open`].
    pub fn find(place: &Place) -> Result<Option<Self>> {
        let path = place.work();
        match fs::openat(CWD, &path, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(Error::Refused(format!(
                "{} is not a directory, and a link is not followed there: move it away (to have workspaces on another disk, mount that there)",
                path.display()
            ))),
            Err(error) => Err(Error::io(format!("opening {}", path.display()), error)),
        }
    }

    /// Returns every name in it that tenure may have given. (A mount may have a `lost+found`.)
    ///
    /// # Errors
    /// The system cannot be queried.
    pub fn names(&self) -> Result<Vec<String>> {
        let told = |error| Error::io(format!("reading {}", self.path.display()), error);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(told)? {
            let entry = entry.map_err(told)?;
            match entry.file_name().to_str() {
                Ok(name) if is_ours(name) => names.push(name.to_owned()),
                Ok(_) | Err(_) => {}
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the path of an entry.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Creates a new and empty directory.
    ///
    /// # Errors
    /// Something of that name exists, or there is no room.
    pub fn make(&self, name: &str) -> Result<()> {
        plain(name)?;
        fs::mkdirat(&self.fd, name, Mode::RWXU)
            .map_err(|error| Error::io(format!("making {}", self.path_of(name).display()), error))
    }

    /// Gives a complete directory its name.
    ///
    /// # Errors
    /// It is not a directory any more, or something of that name exists.
    pub fn settle(&self, new: &str, name: &str) -> Result<()> {
        plain(new)?;
        plain(name)?;
        if self.kind(new)? != Some(FileType::Directory) {
            let error = std::io::Error::other(
                "it is not a directory any more; the prepare command must fill the directory that it is started in",
            );
            return Err(Error::io(self.path_of(new).display().to_string(), error));
        }
        let renamed = match fs::renameat_with(&self.fd, new, &self.fd, name, RenameFlags::NOREPLACE) {
            // A file system without that flag: no other process uses this name.
            Err(Errno::INVAL | Errno::NOSYS) if self.kind(name)?.is_none() => fs::renameat(&self.fd, new, &self.fd, name),
            done => done,
        };
        renamed.map_err(|error| Error::io(format!("renaming {} to {name:?}", self.path_of(new).display()), error))
    }

    /// Flushes its content to the disk.
    ///
    /// # Errors
    /// The disk refuses it.
    pub fn sync(&self) -> Result<()> {
        fs::syncfs(&self.fd).map_err(|error| Error::io(format!("flushing {}", self.path.display()), error))
    }

    /// Returns the size of a directory on the disk, in bytes; `None`: it does not exist, or the
    /// traversal was ended.
    ///
    /// # Errors
    /// The system cannot be queried.
    pub fn size(&self, name: &str, goes_on: GoesOn<'_>) -> Result<Option<u64>> {
        plain(name)?;
        size::of(&self.fd, name, goes_on).map_err(|error| Error::io(format!("measuring {}", self.path_of(name).display()), error))
    }

    /// Removes the entry of this name with its content. What cannot be removed stays under a name
    /// of trash, to be retried. If another process is removing it, this one helps, and so returns
    /// the same errors. False: the traversal was ended.
    ///
    /// # Errors
    /// An entry in it cannot be removed (a mount, another user's file), with its name.
    pub fn remove(&self, name: &str, goes_on: GoesOn<'_>) -> Result<bool> {
        plain(name)?;
        if name.starts_with(TRASH_PREFIX) {
            return self.empty(name, goes_on);
        }
        let trash = trash_of(name);
        match fs::renameat(&self.fd, name, &self.fd, &trash) {
            Ok(()) => self.empty(&trash, goes_on),
            Err(Errno::NOENT) => {
                let of_it = self.names()?.into_iter().filter(|one| is_trash_of(one, name));
                of_it.map(|trash| self.empty(&trash, goes_on)).try_fold(true, |all, one| Ok(one? && all))
            }
            Err(error) => Err(Error::io(format!("removing {}", self.path_of(name).display()), error)),
        }
    }

    fn empty(&self, trash: &str, goes_on: GoesOn<'_>) -> Result<bool> {
        removal::all(&self.fd, trash, goes_on).map_err(|refused| removal::describe(&self.path_of(trash), refused))
    }

    fn kind(&self, name: &str) -> Result<Option<FileType>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io(format!("checking {}", self.path_of(name).display()), error)),
        }
    }
}

/// Returns a name of trash that no other has, and that tells what it was.
fn trash_of(name: &str) -> String {
    // A name of ours is much shorter; one that a person made may leave no room.
    let was = if name.len() <= NAME_MAX / 2 { name } else { "" };
    format!("{TRASH_PREFIX}{}.{was}", machine::nonce())
}

fn is_trash_of(trash: &str, name: &str) -> bool {
    trash.strip_prefix(TRASH_PREFIX).and_then(|rest| rest.split_once('.')).is_some_and(|(_, was)| was == name)
}

/// Accepts only names of one part that lead nowhere else, for every caller.
fn plain(name: &str) -> Result<()> {
    let bytes = OsStr::new(name).as_bytes();
    if bytes.is_empty() || name == "." || name == ".." || bytes.iter().any(|b| *b == b'/' || *b == 0) {
        return Err(Error::Internal(format!("{name:?} is not the name of a workspace's directory")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
