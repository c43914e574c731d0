//! LOOPS: a thread each, from the start of the worker to its end.
//!
//! Each file is the round of one thread, or a part of it; the threads are listed in the map of the
//! crate ([processes and threads](crate#processes-and-threads)).
//!
//! A loop runs one round and returns when it must be called next. A failure in a round is logged
//! and retried in the next one.

use std::time::Duration;

mod chores;
pub(super) mod claim;
mod engine_logs;
pub(super) mod engines;
pub(super) mod handover;
mod held_back;
mod leftovers;
pub(super) mod people;
mod rate;
pub(super) mod recover;
mod repair;
mod retention;
pub(super) mod service_manager;
pub(super) mod slots;
pub(super) mod stops;
mod unwatched;
pub(super) mod wake;
pub(super) mod workspaces;

/// When a loop must be called next, if it is not woken before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NextCall {
    after: Duration,
}

impl NextCall {
    fn after_ms(ms: u64) -> Self {
        Self { after: Duration::from_millis(ms) }
    }
}
