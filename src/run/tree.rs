//! Finds and ends what is left of a run whose shim is gone.
//!
//! While a shim, its spawner or their worker lives, nothing can escape: each is the reaper of all
//! processes that the job leaves behind. This is for the case that they were killed. Then the
//! remaining processes are found by the marks of the run (`super::marks`). A process that has
//! removed them is still found by the lock on the log, which is inherited with the descriptors of
//! stdout and stderr.
//!
//! A process that cannot be seen is not considered gone. A pid namespace hides its processes from
//! its siblings, so of a run in another one only the locks are known, until that namespace is gone:
//!
//! | the run's pid namespace | is anything of it left? |
//! | --- | --- |
//! | this one (also: its inode was reused for this one) | what is visible here |
//! | of another boot of the machine | nothing |
//! | it ends with its worker (its first process, or the child of an init that ends with its child), and this is the worker now | nothing |
//! | this is the first namespace of the machine, and no process visible there is in it | nothing |
//! | a person declares it over ([`Record::Over`]) | only what is visible here |
//! | any other | not known |
//!
//! Deliberately absent: any use of a recorded pid as proof.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::job::{Nonce, RunId, RunKey};
use crate::place::Place;

use super::chase::chase;
use super::marks::{Belongs, Marks};
use super::process::{Stat, all_pids, open_pidfd};
#[allow(unused_imports, reason = "named in the documentation")]
use super::record::Record;
use super::record::{Header, Records};
use super::runfile::{Inspection, inspect, is_locked};
use super::signal::send_pidfd;
use super::{fence, holders, machine};

/// Result of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emptied {
    /// `pid name` of the processes that were sent KILL; they may take an instant to die.
    pub killed: Vec<String>,
    /// `pid name` of processes of the run that may not be signalled.
    pub left: Vec<String>,
    /// `pid name` of processes that may belong to it: nothing proves or disproves it.
    pub not_known: Vec<String>,
    /// A process still has the log open for writing.
    pub log_locked: bool,
    /// The shim is dying: its children have not been reparented yet.
    pub shim_is_dying: bool,
    /// The run is in another pid namespace that cannot be seen from here and may be alive.
    pub out_of_sight: bool,
}

impl Emptied {
    /// Whether nothing is left, as far as one round can tell: one may miss a process that is just
    /// being started, two in a row do not.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Runs one round: sends KILL to every process of the run by its marks, through a pidfd that was
/// opened before they were read. If there is none and the log is still locked: to every process
/// that has the log open for writing.
///
/// # Errors
/// `/proc`, the run file or the log cannot be read.
pub fn empty(place: &Place, RunKey { run, nonce }: RunKey) -> Result<Emptied> {
    let (header, records) = match inspect(place, run)? {
        Inspection::Found { header, records, locked: false } if header.nonce == nonce => (Some(header), records),
        Inspection::Found { header, records, .. } if header.nonce == nonce => (None, records),
        _ => (None, Records::default()),
    };
    let marks = marks_of(place, run, nonce, &records);
    let me = std::process::id().cast_signed();
    let mut emptied = Emptied { shim_is_dying: is_dying(header.as_ref(), &records), ..Emptied::default() };
    for pid in all_pids().map_err(|e| Error::io("reading /proc", e))?.into_iter().filter(|pid| *pid != me) {
        match marks.of(pid) {
            Belongs::No => {}
            Belongs::Yes => end_if_it_belongs(pid, &marks, &mut emptied),
            // A person has declared what cannot be known.
            Belongs::NotKnown if records.over => {}
            Belongs::NotKnown => emptied.not_known.push(name_of(pid)),
        }
    }
    emptied.log_locked = is_log_locked_by(place, run, &marks)?;
    if emptied.log_locked && emptied.killed.is_empty() && emptied.left.is_empty() {
        end_writers(&place.log_file(run), &marks, &mut emptied);
    }
    if emptied.log_locked || !emptied.killed.is_empty() {
        let log = std::fs::metadata(place.log_file(run)).ok();
        chase(|pid| pid != me && end_the_new_one(pid, &marks, log.as_ref(), &mut emptied));
    }
    emptied.out_of_sight = header.is_some_and(|header| !records.over && is_out_of_sight(&header));
    Ok(emptied)
}

/// Returns `pid name` of the live processes of a run whose lock is free, as far as visible,
/// including unknown ones. Ends nothing.
///
/// # Errors
/// `/proc` or the log cannot be read.
pub fn what_lives(place: &Place, run: RunId, header: &Header, records: &Records) -> Result<Vec<String>> {
    let marks = marks_of(place, run, header.nonce, records);
    let me = std::process::id().cast_signed();
    let pids = all_pids().map_err(|e| Error::io("reading /proc", e))?;
    let is_of_it = |pid: &i32| *pid != me && !matches!(marks.of(*pid), Belongs::No);
    let mut found: Vec<String> = pids.into_iter().filter(is_of_it).map(name_of).collect();
    if found.is_empty() && is_log_locked_by(place, run, &marks)? {
        found.push("a process that cannot be seen from here and has its log open".to_owned());
    }
    if found.is_empty() && is_dying(Some(header), records) {
        found.push("its shim, which is ending".to_owned());
    }
    Ok(found)
}

/// Whether processes of a run whose lock is free may live where they cannot be seen: see the table
/// above. For the worker of the file.
pub fn is_out_of_sight(header: &Header) -> bool {
    header.pid_ns != machine::pid_namespace()
        && header.boot_id == machine::boot_id()
        && !header.pid_ns_ends
        && !machine::pid_namespace_is_gone(header.pid_ns)
}

/// A process that ends closes its descriptors, and so releases its locks, before its children are
/// reparented. (A shim that has recorded DRAINED may live on, for other runs.)
fn is_dying(header: Option<&Header>, records: &Records) -> bool {
    if records.drained.is_some() {
        return false;
    }
    let Some(started) = records.started.filter(|_| header.is_some_and(|header| header.pid_ns == machine::pid_namespace())) else {
        return false;
    };
    Stat::of(started.shim_pid).is_some_and(|stat| stat.start_ticks == started.shim_start_ticks && !stat.is_dead())
}

/// Ends processes that have cleared their environment but still have the run's log as their output.
fn end_writers(log: &Path, marks: &Marks, emptied: &mut Emptied) {
    let Ok(meta) = std::fs::metadata(log) else { return };
    for pid in holders::writers_of(log) {
        let Ok(pidfd) = open_pidfd(pid) else { continue };
        // Checked again with the pidfd open: the pid may have been reused by now.
        if holders::writes(pid, meta.dev(), meta.ino()) && !marks.excludes(pid) {
            end(pid, &pidfd, emptied);
        }
    }
}

fn end_if_it_belongs(pid: i32, marks: &Marks, emptied: &mut Emptied) {
    let Ok(pidfd) = open_pidfd(pid) else { return };
    // Checked again: the first check may have been of a process that has ended since.
    if marks.of(pid) == Belongs::Yes {
        end(pid, &pidfd, emptied);
    }
}

/// Ends a newly started process if it belongs to the run or may write its log; returns whether it
/// did.
fn end_the_new_one(pid: i32, marks: &Marks, log: Option<&std::fs::Metadata>, emptied: &mut Emptied) -> bool {
    let before = emptied.killed.len();
    let Ok(pidfd) = open_pidfd(pid) else { return false };
    let may_write = || log.is_some_and(|log| holders::writes(pid, log.dev(), log.ino())) && !marks.excludes(pid);
    if marks.of(pid) == Belongs::Yes || may_write() {
        end(pid, &pidfd, emptied);
    }
    emptied.killed.len() > before
}

fn end(pid: i32, pidfd: &impl AsFd, emptied: &mut Emptied) {
    match send_pidfd(pidfd.as_fd(), libc::SIGKILL) {
        Ok(()) => emptied.killed.push(name_of(pid)),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
        Err(_) => emptied.left.push(name_of(pid)),
    }
}

fn name_of(pid: i32) -> String {
    format!("{pid} {}", Stat::of(pid).map_or_else(|| "?".to_owned(), |stat| stat.comm))
}

fn marks_of(place: &Place, run: RunId, nonce: Nonce, records: &Records) -> Marks {
    let begun_ticks = records.started.map(|started| started.shim_start_ticks);
    Marks::new(nonce, records.marked, begun_ticks).only_of(other_user_of(place, run))
}

/// Returns the user of a run that root's worker has started as another user: the owner of its log,
/// which only root can change. All its processes have this user, see [`super::marks`]. (One that
/// still has root's, because its shim was killed while it started the job, ends by itself without
/// executing the command.)
fn other_user_of(place: &Place, run: RunId) -> Option<u32> {
    let us = rustix::process::geteuid();
    let owner = us.is_root().then(|| std::fs::symlink_metadata(place.log_file(run)).ok()).flatten()?.uid();
    (owner != us.as_raw()).then_some(owner)
}

/// Whether a process that may belong to the run holds a lock on its log. A lock is not the run's if
/// all processes that are seen to have the log open are excluded: they were given the log.
fn is_log_locked_by(place: &Place, run: RunId, marks: &Marks) -> Result<bool> {
    let lock = log_lock(place, run)?;
    if lock == LogLock::Free {
        return Ok(false);
    }
    let writers = holders::writers_of(&place.log_file(run));
    let is_excluded = |pid| marks.excludes(pid);
    Ok(match writers.as_slice() {
        // Root sees every process. The one descriptor that there is cannot be of the run: it does
        // not write.
        [] => lock == LogLock::Held || other_user_of(place, run).is_none(),
        writers => !writers.iter().copied().all(is_excluded),
    })
}

/// What the kernel says of the log of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogLock {
    Free,
    Held,
    /// It is not said: a process has a lease on the log, which the user of a job may have, and then
    /// it is open once, there.
    Leased,
}

/// Whether any process holds a lock on the log of a run: one that has it as stdout or stderr, or a
/// fenced command; or a lease, so that it is not said. `false` without a log.
///
/// # Errors
/// The log cannot be opened or queried.
pub fn is_log_locked(place: &Place, run: RunId) -> Result<bool> {
    Ok(log_lock(place, run)? != LogLock::Free)
}

fn log_lock(place: &Place, run: RunId) -> Result<LogLock> {
    let path = place.log_file(run);
    let opened = match super::output::open_log(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(LogLock::Leased),
        opened => opened,
    };
    let is_held = opened.and_then(|file| file.map_or(Ok(false), |file| Ok(is_locked(&file)? || fence::is_held(&file)?)));
    let is_held = is_held.map_err(|error| Error::io(format!("asking for the lock of {}", path.display()), error))?;
    Ok(if is_held { LogLock::Held } else { LogLock::Free })
}
