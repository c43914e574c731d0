//! Finds and ends what is left of a run whose shim is gone.
//!
//! As long as a shim or its spawner lives, nothing can escape: both are the reapers of whatever the job leaves behind. This is for
//! the case that both were killed. What is left then is found by its cookie: the nonce, which stands in the environment that each
//! process was started with. Whether something is left that has cleared its environment shows the lock on the log, which goes with the descriptors
//! of stdout and stderr.
//!
//! Deliberately absent: any use of a recorded pid.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::job::{Nonce, RunId};
use crate::place::Place;

use super::launch::COOKIE;
use super::process::{Stat, all_pids, open_pidfd, owner};
use super::runfile::is_locked;
use super::signal::send_pidfd;
use super::{fence, holders};

/// Most that is read of an environment, in bytes; the kernel takes less.
const ENVIRON_BYTES_MAX: u64 = 8 << 20;

/// What one round came to. Empty when `killed` and `left` are empty and the log is not locked, twice in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emptied {
    /// `pid name` of what was sent KILL; it may take an instant to die.
    pub killed: Vec<String>,
    /// `pid name` of what carries the cookie and may not be signalled.
    pub left: Vec<String>,
    /// Something still has the log open for writing.
    pub log_locked: bool,
}

/// One round: KILL for every process that carries the run's cookie and belongs to our user (to any, if we are root), through a pidfd
/// that was opened before the cookie was read. Where none does and the log is still locked: for whatever has the log open for
/// writing.
///
/// # Errors
/// `/proc` or the log can not be read.
pub fn empty(place: &Place, run: RunId, nonce: Nonce) -> Result<Emptied> {
    let cookie = format!("{COOKIE}={nonce}").into_bytes();
    let me = std::process::id();
    let us = rustix::process::geteuid().as_raw();
    let mut emptied = Emptied::default();
    for pid in all_pids().map_err(|e| Error::io("reading /proc", e))? {
        if pid.cast_unsigned() != me && (us == 0 || owner(pid) == Some(us)) {
            end_if_marked(pid, &cookie, &mut emptied);
        }
    }
    emptied.log_locked = is_log_locked(place, run)?;
    if emptied.log_locked && emptied.killed.is_empty() && emptied.left.is_empty() {
        end_writers(&place.log_file(run), &mut emptied);
    }
    Ok(emptied)
}

/// Ends what has cleared its environment but still has the run's log as its output.
fn end_writers(log: &Path, emptied: &mut Emptied) {
    let Ok(meta) = std::fs::metadata(log) else { return };
    for pid in holders::writers_of(log) {
        let Ok(pidfd) = open_pidfd(pid) else { continue };
        // Looked at again with the pidfd in hand: the number may be another process's by now.
        if holders::writes(pid, meta.dev(), meta.ino()) {
            end(pid, &pidfd, emptied);
        }
    }
}

fn end_if_marked(pid: i32, cookie: &[u8], emptied: &mut Emptied) {
    // A quick look first: nearly all processes are not meant.
    if !carries(pid, cookie) {
        return;
    }
    let Ok(pidfd) = open_pidfd(pid) else { return };
    // Read again: the first look may have been at a process that has ended since.
    if !carries(pid, cookie) {
        return;
    }
    end(pid, &pidfd, emptied);
}

fn end(pid: i32, pidfd: &impl AsFd, emptied: &mut Emptied) {
    let name = format!("{pid} {}", Stat::of(pid).map_or_else(|| "?".to_owned(), |stat| stat.comm));
    match send_pidfd(pidfd.as_fd(), libc::SIGKILL) {
        Ok(()) => emptied.killed.push(name),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
        Err(_) => emptied.left.push(name),
    }
}

/// Whether a process was started with this entry in its environment. A dead one has none.
pub(super) fn carries(pid: i32, cookie: &[u8]) -> bool {
    File::open(format!("/proc/{pid}/environ")).is_ok_and(|file| contains_entry(file, cookie).unwrap_or(false))
}

/// Whether one of the entries, each of which ends with NUL, is exactly this. Reads in pieces.
fn contains_entry(source: impl Read, wanted: &[u8]) -> io::Result<bool> {
    let mut source = source.take(ENVIRON_BYTES_MAX);
    let mut chunk = [0; 4096];
    // How much of `wanted` the current entry has matched; `None` when it is another one.
    let mut matched = Some(0);
    loop {
        let n = match source.read(&mut chunk) {
            Ok(0) => return Ok(matched == Some(wanted.len())),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for byte in &chunk[..n] {
            if *byte == 0 {
                if matched == Some(wanted.len()) {
                    return Ok(true);
                }
                matched = Some(0);
            } else {
                matched = matched.filter(|so_far| wanted.get(*so_far) == Some(byte)).map(|so_far| so_far + 1);
            }
        }
    }
}

/// Whether anybody holds a lock on the log of a run: something that has it as stdout or stderr, or that a fence let through. `false` without
/// a log.
///
/// # Errors
/// The log can not be opened or asked.
pub fn is_log_locked(place: &Place, run: RunId) -> Result<bool> {
    let path = place.log_file(run);
    match super::output::open_log(&path)
        .and_then(|file| file.map_or(Ok(false), |file| Ok(is_locked(&file)? || fence::is_held(&file)?)))
    {
        Ok(locked) => Ok(locked),
        Err(error) => Err(Error::io(format!("asking for the lock of {}", path.display()), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_entry_counts() {
        let has = |bytes: &[u8]| contains_entry(bytes, b"A=12").unwrap();
        assert!(has(b"A=12\0"));
        assert!(has(b"B=1\0A=12\0C=2\0"));
        assert!(has(b"A=1\0A=12"));
        for other in [&b""[..], b"\0\0", b"A=123\0", b"XA=12\0", b"A=1\0", b"B=A=12\0", b"a=12\0"] {
            assert!(!has(other), "{other:?}");
        }
    }

    #[test]
    fn an_entry_across_two_pieces_is_found() {
        for before in 4080..4110 {
            let bytes = [&vec![b'x'; before][..], b"\0A=12\0"].concat();
            assert!(contains_entry(bytes.as_slice(), b"A=12").unwrap(), "{before}");
        }
    }
}
