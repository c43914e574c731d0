//! SQLITE ONLY. One file per verb, its SQL beside it.
//!
//! A verb is a plain function of a connection, its arguments and the present instant. It runs inside a transaction that the
//! engine opens and ends, so whatever it does is done whole or not at all; it waits for nothing and touches nothing outside.
//!
//! ```text
//! enqueue   a job enters                    ids      run ids, in blocks
//! claim     queued -> running               read     what is there, for people
//! settle    running -> its end, or again    why      what stands in the way of a job
//! control   what a person asks for          prune    history goes
//! reap      what the reaper looks at        ended    what follows the end of a job: key, dependants
//! retry     an ended job, by a person       restored an older copy was put back
//! heal      rows that should not exist      mend     counts and lanes that contradict the truth
//! tend      what time brings about          rows     rows as values
//! ```
//!
//! Who stands at the head of a lane, what is counted and what is an event is kept by triggers in `schema.sql`, so that it is
//! right whoever writes. Deliberately absent here: locks, files, processes, clocks, chance.

pub mod claim;
pub mod control;
mod ended;
pub mod enqueue;
pub mod heal;
pub mod ids;
pub mod mend;
pub mod prune;
pub mod read;
pub mod reap;
pub mod restored;
pub mod retry;
pub mod rows;
pub mod settle;
mod sick;
pub mod tend;
pub mod why;

#[cfg(test)]
#[path = "../../tests/model/file.rs"]
mod fixture;
#[cfg(test)]
mod flat_tests;
#[cfg(test)]
mod verbs_tests;
