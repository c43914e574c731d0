//! The spawner's shims: which run each of them has, and which wait for one.
//!
//! The socket to a shim carries launches to it, and "ready again" back. It is closed to retire a
//! shim: one that waits ends then, and one that has a run ends after that.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::run::journal::Journal;
use crate::run::machine::boottime_ms;
use crate::run::shim::refusal::Refusal;
use crate::run::signal;

use super::wire::{self, Arrived, Said, Spec};

/// How long a shim waits for a run before it is retired, in milliseconds.
const IDLE_MS_MAX: u64 = 10_000;

/// What the spawner keeps of a run.
pub struct Kept {
    lock: OwnedFd,
    status: OwnedFd,
}

impl Kept {
    pub fn of(arrived: Arrived) -> Self {
        Self { lock: arrived.lock, status: arrived.status }
    }

    /// Records that the run could not be started, and why.
    pub fn fail(self, what: &str, error: &io::Error) {
        let failed = Refusal::ours(what, error).into_record();
        if let Ok(mut journal) = Journal::new(self.lock, self.status) {
            // If it cannot be written, the run counts as never started, which is true.
            let _ = journal.write(&failed);
            journal.tell();
        }
    }

    /// The lock first: the monitor that sees the end of the pipe finds it free.
    pub fn release(self) {
        drop(self.lock);
        drop(self.status);
    }
}

struct Shim {
    run: Option<Kept>,
    /// `None`: it is not given another run.
    socket: Option<OwnedFd>,
}

#[derive(Default)]
pub struct Shims {
    by_pid: HashMap<i32, Shim>,
    /// Those that wait for a run, and since when, in milliseconds since the boot. The last one is
    /// used first, so the first one has waited longest.
    idle: Vec<(i32, u64)>,
}

impl Shims {
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }

    pub fn contains(&self, pid: i32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    /// Makes the two ends of the socket of a new shim.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn socket() -> io::Result<(OwnedFd, OwnedFd)> {
        Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
    }

    /// Adds a shim that was forked with a run.
    pub fn add(&mut self, pid: i32, arrived: Arrived, socket: OwnedFd) {
        self.by_pid.insert(pid, Shim { run: Some(Kept::of(arrived)), socket: Some(socket) });
    }

    /// Gives a launch to a shim that waits; otherwise the launch is returned.
    pub fn serve(&mut self, arrived: Arrived) -> Option<Arrived> {
        let Spec::Inline(spec) = &arrived.spec else { return Some(arrived) };
        while let Some((pid, since)) = self.idle.pop() {
            let Some(shim) = self.by_pid.get_mut(&pid) else { continue };
            let Some(socket) = &shim.socket else { continue };
            match wire::forward(socket.as_fd(), spec, arrived.lock.as_fd(), arrived.status.as_fd()) {
                Ok(()) => {
                    shim.run = Some(Kept::of(arrived));
                    return None;
                }
                // It is dead, or about to be.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => shim.socket = None,
                // For want of memory or descriptors: no fault of this shim.
                Err(_) => {
                    self.idle.push((pid, since));
                    return Some(arrived);
                }
            }
        }
        Some(arrived)
    }

    /// Ends a shim that was stopped by a signal while it waits for a run: it would keep its next
    /// run from starting, and outlive its spawner.
    pub fn end_if_idle(&mut self, pid: i32) {
        self.hear(pid);
        if let Some(shim) = self.by_pid.get_mut(&pid)
            && shim.run.is_none()
        {
            shim.socket = None;
            // It is reaped like any other.
            let _ = signal::send_child(pid, libc::SIGKILL);
        }
    }

    /// Removes a shim that was reaped; returns what is kept of a run that it has not reported as
    /// over.
    pub fn remove(&mut self, pid: i32) -> Option<Kept> {
        self.hear(pid);
        self.idle.retain(|(idle, _)| *idle != pid);
        self.by_pid.remove(&pid)?.run
    }

    /// Reads what the shims have sent.
    pub fn hear_all(&mut self, pids: &[i32]) {
        pids.iter().for_each(|pid| self.hear(*pid));
    }

    fn hear(&mut self, pid: i32) {
        let Some(shim) = self.by_pid.get_mut(&pid) else { return };
        let Some(socket) = &shim.socket else { return };
        match wire::hear_shim(socket.as_fd()) {
            Said::Ready => {
                shim.run.take().into_iter().for_each(Kept::release);
                self.idle.push((pid, boottime_ms()));
            }
            Said::NotTaken(errno) => {
                shim.socket = None;
                shim.run.take().into_iter().for_each(|run| run.fail("receiving what is to be run", &errno.into()));
            }
            Said::Nothing => {}
            // It is ending.
            Said::Closed => shim.socket = None,
        }
    }

    /// Gives no shim another run. No launch comes after this, and so no further shim.
    pub fn close(&mut self) {
        self.idle.clear();
        self.by_pid.values_mut().for_each(|shim| shim.socket = None);
    }

    /// Retires those that have waited too long; returns in how many milliseconds the next one has.
    pub fn retire_idle(&mut self) -> Option<u64> {
        let now = boottime_ms();
        let still = self.idle.iter().position(|(_, since)| now.saturating_sub(*since) < IDLE_MS_MAX);
        for (pid, _) in self.idle.drain(..still.unwrap_or(self.idle.len())) {
            if let Some(shim) = self.by_pid.get_mut(&pid) {
                shim.socket = None;
            }
        }
        self.idle.first().map(|(_, since)| (since + IDLE_MS_MAX).saturating_sub(now))
    }

    /// The sockets to wait for, each with its shim.
    pub fn sockets(&self) -> impl Iterator<Item = (i32, PollFd<'_>)> {
        let open = self.by_pid.iter().filter_map(|(pid, shim)| Some((*pid, shim.socket.as_ref()?)));
        open.map(|(pid, socket)| (pid, PollFd::new(socket, PollFlags::IN)))
    }
}
