//! The size of a tree on the disk. It may change meanwhile, and parts of it may be unreadable: what
//! is visible is counted.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use crate::run::removal::{DIRECTORY, GoesOn, mount_of};

/// Depth of directories that are counted; each level keeps a descriptor open.
const DEPTH_MAX: usize = 128;
/// Size of a block, in which the system counts.
const BLOCK_BYTES: u64 = 512;

struct Walk<'a> {
    goes_on: GoesOn<'a>,
    device: u64,
    mount: u64,
    /// Files with several names that were counted.
    linked: HashSet<u64>,
    bytes: u64,
}

/// Returns the size of `name`, including links; `None` if it is not a directory, or the traversal
/// was ended.
pub(super) fn of(work: impl AsFd, name: &str, goes_on: GoesOn<'_>) -> Result<Option<u64>, Errno> {
    let root = match fs::openat(&work, name, DIRECTORY, Mode::empty()) {
        Ok(root) => root,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat = fs::fstat(&root)?;
    let mount = mount_of(root.as_fd())?;
    let mut walk = Walk { goes_on, device: stat.st_dev, mount, linked: HashSet::new(), bytes: blocks(&stat) };
    Ok(walk.below(root.as_fd(), DEPTH_MAX).then_some(walk.bytes))
}

fn blocks(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES
}

impl Walk<'_> {
    /// False: it was ended.
    fn below(&mut self, dir: BorrowedFd<'_>, depth: usize) -> bool {
        let Ok(entries) = fs::Dir::read_from(dir) else { return true };
        for entry in entries {
            if !(self.goes_on)() {
                return false;
            }
            let Ok(entry) = entry else { return true };
            if !self.entry(dir, entry.file_name(), depth) {
                return false;
            }
        }
        true
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &CStr, depth: usize) -> bool {
        if name == c"." || name == c".." {
            return true;
        }
        let Ok(stat) = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return true };
        if stat.st_dev != self.device {
            return true;
        }
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory || stat.st_nlink < 2 || self.linked.insert(stat.st_ino) {
            self.bytes += blocks(&stat);
        }
        if !is_directory || depth == 0 {
            return true;
        }
        match fs::openat(dir, name, DIRECTORY, Mode::empty()) {
            // A mount there, perhaps of the same device, is not part of the workspace.
            Ok(below) if mount_of(below.as_fd()) == Ok(self.mount) => self.below(below.as_fd(), depth - 1),
            Ok(_) | Err(_) => true,
        }
    }
}
