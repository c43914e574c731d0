//! Writes a job's output to stdout: unchanged, or on a terminal with everything but colours made
//! visible.

use std::io::{self, IsTerminal, Write};

use crate::error::Result;
use crate::run::output::Piece;
use crate::shown::Shown;
use crate::units::size_text;

/// Stdout, for the bytes of a job.
pub struct Output {
    /// The filter for a terminal.
    shown: Option<Shown>,
    safe: Vec<u8>,
}

impl Output {
    /// `raw`: bytes are written unchanged to a terminal too.
    pub fn new(raw: bool) -> Self {
        let filtered = !raw && io::stdout().is_terminal();
        Self { shown: filtered.then(Shown::default), safe: Vec::new() }
    }

    /// Writes a piece of a log. Holes are reported on stderr, since they are not output.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn piece(&mut self, piece: Piece<'_>) -> io::Result<()> {
        match piece {
            Piece::Bytes(bytes) => self.bytes(bytes),
            Piece::Dropped(bytes) => {
                crate::cli::face::say(&format!(
                    "{} of output were dropped here, as the log had reached its limit",
                    size_text(bytes)
                ));
                Ok(())
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match &mut self.shown {
            None => out.write_all(bytes)?,
            Some(shown) => {
                self.safe.clear();
                shown.push(bytes, &mut self.safe);
                out.write_all(&self.safe)?;
            }
        }
        out.flush()
    }

    /// Writes the bytes that are still buffered.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn finish(mut self) -> Result<()> {
        let Some(mut shown) = self.shown.take() else { return Ok(()) };
        self.safe.clear();
        shown.finish(&mut self.safe);
        crate::cli::face::write_bytes(&self.safe)
    }
}
