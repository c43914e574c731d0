//! A log that is sent piece by piece.

use std::fs::File;

use crate::run::output::{self, Piece};
use crate::web::limits::LOG_CHUNK_BYTES;

/// A part of a log that is to be sent. The log may grow meanwhile; that is sent next time.
#[derive(Debug, Default)]
pub struct Log {
    /// `None`: nothing was written.
    pub file: Option<File>,
    /// Where to continue.
    pub at: u64,
    /// Where it ends: a later request continues here.
    pub end: u64,
    /// Bytes of that part that were dropped because of the limit of the log.
    pub dropped: u64,
    pub run: Option<i64>,
    /// The run is not over: more may be written.
    pub is_open: bool,
}

impl Log {
    /// Reads the next bytes; none at the end.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn next(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let Some(file) = &self.file else { return Ok(bytes) };
        while self.at < self.end && bytes.is_empty() {
            let to = self.end.min(self.at.saturating_add(LOG_CHUNK_BYTES as u64));
            let read = output::read_range(file, self.at, to, &mut |piece| {
                if let Piece::Bytes(piece) = piece {
                    bytes.extend_from_slice(piece);
                }
                Ok(())
            })?;
            // The job has truncated its own log.
            self.end = if read <= self.at { read } else { self.end };
            self.at = read;
        }
        Ok(bytes)
    }
}
