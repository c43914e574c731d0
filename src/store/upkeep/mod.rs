//! What time and accidents bring: jobs that are due, rows that cannot be, history that goes.
//!
//! `due` promotes and expires. `reap` lists the open runs that a worker looks at. `faulty` finds
//! rows that break a rule, and `repair` repairs them; `inspect` finds contradictions, and `recount`
//! takes them away. `prune` removes old history, `unreadable` finds rows that no program can read.

pub mod due;
pub(in crate::store) mod faulty;
pub mod inspect;
pub mod open_runs;
pub mod prune;
pub mod recount;
pub mod repair;
pub mod unreadable;
