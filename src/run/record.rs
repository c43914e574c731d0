//! The records of a run: a header, then one record for each step of its life.
//!
//! The same bytes go into the run file and down the status pipe. A damaged line and everything
//! after it count as never written; unknown keys and kinds are skipped, so that files of the next
//! version can be read. Nothing here touches the system.

use crate::job::verdict::Progress;
use crate::job::{Cause, Exit};

pub use super::header::Header;
use super::line::{Line, Writer};
use super::suspension;
pub use super::suspension::{Stand, Suspension};

/// Largest run file that is read, in bytes; ours are below 4,096.
pub const RUN_FILE_BYTES_MAX: usize = 64 << 10;

/// One step of a run's life. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A process is about to be created: from here on the run counts as started.
    Prepare {
        at_ms: i64,
    },
    Started(Started),
    /// The job's process has the limit that marks its processes (`run::marks`).
    Marked,
    /// The run is suspended, or continues.
    Suspension(Suspension),
    /// A person has declared that nothing of the run is left, where that cannot be known.
    Over {
        at_ms: i64,
    },
    /// There is no process: it could not be created, or could not execute the command.
    Failed(NotExecuted),
    /// The job's own process has ended; its tree may not be empty yet.
    Exited(Exited),
    /// Nothing of the tree is left.
    Drained(Drained),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The job's own process.
    pub pid: i32,
    pub shim_pid: i32,
    /// Start of the shim in ticks since the boot; a signal is checked against this and its pid.
    pub shim_start_ticks: u64,
    pub at_ms: i64,
    /// What a worker that adopts the run needs to enforce its limits; `None` in a file of an
    /// earlier version.
    pub kept: Option<Kept>,
}

/// The limits of a run, as durations in milliseconds, and the instant from which they count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// The start, in milliseconds since the boot: a step of the wall clock does not affect it.
    pub boot_ms: u64,
    pub timeout_ms: Option<u64>,
    pub max_runtime_ms: Option<u64>,
    pub idle_timeout_ms: Option<u64>,
    pub grace_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotExecuted {
    pub errno: i32,
    /// The shortage is tenure's or the machine's, and the job is not at fault.
    pub ours: bool,
    /// The operation and the system's error, such as `execve /bin/nope: No such file or directory`.
    pub text: String,
    pub at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    pub exit: Exit,
    /// Why the shim stopped it, if it did so before the process had ended.
    pub cause: Option<Cause>,
    pub at_ms: i64,
    /// In milliseconds since the boot; `None` in a file of an earlier version.
    pub boot_ms: Option<u64>,
}

/// Resource usage of the job and all its processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the largest single process.
    pub max_rss_bytes: u64,
    pub user_ms: u64,
    pub system_ms: u64,
}

/// What enforced the memory limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryBy {
    /// A cgroup of the run: counts the whole tree.
    Cgroup,
    /// `RLIMIT_DATA`: applies to each process separately.
    Rlimit,
}

impl MemoryBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Rlimit => "rlimit",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    pub usage: Usage,
    /// Processes that were sent KILL.
    pub killed: u32,
    /// Processes that outlived the job's own and were ended with it: `pid name, pid name, ...`.
    /// Empty after a stop.
    pub leftovers: String,
    /// The kernel counted a memory kill in the run's own cgroup.
    pub out_of_memory: bool,
    /// `None` without a limit.
    pub memory_by: Option<MemoryBy>,
    pub at_ms: i64,
}

/// All records of one run; the first of each kind counts, and of a suspension the latest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    pub prepared: bool,
    pub started: Option<Started>,
    pub marked: bool,
    pub suspension: Option<Suspension>,
    /// A person has declared that nothing of it is left.
    pub over: bool,
    pub failed: Option<NotExecuted>,
    pub exited: Option<Exited>,
    pub drained: Option<Drained>,
}

impl Records {
    /// Returns how far the records go. DRAINED counts only together with EXITED: without the end
    /// itself nothing is known.
    pub fn progress(&self) -> Progress {
        match self {
            Self { exited: Some(_), drained: Some(_), .. } => Progress::Drained,
            Self { exited: Some(_), .. } => Progress::Exited,
            Self { failed: Some(_), .. } => Progress::Failed,
            Self { prepared: false, started: None, drained: None, .. } => Progress::Nothing,
            _ => Progress::Begun,
        }
    }

    /// Adds what was read next.
    pub fn add(&mut self, record: Record) {
        match record {
            Record::Prepare { .. } => self.prepared = true,
            Record::Started(started) => self.started = self.started.or(Some(started)),
            Record::Marked => self.marked = true,
            Record::Suspension(new) if self.suspension.as_ref().is_none_or(|old| old.seq < new.seq) => {
                self.suspension = Some(new);
            }
            Record::Suspension(_) => {}
            Record::Over { .. } => self.over = true,
            Record::Failed(failed) => self.failed = self.failed.take().or(Some(failed)),
            Record::Exited(exited) => self.exited = self.exited.or(Some(exited)),
            Record::Drained(drained) => self.drained = self.drained.take().or(Some(drained)),
        }
    }
}

/// Result of parsing a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    Record(Record),
    /// Valid, but of a kind that this version does not know.
    Unknown,
    Damaged,
}

/// Reads a run file. Any bytes may be given; everything after [`RUN_FILE_BYTES_MAX`] is ignored.
///
/// # Errors
/// Says what is wrong with the header. Damage after it is not an error: the records end there.
pub fn parse(bytes: &[u8]) -> Result<(Header, Records), String> {
    let bytes = &bytes[..bytes.len().min(RUN_FILE_BYTES_MAX)];
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').map_while(|line| line.strip_suffix(b"\n"));
    let header = Header::parse(lines.next().ok_or("it has no complete first line")?)?;
    let mut records = Records::default();
    for line in lines {
        match parse_line(line) {
            Parsed::Record(record) => records.add(record),
            Parsed::Unknown => {}
            // It is being written over, and the other one counts.
            Parsed::Damaged if line.starts_with(suspension::KIND.as_bytes()) => {}
            Parsed::Damaged => break,
        }
    }
    Ok((header, records))
}

/// Reads one line, without its newline.
pub fn parse_line(bytes: &[u8]) -> Parsed {
    let Some(line) = Line::parse(bytes) else {
        return Parsed::Damaged;
    };
    let record = match line.kind {
        "PREPARE" => line.number("at").map(|at_ms| Record::Prepare { at_ms }),
        "STARTED" => Started::of(&line).map(Record::Started),
        "MARKED" => Some(Record::Marked),
        suspension::KIND => Suspension::of(&line).map(Record::Suspension),
        "OVER" => line.number("at").map(|at_ms| Record::Over { at_ms }),
        "FAILED" => NotExecuted::of(&line).map(Record::Failed),
        "EXITED" => Exited::of(&line).map(Record::Exited),
        "DRAINED" => Drained::of(&line).map(Record::Drained),
        _ => return Parsed::Unknown,
    };
    record.map_or(Parsed::Damaged, Parsed::Record)
}

impl Record {
    /// The line, with its newline.
    pub fn to_line(&self) -> Vec<u8> {
        match self {
            Self::Prepare { at_ms } => Writer::new("PREPARE").with("at", at_ms).seal(),
            Self::Started(started) => started.to_line(),
            Self::Marked => Writer::new("MARKED").with("by", "rttime").seal(),
            Self::Suspension(suspension) => suspension.to_line(),
            Self::Over { at_ms } => Writer::new("OVER").with("at", at_ms).seal(),
            Self::Failed(failed) => failed.to_line(),
            Self::Exited(exited) => exited.to_line(),
            Self::Drained(drained) => drained.to_line(),
        }
    }
}

impl Started {
    fn to_line(self) -> Vec<u8> {
        Writer::new("STARTED")
            .with("pid", self.pid)
            .with("shim", self.shim_pid)
            .with("shim_ticks", self.shim_start_ticks)
            .with("at", self.at_ms)
            .with_some("boot", self.kept.map(|kept| kept.boot_ms))
            .with_some("timeout", self.kept.and_then(|kept| kept.timeout_ms))
            .with_some("max_runtime", self.kept.and_then(|kept| kept.max_runtime_ms))
            .with_some("idle_timeout", self.kept.and_then(|kept| kept.idle_timeout_ms))
            .with_some("grace", self.kept.map(|kept| kept.grace_ms))
            .seal()
    }

    fn of(line: &Line<'_>) -> Option<Self> {
        Some(Self {
            pid: line.number("pid")?,
            shim_pid: line.number("shim")?,
            shim_start_ticks: line.number("shim_ticks")?,
            at_ms: line.number("at")?,
            kept: Kept::of(line),
        })
    }
}

impl Kept {
    fn of(line: &Line<'_>) -> Option<Self> {
        Some(Self {
            boot_ms: line.number("boot")?,
            timeout_ms: line.number("timeout"),
            max_runtime_ms: line.number("max_runtime"),
            idle_timeout_ms: line.number("idle_timeout"),
            grace_ms: line.number("grace")?,
        })
    }
}

impl NotExecuted {
    fn to_line(&self) -> Vec<u8> {
        Writer::new("FAILED")
            .with("errno", self.errno)
            .with("ours", if self.ours { "yes" } else { "no" })
            .with("at", self.at_ms)
            .with_text("text", &self.text)
            .seal()
    }

    fn of(line: &Line<'_>) -> Option<Self> {
        // An earlier version did not record it.
        let ours = line.get("ours") == Some("yes");
        Some(Self { errno: line.number("errno")?, ours, text: line.text("text")?, at_ms: line.number("at")? })
    }
}

impl Exited {
    fn to_line(self) -> Vec<u8> {
        let line = match self.exit {
            Exit::Code(code) => Writer::new("EXITED").with("code", code),
            Exit::Signal(number) => Writer::new("EXITED").with("signal", number),
        };
        match self.cause {
            Some(cause) => line.with("cause", cause),
            None => line,
        }
        .with("at", self.at_ms)
        .with_some("boot", self.boot_ms)
        .seal()
    }

    /// A cause that this version does not know makes the whole record unreadable: without it the
    /// end would look like the job's own.
    fn of(line: &Line<'_>) -> Option<Self> {
        let exit = match (line.number("code"), line.number("signal")) {
            (Some(code), None) => Exit::Code(code),
            (None, Some(number)) => Exit::Signal(number),
            _ => return None,
        };
        let cause = match line.get("cause") {
            Some(word) => Some(Cause::parse(word)?),
            None => None,
        };
        Some(Self { exit, cause, at_ms: line.number("at")?, boot_ms: line.number("boot") })
    }
}

impl Drained {
    fn to_line(&self) -> Vec<u8> {
        let line = Writer::new("DRAINED")
            .with("max_rss_bytes", self.usage.max_rss_bytes)
            .with("user_ms", self.usage.user_ms)
            .with("system_ms", self.usage.system_ms)
            .with("killed", self.killed)
            .with("out_of_memory", if self.out_of_memory { "yes" } else { "no" });
        match self.memory_by {
            Some(by) => line.with("memory_by", by.as_str()),
            None => line,
        }
        .with("at", self.at_ms)
        .with_text("leftovers", &self.leftovers)
        .seal()
    }

    fn of(line: &Line<'_>) -> Option<Self> {
        let usage = Usage {
            max_rss_bytes: line.number("max_rss_bytes")?,
            user_ms: line.number("user_ms")?,
            system_ms: line.number("system_ms")?,
        };
        let memory_by = match line.get("memory_by") {
            Some("cgroup") => Some(MemoryBy::Cgroup),
            Some("rlimit") => Some(MemoryBy::Rlimit),
            _ => None,
        };
        Some(Self {
            usage,
            killed: line.number("killed")?,
            leftovers: line.text("leftovers")?,
            out_of_memory: line.get("out_of_memory")? == "yes",
            memory_by,
            at_ms: line.number("at")?,
        })
    }
}
