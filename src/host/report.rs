//! The worker's report for other processes: `worker.json` beside its lock.
//!
//! It never decides which process is the worker: the lock does, and a report counts only while the
//! process that wrote it holds the lock. The worker writes it (`worker::reporter`); other processes
//! read it here.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

pub use super::condition::{CODES, Condition};
use super::lock::Holder;
use crate::place::Place;

/// First word of the file, and the version of its format.
const HEADER: &str = "tenure-report 1";
/// Longest report, in bytes; the last conditions are omitted if there are too many.
const BYTES_MAX: usize = 16 << 10;
/// Room for a report and its first line, in bytes.
pub const FILE_BYTES: usize = BYTES_MAX + 64;
/// Number of reads until the checksum matches: a report may be read while it is written.
const READS_MAX: usize = 20;

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It opens the file and repairs leftovers of the last worker; nothing is claimed yet.
    Starting,
    Serving,
    /// It claims nothing more and waits for its runs.
    Draining,
    /// It detaches from its runs and ends.
    Leaving,
}

/// The report of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The random name of the start, as in the lock.
    pub instance: String,
    pub boot_id: String,
    /// Inode of its time namespace: its clock is comparable only in the same one.
    pub time_ns: u64,
    /// Queues that it serves; empty: all.
    pub queues: Vec<String>,
    /// The list of queues was shortened.
    pub queues_cut: bool,
    /// The one job that it serves, if it serves no others.
    pub only: Option<i64>,
    /// Jobs that it serves in addition, because a client follows them.
    #[serde(default)]
    pub serves: Vec<i64>,
    pub slots: usize,
    /// Where that number comes from. Empty: a worker of a version that does not follow `tenure
    /// slots`.
    #[serde(default)]
    pub slots_from: String,
    /// As of the last round of the claim loop.
    pub busy: usize,
    pub phase: Phase,
    /// Its limit of open files.
    pub open_files_max: u64,
    /// The last round of the claim loop, in milliseconds of the monotonic clock; 0: none yet.
    pub claims_at_ms: u64,
    /// The last round of recovery, in the same unit.
    pub reaper_at_ms: u64,
    /// Interval between two rounds of recovery, in milliseconds.
    pub tick_ms: u64,
    pub conditions: Vec<Condition>,
    /// What enforces memory limits (`cgroup`, `rlimit`), and why.
    #[serde(default)]
    pub memory: (String, String),
}

impl Report {
    /// Returns why nothing is claimed.
    pub fn held_back(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|one| one.holds_claims)
    }

    /// Reads the report of the worker that holds the lock; `None` if it cannot be read.
    pub fn read(place: &Place, holder: &Holder) -> Option<Self> {
        let file = File::open(place.worker_report()).ok()?;
        let mut bytes = vec![0; FILE_BYTES];
        (0..READS_MAX)
            .find_map(|_| {
                let n = file.read_at(&mut bytes, 0).ok()?;
                Self::parse(&bytes[..n])
            })
            .filter(|report| report.instance == holder.instance)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?.strip_prefix(HEADER)?;
        let mut words = line.split_ascii_whitespace();
        let (length, sum) = (words.next()?.parse::<usize>().ok()?, u32::from_str_radix(words.next()?, 16).ok()?);
        let body = bytes.get(end + 1..)?.get(..length)?;
        if crc32fast::hash(body) != sum {
            return None;
        }
        serde_json::from_slice(body).ok()
    }

    /// Returns its bytes; the last conditions are omitted if there are too many.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut report = self.clone();
        loop {
            let body = serde_json::to_vec(&report).ok()?;
            if body.len() <= BYTES_MAX {
                let mut bytes = format!("{HEADER} {} {:08x}\n", body.len(), crc32fast::hash(&body)).into_bytes();
                bytes.extend(body);
                return Some(bytes);
            }
            report.conditions.pop()?;
        }
    }
}
