//! Refuses network file systems: their locks and shared memory do not work between machines.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};

/// `f_type` of remote file systems.
const REMOTE: [(u32, &str); 13] = [
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "kAFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x4750_4653, "GPFS"),
];
const FUSE: u32 = 0x6573_5546;
/// FUSE file systems that are local. Others are refused, since most are not.
const FUSE_LOCAL: [&str; 6] = ["fuseblk", "virtiofs", "fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.ntfs-3g", "fuse.bindfs"];

/// # Errors
/// [`Error::File`] that names the kind, if `path` is on a network file system.
pub(in crate::store) fn refuse(path: &Path) -> Result<()> {
    // If the file system cannot be queried, opening the file reports the reason.
    let Ok(found) = rustix::fs::statfs(path) else { return Ok(()) };
    #[allow(clippy::cast_possible_truncation)] // the type has 32 bits, in a field whose width differs between machines
    let kind = match found.f_type as u32 {
        FUSE => match fuse_kind(path) {
            Some(kind) if FUSE_LOCAL.contains(&kind.as_str()) => return Ok(()),
            kind => kind.unwrap_or_else(|| "fuse".into()),
        },
        number => match REMOTE.iter().find(|(magic, _)| *magic == number) {
            Some((_, name)) => (*name).to_owned(),
            None => return Ok(()),
        },
    };
    Err(Error::File(format!(
        "{} is on a network file system ({kind}), where the locks that keep a job from running twice do not hold; \
         name a file on a local disk with --db",
        path.display()
    )))
}

/// The kind of FUSE at `path`, such as `fuse.sshfs`.
fn fuse_kind(path: &Path) -> Option<String> {
    let dev = fs::metadata(path).ok()?.dev();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    kind_of(&mounts, &format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev)))
}

/// A line is `36 35 98:0 /root /mount/point options - kind source options`.
fn kind_of(mounts: &str, device: &str) -> Option<String> {
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(device))?;
    line.split_once(" - ")?.1.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_mount_is_read_from_the_right_line() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/vda rw\n40 22 0:45 / /mnt rw shared:3 - fuse.sshfs me@there:/ rw\n";
        assert_eq!(kind_of(mounts, "0:45").as_deref(), Some("fuse.sshfs"));
        assert_eq!(kind_of(mounts, "254:0").as_deref(), Some("ext4"));
        assert_eq!(kind_of(mounts, "0:4"), None);
    }

    #[test]
    fn a_local_directory_is_accepted() {
        refuse(&std::env::temp_dir()).unwrap();
    }
}
