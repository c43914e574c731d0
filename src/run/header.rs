//! The first line of a run file: the run, and the pid namespace of the pids in the file.

use crate::job::{Nonce, RunId, RunKey};

use super::line::{Line, Writer};

/// First words of a run file: a name and the version of the format.
const HEADER_KIND: &str = "tenure-run";
const HEADER_VERSION: &str = "1";

/// The first line of a run file: which run it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The id of the database file.
    pub file_id: String,
    pub run: RunId,
    pub nonce: Nonce,
    pub boot_id: String,
    /// Inode of the pid namespace of the pids below.
    pub pid_ns: u64,
    /// That namespace ends with the worker that has claimed the run.
    pub pid_ns_ends: bool,
    /// It asks another engine for runs. No row names it, and after a crash it is asked again.
    pub asks: bool,
}

impl Header {
    pub fn key(&self) -> RunKey {
        RunKey { run: self.run, nonce: self.nonce }
    }

    /// The line, with its newline.
    pub fn to_line(&self) -> Vec<u8> {
        let line = Writer::new(&format!("{HEADER_KIND} {HEADER_VERSION}"))
            .with_text("file", &self.file_id)
            .with("run", self.run)
            .with("nonce", self.nonce)
            .with_text("boot", &self.boot_id)
            .with("pidns", self.pid_ns)
            .with("pidns_ends", if self.pid_ns_ends { "yes" } else { "no" });
        let line = if self.asks { line.with("asks", "yes") } else { line };
        line.seal()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let line = Line::parse(bytes).ok_or("its first line is damaged")?;
        if line.kind != HEADER_KIND {
            return Err("it is not a run file of tenure".to_owned());
        }
        if line.first_word() != HEADER_VERSION {
            return Err(format!("its format is {:?}, and this tenure reads {HEADER_VERSION}", line.first_word()));
        }
        Self::of(&line).ok_or_else(|| "its first line lacks a value".to_owned())
    }

    fn of(line: &Line<'_>) -> Option<Self> {
        Some(Self {
            file_id: line.text("file")?,
            run: RunId(line.number("run")?),
            nonce: line.number("nonce")?,
            boot_id: line.text("boot")?,
            pid_ns: line.number("pidns")?,
            pid_ns_ends: line.get("pidns_ends") == Some("yes"),
            asks: line.get("asks") == Some("yes"),
        })
    }
}
