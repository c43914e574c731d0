//! tenure: a crash-proof job queue for one Linux VM. One binary, one SQLite file.

pub mod clock;
pub mod error;
pub mod job;
pub mod place;
pub mod run;
pub mod store;
pub mod worker;
