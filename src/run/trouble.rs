//! Why a run does not end, as seen from outside: text for people, and whether a shim responds.
//! Never a proof of anything.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::error::Result;
use crate::job::{RunId, RunKey};
use crate::place::Place;

use super::descendants;
use super::process::{Stat, all_pids, open_file_identity, open_pidfd, tracer_of};
use super::protocol::{SHIM_NAME, SPAWNER_NAME};
use super::signal;
use super::stop::{self, Asked, OutOfReach};

/// Most processes that are named.
const NAMED_MAX: usize = 8;
/// Highest descriptor of a spawner that is checked for a run's lock.
const SPAWNER_FDS_MAX: usize = 4096;

/// The state of a run's shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shim {
    /// It works, or waits for work.
    Well(i32),
    /// It is stopped: SIGSTOP, or a debugger.
    Stopped(i32),
    /// There is none: not yet, or not any more.
    None,
    /// It cannot be examined or signalled.
    Hidden(OutOfReach),
}

/// Examines the shim of a run.
///
/// # Errors
/// The run file cannot be read.
pub fn shim(place: &Place, key: RunKey) -> Result<Shim> {
    Ok(match stop::shim_pid(place, key)? {
        Ok(pid) if is_stopped(pid) => Shim::Stopped(pid),
        Ok(pid) => Shim::Well(pid),
        Err(Asked::OutOfReach(hindrance)) => Shim::Hidden(hindrance),
        Err(_) => Shim::None,
    })
}

/// Whether a process is stopped.
pub fn is_stopped(pid: i32) -> bool {
    Stat::of(pid).is_some_and(|stat| matches!(stat.state, 'T' | 't'))
}

/// Whether a process is stopped by a signal, not by a debugger.
pub fn is_stopped_by_signal(pid: i32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.state == 'T')
}

/// Returns the process that traces a process, with its name: a debugger.
pub fn tracer(pid: i32) -> Option<(i32, String)> {
    let tracer = tracer_of(pid)?;
    Some((tracer, Stat::of(tracer)?.comm))
}

/// Whether a process has ended, as far as its pid shows.
pub fn is_dead(pid: i32) -> bool {
    Stat::of(pid).is_none_or(|stat| stat.is_dead())
}

/// Whether a shim has received the stop signal: it is not pending any more.
pub fn has_heard(shim: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{shim}/status")).unwrap_or_default();
    let waiting = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("ShdPnd:")?.trim(), 16).ok());
    waiting.is_some_and(|waiting| waiting >> (signal::stop_signal() - 1) & 1 == 0)
}

/// A process that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub pid: i32,
    pub name: String,
    pub user: Option<u32>,
    /// This process may signal it.
    pub may_be_signalled: bool,
}

/// Returns the live processes below a shim.
pub fn below(shim: i32) -> Vec<Left> {
    named(descendants::below(shim, &|_| false).into_iter().map(|found| found.pid))
}

/// Returns the live processes below the spawner that still holds the lock of a run whose shim is
/// gone, and the spawner's pid if that is stopped.
pub fn below_spawner(place: &Place, run: RunId) -> (Vec<Left>, Option<i32>) {
    let Some(spawner) = spawner_of(place, run) else { return (Vec::new(), None) };
    let is_shim = |pid: i32| Stat::of(pid).is_some_and(|stat| stat.comm == SHIM_NAME);
    let left = named(descendants::below(spawner, &is_shim).into_iter().map(|found| found.pid));
    (left, is_stopped(spawner).then_some(spawner))
}

/// The spawner that has the run file open.
fn spawner_of(place: &Place, run: RunId) -> Option<i32> {
    let meta = fs::metadata(place.run_file(run)).ok()?;
    let wanted = (meta.dev(), meta.ino());
    let spawners = all_pids().ok()?.into_iter().filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.comm == SPAWNER_NAME));
    let holds = |pid: &i32| {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut numbers = fds.flatten().filter_map(|fd| fd.file_name().to_str()?.parse().ok()).take(SPAWNER_FDS_MAX);
        numbers.any(|fd| open_file_identity(*pid, fd).is_ok_and(|file| file == wanted))
    };
    spawners.into_iter().find(holds)
}

fn named(pids: impl Iterator<Item = i32>) -> Vec<Left> {
    pids.filter_map(|pid| {
        let stat = Stat::of(pid).filter(|stat| !stat.is_dead())?;
        let may_be_signalled = open_pidfd(pid).is_ok_and(|pidfd| signal::send_pidfd(pidfd.as_fd(), 0).is_ok());
        Some(Left { pid, name: stat.comm, user: user_of(pid), may_be_signalled })
    })
    .collect()
}

/// The user that a process belongs to, as the kernel judges access to it.
fn user_of(pid: i32) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}")).ok().map(|meta| meta.uid())
}

/// `pid name (user), ...`
pub fn words(left: &[Left]) -> String {
    let one = |left: &Left| match left.user {
        Some(0) => format!("{} {} (root)", left.pid, left.name),
        Some(user) => format!("{} {} (user {user})", left.pid, left.name),
        None => format!("{} {}", left.pid, left.name),
    };
    let named = left.iter().take(NAMED_MAX).map(one).collect::<Vec<_>>().join(", ");
    match left.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Their numbers, for a command.
pub fn numbers(left: &[Left]) -> String {
    left.iter().take(NAMED_MAX).map(|left| left.pid.to_string()).collect::<Vec<_>>().join(" ")
}
