//! The closed list of errors, and the exit code of each.
//!
//! A message says what to do. Inside a room an error is passed up, not swallowed; only the command
//! line adds context for a person.

use std::io;

use rustix::process::{Resource, getrlimit};
use thiserror::Error;

use crate::units;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Start of an [`Error::File`] when SQLite cannot open the file. The store recognizes it while it
/// opens the file, which may be about to change its owner.
///
/// Recognized by its text, because SQLite gives nothing better: one code (`SQLITE_CANTOPEN`,
/// `SQLITE_READONLY`) stands for many causes, the variant has only the text, and the store's own
/// check of the permissions must count as the same.
pub(crate) const CANNOT_BE_OPENED: &str = "the file cannot be opened";
/// Part of an [`Error::File`] about a file that may not be written; recognized in the same way.
pub(crate) const CANNOT_BE_WRITTEN: &str = "cannot be written";

/// An error of tenure. Each variant has an exit code of the program `tenure`, see
/// [`Error::exit_code`].
///
/// The text says what to do, and is for people. Match on the variant.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Invalid arguments: a value out of range, a text that cannot be parsed.
    #[error("{0}")]
    Invalid(String),
    /// There is no such job, run, queue, ...
    #[error("{0}")]
    NotFound(String),
    /// The file cannot be used: missing, corrupt, foreign, newer than this program, not permitted.
    #[error("{0}")]
    File(String),
    /// The command needs a worker, and there is none.
    #[error("{0}")]
    NoWorker(String),
    /// The state does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The name of a request belongs to another request.
    #[error("this key was used for another request; use a new one")]
    KeyUsed,
    /// Another process holds what only one can have: it is the worker of this file, or a run is
    /// still alive.
    #[error("{0}")]
    Held(String),
    /// The disk is full.
    #[error("{0}")]
    DiskFull(String),
    /// The content of the file was replaced under a worker, or another worker has taken over.
    #[error("the file is not what this worker knows: {why}")]
    Replaced { why: String, superseded: bool },
    /// Another program holds the write lock of the file for longer than a write waits for it.
    #[error("{0}")]
    Busy(String),
    /// A commit was written and may not survive a power cut: the disk did not confirm it. The jobs
    /// may have been added; look before you add them again.
    #[error("{0}")]
    Unconfirmed(String),
    /// Processes of a run are still there and may not be ended, or do not end; or a thread of a
    /// worker that has ended may still write, and so no other worker of the file can start.
    #[error("{0}")]
    Stuck(String),
    /// The system lacks or refuses something that a worker needs for its guarantees.
    #[error("{0}")]
    Unfit(String),
    /// SQLite refused a statement for a reason that no other variant names.
    #[error("{}", words_of_sqlite(&.0.0))]
    Sqlite(SqliteError),
    /// The operating system refused a call.
    #[error("{what}: {}", words_after(what, *remedy, source))]
    Io {
        what: String,
        /// The remedy, if more is known than the system's error says.
        remedy: Option<&'static str>,
        source: io::Error,
    },
    /// A bug in tenure. Please report it.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The answer of SQLite. It can be shown but not matched on: the SQLite library is not part of this
/// interface.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct SqliteError(rusqlite::Error);

impl Error {
    /// Returns an error of the operating system, with the operation that failed.
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), remedy: None, source: source.into() }
    }

    /// The same, with a specific remedy.
    pub fn io_with(what: impl Into<String>, remedy: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), remedy: Some(remedy), source: source.into() }
    }

    /// Returns the exit code of a command that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => exit::USAGE,
            Self::NotFound(_) => exit::NO_SUCH,
            Self::File(_) | Self::Replaced { .. } => exit::FILE,
            Self::NoWorker(_) => exit::NO_WORKER,
            Self::Refused(_) | Self::KeyUsed | Self::Held(_) => exit::REFUSED,
            Self::DiskFull(_)
            | Self::Busy(_)
            | Self::Unconfirmed(_)
            | Self::Stuck(_)
            | Self::Unfit(_)
            | Self::Sqlite(_)
            | Self::Io { .. }
            | Self::Internal(_) => exit::FAILED,
        }
    }
}

/// The exit codes of tenure itself.
pub mod exit {
    pub const OK: u8 = 0;
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NO_SUCH: u8 = 3;
    pub const FILE: u8 = 4;
    pub const NO_WORKER: u8 = 5;
    pub const REFUSED: u8 = 6;
    /// `--timeout` of the job or of the wait expired.
    pub const TIMEOUT: u8 = 124;
    /// tenure itself failed where the exit code of a job was expected.
    pub const OURSELVES: u8 = 125;
    /// The command was found and could not be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Plus the number of the signal that killed the job.
    pub const SIGNAL_BASE: u8 = 128;
}

/// Returns the system's text, without Rust's ` (os error N)`.
pub fn said(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Returns the system's text, with a remedy if there is one.
pub fn words(error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let remedy = match (error.kind(), error.raw_os_error()) {
        (Kind::NotFound | Kind::NotADirectory, _) => "check the path",
        (Kind::PermissionDenied, _) => "check its owner and mode, and those of the directories above it",
        (Kind::IsADirectory, _) => "name a file in it",
        (Kind::StorageFull | Kind::QuotaExceeded, _) => "free some space",
        (Kind::ReadOnlyFilesystem, _) => "make its file system writable, or use another place",
        (Kind::OutOfMemory, _) => return format!("{}; {}", said(error), memory_remedy()),
        (Kind::FileTooLarge, _) => return format!("{}; {}", said(error), file_size_remedy()),
        (_, Some(libc::EMFILE)) => return format!("{}; {}", said(error), open_files_limit()),
        (_, Some(libc::ENFILE)) => "the machine has no more open files; end some programs",
        (_, Some(libc::EIO)) => "check the disk: dmesg",
        _ => return said(error),
    };
    format!("{}; {remedy}", said(error))
}

/// With a specific remedy, no other is added.
fn words_after(what: &str, remedy: Option<&str>, error: &io::Error) -> String {
    // A thread or a process: any other shortage is unrelated to limits.
    let is_start = what.starts_with("starting ") || what.starts_with("becoming ");
    if is_start && error.raw_os_error() == Some(libc::EAGAIN) {
        // A thread without room for its stack fails with the same error.
        let why = memory_limit().map_or_else(processes_limit, |limit| format!("{limit}, or {}", processes_limit()));
        return format!("{}; {why}", said(error));
    }
    remedy.map_or_else(|| words(error), |remedy| format!("{}; {remedy}", said(error)))
}

/// Returns the text of SQLite or its library, if nothing else is known.
fn words_of_sqlite(error: &rusqlite::Error) -> String {
    use rusqlite::Error as E;
    match error {
        E::InvalidColumnType(_, name, kind) => {
            format!("the column {name} holds a value of the kind {kind}, which cannot be read; tenure doctor looks for such rows")
        }
        E::FromSqlConversionFailure(_, _, why) => {
            format!("a row holds a value that cannot be read ({why}); tenure doctor looks for such rows")
        }
        E::Utf8Error(..) => "a row holds text that is not UTF-8; tenure doctor looks for such rows".to_owned(),
        E::QueryReturnedNoRows => "a row that was just there is gone; try again".to_owned(),
        E::SqliteFailure(code, text) => {
            let text = text.clone().unwrap_or_else(|| code.to_string());
            format!("SQLite refuses it: {text} (code {}); tenure doctor says whether the file is sound", code.extended_code)
        }
        other => format!("SQLite refuses it: {other}; tenure doctor says whether the file is sound"),
    }
}

/// Open files that suffice for each command.
const OPEN_FILES_ENOUGH: u64 = 32;

fn processes_limit() -> String {
    match getrlimit(Resource::Nproc).current {
        Some(most) => format!("this user may have {most} processes and threads (ulimit -u); end some or raise the limit"),
        None => "the system gives no more processes or threads; end some".to_owned(),
    }
}

fn open_files_limit() -> String {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    format!("this process may have {most} open files (ulimit -n); raise the limit, for instance to 1024")
}

/// Returns the limit on file sizes, if there is one.
fn file_size_limit() -> Option<String> {
    let most = getrlimit(Resource::Fsize).current?;
    Some(format!("this process can write files of at most {} (ulimit -f); raise the limit", units::size_text(most)))
}

fn file_size_remedy() -> String {
    file_size_limit().unwrap_or_else(|| "the file system takes no larger files; use another".to_owned())
}

/// Returns the memory limit of this process, if there is one: the lower of the two limits.
fn memory_limit() -> Option<String> {
    let limits = [(Resource::As, "-v"), (Resource::Data, "-d")];
    let (most, option) = limits.into_iter().filter_map(|(what, option)| Some((getrlimit(what).current?, option))).min()?;
    Some(format!("this process may have {} of memory (ulimit {option}); raise the limit", units::size_text(most)))
}

fn memory_remedy() -> String {
    memory_limit().unwrap_or_else(|| "free some memory".to_owned())
}

/// More than the index of the log ever needs, in bytes.
const INDEX_BYTES_ENOUGH: u64 = 64 << 20;

/// SQLite does not say why it could not open a file. A limit so low that it stops commands is more
/// likely than a permission.
fn is_short_of_files() -> bool {
    getrlimit(Resource::Nofile).current.is_some_and(|most| most < OPEN_FILES_ENOUGH)
}

/// Whether the disk is full. SQLite reports that with two codes: if the index of the log has no
/// room, it is an I/O error. That has the same code if the disk has failed; then the system's last
/// error on this thread is still that of the write.
pub(crate) fn is_for_want_of_room(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_SHMSIZE};
    let rusqlite::Error::SqliteFailure(code, _) = error else { return false };
    // The same code if the index may not grow that far: it is small, so only a low limit can be the
    // reason.
    let may_grow = getrlimit(Resource::Fsize).current.is_none_or(|most| most >= INDEX_BYTES_ENOUGH);
    let has_failed = io::Error::last_os_error().raw_os_error() == Some(libc::EIO);
    code.extended_code == SQLITE_FULL || (code.extended_code == SQLITE_IOERR_SHMSIZE && may_grow && !has_failed)
}

#[doc(hidden)] // for the rooms of this crate
impl From<rusqlite::Error> for Error {
    /// Classifies SQLite's errors by what a person can do about them.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let rusqlite::Error::SqliteFailure(code, message) = &error else {
            return Self::Sqlite(SqliteError(error));
        };
        let text = message.clone().unwrap_or_else(|| code.to_string());
        match code.code {
            Code::DatabaseCorrupt => {
                Self::File(format!("the file is damaged ({text}); tenure doctor says more, tenure restore brings a backup back"))
            }
            Code::NotADatabase => Self::File(format!("this is not a tenure file ({text}); name another with --db")),
            Code::CannotOpen if is_short_of_files() => Self::File(format!("{CANNOT_BE_OPENED} ({text}); {}", open_files_limit())),
            Code::CannotOpen => Self::File(format!("{CANNOT_BE_OPENED} ({text}); check its path and permissions")),
            Code::ReadOnly | Code::PermissionDenied => Self::File(format!(
                "the file {CANNOT_BE_WRITTEN} ({text}); check the permissions of the file and of its directory, and whether its file system has become \
                 read-only (dmesg)"
            )),
            _ if is_for_want_of_room(&error) => {
                Self::DiskFull(format!("the disk is full ({text}); free some space and try again"))
            }
            Code::SystemIoFailure => {
                let limit = file_size_limit().map(|limit| format!("{limit}, or ")).unwrap_or_default();
                let text = format!("{text}, SQLite code {}; {limit}check the disk: df, dmesg", code.extended_code);
                Self::io("reading or writing the file", io::Error::other(text))
            }
            Code::OutOfMemory => Self::io("reading or writing the file", io::Error::from_raw_os_error(libc::ENOMEM)),
            Code::DatabaseBusy | Code::DatabaseLocked => {
                Self::Busy(format!("another program holds the file's write lock ({text}); tenure doctor names it"))
            }
            // The messages of the guards are complete.
            Code::ConstraintViolation if text.starts_with("tenure: ") => Self::Refused(text["tenure: ".len()..].to_owned()),
            _ => Self::Sqlite(SqliteError(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_libraries_come_with_a_remedy() {
        let io = Error::io("opening x", io::Error::from_raw_os_error(libc::ENOENT)).to_string();
        assert_eq!(io, "opening x: No such file or directory; check the path");
        let own = Error::io_with("opening x", "name another", io::Error::from_raw_os_error(libc::EACCES)).to_string();
        assert_eq!(own, "opening x: Permission denied; name another");
        // With any path.
        for path in ["a (1)", "a;b", "a)", "a: b"] {
            let io = Error::io(format!("opening {path}"), io::Error::from_raw_os_error(libc::ENOENT)).to_string();
            assert_eq!(io, format!("opening {path}: No such file or directory; check the path"));
        }
        for errno in 1..134 {
            let text = words(&io::Error::from_raw_os_error(errno));
            assert!(!text.contains("os error") && !text.is_empty(), "{text}");
        }
        let all = [
            rusqlite::Error::QueryReturnedNoRows,
            rusqlite::Error::InvalidColumnType(0, "state".into(), rusqlite::types::Type::Blob),
            rusqlite::Error::InvalidQuery,
            rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG), None),
        ];
        for error in all {
            let text = Error::Sqlite(SqliteError(error)).to_string();
            assert!(text.contains("; ") && !text.contains("sqlite:"), "{text}");
        }
    }
}
