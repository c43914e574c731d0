//! Disk space held in reserve, so that outcomes can still be recorded when the disk is full.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use crate::place::Place;

/// Reserved space, in bytes: enough for some dozens of commits.
const BALLAST_BYTES: u64 = 1 << 20;
/// Free space above which the ballast is allocated again, in bytes. Larger than the ballast, so
/// that it is not released and allocated in turns.
const ROOM_BYTES: u64 = 4 * BALLAST_BYTES;
#[derive(Debug)]
pub(in crate::store) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    pub(in crate::store) fn new(place: &Place) -> Self {
        Self { path: place.ballast() }
    }

    /// Allocates the file. False if there is no room for it: the disk counts as full.
    pub(in crate::store) fn take_on(&self) -> bool {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.is_file() && meta.len() >= BALLAST_BYTES) {
            return true;
        }
        if free_bytes(&self.path).is_some_and(|free| free < ROOM_BYTES) {
            return false;
        }
        if let Err(error) = self.make() {
            log::warn!("{}: no space could be kept back for a full disk: {error}", self.path.display());
            let _ = fs::remove_file(&self.path);
        }
        true
    }

    fn make(&self) -> std::io::Result<()> {
        // Behind a link is a file that is not ours.
        let no_links = OFlags::NOFOLLOW.bits().cast_signed();
        let mut open = OpenOptions::new();
        let mut file = open.write(true).create(true).truncate(true).mode(0o600).custom_flags(no_links).open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP) => file.write_all(&vec![0x55; BALLAST_BYTES as usize]),
            Err(error) => Err(error.into()),
        }
    }

    /// Releases the space. False if there was none to release.
    pub(in crate::store) fn release(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}

/// Returns the space that is available to this user on the file system of `path`, or of its
/// directory.
fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).or_else(|_| rustix::fs::statvfs(path.parent().unwrap_or(path))).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballast_is_taken_on_given_back_once_and_taken_on_again() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast { path: dir.path().join("ballast") };
        for _ in 0..2 {
            assert!(ballast.take_on());
            assert!(ballast.take_on(), "it is there already");
            assert_eq!(fs::metadata(&ballast.path).unwrap().len(), BALLAST_BYTES);
            assert!(ballast.release());
            assert!(!ballast.release());
        }
    }

    #[test]
    fn a_link_in_its_place_is_removed_and_its_target_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::write(&precious, "gold").unwrap();
        let ballast = Ballast { path: dir.path().join("ballast") };
        std::os::unix::fs::symlink(&precious, &ballast.path).unwrap();
        assert!(ballast.take_on());
        assert!(!ballast.path.is_symlink());
        assert!(ballast.take_on() && ballast.path.is_file());
        assert_eq!(fs::read_to_string(&precious).unwrap(), "gold");
    }
}
