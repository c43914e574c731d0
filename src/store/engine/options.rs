//! How a file is opened.

use crate::clock::Clock;

/// How a process uses the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads only. The file must exist; nothing is created.
    Reader,
    /// Writes occasionally, each time inline. Creates the file on first use.
    Client,
    /// The holder of the worker lock: threads that group, flush and checkpoint. Creates and
    /// upgrades the file.
    Worker,
}

/// How a commit becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// `synchronous=NORMAL`, and tenure's own flush before anything is acknowledged.
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
    /// A worker accepts a file or a directory that other users may write. They can then run
    /// commands as this user.
    pub allow_shared: bool,
    /// A client may open a file of an earlier version, which it must not read or write: for a
    /// program that is about to become its worker, which upgrades it.
    pub allow_older: bool,
}

impl Options {
    /// The defaults for a role.
    pub fn new(role: Role) -> Self {
        Self { role, durability: Durability::default(), clock: Clock::System, allow_shared: false, allow_older: false }
    }
}

impl Default for Options {
    /// The defaults of a client.
    fn default() -> Self {
        Self::new(Role::Client)
    }
}

/// Identifies a commit, to wait for a flush that covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(in crate::store) u64);

/// What was found and done while the file was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// The file was new, and this process filled it.
    pub created: bool,
    /// The schema version before an upgrade.
    pub upgraded_from: Option<i32>,
    /// Findings for `doctor` and the log: repaired guards, rows that break a rule.
    pub problems: Vec<String>,
}
