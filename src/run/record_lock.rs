//! Record locks that belong to an open file description (`F_OFD_SETLK`).
//!
//! They are released when the last copy of the descriptor is closed, like those of `flock`; unlike
//! those they can be queried without being taken, from every pid namespace, and appear in
//! `/proc/locks` in each of them. Closing another descriptor of the same file does not release
//! them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The bytes of a file that a lock covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    pub first: i64,
    /// 0: up to the end, however far the file grows.
    pub length: i64,
}

impl Bytes {
    /// The whole file.
    pub const ALL: Self = Self { first: 0, length: 0 };
}

/// Kinds of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Shared,
    Exclusive,
}

impl Kind {
    fn code(self) -> i32 {
        match self {
            Self::Shared => libc::F_RDLCK,
            Self::Exclusive => libc::F_WRLCK,
        }
    }
}

/// Takes a lock without waiting. False: another description holds a conflicting one.
///
/// # Errors
/// The system refuses it.
pub fn try_lock(file: impl AsFd, kind: Kind, bytes: Bytes) -> io::Result<bool> {
    match lock(file, libc::F_OFD_SETLK, kind.code(), bytes) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Releases a lock of this description.
///
/// # Errors
/// The system refuses it.
pub fn unlock(file: impl AsFd, bytes: Bytes) -> io::Result<()> {
    lock(file, libc::F_OFD_SETLK, libc::F_UNLCK, bytes).map(drop)
}

/// Whether another description holds a lock that conflicts with a lock of this kind. Takes nothing.
///
/// # Errors
/// The system refuses it.
pub fn is_held(file: impl AsFd, against: Kind, bytes: Bytes) -> io::Result<bool> {
    Ok(i32::from(lock(file, libc::F_OFD_GETLK, against.code(), bytes)?) != libc::F_UNLCK)
}

/// Sets or queries a record lock; returns the kind of the conflicting lock.
fn lock(file: impl AsFd, command: i32, kind: i32, bytes: Bytes) -> io::Result<i16> {
    let kind = i16::try_from(kind).map_err(io::Error::other)?;
    let whence = i16::try_from(libc::SEEK_SET).map_err(io::Error::other)?;
    let mut lock = libc::flock { l_type: kind, l_whence: whence, l_start: bytes.first, l_len: bytes.length, l_pid: 0 };
    // SAFETY: the structure lives until the call returns; a pid of 0 is asked for by these
    // commands.
    if unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut lock) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock.l_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_of_a_record_lock_takes_and_releases_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let open = || std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let (one, other, asks) = (open(), open(), open());
        let byte = Bytes { first: 1 << 62, length: 1 };
        assert!(!is_held(&asks, Kind::Shared, byte).unwrap());
        assert!(try_lock(&one, Kind::Exclusive, byte).unwrap());
        assert!(!try_lock(&other, Kind::Exclusive, byte).unwrap());
        assert!(is_held(&asks, Kind::Shared, byte).unwrap());
        assert!(!is_held(&asks, Kind::Shared, Bytes { first: 0, length: 1 }).unwrap());
        drop((other, open()));
        assert!(is_held(&asks, Kind::Shared, byte).unwrap());
        unlock(&one, byte).unwrap();
        assert!(!is_held(&asks, Kind::Exclusive, byte).unwrap());
    }
}
