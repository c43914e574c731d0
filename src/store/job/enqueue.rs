//! Adds jobs to the file.

use std::borrow::Borrow;

use rusqlite::Connection;

use crate::error::Result;
use crate::job::NewJob;
use crate::store::job::insert;
use crate::store::pipeline::advance;

pub use crate::store::job::insert::{Added, BLOCK, needs_only_a_row};

/// Adds jobs, all or none, in this order. They are accepted when the transaction is durable.
///
/// # Errors
/// [`crate::error::Error::Invalid`] for invalid arguments, [`crate::error::Error::NotFound`] for a
/// dependency on a job that does not exist.
pub fn add<J: Borrow<NewJob>>(conn: &Connection, jobs: &[J], now_ms: i64) -> Result<Vec<Added>> {
    insert::add(conn, jobs, now_ms, advance::job_ended)
}
