//! The read end of a run's status pipe: the records of the run, as they are written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::error::{Error, Result};
use crate::run::line::LINE_BYTES_MAX;
use crate::run::record::{Parsed, Record, parse_line};

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// Result of reading the pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Record(Record),
    NothingYet,
    /// No more will come: shim and spawner have closed the run. Unless the spawner was killed, the
    /// leftovers of the shim have been ended and the lock is free. Without DRAINED, inspect the run
    /// file.
    Closed,
}

/// The run may begin.
pub(in crate::run) const GO: u8 = b'g';
/// The run is not wanted any more.
pub(in crate::run) const NOT: u8 = b'n';

/// Lets a run begin that waits for it ([`crate::run::Launch::waits_for_go`]), or prevents it.
#[derive(Debug, Clone)]
pub struct Go(Arc<OwnedFd>);

impl Go {
    /// Sends it. If no shim receives it the run has ended already, and its pipe says so.
    pub fn say(&self) {
        self.send(GO);
    }

    /// Withdraws the run, also after [`Go::say`]: a shim that has not created the job's process yet
    /// does not, and ends as one whose run never began. A later shim does not receive this.
    pub fn withdraw(&self) {
        self.send(NOT);
    }

    fn send(&self, word: u8) {
        let _unheard = rustix::net::send(&self.0, &[word], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

/// A run's records, live. Poll it for input, then call [`StatusPipe::next`] until it returns
/// nothing.
#[derive(Debug)]
pub struct StatusPipe {
    pipe: Arc<OwnedFd>,
    buffer: Vec<u8>,
    /// An unknown message arrived; the run file is authoritative.
    damaged: bool,
}

impl StatusPipe {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self { pipe: Arc::new(pipe), buffer: Vec::new(), damaged: false }
    }

    /// Returns the sender of "go" for this run, if it was launched to wait for it.
    pub fn go(&self) -> Go {
        Go(Arc::clone(&self.pipe))
    }

    /// The next record, without waiting.
    ///
    /// # Errors
    /// The system refuses the read.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this has nothing yet")]
    pub fn next(&mut self) -> Result<Status> {
        loop {
            if let Some(record) = self.take_record() {
                return Ok(Status::Record(record));
            }
            let mut chunk = [0; READ_BYTES];
            match rustix::io::read(&self.pipe, &mut chunk) {
                // A socket that is closed with an unread message ("go") ends like this.
                Ok(0) | Err(Errno::CONNRESET) => return Ok(Status::Closed),
                Ok(n) if !self.damaged => self.buffer.extend_from_slice(&chunk[..n]),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Status::NothingYet),
                Err(error) => return Err(Error::io("reading the status of a run", error)),
            }
        }
    }

    fn take_record(&mut self) -> Option<Record> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            match parse_line(&line[..end]) {
                Parsed::Record(record) => return Some(record),
                Parsed::Unknown => {}
                Parsed::Damaged => self.give_up(),
            }
        }
        if self.buffer.len() > LINE_BYTES_MAX {
            self.give_up();
        }
        None
    }

    fn give_up(&mut self) {
        self.damaged = true;
        self.buffer = Vec::new();
    }
}

impl AsFd for StatusPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
