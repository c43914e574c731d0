//! How a file is opened.

use crate::clock::Clock;

/// What a process wants of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Looks only. The file must exist; nothing is made.
    Reader,
    /// Writes now and then, each time inline. Makes the file on first use.
    Client,
    /// The holder of the worker lock: threads that group, flush and checkpoint. Makes and upgrades
    /// the file.
    Worker,
}

/// How a commit gets onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// `synchronous=NORMAL`, and a flush of our own before anything is acknowledged.
    #[default]
    Flush,
    /// `synchronous=FULL`: SQLite flushes inside each commit.
    Full,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    pub role: Role,
    pub durability: Durability,
    pub clock: Clock,
    /// A worker accepts a file, or a directory around it, that others may write. They may then run
    /// commands as this user.
    pub allow_shared: bool,
    /// A client may open a file of an earlier version, which it must not read or write: for a
    /// program that is about to be its worker, which upgrades it.
    pub allow_older: bool,
}

impl Options {
    /// The defaults for a role.
    pub fn new(role: Role) -> Self {
        Self { role, durability: Durability::default(), clock: Clock::System, allow_shared: false, allow_older: false }
    }
}

impl Default for Options {
    /// A client's.
    fn default() -> Self {
        Self::new(Role::Client)
    }
}

/// Names a commit, to wait for a flush that covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(in crate::store) u64);

/// What was found and done while the file was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// The file was new, and this process filled it.
    pub created: bool,
    /// The version of the schema before it was upgraded.
    pub upgraded_from: Option<i32>,
    /// What a person should know: guards that were repaired, rows that break a rule. For `doctor`
    /// and the log.
    pub problems: Vec<String>,
}
