//! The closed list of what can go wrong, and the exit code of each.
//!
//! A message says what to do. Inside a room an error is passed up, not swallowed; only the faces add context for a person.

use std::io;

use thiserror::Error;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Each variant has its own exit code, see [`Error::exit_code`].
#[derive(Debug, Error)]
pub enum Error {
    /// What was asked can not be meant: an option out of range, a file that does not parse.
    #[error("{0}")]
    Usage(String),
    /// There is no such job, run, queue, ...
    #[error("{0}")]
    NoSuch(String),
    /// The file can not be used: missing, corrupt, foreign, newer than this program, not permitted.
    #[error("{0}")]
    File(String),
    /// A worker was asked for, and there is none.
    #[error("{0}")]
    NoWorker(String),
    /// The state does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The disk is full.
    #[error("{0}")]
    DiskFull(String),
    /// The content of the file was replaced under a worker, or another worker has taken its place.
    #[error("the file is not what this worker knows: {why}")]
    Replaced { why: String, superseded: bool },
    /// Somebody else holds the file's write lock for longer than we wait.
    #[error("{0}")]
    Busy(String),
    /// Processes of a run are still there and may not be ended, or do not end.
    #[error("{0}")]
    Stuck(String),
    /// The system lacks or refuses something without which no worker can keep its promises.
    #[error("{0}")]
    Unfit(String),
    /// SQLite said no, in a way that none of the above fits.
    #[error("sqlite: {0}")]
    Sqlite(rusqlite::Error),
    /// The operating system said no.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// tenure itself is wrong. Please report it.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// An error of the operating system, with what was being done.
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }

    /// The exit code of a command that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::NoSuch(_) => exit::NO_SUCH,
            Self::File(_) | Self::Replaced { .. } => exit::FILE,
            Self::NoWorker(_) => exit::NO_WORKER,
            Self::Refused(_) => exit::REFUSED,
            Self::DiskFull(_)
            | Self::Busy(_)
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
    /// `--timeout` of the job or of the wait ran out.
    pub const TIMEOUT: u8 = 124;
    /// tenure itself failed where the code of a job was asked for.
    pub const OURSELVES: u8 = 125;
    /// The command was found and could not be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Plus the number of the signal that killed the job.
    pub const SIGNAL_BASE: u8 = 128;
}

/// The disk is full. SQLite says so with two codes: where it is the index of the log that finds no room, it calls it an I/O error.
pub fn is_for_want_of_room(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_SHMSIZE};
    matches!(error, rusqlite::Error::SqliteFailure(code, _) if [SQLITE_FULL, SQLITE_IOERR_SHMSIZE].contains(&code.extended_code))
}

impl From<rusqlite::Error> for Error {
    /// Sorts SQLite's answers into what a person can do about them.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let rusqlite::Error::SqliteFailure(code, message) = &error else {
            return Self::Sqlite(error);
        };
        let text = message.clone().unwrap_or_else(|| code.to_string());
        match code.code {
            Code::DatabaseCorrupt => {
                Self::File(format!("the file is damaged ({text}); tenure doctor says more, tenure restore brings a backup back"))
            }
            Code::NotADatabase => Self::File(format!("this is not a tenure file ({text}); name another with --db")),
            Code::CannotOpen => Self::File(format!("the file can not be opened ({text}); look at its path and permissions")),
            Code::ReadOnly | Code::PermissionDenied => Self::File(format!(
                "the file may not be written ({text}); look at the permissions of the file and of its directory"
            )),
            _ if is_for_want_of_room(&error) => {
                Self::DiskFull(format!("the disk is full ({text}); free some space and try again"))
            }
            Code::SystemIoFailure => Self::io(
                "reading or writing the file (look at the disk: df, dmesg)",
                io::Error::other(format!("{text}, SQLite code {}", code.extended_code)),
            ),
            Code::DatabaseBusy | Code::DatabaseLocked => {
                Self::Busy(format!("another program holds the file's write lock ({text}); tenure doctor names it"))
            }
            // The guards of schema.sql speak for themselves.
            Code::ConstraintViolation if text.starts_with("tenure: ") => Self::Refused(text["tenure: ".len()..].to_owned()),
            _ => Self::Sqlite(error),
        }
    }
}
