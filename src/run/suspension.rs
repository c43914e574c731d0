//! The record of a suspension: whether a run is suspended, and for how long it was.
//!
//! A run may be suspended any number of times, and its file does not grow with them: the record has
//! two places of a fixed size, which are written in turn. A reader that comes during a write finds
//! one of them damaged, skips it, and takes the other one: the state of a moment before.

use super::line::{Line, Writer};

/// First word of the record.
pub const KIND: &str = "SUSPENSION";
/// Length of the record without its checksum and its newline, in bytes.
const BODY_BYTES: usize = 420;
/// Most bytes of the names of processes, as they are written.
const RUNNING_BYTES_MAX: usize = 240;

/// How far a suspension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Its processes are being stopped; its limits do not run any more.
    Stopping,
    /// Its processes are stopped.
    Suspended,
    /// It runs.
    Running,
}

impl Stand {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Suspended => "suspended",
            Self::Running => "running",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Stopping, Self::Suspended, Self::Running].into_iter().find(|stand| stand.as_str() == word)
    }
}

/// The suspensions of a run; the record with the highest number counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Number of this record, from 1.
    pub seq: u64,
    pub stand: Stand,
    /// When the latest suspension began, in milliseconds since the boot.
    pub since_boot_ms: u64,
    /// How long the latest suspension lasted, if it is over, in milliseconds.
    pub last_ms: u64,
    /// How long all suspensions that are over lasted together, in milliseconds.
    pub total_ms: u64,
    /// By the wall clock, in milliseconds UTC.
    pub at_ms: i64,
    /// Processes that could not be stopped: `pid name, pid name, ...`.
    pub running: String,
}

impl Suspension {
    /// Whether the limits of the run stand still.
    pub fn holds_limits(&self) -> bool {
        self.stand != Stand::Running
    }

    /// Whether its processes are stopped, as far as they can be.
    pub fn is_suspended(&self) -> bool {
        self.stand == Stand::Suspended
    }

    /// The line, with its newline: always of the same length.
    pub(super) fn to_line(&self) -> Vec<u8> {
        Writer::new(KIND)
            .with("seq", self.seq)
            .with("stand", self.stand.as_str())
            .with("since", self.since_boot_ms)
            .with("last", self.last_ms)
            .with("total", self.total_ms)
            .with("at", self.at_ms)
            .with_short_text("running", &self.running, RUNNING_BYTES_MAX)
            .seal_at(BODY_BYTES)
    }

    pub(super) fn of(line: &Line<'_>) -> Option<Self> {
        Some(Self {
            seq: line.number("seq")?,
            stand: Stand::parse(line.get("stand")?)?,
            since_boot_ms: line.number("since")?,
            last_ms: line.number("last")?,
            total_ms: line.number("total")?,
            at_ms: line.number("at")?,
            running: line.text("running")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_of_a_suspension_has_the_same_length() {
        let most = Suspension {
            seq: u64::MAX,
            stand: Stand::Suspended,
            since_boot_ms: u64::MAX,
            last_ms: u64::MAX,
            total_ms: u64::MAX,
            at_ms: i64::MIN,
            running: "4194304 \u{fc}% #\n".repeat(200),
        };
        let least = Suspension {
            seq: 1,
            stand: Stand::Running,
            since_boot_ms: 0,
            last_ms: 0,
            total_ms: 0,
            at_ms: 0,
            running: String::new(),
        };
        assert_eq!(most.to_line().len(), least.to_line().len());
        for one in [most, least] {
            let line = one.to_line();
            let read = Suspension::of(&Line::parse(line.strip_suffix(b"\n").unwrap()).unwrap()).unwrap();
            assert!(one.running.starts_with(&read.running) && read.running.len() <= RUNNING_BYTES_MAX);
            assert_eq!(Suspension { running: String::new(), ..read }, Suspension { running: String::new(), ..one });
        }
    }
}
