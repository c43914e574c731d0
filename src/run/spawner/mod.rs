//! The spawner: one small single-threaded process that forks shims for the worker. This file is the
//! worker's end of it.
//!
//! It is the same program, started again from `/proc/self/exe`, so that an upgrade on the disk does
//! not mix versions. It is fresh (no database, no threads, no handlers), so it may fork without
//! executing anything, which makes a supervised start cheap.
//!
//! A launch is one packet on a socket, together with the run's lock and the write end of its status
//! pipe. Packets that were not read yet hold the lock too. When the spawner is killed, they vanish,
//! and with them the locks: those runs never started. When the worker is killed, the spawner starts
//! what is in the socket, waits for its last shim, and exits.
//!
//! Its limits (open files, umask, processes) are those of the worker when it calls
//! [`Spawner::start`].

pub(super) mod descriptors;
pub(super) mod process;
mod shims;
pub(super) mod status;
pub(super) mod title;
pub(super) mod wire;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

use crate::error::{Error, Result};

use super::footprint;
use super::launch::Launch;
use super::orphans::{self, OwnChild};
use super::protocol::{READY, READY_STEM, SPAWNER_ARGUMENT, SPAWNER_NAME, UNFIT};
use super::runfile::RunFile;

pub use status::{Go, Status, StatusPipe};

/// Longest first message, in bytes.
const WORD_BYTES_MAX: usize = 512;
/// How long a new spawner may take to send it, in milliseconds.
const READY_MS_MAX: i64 = 30_000;
/// How long to wait for the end of a spawner that has closed its socket, in milliseconds.
const DYING_MS_MAX: u64 = 1_000;

/// Becomes the spawner if this process was started as one, and never returns then. Must be the
/// first statement of `main`.
pub fn main_if_spawner() {
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(SPAWNER_ARGUMENT)) {
        process::be_spawner();
    }
}

/// The worker's end of a spawner. Dropping it tells the spawner to exit when its last shim is gone.
#[derive(Debug)]
pub struct Spawner {
    control: OwnedFd,
    process: OwnChild,
}

impl Spawner {
    /// Starts a spawner from the running program, or from `helper`, whose `main` begins with
    /// [`main_if_spawner`].
    ///
    /// # Errors
    /// The system refuses a process, or the new one does not say that it is ready.
    pub fn start(helper: Option<&Path>) -> Result<Self> {
        Self::start_program(helper.unwrap_or(Path::new("/proc/self/exe")))
    }

    /// Starts a spawner from a program whose `main` begins with [`main_if_spawner`].
    ///
    /// # Errors
    /// As [`Spawner::start`].
    pub fn start_program(program: &Path) -> Result<Self> {
        let told = |error: io::Error| Error::io("starting the spawner", error);
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(|e| told(e.into()))?;
        // An empty environment: if the worker itself carries the cookie of a run, its shims must
        // not be taken for that run's tree.
        let mut command = Command::new(program);
        command.arg0(SPAWNER_NAME).arg(SPAWNER_ARGUMENT).env_clear();
        command.envs(super::open_files::given().map(|files| (super::open_files::GIVEN, files.to_string()))).current_dir("/");
        command.env(footprint::TUNABLES.0, footprint::TUNABLES.1);
        command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null());
        let process = orphans::spawn(&mut command).map_err(told)?;
        // The socket of the child; the worker's must be the only other end.
        drop(command);
        if let Err(why) = await_ready(&ours) {
            // It may be alive and not responding; it has started nothing.
            let status = process.end().map_err(told)?;
            return Err(Error::Unfit(format!("the spawner did not get ready: {why} ({status})")));
        }
        Ok(Self { control: ours, process })
    }

    /// Hands a run to the spawner. `file` is consumed in any case: the worker's copy of the lock is
    /// closed.
    ///
    /// # Errors
    /// Nothing was started and the lock is free again: the spawner is dead ([`Spawner::is_dead`];
    /// start another) or accepts nothing for some seconds, or the system refuses a pair of sockets.
    pub fn launch(&self, launch: &Launch, file: RunFile) -> Result<StatusPipe> {
        let what = || format!("starting run {}", launch.run);
        if launch.run != file.run() {
            return Err(Error::Internal(format!("run {} was launched with the run file of run {}", launch.run, file.run())));
        }
        let spec = postcard::to_stdvec(launch).map_err(|e| Error::Internal(format!("{}: {e}", what())))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(|e| Error::io(what(), e))?;
        wire::send_launch(self.control.as_fd(), &spec, file.as_fd(), theirs.as_fd()).map_err(|error| {
            let remedy = if error.kind() == io::ErrorKind::BrokenPipe {
                "the spawner is dead; nothing was started"
            } else {
                "the spawner does not take it; nothing was started"
            };
            Error::io(format!("{}: {remedy}", what()), error)
        })?;
        Ok(StatusPipe::new(ours))
    }

    /// Whether the spawner accepts no more launches. Its shims may live on.
    ///
    /// A process that is being killed closes its descriptors before its parent can wait for it. The
    /// status pipes of its runs end then, and the worker that sees that starts something next: so
    /// the socket is checked as well.
    pub fn is_dead(&self) -> bool {
        if self.process.has_ended() {
            return true;
        }
        if !hung_up(&self.control) {
            return false;
        }
        // It can be waited for in a moment, and leaves no zombie.
        let until = Instant::now() + Duration::from_millis(DYING_MS_MAX);
        while !self.process.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Returns why the spawner could not accept a launch: each complaint is about one run, no
    /// matter which.
    pub fn take_complaint(&self) -> Option<i32> {
        wire::take_complaint(self.control.as_fd()).map(rustix::io::Errno::raw_os_error)
    }

    /// Returns the spawner's process id, for display.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

fn hung_up(control: &OwnedFd) -> bool {
    let mut look = [PollFd::new(control, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut look, Some(&now)).is_ok() && look[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

fn await_ready(control: &OwnedFd) -> Result<(), String> {
    let timeout = Timespec { tv_sec: READY_MS_MAX / 1000, tv_nsec: 0 };
    let mut wait = [PollFd::new(control, PollFlags::IN)];
    match poll(&mut wait, Some(&timeout)) {
        Ok(0) => return Err(format!("it did not answer for {READY_MS_MAX} ms")),
        Ok(_) => {}
        Err(error) => return Err(crate::error::said(&error.into())),
    }
    let mut buffer = [0; WORD_BYTES_MAX];
    match recv(control, &mut buffer, RecvFlags::DONTWAIT) {
        Ok((_, n)) => match &buffer[..n.min(WORD_BYTES_MAX)] {
            READY => Ok(()),
            [] => Err("it ended".to_owned()),
            said => Err(match (said.strip_prefix(UNFIT), said.strip_prefix(READY_STEM)) {
                (Some(why), _) => String::from_utf8_lossy(why).into_owned(),
                // A helper that was named; the running program is of its own version.
                (_, Some(version)) => format!(
                    "it is of version {}, and this program of {}; name a helper of the same version",
                    String::from_utf8_lossy(version),
                    env!("CARGO_PKG_VERSION")
                ),
                _ => "it is another program".to_owned(),
            }),
        },
        Err(error) => Err(crate::error::said(&error.into())),
    }
}
