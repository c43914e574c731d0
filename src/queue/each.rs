//! The same to many jobs: a transaction for each [`BATCH_JOBS`] of them, or for as many as
//! [`BATCH_MS`] are enough for, in which each has a savepoint of its own, so that one that is
//! refused keeps no other from it; and one flush for each transaction, before anything is said of
//! it.

use std::time::Instant;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::JobId;
use crate::store::Store;

/// Jobs that one transaction touches: others can write between two of them.
pub(crate) const BATCH_JOBS: usize = 1_000;
/// After so long a transaction takes no further job, in milliseconds: what others write waits no
/// longer for it.
const BATCH_MS: u128 = 100;

/// Does `verb` to each job and tells what came of it, when that is on the disk. What is done to one
/// job may touch others: `touched` says how many, so that a transaction ends when it has touched
/// enough.
///
/// # Errors
/// What `tell` does not take: an error that it returns ends the whole.
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

/// Does it to one job; where that fails, nothing of it is left.
fn apart<T>(conn: &Connection, id: JobId, verb: &impl Fn(&Connection, JobId) -> Result<T>) -> Result<Result<T>> {
    conn.prepare_cached("SAVEPOINT each")?.execute([])?;
    let result = verb(conn, id);
    match &result {
        Ok(_) => {}
        // What is wrong with this one job is its own affair. Whatever else it is, the whole batch
        // is undone.
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
