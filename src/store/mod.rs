//! SQLITE ONLY. The one file: who may open it, how it is written, and when a write is on the disk.
//!
//! ```text
//!   Reader   one read-only connection; makes nothing, changes nothing
//!   Client   one connection; each write inline: turn -> BEGIN IMMEDIATE .. COMMIT -> flush -> answer
//!   Worker   callers ──▶ one of them, or the writer thread ──▶ flusher thread ──▶ callers
//!                        groups what waits                     one fdatasync for all who wait
//!                             └─ nudges ─▶ checkpointer thread
//!            reads come from a small pool of read-only connections
//! ```
//!
//! Commit fast, acknowledge after the flush. A transaction commits with `synchronous=NORMAL`,
//! releases the write lock, and then the write-ahead log is flushed once for all waiting callers.
//! The log is one file and is written in commit order, so a flush that began after a commit covers
//! it and all before it, of every process. A power cut may undo what was only committed (`commit`),
//! but not what returned from `write`.
//!
//! Rules of this room:
//! * Only SQLite opens the main file or `-shm`: closing such a descriptor would drop SQLite's locks
//!   in this process, and another program could then delete the log under us. (The worker's lock is
//!   on a descriptor of the main file that is never closed.) Size, owner and identity are asked
//!   with `stat`.
//! * A closure given to `write` may run more than once (a full disk, a failed request in its
//!   group): it changes nothing outside.
//! * A closure given to `read` or `write` uses the connection that it gets, and never the store
//!   that calls it, which would deadlock.
//! * No transaction or statement stays open while a caller waits for anything else.
//!
//! # Subjects
//!
//! | folder | holds |
//! | --- | --- |
//! | [`engine`] | open a connection, group writes, flush, checkpoint, health |
//! | [`mod@file`] | the identity of the file: its directory, its copies, backup and restore |
//! | [`schema`] | creates, upgrades, verifies and repairs the tables of `schema.sql` |
//! | [`job`] | the life of a job: enqueue, claim, settle, requests of a person, reads |
//! | [`upkeep`] | due jobs, repair of impossible rows, retention |
//! | [`receipt`] | jobs that a client hands to the worker, added once |
//! | [`suggest`] | what begins with a text, for the completion of a command line |
//! | [`lease`], [`workspace`], [`mod@hook`], [`resource`], [`schedule`], [`pipeline`] | one feature each, with its statements |
//!
//! The verbs are plain functions of a connection, their arguments and the current time, with their
//! SQL beside them. They run inside a transaction that the engine opens and ends, so each verb is
//! atomic.
//!
//! Triggers in `schema.sql` maintain the heads of lanes, the counts and the events, so that they
//! are right whichever client writes.
//!
//! Deliberately absent: the worker lock (its holder is `worker`), run files, any decision about a
//! job.

#[macro_use]
mod sql;

pub mod engine;
pub mod file;
pub mod hook;
pub mod job;
pub mod lease;
pub mod pipeline;
pub mod receipt;
pub mod resource;
pub mod schedule;
pub mod schema;
pub mod suggest;
pub mod upkeep;
pub mod workspace;

#[cfg(test)]
#[path = "../../tests/model/dice.rs"]
#[allow(dead_code)] // the integration tests need more of it
pub(crate) mod dice;
#[cfg(test)]
#[path = "../../tests/model/file.rs"]
pub(crate) mod fixture;

pub use engine::changes::Changes;
pub use engine::health::{Blocked, Health, blocked_file, read_blocked};
pub use engine::options::{Durability, Opened, Options, Role, Ticket};
pub use engine::path::make_beside;
pub use engine::permission::read_only;
pub use engine::store::Store;
pub use file::backup::sweep as sweep_copies;
pub use file::declare::{Is, declare};
pub use file::identity::{USER_VERSION, random_name};
pub use file::kept::Kept;
pub use file::restore::{Restored, adopt_older_copy, place_to_restore, restore};
pub use schema::altered::Altered;
pub use schema::{altered_tables, create_schema, foreign_columns, repair_schema, schema_differences};
