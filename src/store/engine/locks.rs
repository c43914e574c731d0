//! Which process holds the write lock, and which ones pin the log, read from the kernel
//! (`/proc/locks`).
//!
//! SQLite's locks in WAL mode are POSIX locks on single bytes of `-shm`. They are found by device
//! and inode, which `stat` returns; the file is never opened. A holder in another pid namespace has
//! no pid here.
//!
//! The kernel returns that table one page at a time, and a lock that is released between two pages
//! shifts the rest up by a line, so a line that is always present may be missed. Therefore a table
//! of several pages, or of nearly one, is read several times, and the lines of all readings count.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::place::Place;

/// The byte of `-shm` that the one writer locks.
const WRITE_BYTE: u64 = 120;
/// The bytes that readers lock for as long as they keep a snapshot.
const READ_BYTES: std::ops::RangeInclusive<u64> = 123..=127;
/// The byte of `-shm` that every process locks that has it open.
const OPEN_BYTE: u64 = 128;
/// The bytes of the main file that every process locks that has it open.
const SHARED_BYTES: std::ops::RangeInclusive<u64> = 0x4000_0002..=0x4000_0201;
/// The byte of the main file that its worker locks while it lives, far from the bytes of SQLite and
/// from every page. It is a lock of an open file description, which SQLite's own locks neither see
/// nor release.
pub const WORKER_BYTE: i64 = 1 << 62;
/// Number of checks before the holder of the write lock counts as a lasting one.
const LOOKS: u32 = 6;
/// Interval between two of them, in milliseconds.
const LOOK_AGAIN_MS: u64 = 50;
/// Number of readings of a table of several pages. While locks are taken and released continuously,
/// one reading misses a given line about once in 200 times.
const READINGS: u32 = 5;
/// Longest line of the table, in bytes, and more: a lock, its kind, two numbers of 20 digits.
const LINE_BYTES_MAX: usize = 256;
/// Largest part of the table that is read at once, in bytes: more than a page of any machine.
const PART_BYTES: usize = 128 << 10;
/// Longest name in `/proc/PID/comm`, in bytes.
const COMM_BYTES_MAX: usize = 64;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    pub pid: i32,
    /// Its name, if it can be read. Escape it before showing it.
    pub program: Option<String>,
}

impl Holder {
    /// Whether it is a process of tenure, by its name.
    pub(in crate::store) fn is_ours(&self) -> bool {
        let me = fs::read("/proc/self/comm").unwrap_or_default();
        let me = String::from_utf8_lossy(&me).trim_end().to_owned();
        self.program.as_ref().is_some_and(|program| *program == me || program.starts_with("tenure"))
    }

    /// Whether all its threads are stopped (SIGSTOP, a debugger).
    pub(in crate::store) fn is_stopped(&self) -> bool {
        let stat = fs::read(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = stat.rsplit(|byte| *byte == b')').next().and_then(|rest| rest.get(1));
        matches!(state, Some(b'T' | b't'))
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.program {
            Some(program) => write!(f, "pid {} ({})", self.pid, program.escape_default()),
            None => write!(f, "pid {}", self.pid),
        }
    }
}

/// Returns the process that is in a write transaction, if the kernel reports it. Threads of one
/// process are not distinguished.
pub fn writer(place: &Place) -> Option<Holder> {
    holders(&place.shm(), WRITE_BYTE..=WRITE_BYTE, true).into_iter().next()
}

/// Returns the process that stays in a write transaction during several checks. `but`: the worker,
/// which writes legitimately.
pub fn lasting_writer(place: &Place, but: Option<u32>) -> Option<Holder> {
    let first = writer(place).filter(|holder| but.is_none_or(|but| but != holder.pid.cast_unsigned()))?;
    for _ in 1..LOOKS {
        // A short transaction ends between the checks.
        std::thread::sleep(Duration::from_millis(LOOK_AGAIN_MS));
        if writer(place).is_none_or(|holder| holder.pid != first.pid) {
            return None;
        }
    }
    Some(first)
}

/// Returns the processes that have a snapshot, and so pin the log.
pub fn readers(place: &Place) -> Vec<Holder> {
    holders(&place.shm(), READ_BYTES, false)
}

/// The processes that have the file open, this one included.
pub fn openers(place: &Place) -> Vec<Holder> {
    holders(place.db(), SHARED_BYTES, false)
}

/// Returns the process that has the file open with another log than the one beside this name: the
/// file was renamed while open, or its log was removed. Writes of two such processes are lost.
pub(in crate::store) fn opened_elsewhere(place: &Place) -> Option<Holder> {
    let at_the_log = holders(&place.shm(), OPEN_BYTE..=OPEN_BYTE, false);
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let is_elsewhere = |opener: &Holder| opener.pid != me && !at_the_log.iter().any(|holder| holder.pid == opener.pid);
    openers(place).into_iter().find(is_elsewhere)
}

/// Returns the process that has a removed log open, if no other process has created a new one
/// since.
pub(in crate::store) fn log_was_removed(place: &Place) -> Option<Holder> {
    if place.wal().exists() {
        return None;
    }
    holders(&place.shm(), OPEN_BYTE..=OPEN_BYTE, false).into_iter().next()
}

/// Returns the process that has a removed index of the log open, if no other process has created a
/// new one since.
pub(in crate::store) fn index_was_removed(place: &Place) -> Option<Holder> {
    if place.shm().exists() || !place.wal().exists() {
        return None;
    }
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    openers(place).into_iter().find(|opener| opener.pid != me)
}

/// Whether a worker of this file is alive, under any name and in any pid namespace, as far as the
/// kernel shows without opening the file. Some file systems (btrfs, overlayfs) report another
/// device than `stat` does: there it is false.
pub fn has_worker(place: &Place) -> bool {
    let Ok(meta) = fs::metadata(place.db()) else { return false };
    let Ok(table) = table() else { return false };
    is_served(&table, meta.dev(), meta.ino())
}

fn is_served(table: &str, dev: u64, inode: u64) -> bool {
    let device = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let byte = WORKER_BYTE.cast_unsigned();
    table.lines().filter_map(Line::parse).any(|line| {
        line.of_description
            && line.exclusive
            && line.inode == inode
            && line.device == device
            && line.first == byte
            && line.last == byte
    })
}

/// Reads the lines of the kernel's table, some of them several times.
fn table() -> io::Result<String> {
    let (mut all, is_one_page) = reading()?;
    if !is_one_page {
        for _ in 1..READINGS {
            all.push_str(&reading()?.0);
        }
    }
    Ok(all)
}

/// Reads the table once; returns whether the kernel returned it in one piece: it has put lines into
/// its page until the next one had no room. If so little room is left that another line may follow,
/// that line may move up before it is read.
fn reading() -> io::Result<(String, bool)> {
    let mut file = File::open("/proc/locks")?;
    let (mut all, mut part, mut parts) = (Vec::new(), vec![0; PART_BYTES], 0);
    loop {
        let length = file.read(&mut part)?;
        if length == 0 {
            let had_room = all.len() + LINE_BYTES_MAX <= rustix::param::page_size();
            return Ok((String::from_utf8_lossy(&all).into_owned(), parts <= 1 && had_room));
        }
        all.extend_from_slice(&part[..length]);
        parts += 1;
    }
}

fn holders(path: &Path, bytes: std::ops::RangeInclusive<u64>, exclusive: bool) -> Vec<Holder> {
    let (Ok(meta), Ok(table)) = (fs::metadata(path), table()) else {
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

/// Returns the pids of the lines `1: POSIX ADVISORY WRITE 4711 08:01:1234 120 120` for these bytes
/// of the file.
fn pids_in(table: &str, dev: u64, inode: u64, bytes: &std::ops::RangeInclusive<u64>, exclusive: bool) -> Vec<i32> {
    let lines: Vec<Line> = table.lines().filter_map(Line::parse).collect();
    let ours = |line: &&Line| {
        line.inode == inode
            && !line.of_description
            && line.first <= *bytes.end()
            && line.last >= *bytes.start()
            && line.pid > 0
            && (line.exclusive || !exclusive)
    };
    let device = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let exact: Vec<i32> = lines.iter().filter(ours).filter(|line| line.device == device).map(|line| line.pid).collect();
    // Some file systems (btrfs, overlayfs) report another device here than `stat` does.
    if exact.is_empty() { lines.iter().filter(ours).map(|line| line.pid).collect() } else { exact }
}

struct Line {
    /// The lock belongs to an open file description, not to a process.
    of_description: bool,
    exclusive: bool,
    pid: i32,
    device: (u32, u32),
    inode: u64,
    first: u64,
    last: u64,
}

impl Line {
    /// Returns `None` for a line that is not a held record lock: a waiter (`->`), a flock, a lease.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let of_description = match words.next()? {
            "POSIX" => false,
            "OFDLCK" => true,
            _ => return None,
        };
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
        Some(Self { of_description, exclusive, pid, device: (major, minor), inode, first, last })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, Ordering};

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
    fn only_the_workers_byte_of_that_file_proves_a_worker() {
        let table = "1: OFDLCK ADVISORY  WRITE -1 fe:00:77 4611686018427387904 4611686018427387904\n2: OFDLCK ADVISORY  WRITE -1 fe:00:78 120 120";
        let dev = rustix::fs::makedev(0xfe, 0);
        assert!(is_served(table, dev, 77));
        assert!(!is_served(table, dev, 78) && !is_served(table, rustix::fs::makedev(0xfe, 1), 77));
        assert!(!is_served(TABLE, dev, 77));
    }

    /// Creates files, each with a lock on all of it.
    fn locked(dir: &Path, names: &[String]) -> Vec<File> {
        let lock = |name: &String| {
            let file = File::create(dir.join(name)).unwrap();
            rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
            file
        };
        names.iter().map(lock).collect()
    }

    /// Looks at the table while two threads take and release locks; returns how many of the held
    /// ones were missed.
    fn missed(count: usize, churn: usize, looks: usize) -> usize {
        let dir = tempfile::tempdir().unwrap();
        let named = |kind: &str, count: usize| (0..count).map(|n| format!("{kind}{n}")).collect::<Vec<_>>();
        let held = named("held", count);
        let _files = locked(dir.path(), &held);
        let inodes: Vec<u64> = held.iter().map(|name| fs::metadata(dir.path().join(name)).unwrap().ino()).collect();
        let missed = |table: &str| {
            let found: BTreeSet<u64> = table.lines().filter_map(Line::parse).map(|line| line.inode).collect();
            inodes.iter().filter(|inode| !found.contains(inode)).count()
        };
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (is_over, dir) = (&is_over, dir.path());
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        drop(locked(dir, &named(&format!("other{thread}-"), churn)));
                    }
                });
            }
            let missed = (0..looks).map(|_| missed(&table().unwrap())).sum();
            is_over.store(true, Ordering::Relaxed);
            missed
        })
    }

    #[test]
    fn a_lock_that_is_always_held_is_never_missed() {
        assert_eq!(missed(200, 8, 100), 0, "of 20,000 looks at locks that are held");
    }

    /// The rest of the table may move up into what has been read.
    #[test]
    fn a_lock_at_the_end_of_a_page_is_not_missed() {
        let missed: usize = (10..=70).step_by(4).map(|held| missed(held, 25, 200)).sum();
        assert_eq!(missed, 0, "in tables of about a page");
    }

    #[test]
    fn where_the_device_is_shown_differently_the_inode_decides() {
        let dev = rustix::fs::makedev(9, 9);
        assert_eq!(pids_in(TABLE, dev, 78, &(120..=120), true), [15]);
    }
}
