//! LOOPS: a thread each, from the start of the worker to its end.
//!
//! | file | thread | one round |
//! | --- | --- | --- |
//! | [`claim`] | claims | ends what can never start, makes due jobs, claims for the free slots |
//! | [`stops`] | stops | stop requests reach the monitors; it never writes |
//! | [`recover`], `repair`, `retention`, `leftovers` | recovery | at start and at every tick: runs without a monitor, impossible rows, leftovers, retention |
//! | [`teardowns`] | (claims, recovery) | starts the teardowns that are due |
//! | [`workspaces`] | workspaces | the directories of workspaces, and logs of runs that were pruned |
//! | [`wake`] | wake | hints that the file has changed |
//! | [`service_manager`] | notify | reports to the service manager that the worker serves and its loops run |
//!
//! A loop runs one round and returns when it must be called next. A failure in a round is logged
//! and retried in the next one.

use std::time::Duration;

pub(super) mod claim;
mod held_back;
mod leftovers;
pub(super) mod recover;
mod repair;
mod retention;
pub(super) mod service_manager;
pub(super) mod stops;
mod teardowns;
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
