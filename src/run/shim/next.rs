//! Between two runs. The shim holds no lock, no log, no child and no descriptor but its socket; it
//! says so to its spawner, which releases the run, and waits for the next launch.
//!
//! It ends when its spawner closes the socket or is gone, and by TERM, INT or HUP: a shutdown that
//! signals every process is not kept waiting. If one of these meets a launch, that is not begun.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::run::journal::Journal;
use crate::run::protocol::{LOCK_FD, READY_AGAIN, STATUS_FD};
use crate::run::signal;
use crate::run::spawner::wire::{self, Arrived, INLINE_BYTES_MAX, Received, Spec, receive};

/// Wait before a packet is received again for which the kernel had no memory, in milliseconds.
const RECEIVE_AGAIN_MS: u64 = 1;

/// What comes after a run.
pub enum Next {
    Launch(Journal, Spec),
    /// No run any more.
    None,
    /// A launch has arrived, and this process cannot serve it: nothing was started.
    Broken,
}

/// Waits for the next run of this shim.
pub fn next_run(control: &OwnedFd) -> Next {
    // Of the last run, and too late. A shim that does not answer is killed, which names no run.
    if signal::stop_is_pending() {
        return Next::None;
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if send(control, READY_AGAIN, flags) != Ok(READY_AGAIN.len()) {
        return Next::None;
    }
    match await_launch(control) {
        Ok(Some(arrived)) => begin(arrived).unwrap_or_else(|errno| refuse(control, errno)),
        Ok(None) => Next::None,
        Err(errno) => refuse(control, errno),
    }
}

/// Returns `None` if no launch comes any more.
fn await_launch(control: &OwnedFd) -> Result<Option<Arrived>, Errno> {
    while signal::readable_or_ended(control.as_fd()) {
        // Exactly as long as the packet: a buffer for the longest would stay with a shim whose next
        // run may last for days.
        let bytes = match recv(control, &mut [0; 0][..], RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
            Ok((_, bytes)) => bytes.min(INLINE_BYTES_MAX + 1),
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(_) => return Ok(None),
        };
        match receive(control.as_fd(), &mut vec![0; bytes]) {
            Ok(Received::Launch(arrived)) => return Ok(Some(arrived)),
            // The packet is still there, and the kernel lacks memory to hand it over.
            Ok(Received::NothingYet) => thread::sleep(Duration::from_millis(RECEIVE_AGAIN_MS)),
            Ok(Received::NoMeans(errno)) => return Err(errno),
            Ok(Received::Broken) => return Err(Errno::INVAL),
            Ok(Received::Ended) | Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn begin(arrived: Arrived) -> Result<Next, Errno> {
    // Its run would not hear of it.
    if signal::bare_within(0) {
        return Ok(Next::Broken);
    }
    // The lowest free numbers: those that the last run has left.
    if (arrived.lock.as_raw_fd(), arrived.status.as_raw_fd()) != (LOCK_FD, STATUS_FD) {
        return Err(Errno::BADF);
    }
    let journal =
        Journal::new(arrived.lock, arrived.status).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(Next::Launch(journal, arrived.spec))
}

/// The spawner records it, as it has the run file.
fn refuse(control: &OwnedFd, errno: Errno) -> Next {
    wire::complain(control.as_fd(), errno);
    Next::Broken
}
