//! Queues whose jobs run on another engine, by the word of which each run ends.
//!
//! * `engine`: an engine that does what a test tells it, with its launcher,
//! * `answers`: what each answer of an engine comes to,
//! * `faults`: engines that are slow, lie, cannot be reached, or answer twice,
//! * `kills`: workers that are killed at each step of a submission,
//! * `around`: what jobs of such queues have in common with all jobs,
//! * `many`: a thousand runs that wait there,
//! * `ssh`: the launcher for another machine.

mod answers;
mod around;
pub mod engine;
mod faults;
mod kills;
mod many;
mod ssh;
