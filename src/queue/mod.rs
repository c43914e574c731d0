//! THE FACADE. What a program that embeds tenure uses, and what the command line is built from.
//!
//! ```text
//! Queue ── open · add · wait · watch · list · cancel · retry · suspend · ...   one file for each group of verbs
//!   ├─ Job            what is to be done (`job`), and how it enters (`submit`, `once`, `secrets`)
//!   ├─ JobInfo        what is known of a job (`info`), and of its runs: RunInfo (`runs`)
//!   ├─ TaskInfo       what is known of a task of a pipeline (`task`)
//!   ├─ Status         what is known of the file (`status`), and how many jobs its worker runs at once (`slots`)
//!   ├─ ChangeStream   what happens to all jobs (`stream`)
//!   └─ WorkerBuilder ─▶ Worker     the worker as threads of this process (`worker`), or as all of it (`process`)
//! init ── the first statement of `main` (`start`): becomes the spawner, or runs a handler (`handler`)
//! ```
//!
//! When a verb returns, its result is durable. It wakes the worker, and removes the private files
//! that no job needs any more. A crash between the transaction and those two steps costs only time:
//! the worker polls, and sweeps.
//!
//! Public signatures use types of `std` and of this crate; `tests/tidy` enforces that. Deliberately
//! absent: printing, settings, signals.

pub(crate) mod changes;
mod control;
#[cfg(feature = "cli")]
mod describe;
mod each;
mod filter;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod follow;
mod handler;
mod hooks;
mod info;
mod job;
#[cfg(any(feature = "web", feature = "mcp"))]
pub(crate) mod kept;
pub(crate) mod logs;
#[cfg(feature = "cli")]
pub(crate) mod once;
mod pause;
#[cfg(feature = "cli")]
pub(crate) mod people;
mod pools;
#[cfg(feature = "cli")]
pub(crate) mod process;
mod reorder;
mod runs;
mod secrets;
mod slots;
mod start;
mod status;
mod stream;
pub(crate) mod submit;
mod suspend;
mod task;
pub(crate) mod wait;
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // lists and overviews say more of it
pub(crate) mod why;
mod worker;

use std::path::Path;

use crate::error::Result;
use crate::store::{Options, Role, Store};

pub use crate::job::Advice;
pub use control::Cancelled;
pub use filter::Filter;
pub use handler::{Call, Failure, Handler};
pub use hooks::HookInfo;
pub use info::{Event, JobInfo, Progress, Suspension};
pub use job::{Job, minutes};
pub use logs::Logs;
pub use runs::RunInfo;
#[cfg(feature = "cli")]
pub(crate) use runs::{Record, Step};
pub use start::{init, init_with};
pub use status::Status;
#[cfg(feature = "web")]
pub(crate) use stream::ChangesPage;
pub use stream::{Change, ChangeStream};
pub use task::{TaskInfo, TaskStep};
pub use wait::Watch;
pub use worker::{Ended, Summary, Worker, WorkerBuilder};

/// A queue: one file, and the directory beside it.
///
/// It is a client of the file, not its worker: it adds, queries and cancels jobs, with or without a
/// running worker. Cheap to clone; may be shared between threads.
#[derive(Clone)]
pub struct Queue {
    pub(crate) store: Store,
}

impl Queue {
    /// Opens the queue at `path`, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if the file is damaged, foreign, newer than this
    /// program, not permitted, or on a network file system.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { store: Store::open(path.as_ref(), Options::new(Role::Client))? })
    }

    /// Opens the queue at `path`, which must exist.
    ///
    /// # Errors
    /// As [`Queue::open`], and if there is no such file.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        drop(Store::open(path.as_ref(), Options::new(Role::Reader))?);
        Self::open(path)
    }

    /// The facade of a store that is open already.
    #[cfg(feature = "cli")]
    pub(crate) fn of(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Returns the path of the file, with links resolved.
    pub fn path(&self) -> &Path {
        self.store.place().db()
    }

    /// Notifies the worker, if there is one, of a write.
    pub(crate) fn wake(&self) {
        crate::host::waker::send(self.store.place());
    }

    fn now_ms(&self) -> i64 {
        self.store.clock().now_ms()
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("path", &self.path()).finish()
    }
}
