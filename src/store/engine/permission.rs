//! Who may write the file: whether this process may, and, for a worker, whether other users may,
//! who could then run commands as its user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, openat};
use rustix::io::Errno;

use crate::error::{CANNOT_BE_WRITTEN, Error, Result};
use crate::place::Place;

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// # Errors
/// [`Error::File`] if the file, its log or a directory around it belongs to another user or may be
/// written by one.
pub(in crate::store) fn check_private(place: &Place) -> Result<()> {
    let around = place.db().parent().unwrap_or(Path::new("/"));
    for path in [around, place.dir(), place.db(), &place.wal(), &place.shm(), &place.secrets(), &place.runs()] {
        if let Ok(meta) = fs::metadata(path) {
            check_one(path, meta.mode(), meta.uid())?;
        }
    }
    Ok(())
}

/// Checks that this process may write the file and its log. Called before SQLite opens them: a log
/// that SQLite creates for a read-only file is read-only too, and would remain after the file
/// becomes writable.
///
/// # Errors
/// [`Error::File`] with the name of the file that cannot be written.
pub(in crate::store) fn check_writable(place: &Place) -> Result<()> {
    for path in [place.db(), &place.wal(), &place.shm()] {
        // A missing file is created later; SQLite reports every other error.
        let asked = accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
        if asked == Err(Errno::ROFS) {
            return Err(Error::File(read_only_text(path)));
        }
        if let Err(Errno::ACCESS | Errno::PERM) = asked {
            let path = path.display();
            return Err(Error::File(format!(
                "{path} {CANNOT_BE_WRITTEN}; check its permissions (chmod u+rw {path}) and its owner"
            )));
        }
    }
    Ok(())
}

fn read_only_text(path: &Path) -> String {
    format!(
        "{} is on a read-only file system; if it was not mounted so, it has had an error (dmesg): repair it and mount it for writing, or use a copy elsewhere",
        path.display()
    )
}

/// Explains why nothing can be written here, if the file system is read-only. A file system that
/// became read-only after an error may still be shown as writable by `mount` and by the
/// permissions; creating a file (here one without a name) shows it.
pub fn read_only(place: &Place) -> Option<String> {
    let around = place.db().parent()?;
    let made = openat(CWD, around, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    (made.err() == Some(Errno::ROFS)).then(|| read_only_text(place.db()))
}

/// Whether this process may write the file.
pub(in crate::store) fn is_writable(path: &Path) -> bool {
    accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Checks that a worker may create files beside the file.
///
/// # Errors
/// [`Error::File`] with the name of the directory in which it may not.
pub(in crate::store) fn check_beside(place: &Place) -> Result<()> {
    for dir in [place.dir(), &place.runs(), &place.logs(), &place.results(), &place.secrets(), &place.leases(), &place.work()] {
        let asked = accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        if asked == Err(Errno::ROFS) {
            return Err(Error::File(read_only_text(dir)));
        }
        if let Err(Errno::ACCESS | Errno::PERM) = asked {
            let dir = dir.display();
            return Err(Error::File(format!(
                "no file can be created in {dir} (permission denied); check its permissions (chmod u+rwx {dir}) and its owner"
            )));
        }
    }
    Ok(())
}

/// Checks for planted files. In a directory where every user may create files, another user may
/// have been first: a link could redirect what is written, and the content of a directory could be
/// replaced. Called before anything is created or written.
///
/// # Errors
/// [`Error::File`] with the name of the file that belongs to another user.
pub(in crate::store) fn check_not_planted(place: &Place) -> Result<()> {
    let mut journal = place.db().as_os_str().to_owned();
    journal.push("-journal");
    let beside = [place.db().to_owned(), place.wal(), place.shm(), journal.into(), place.dir().to_owned()];
    beside.iter().try_for_each(|path| check_ours(path))?;
    let inside = [place.runs(), place.logs(), place.results(), place.secrets(), place.leases(), place.work()];
    inside.iter().try_for_each(|path| check_ours(path))
}

/// Like [`check_not_planted`], for one name.
///
/// # Errors
/// [`Error::File`] if it belongs to another user and every user may create files around it.
pub(in crate::store) fn check_ours(path: &Path) -> Result<()> {
    const EVERYBODY_WRITES: u32 = 0o002;
    let me = rustix::process::geteuid().as_raw();
    let around = path.parent().and_then(|parent| fs::metadata(parent).ok());
    if around.is_none_or(|meta| meta.mode() & EVERYBODY_WRITES == 0) {
        return Ok(());
    }
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    // A link of this user may still lead to a file of another.
    let target = if found.is_symlink() { fs::metadata(path).ok() } else { None };
    let owners = [Some(found.uid()), target.map(|meta| meta.uid())];
    match owners.into_iter().flatten().find(|owner| *owner != me && *owner != 0) {
        None => Ok(()),
        Some(owner) => Err(Error::File(format!(
            "{} belongs to user {owner}, in a directory where every user may make files; remove it, or name a file in a directory of your own with --db",
            path.display()
        ))),
    }
}

fn check_one(path: &Path, mode: u32, owner: u32) -> Result<()> {
    let path_ = path.display();
    if mode & OTHERS_WRITE != 0 {
        return Err(Error::File(format!(
            "{path_} may be written by other users (mode {:04o}), who could then run commands as you; \
             chmod go-w {path_}, or allow it with --allow-shared",
            mode & 0o7777
        )));
    }
    let me = rustix::process::geteuid().as_raw();
    if owner != me && owner != 0 {
        return Err(Error::File(format!(
            "{path_} belongs to user {owner}, who could then run commands as you (user {me}); \
             run the worker as that user, or allow it with --allow-shared"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_write_or_own_is_refused_with_the_remedy() {
        let me = rustix::process::geteuid().as_raw();
        let path = Path::new("/x");
        check_one(path, 0o100_600, me).unwrap();
        check_one(path, 0o040_755, 0).unwrap();
        for (mode, owner) in [(0o100_620, me), (0o100_602, me), (0o041_777, 0), (0o100_600, me + 1)] {
            let text = check_one(path, mode, owner).unwrap_err().to_string();
            assert!(text.contains("--allow-shared"), "{text}");
        }
    }
}
