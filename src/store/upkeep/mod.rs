//! What time and accidents bring: jobs that are due, rows that cannot be, history that goes.
//!
//! `tend` promotes and expires. `reap` lists the open runs that a worker looks at. `sick` finds rows that no program of this version writes,
//! `heal` and `mend` repair them, `inspect` counts. `prune` removes old history, `unreadable` finds rows that no program can read.

pub mod heal;
pub mod inspect;
pub mod mend;
pub mod prune;
pub mod reap;
pub(in crate::store) mod sick;
pub mod tend;
pub mod unreadable;
