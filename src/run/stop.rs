//! Asks a shim to stop its run, or ends the shim itself. Works for every run, no matter which
//! worker started it.
//!
//! A pid in a file proves nothing. So a pidfd is opened first; then it is checked that this process
//! started when the record says and holds this run file at its fixed descriptor; only then the
//! signal is sent through the pidfd. If the pid was reused in between, the pidfd refers to the dead
//! process and the signal has no effect. The shim checks once more: the signal carries the nonce.
//!
//! KILL carries none, and a shim may serve another run by the time it arrives. So a run's shim is
//! asked before it is killed: one that was asked, even too late, serves no other run.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::error::{Error, Result};
use crate::job::{Cause, RunId, RunKey};
use crate::place::Place;

use super::machine;
use super::process::{Stat, all_pids, open_file_identity, open_pidfd};
use super::protocol::{LOCK_FD, SHIM_NAME};
use super::record::Started;
use super::runfile::{Inspection, inspect, inspect_with_identity};
use super::signal;

/// Instead of a cause: the grace of a run that was asked to stop ends now.
pub(super) const KILL_NOW: u8 = 255;
/// Instead of a cause: suspend the run, and continue it.
pub(super) const SUSPEND: u8 = 254;
pub(super) const RESUME: u8 = 253;

/// Result of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Sent,
    /// The lock is held, and there is no shim yet: the launch is still in progress. Ask again.
    NoShimYet,
    /// There is no shim any more: its lock is free, or the process is gone. Inspect the run file.
    Gone,
    /// The process is not this run's shim. Nothing was signalled.
    NotOurs,
    /// The run lives where this process cannot signal it. Nothing was signalled, and asking again
    /// does not help.
    OutOfReach(OutOfReach),
}

/// Why the processes of a live run cannot be signalled from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfReach {
    /// The lock is held by a shim in another pid namespace.
    OtherNamespace,
    /// The system refuses the signal: the shim belongs to another user, or the worker lacks
    /// CAP_KILL.
    NotPermitted,
}

impl OutOfReach {
    /// Returns what a person can do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::OtherNamespace => "cancel it from there, or stop that container",
            Self::NotPermitted => "cancel it as the user of those processes or as root",
        }
    }
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherNamespace => "its processes are in another pid namespace (a container)",
            Self::NotPermitted => "the system does not permit signals to its processes (another user's)",
        })
    }
}

/// Asks the shim of a run to stop it for this cause. The answer comes as records: the shim decides
/// which cause counts. A stopped shim (SIGSTOP) is continued, since it could not receive anything.
///
/// # Errors
/// The run file cannot be read, or the system refuses the signal.
pub fn ask(place: &Place, key: RunKey, cause: Cause) -> Result<Asked> {
    request(place, key, cause.code())
}

/// Asks the shim of a run to stop all its processes and its limits, until [`resume`]. The answer
/// comes as a record. A shim of an earlier version does not answer.
///
/// # Errors
/// As [`ask`].
pub fn suspend(place: &Place, key: RunKey) -> Result<Asked> {
    request(place, key, SUSPEND)
}

/// Asks the shim of a run to continue its processes. The answer comes as a record.
///
/// # Errors
/// As [`ask`].
pub fn resume(place: &Place, key: RunKey) -> Result<Asked> {
    request(place, key, RESUME)
}

/// Sends a request, and continues a stopped shim.
fn request(place: &Place, key: RunKey, code: u8) -> Result<Asked> {
    let value = key.nonce.signal_bits() << 8 | u64::from(code);
    match find(place, key)? {
        Found::Shim(pidfd) => {
            let asked = sent(key.run, signal::queue_pidfd(pidfd.as_fd(), signal::stop_signal(), value))?;
            if asked == Asked::Sent {
                sent(key.run, signal::send_pidfd(pidfd.as_fd(), libc::SIGCONT))?;
            }
            Ok(asked)
        }
        Found::Not(answer) => Ok(answer),
    }
}

/// Ends the grace of a run: its tree gets KILL now. A run that was not asked to stop is stopped for
/// a shutdown.
///
/// # Errors
/// As [`ask`].
pub fn hasten(place: &Place, key: RunKey) -> Result<Asked> {
    let value = key.nonce.signal_bits() << 8 | u64::from(KILL_NOW);
    match find(place, key)? {
        Found::Shim(pidfd) => sent(key.run, signal::queue_pidfd(pidfd.as_fd(), signal::stop_signal(), value)),
        Found::Not(answer) => Ok(answer),
    }
}

/// Ends the shim of a run with KILL: for one that was asked and does not answer. Its job dies with
/// it, and the spawner sweeps what it leaves.
///
/// # Errors
/// As [`ask`].
pub fn kill_shim(place: &Place, key: RunKey) -> Result<Asked> {
    match find(place, key)? {
        Found::Shim(pidfd) => sent(key.run, signal::send_pidfd(pidfd.as_fd(), libc::SIGKILL)),
        Found::Not(answer) => Ok(answer),
    }
}

/// Continues the stopped shim of a run (SIGSTOP), without asking it for anything.
///
/// # Errors
/// As [`ask`].
pub fn continue_shim(place: &Place, key: RunKey) -> Result<Asked> {
    match find(place, key)? {
        Found::Shim(pidfd) => sent(key.run, signal::send_pidfd(pidfd.as_fd(), libc::SIGCONT)),
        Found::Not(answer) => Ok(answer),
    }
}

/// Returns the pid of the shim of a run in this pid namespace, to examine it in `/proc`; otherwise
/// why there is none.
///
/// # Errors
/// The run file cannot be read.
pub fn shim_pid(place: &Place, key: RunKey) -> Result<std::result::Result<i32, Asked>> {
    Ok(match find(place, key)? {
        Found::Shim(pidfd) => pid_of(&pidfd).ok_or(Asked::Gone),
        Found::Not(answer) => Err(answer),
    })
}

/// Returns a descriptor that becomes readable when the shim of a run ends: for a run whose status
/// pipe was lost with another worker. `None`: there is none to wait for; inspect the run file.
///
/// # Errors
/// The run file cannot be read.
pub fn shim_pidfd(place: &Place, key: RunKey) -> Result<Option<OwnedFd>> {
    match find(place, key)? {
        Found::Shim(pidfd) => Ok(Some(pidfd)),
        Found::Not(_) => Ok(None),
    }
}

fn sent(run: RunId, result: io::Result<()>) -> Result<Asked> {
    match result {
        Ok(()) => Ok(Asked::Sent),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(Asked::Gone),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(Asked::OutOfReach(OutOfReach::NotPermitted)),
        Err(error) => Err(Error::io(format!("signalling the shim of run {run}"), error)),
    }
}

enum Found {
    Shim(OwnedFd),
    Not(Asked),
}

fn find(place: &Place, key: RunKey) -> Result<Found> {
    let (found, identity) = inspect_with_identity(place, key.run)?;
    let (header, records, locked) = match found {
        Inspection::Missing => return Ok(Found::Not(Asked::Gone)),
        Inspection::Unreadable(_) => return Ok(Found::Not(Asked::NotOurs)),
        Inspection::Found { header, records, locked } => (header, records, locked),
    };
    if header.nonce != key.nonce {
        return Ok(Found::Not(Asked::NotOurs));
    }
    if !locked || header.boot_id != machine::boot_id() {
        return Ok(Found::Not(Asked::Gone));
    }
    if header.pid_ns != machine::pid_namespace() {
        // Its pids are not valid here. From the namespace above its own it is still visible, under
        // other numbers.
        return Ok(match search(identity)? {
            Found::Not(Asked::NoShimYet) => Found::Not(Asked::OutOfReach(OutOfReach::OtherNamespace)),
            found => found,
        });
    }
    match records.started {
        Some(started) => match open_checked(&started, identity) {
            // It may have ended this run meanwhile, and wait for the next one or have it already.
            Found::Not(Asked::NotOurs) if has_drained(place, key.run)? => Ok(Found::Not(Asked::Gone)),
            found => Ok(found),
        },
        None => search(identity),
    }
}

fn has_drained(place: &Place, run: RunId) -> Result<bool> {
    Ok(match inspect(place, run)? {
        Inspection::Missing => true,
        Inspection::Unreadable(_) => false,
        Inspection::Found { records, locked, .. } => records.drained.is_some() || !locked,
    })
}

/// Finds the shim of a run by the file that it holds. For one that has not recorded itself: it may
/// hang before it gets that far (a dead network directory, for example), and must be stoppable
/// there too. Examines every process, which is slow, and rare.
fn search(run_file: (u64, u64)) -> Result<Found> {
    let me = std::process::id();
    for pid in all_pids().map_err(|e| Error::io("reading /proc", e))? {
        if pid.cast_unsigned() != me
            && let Ok(pidfd) = open_pidfd(pid)
            && open_file_identity(pid, LOCK_FD).is_ok_and(|file| file == run_file)
            && Stat::of(pid).is_some_and(|stat| stat.comm == SHIM_NAME)
        {
            return Ok(Found::Shim(pidfd));
        }
    }
    Ok(Found::Not(Asked::NoShimYet))
}

/// The number of the process behind a pidfd, for showing.
fn pid_of(pidfd: &OwnedFd) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

fn open_checked(started: &Started, run_file: (u64, u64)) -> Found {
    let pidfd = match open_pidfd(started.shim_pid) {
        Ok(pidfd) => pidfd,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Found::Not(Asked::Gone),
        // A filter of system calls refuses it: no process can be signalled safely.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => {
            return Found::Not(Asked::OutOfReach(OutOfReach::NotPermitted));
        }
        Err(_) => return Found::Not(Asked::NotOurs),
    };
    let Some(stat) = Stat::of(started.shim_pid) else {
        return Found::Not(Asked::Gone);
    };
    // The start of a process differs in each time namespace, so a shim may also be recognized by
    // its name.
    if stat.start_ticks != started.shim_start_ticks && stat.comm != SHIM_NAME {
        return Found::Not(Asked::NotOurs);
    }
    match open_file_identity(started.shim_pid, LOCK_FD) {
        Ok(file) if file == run_file => Found::Shim(pidfd),
        // Another user's process does not show its descriptors.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && stat.comm == SHIM_NAME => {
            Found::Not(Asked::OutOfReach(OutOfReach::NotPermitted))
        }
        // A shim that is dead and was not reaped yet has no descriptors.
        Err(_) if stat.is_dead() || Stat::of(started.shim_pid).is_none_or(|stat| stat.is_dead()) => Found::Not(Asked::Gone),
        _ => Found::Not(Asked::NotOurs),
    }
}
