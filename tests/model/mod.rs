//! Random histories of every verb, played on a real file and on a plain model, compared after each step.
//!
//! * `file`: a file in memory,
//! * `world`: the model. It is written for being obviously right, not fast: what holds a job, who stands at the head of a lane
//!   and what is counted is worked out from scratch whenever it is asked,
//! * `play`: reads steps from bytes and plays each on both sides (`verbs`, `settling`, `plain`, `turns`),
//! * `resources`: external resources,
//! * `suspend`: suspensions of running jobs,
//! * `owners`: leases, workspaces and slots, a history of their own,
//! * `compare`: looks whether both came to the same,
//! * `hostile`: what a client writes that has dropped the guards,
//! * `dice`: where chance comes from,
//! * `walks`: tasks that walk through a pipeline, a history of their own,
//! * `truths`: what must be true of a file at any time, after any operations.
//!
//! A step is six bytes, so that the fuzzer and proptest mutate and shrink the same thing.

mod compare;
pub mod dice;
pub mod file;
pub mod hostile;
pub mod owners;
mod plain;
pub mod play;
mod resources;
mod settling;
pub mod suspend;
pub mod truths;
mod turns;
mod verbs;
pub mod walks;
pub mod world;
