//! Whose a file is that root makes beside another user's: root, as a client of a service with a user of its own, gives it to that user.
//!
//! Only what this process has made a moment ago is given away, and only while nobody can have put something else in its place: by its
//! descriptor, or, where it has none, by one that follows no link and finds an object of root's with one name. After a crash in between it
//! belongs to root, and a worker says so when it starts.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, fstat, openat, stat};

/// Gives a file that was just made to the owner of another one.
///
/// # Errors
/// The system refuses it.
pub fn give_file(file: &File, like: &Path) -> io::Result<()> {
    match heir(like)? {
        Some((user, group)) => Ok(fchown(file, Some(user), Some(group))?),
        None => Ok(()),
    }
}

/// The same of a directory, or of an empty file, that has no descriptor. One that is opened here drops no lock when it is closed.
///
/// # Errors
/// The system refuses it.
pub fn give_path(path: &Path, like: &Path) -> io::Result<()> {
    let Some((user, group)) = heir(like)? else { return Ok(()) };
    let found = openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let meta = fstat(&found)?;
    let kind = FileType::from_raw_mode(meta.st_mode);
    let is_ours = meta.st_uid == 0 && (kind.is_dir() || kind.is_file() && meta.st_nlink == 1 && meta.st_size == 0);
    if is_ours {
        chownat(found.as_fd(), "", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
    }
    Ok(())
}

/// Who is to have what root makes: the owner of `like`, where that is another user. In a directory in which everybody may make files, nobody.
fn heir(like: &Path) -> io::Result<Option<(Uid, Gid)>> {
    const STICKY: u32 = 0o1000;
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let meta = stat(like)?;
    let is_for_all = meta.st_mode & STICKY != 0;
    Ok((meta.st_uid != 0 && !is_for_all).then(|| (Uid::from_raw(meta.st_uid), Gid::from_raw(meta.st_gid))))
}
