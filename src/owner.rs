//! The owner of files that root creates beside those of another user: root, as a client of a
//! service with its own user, gives them to that user.
//!
//! Only what this process has just created is given away, and only while no other process can have
//! replaced it: by its descriptor, or, without one, by a descriptor that follows no link and finds
//! an object of root's with one name. After a crash in between it belongs to root, and a worker
//! reports that when it starts.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, fstat, openat, stat};

/// Opens a file for reading and appending, and creates it (0600, the owner of `like`) if it does
/// not exist. No link is followed: a user may have planted one to misdirect root.
///
/// # Errors
/// The system refuses it, or there is a link.
pub fn open_or_make(path: &Path, like: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.clone().create_new(true).open(path) {
        Ok(file) => give_file(&file, like).map(|()| file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}

/// Gives a new file to the owner of another one. A file that does not belong to root, or has a
/// second name, was not created here and is not given away.
///
/// # Errors
/// The system refuses it.
pub fn give_file(file: &File, like: &Path) -> io::Result<()> {
    let Some((user, group)) = heir(like)? else { return Ok(()) };
    let meta = fstat(file)?;
    if meta.st_uid == 0 && meta.st_nlink == 1 && FileType::from_raw_mode(meta.st_mode).is_file() {
        fchown(file, Some(user), Some(group))?;
    }
    Ok(())
}

/// The same for a directory, or an empty file, without a descriptor. Closing one that is opened
/// here releases no lock.
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

/// Returns the owner for what root creates: the owner of `like`, if that is another user. `None` in
/// a directory in which every user may create files.
fn heir(like: &Path) -> io::Result<Option<(Uid, Gid)>> {
    const STICKY: u32 = 0o1000;
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let meta = stat(like)?;
    let is_for_all = meta.st_mode & STICKY != 0;
    Ok((meta.st_uid != 0 && !is_for_all).then(|| (Uid::from_raw(meta.st_uid), Gid::from_raw(meta.st_gid))))
}
