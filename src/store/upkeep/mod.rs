//! Upkeep: due jobs, impossible rows, old history.
//!
//! `due` promotes and expires jobs. `open_runs` lists the open runs that a worker checks. `faulty`
//! finds rows that break a rule, and `repair` repairs them; `inspect` finds contradictions, and
//! `recount` corrects them. `prune` removes old history, `remove` ended jobs that a person selects,
//! `unreadable` finds rows that no program can read.

pub mod due;
pub(in crate::store) mod faulty;
pub mod inspect;
pub mod open_runs;
pub mod prune;
pub mod recount;
pub mod remove;
pub mod repair;
pub mod unreadable;
