//! Who holds the write lock, and who pins the log: asked of the kernel (`/proc/locks`).
//!
//! SQLite's locks in WAL mode are POSIX locks on single bytes of `-shm`. The file is found there by device and inode, which `stat` tells; it is
//! never opened. A holder in another pid namespace has no pid here.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::place::Place;

/// The byte of `-shm` that the one writer locks.
const WRITE_BYTE: u64 = 120;
/// The bytes that readers lock for as long as they keep a snapshot.
const READ_BYTES: std::ops::RangeInclusive<u64> = 123..=127;
/// The bytes of the main file that everybody who has it open locks.
const SHARED_BYTES: std::ops::RangeInclusive<u64> = 0x4000_0002..=0x4000_0201;
/// A name in `/proc/PID/comm` is at most this long, in bytes.
const COMM_BYTES_MAX: usize = 64;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    pub pid: i32,
    /// Its name, as far as it can be read. Escape it before it is shown.
    pub program: Option<String>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.program {
            Some(program) => write!(f, "pid {} ({})", self.pid, program.escape_default()),
            None => write!(f, "pid {}", self.pid),
        }
    }
}

/// The process that is inside a write transaction, if it can be told. With threads of one process it is that process.
pub fn writer(place: &Place) -> Option<Holder> {
    holders(&place.shm(), WRITE_BYTE..=WRITE_BYTE, true).into_iter().next()
}

/// The processes that keep a snapshot, and with it the log.
pub fn readers(place: &Place) -> Vec<Holder> {
    holders(&place.shm(), READ_BYTES, false)
}

/// The processes that have the file open, this one included.
pub fn openers(place: &Place) -> Vec<Holder> {
    holders(place.db(), SHARED_BYTES, false)
}

fn holders(path: &Path, bytes: std::ops::RangeInclusive<u64>, exclusive: bool) -> Vec<Holder> {
    let (Ok(meta), Ok(table)) = (fs::metadata(path), fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    let mut pids = pids_in(&table, meta.dev(), meta.ino(), &bytes, exclusive);
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().map(|pid| Holder { pid, program: program_of(pid) }).collect()
}

fn program_of(pid: i32) -> Option<String> {
    let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let comm = &comm[..comm.len().min(COMM_BYTES_MAX)];
    Some(String::from_utf8_lossy(comm).trim_end().to_owned())
}

/// The pids of the lines `1: POSIX  ADVISORY  WRITE 4711 08:01:1234 120 120` that are about those bytes of that file.
fn pids_in(table: &str, dev: u64, inode: u64, bytes: &std::ops::RangeInclusive<u64>, exclusive: bool) -> Vec<i32> {
    let lines: Vec<Line> = table.lines().filter_map(Line::parse).collect();
    let ours = |line: &&Line| {
        line.inode == inode
            && line.first <= *bytes.end()
            && line.last >= *bytes.start()
            && line.pid > 0
            && (line.exclusive || !exclusive)
    };
    let device = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let exact: Vec<i32> = lines.iter().filter(ours).filter(|line| line.device == device).map(|line| line.pid).collect();
    // Some file systems (btrfs, overlayfs) show another device here than stat does.
    if exact.is_empty() { lines.iter().filter(ours).map(|line| line.pid).collect() } else { exact }
}

struct Line {
    exclusive: bool,
    pid: i32,
    device: (u32, u32),
    inode: u64,
    first: u64,
    last: u64,
}

impl Line {
    /// `None` for what is no held POSIX lock: a waiter (`->`), a flock, a lease.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next()? != "POSIX" {
            return None;
        }
        let _advisory = words.next()?;
        let exclusive = words.next()? == "WRITE";
        let pid = words.next()?.parse().ok()?;
        let mut file = words.next()?.splitn(3, ':');
        let major = u32::from_str_radix(file.next()?, 16).ok()?;
        let minor = u32::from_str_radix(file.next()?, 16).ok()?;
        let inode = file.next()?.parse().ok()?;
        let first = words.next()?.parse().ok()?;
        let last = match words.next()? {
            "EOF" => u64::MAX,
            number => number.parse().ok()?,
        };
        Some(Self { exclusive, pid, device: (major, minor), inode, first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
1: FLOCK  ADVISORY  WRITE 11 fe:00:77 0 EOF
2: POSIX  ADVISORY  WRITE 12 fe:00:77 120 120
2: -> POSIX  ADVISORY  WRITE 13 fe:00:77 120 120
3: POSIX  ADVISORY  READ  14 fe:00:77 124 124
4: POSIX  ADVISORY  WRITE 15 fe:00:78 120 120
5: OFDLCK ADVISORY  WRITE -1 fe:00:77 120 120
6: POSIX  ADVISORY  WRITE 16 00:2a:77 120 120
garbage
7: POSIX";

    #[test]
    fn only_the_holder_of_that_byte_of_that_file_is_named() {
        let dev = rustix::fs::makedev(0xfe, 0);
        assert_eq!(pids_in(TABLE, dev, 77, &(120..=120), true), [12]);
        assert_eq!(pids_in(TABLE, dev, 77, &READ_BYTES, false), [14]);
        assert_eq!(pids_in(TABLE, dev, 79, &(120..=120), true), [0_i32; 0]);
    }

    #[test]
    fn where_the_device_is_shown_differently_the_inode_decides() {
        let dev = rustix::fs::makedev(9, 9);
        assert_eq!(pids_in(TABLE, dev, 78, &(120..=120), true), [15]);
    }
}
