//! LOOPS: a thread each, from the start of the worker to its end.
//!
//! | file | thread | one round |
//! | --- | --- | --- |
//! | [`claim`] | claims | ends what can never start, makes due jobs, claims for the free slots |
//! | [`stops`] | stops | stop requests reach the monitors; it never writes |
//! | [`recover`], `repair`, `retention`, `leftovers` | recovery | at start and at every tick: runs without a monitor, impossible rows, leftovers, retention |
//! | [`teardowns`] | (claims, recovery) | takes up what is to be torn down |
//! | [`workspaces`] | workspaces | the directories of workspaces, and logs of runs that were pruned |
//! | [`wake`] | wake | hints that the file has changed |
//! | [`service_manager`] | notify | tells the service manager that the worker serves and that its loops go round |
//!
//! A loop does one round and says when it wants to be called next. What a round cannot do is logged
//! and tried at the next one.

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

/// When a loop wants to be called next, if it is not woken before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NextCall {
    after: Duration,
}

impl NextCall {
    fn after_ms(ms: u64) -> Self {
        Self { after: Duration::from_millis(ms) }
    }
}
