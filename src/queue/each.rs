//! Applies a verb to many jobs: a transaction for each [`BATCH_JOBS`] of them, or for as many as
//! fit into [`BATCH_MS`], in which each has its own savepoint, so that a refusal affects only that
//! job; and one flush per transaction before any result is reported.

use std::time::Instant;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::JobId;
use crate::store::Store;

/// Jobs that one transaction touches: other clients can write between two of them.
pub(crate) const BATCH_JOBS: usize = 1_000;
/// After this time a transaction takes no further job, in milliseconds, so that other clients do
/// not wait longer.
const BATCH_MS: u128 = 100;

/// Applies `verb` to each job and passes the result to `tell` when it is durable. A verb may touch
/// other jobs: `touched` returns how many, so that a transaction ends when it has touched enough.
///
/// # Errors
/// An error of `tell` ends the whole.
pub(crate) fn each_with<T: Send + 'static>(
    store: &Store,
    ids: &[JobId],
    verb: impl Fn(&Connection, JobId) -> Result<T> + Clone + Send + 'static,
    touched: fn(&T) -> usize,
    mut tell: impl FnMut(JobId, Result<T>) -> Result<()>,
) -> Result<()> {
    let mut ids = ids;
    while !ids.is_empty() {
        let (batch, verb) = (ids[..ids.len().min(BATCH_JOBS)].to_vec(), verb.clone());
        let done = store.write(move |conn| {
            let (began, mut done, mut n) = (Instant::now(), Vec::new(), 0);
            for id in &batch {
                let is_full = n >= BATCH_JOBS || began.elapsed().as_millis() >= BATCH_MS;
                if is_full && !done.is_empty() {
                    break;
                }
                let result = apart(conn, *id, &verb)?;
                n += result.as_ref().map_or(1, touched);
                done.push((*id, result));
            }
            Ok(done)
        })?;
        ids = &ids[done.len()..];
        done.into_iter().try_for_each(|(id, result)| tell(id, result))?;
    }
    Ok(())
}

/// Applies the verb to one job; a failure leaves no changes.
fn apart<T>(conn: &Connection, id: JobId, verb: &impl Fn(&Connection, JobId) -> Result<T>) -> Result<Result<T>> {
    conn.prepare_cached("SAVEPOINT each")?.execute([])?;
    let result = verb(conn, id);
    match &result {
        Ok(_) => {}
        // An error about this job concerns only it. Any other error undoes the whole batch.
        Err(Error::Refused(_) | Error::NotFound(_) | Error::Invalid(_)) => {
            conn.prepare_cached("ROLLBACK TO each")?.execute([])?;
        }
        Err(_) => return result.map(Ok),
    }
    conn.prepare_cached("RELEASE each")?.execute([])?;
    Ok(result)
}

#[cfg(test)]
#[path = "each_tests.rs"]
mod tests;
