//! A foreground command: it has the caller's terminal, descriptors and process group, and inherits
//! one more descriptor.
//!
//! ```text
//! block signals ─▶ start ─▶ pass signals on ─▶ it ended ─▶ end what it left ─▶ its end
//! ```
//!
//! This process becomes the reaper of every process that the command leaves behind. If this process
//! is killed, the tree continues, and is known by the inherited descriptor. Used by processes with
//! one thread (others block all signals).
//!
//! Deliberately absent: a timeout, a grace, a log.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::getpid;

use crate::error::{Error, Result, exit};
use crate::job::{Argv, Exit};

use super::descendants::{self, kill_round};
use super::forked::exit_now;
use super::process::{Stat, threads};
use super::signal::{self, send_child};
use super::wait::{self, Children};

/// Signals that are passed on to the command.
const PASSED_ON: [i32; 6] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
/// Interval between two rounds of killing processes that do not die, in milliseconds: first and
/// longest.
const KILL_MS_MIN: u64 = 5;
const KILL_MS_MAX: u64 = 1_000;

/// Result of the command.
#[derive(Debug)]
pub enum Ended {
    /// It could not be executed.
    NotExecuted(io::Error),
    Ended {
        exit: Exit,
        /// `pid name` of the processes that it left behind and that were ended.
        leftovers: Vec<String>,
        /// No process of it is alive. If false, a signal asked this process to leave while a
        /// process did not die.
        emptied: bool,
    },
}

/// Runs the command and waits for its whole tree.
///
/// # Errors
/// Nothing was started: the system refuses a prerequisite.
pub fn run(argv: &Argv, env: &[(String, String)], inherited: BorrowedFd<'_>) -> Result<Ended> {
    see_to(of(argv, env), inherited)
}

/// Like [`run`], in a directory, and with stderr as its output, so that this process can use stdout
/// itself.
///
/// # Errors
/// As [`run`].
pub fn run_inside(dir: &Path, argv: &Argv, env: &[(String, String)], inherited: BorrowedFd<'_>) -> Result<Ended> {
    let mut command = of(argv, env);
    command.current_dir(dir).stdout(io::stderr());
    see_to(command, inherited)
}

fn see_to(mut command: Command, inherited: BorrowedFd<'_>) -> Result<Ended> {
    let told = |e: io::Error| Error::io("preparing to start the command", e);
    rustix::process::set_child_subreaper(Some(getpid())).map_err(|e| told(e.into()))?;
    // The parent may have ignored CHLD; this process needs it.
    signal::hear_of_children();
    let before = signal::block(&[&PASSED_ON[..], &[libc::SIGCHLD]].concat()).map_err(told)?;
    let fd = inherited.as_raw_fd();
    let in_the_child = move || {
        before.restore()?;
        // SAFETY: the caller's descriptor is open until `spawn` has returned, and this is the
        // child's own table.
        Ok(fcntl_setfd(unsafe { BorrowedFd::borrow_raw(fd) }, FdFlags::empty())?)
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated and no
    // lock is taken.
    unsafe { command.pre_exec(in_the_child) };
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Ended::NotExecuted(error)),
    };
    Ok(see_to_the_end(child.id().cast_signed()))
}

/// If this process has children that it did not start, as after `exec` from a shell: continues as a
/// child of itself, which has none, so that only processes that it starts are reparented to it. The
/// parent passes signals on, and ends like the child. Called before anything is opened that does
/// not survive a fork.
///
/// # Errors
/// The system refuses a process.
pub fn stand_apart() -> Result<()> {
    let told = |e: io::Error| Error::io("standing apart from the children of the shell", e);
    let me = getpid().as_raw_nonzero().get();
    if descendants::all_children(me).is_empty() || threads(me).len() > 1 {
        return Ok(());
    }
    signal::hear_of_children();
    let before = signal::block(&[&PASSED_ON[..], &[libc::SIGCHLD]].concat()).map_err(told)?;
    // SAFETY: this process has one thread, so the child may do everything that the parent may.
    match unsafe { libc::fork() } {
        0 => before.restore().map_err(told),
        -1 => Err(told(io::Error::last_os_error())),
        child => exit_now(match wait_for(child) {
            Exit::Code(code) => code,
            Exit::Signal(signal) => i32::from(exit::SIGNAL_BASE) + signal,
        }),
    }
}

/// Replaces this process by the command. Returns only the error.
pub fn become_command(argv: &Argv, env: &[(String, String)], inherited: Option<BorrowedFd<'_>>) -> io::Error {
    if let Some(fd) = inherited
        && let Err(error) = fcntl_setfd(fd, FdFlags::empty())
    {
        return error.into();
    }
    of(argv, env).exec()
}

fn of(argv: &Argv, env: &[(String, String)]) -> Command {
    let mut arguments = argv.arguments().iter().map(|argument| OsStr::from_bytes(argument));
    let mut command = Command::new(arguments.next().unwrap_or_default());
    command.args(arguments).envs(env.iter().map(|(name, value)| (name, value)));
    command
}

/// Waits until a child has ended, without reaping it, and passes signals on to it.
fn wait_for(child: i32) -> Exit {
    loop {
        match wait::peek() {
            Children::Ended(ended) if ended.pid == child => return ended.exit,
            // Reparented from the tree, or from the program that this process was before its exec.
            // An error would be ECHILD, which the next check sees.
            Children::Ended(ended) => drop(wait::reap(ended.pid)),
            Children::Alive | Children::None => pass_on(child),
        }
    }
}

fn see_to_the_end(child: i32) -> Ended {
    let exit = wait_for(child);
    let leftovers = living(child);
    // Its pid stays valid until here: nothing is sent to it any more.
    let _ = wait::reap(child);
    Ended::Ended { exit, leftovers, emptied: empty() }
}

/// Waits for a signal, and passes it on. A signal from the terminal has reached the command
/// already: it is in the same group.
fn pass_on(child: i32) {
    if let Some(came) = signal::next(&PASSED_ON, None)
        && !came.from_kernel
    {
        // The command is gone, or may not be signalled: its end is observed in either case.
        let _ = send_child(child, came.signal);
    }
}

fn living(but: i32) -> Vec<String> {
    let me = getpid().as_raw_nonzero().get();
    let found = descendants::below(me, &|_| false).into_iter().filter(|found| found.pid != but);
    let found = found.filter_map(|found| Some((found.pid, Stat::of(found.pid)?))).filter(|(_, stat)| !stat.is_dead());
    found.map(|(pid, stat)| format!("{pid} {}", stat.comm)).collect()
}

/// Ends all remaining processes, until the kernel reports no children. False: a signal arrived
/// while a process did not die.
fn empty() -> bool {
    let me = getpid().as_raw_nonzero().get();
    let mut wait_ms = KILL_MS_MIN;
    loop {
        match wait::peek() {
            Children::None => return true,
            Children::Ended(ended) => drop(wait::reap(ended.pid)),
            Children::Alive => {
                let killed = !kill_round(me, &|_| false).killed.is_empty();
                wait_ms = if killed { KILL_MS_MIN } else { (wait_ms * 2).min(KILL_MS_MAX) };
                if signal::next(&PASSED_ON, Some(wait_ms)).is_some() && !killed {
                    return false;
                }
            }
        }
    }
}
