//! tenure: a crash-proof job queue for one Linux VM. One binary, one SQLite file.

pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod job;
pub mod place;
pub mod run;
pub mod store;
pub mod units;
pub mod worker;
