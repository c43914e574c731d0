//! A command in the foreground: it has our terminal, our descriptors and our process group, and
//! inherits one descriptor more.
//!
//! ```text
//! block signals ─▶ start ─▶ pass signals on ─▶ it ended ─▶ end what it left ─▶ its end
//! ```
//!
//! We become the reaper of whatever it leaves behind, so that nothing can slip away; if we are
//! killed, the tree lives on, and the inherited descriptor is what it is known by. Used by
//! processes with one thread (others block all signals).
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
/// Between two rounds of killing what does not die, in milliseconds: first and longest.
const KILL_MS_MIN: u64 = 5;
const KILL_MS_MAX: u64 = 1_000;

/// What became of the command.
#[derive(Debug)]
pub enum Ended {
    /// It could not be executed.
    NotExecuted(io::Error),
    Ended {
        exit: Exit,
        /// `pid name` of what it left behind and what was ended.
        leftovers: Vec<String>,
        /// Nothing of it lives. If not, we were told to leave, and something does not die.
        emptied: bool,
    },
}

/// Runs the command and sees its whole tree to the end.
///
/// # Errors
/// Nothing was started: the system refuses what is needed around it.
pub fn run(argv: &Argv, env: &[(String, String)], inherited: BorrowedFd<'_>) -> Result<Ended> {
    see_to(of(argv, env), inherited)
}

/// As [`run`], in a directory, and with stderr as its output: what we print ourselves stays apart
/// from it.
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
    // The parent may have chosen not to hear of children; this process must.
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

/// Where this process has children that it did not start, as a shell leaves them that becomes us
/// with `exec`: goes on as a child of it, which has none, so that nothing but what we start can
/// fall to us. The parent passes signals on, and ends as the child does. Before anything is opened
/// that does not survive a fork.
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
    // SAFETY: this process has one thread, so the child may do whatever the parent may.
    match unsafe { libc::fork() } {
        0 => before.restore().map_err(told),
        -1 => Err(told(io::Error::last_os_error())),
        child => exit_now(match wait_for(child) {
            Exit::Code(code) => code,
            Exit::Signal(signal) => i32::from(exit::SIGNAL_BASE) + signal,
        }),
    }
}

/// Becomes the command. Comes back only with what refused that.
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
            // Left to us by something of the tree, or by the program that this process was before
            // its exec. An error would be ECHILD, which the next look sees.
            Children::Ended(ended) => drop(wait::reap(ended.pid)),
            Children::Alive | Children::None => pass_on(child),
        }
    }
}

fn see_to_the_end(child: i32) -> Ended {
    let exit = wait_for(child);
    let leftovers = living(child);
    // Its number is ours until here: nothing is sent to it any more.
    let _ = wait::reap(child);
    Ended::Ended { exit, leftovers, emptied: empty() }
}

/// Waits for a signal, and passes it on. One that came from the terminal has reached the command
/// already: it is in the same group.
fn pass_on(child: i32) {
    if let Some(came) = signal::next(&PASSED_ON, None)
        && !came.from_kernel
    {
        // Gone, or not permitted: its end is seen in either case.
        let _ = send_child(child, came.signal);
    }
}

fn living(but: i32) -> Vec<String> {
    let me = getpid().as_raw_nonzero().get();
    let found = descendants::below(me, &|_| false).into_iter().filter(|found| found.pid != but);
    let found = found.filter_map(|found| Some((found.pid, Stat::of(found.pid)?))).filter(|(_, stat)| !stat.is_dead());
    found.map(|(pid, stat)| format!("{pid} {}", stat.comm)).collect()
}

/// Ends whatever is left, until the kernel says that there is no child any more. False: a signal
/// came while something did not die.
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
