//! Waits at a terminal: for the end of a job, its output, a change of the file.

pub(in crate::cli) mod follow;
pub(in crate::cli) mod idle;
pub(in crate::cli) mod waits;
