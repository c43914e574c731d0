//! What `/proc` shows of a process. A pid is never proof of anything; a caller that signals opens a
//! pidfd first and reads this after.

use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Longest `/proc/PID/stat`, in bytes; a longer one is cut, the fields used here come first.
const STAT_BYTES_MAX: usize = 2048;

/// Some fields of `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub comm: String,
    /// Of the main thread. `Z` and `X` mean that it has ended; see [`Stat::is_dead`].
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Ticks between the boot and the start of the process.
    pub start_ticks: u64,
}

impl Stat {
    /// Reads the fields of a process; `None` if it does not exist.
    pub fn of(pid: i32) -> Option<Self> {
        Self::read(&format!("/proc/{pid}/stat"))
    }

    fn read(path: &str) -> Option<Self> {
        let mut file = fs::File::open(path).ok()?;
        let mut bytes = [0; STAT_BYTES_MAX];
        let length = file.read(&mut bytes).ok()?;
        Self::parse(&bytes[..length])
    }

    /// The name is in parentheses and may itself contain parentheses and blanks: the last closing
    /// one counts.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let open = bytes.iter().position(|byte| *byte == b'(')?;
        let close = bytes.iter().rposition(|byte| *byte == b')')?;
        let comm = String::from_utf8_lossy(bytes.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            pid: std::str::from_utf8(bytes.get(..open)?).ok()?.trim().parse().ok()?,
            comm,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether the process is dead: its main thread has ended, and no other thread is alive. A
    /// process whose main thread has ended shows as a zombie, has no environment there, and
    /// continues while one of its threads does.
    pub fn is_dead(&self) -> bool {
        self.main_thread_has_ended()
            && !threads(self.pid).into_iter().any(|thread| thread != self.pid && thread_lives(self.pid, thread))
    }

    fn main_thread_has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Returns the threads of a process; none if it does not exist.
pub fn threads(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Returns the state of each thread of a process.
pub fn thread_states(pid: i32) -> Vec<char> {
    let stat = |thread: i32| Stat::read(&format!("/proc/{pid}/task/{thread}/stat")).map(|stat| stat.state);
    threads(pid).into_iter().filter_map(stat).collect()
}

fn thread_lives(pid: i32, thread: i32) -> bool {
    Stat::read(&format!("/proc/{pid}/task/{thread}/stat")).is_some_and(|stat| !stat.main_thread_has_ended())
}

/// Returns the process that traces a process. The kernel names the thread that does.
pub fn tracer_of(pid: i32) -> Option<i32> {
    let field = |of: i32, name: &str| -> Option<i32> {
        let status = std::fs::read_to_string(format!("/proc/{of}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let thread = field(pid, "TracerPid:").filter(|thread| *thread > 0)?;
    field(thread, "Tgid:")
}

/// Opens a descriptor that refers to this process even if its pid is reused.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Every pid that `/proc` shows now.
pub fn all_pids() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Returns device and inode of an open file of a process.
///
/// # Errors
/// The process is gone, has no such descriptor, or may not be examined.
pub fn open_file_identity(pid: i32, fd: i32) -> io::Result<(u64, u64)> {
    let meta = fs::metadata(format!("/proc/{pid}/fd/{fd}"))?;
    Ok((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = b"12 (a) Z (b) R 7 8 8 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(
            stat,
            Stat { pid: 12, comm: "a) Z (b".into(), state: 'R', parent: 7, group: 8, session: 8, start_ticks: 4711 }
        );
        for cut in 0..60 {
            let _ = Stat::parse(&line[..cut]);
        }
    }

    #[test]
    fn a_process_finds_itself() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(all_pids().unwrap().contains(&me));
        assert!(!Stat::of(me).unwrap().is_dead());
    }
}
