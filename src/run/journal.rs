//! Writes records: into the run file immediately, then down the status pipe, which is a socket: the
//! only message in the other direction is "go". Used by the process that holds the run's lock: the
//! shim, or the spawner if no shim could be created.
//!
//! The file is authoritative. The pipe gets the records later, all new ones together: each message
//! wakes the worker, and a run that is over within milliseconds should wake it once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstat;
use rustix::io::Errno;

use super::record::{Record, Suspension};
use super::spawner::status::{GO, NOT};

/// How often a record that cannot be written is retried.
const WRITE_TRIES_MAX: u32 = 100;
/// Wait between two attempts, in milliseconds.
const WRITE_RETRY_MS: u64 = 100;

pub struct Journal {
    file: OwnedFd,
    status: OwnedFd,
    /// Where the next record is written. Not append mode: a line that was torn by a full disk is
    /// overwritten.
    end: u64,
    /// Where the two places for suspensions begin, once there was one.
    suspensions: Option<u64>,
    /// Lines that are in the file and were not sent.
    unsent: Vec<u8>,
}

impl Journal {
    /// Continues after the content of the file.
    ///
    /// # Errors
    /// The length of the run file cannot be read.
    pub fn new(file: OwnedFd, status: OwnedFd) -> io::Result<Self> {
        let end = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        Ok(Self { file, status, end, suspensions: None, unsent: Vec::new() })
    }

    /// Writes a record into the file; [`Journal::tell`] sends it, even if it could not be written.
    ///
    /// # Errors
    /// It could not be written; tried once.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        self.write_all(std::slice::from_ref(record))
    }

    /// Like [`Journal::write`], for several records.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn write_all(&mut self, records: &[Record]) -> io::Result<()> {
        let line = records.iter().flat_map(Record::to_line).collect::<Vec<_>>();
        let written = self.store(&line);
        self.unsent.extend(line);
        written
    }

    /// Writes the state of a suspension into the place that the previous one is not in. The first
    /// one makes both places.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn write_suspension(&mut self, suspension: &Suspension) -> io::Result<()> {
        let line = Record::Suspension(suspension.clone()).to_line();
        let written = match self.suspensions {
            Some(first) => self.store_at(&line, first + suspension.seq % 2 * line.len() as u64),
            None => {
                let first = self.end;
                let both = [line.as_slice(), &line].concat();
                self.store(&both).inspect(|()| self.suspensions = Some(first))
            }
        };
        self.unsent.extend(line);
        written
    }

    /// Like [`Journal::write`], but tries for some seconds: for facts that no process can determine
    /// again.
    ///
    /// # Errors
    /// It could not be written in all that time.
    pub fn insist(&mut self, record: &Record) -> io::Result<()> {
        let line = record.to_line();
        let mut tries = 1;
        let written = loop {
            match self.store(&line) {
                Err(_) if tries < WRITE_TRIES_MAX => tries += 1,
                result => break result,
            }
            // A file system does not signal when it accepts writes again.
            thread::sleep(Duration::from_millis(WRITE_RETRY_MS));
        };
        self.unsent.extend(line);
        written
    }

    /// Sends a record without writing it.
    pub fn only_tell(&mut self, record: &Record) {
        self.unsent.extend(record.to_line());
        self.tell();
    }

    /// Waits until the worker says that the run may begin. `false`: it has withdrawn the run, or is
    /// gone and has not said so.
    pub fn hears_go(&self) -> bool {
        loop {
            let _ = poll(&mut [PollFd::new(&self.status, PollFlags::IN)], None);
            let mut word = [0; 1];
            match rustix::io::read(&self.status, &mut word) {
                Ok(n) => return n > 0 && word[0] == GO,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Whether the worker has withdrawn the run, without waiting.
    pub fn is_withdrawn(&self) -> bool {
        let mut word = [0; 1];
        loop {
            match rustix::io::read(&self.status, &mut word) {
                Ok(1) if word[0] == NOT => return true,
                Ok(1) | Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return false,
            }
        }
    }

    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    fn store(&mut self, line: &[u8]) -> io::Result<()> {
        self.store_at(line, self.end)?;
        self.end += line.len() as u64;
        Ok(())
    }

    fn store_at(&self, line: &[u8], at: u64) -> io::Result<()> {
        let mut done = 0;
        while done < line.len() {
            match rustix::io::pwrite(&self.file, &line[done..], at + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends all new records. The pipe does not block and has room for all records of a run; if its
    /// reader is gone, the file counts.
    pub fn tell(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let _ = rustix::io::write(self.status.as_fd(), &self.unsent);
        self.unsent.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn an_end_that_the_disk_refused_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        File::create(&path).unwrap();
        let refuses = File::open(&path).unwrap();
        let number = refuses.as_raw_fd();
        let status = File::open("/dev/null").unwrap();
        let mut journal = Journal::new(refuses.into(), status.into()).unwrap();
        let record = Record::Prepare { at_ms: 7 };
        assert!(journal.write(&record).is_err());
        let takes = std::thread::spawn(move || {
            // So that the first try is most likely refused; the record must be written in each
            // case.
            thread::sleep(Duration::from_millis(WRITE_RETRY_MS / 2));
            let file = File::options().write(true).open(&path).unwrap();
            // SAFETY: the number stays the journal's; what it stands for changes between two of its
            // writes.
            assert!(unsafe { libc::dup2(file.as_raw_fd(), number) } >= 0);
            path
        });
        journal.insist(&record).unwrap();
        let path = takes.join().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), record.to_line());
    }
}
