//! The same to many jobs: each in a transaction of its own, so that one that is refused keeps no other from it; and one flush for
//! many of them, before anything is said.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::JobId;
use crate::store::Store;

/// Jobs between two flushes.
const BATCH_JOBS: usize = 500;

/// Does `verb` to each job and tells what came of it, when that is on the disk.
///
/// # Errors
/// What `tell` does not take: an error that it returns ends the whole.
pub fn each<T: Send + 'static>(
    store: &Store,
    ids: &[JobId],
    verb: impl Fn(&Connection, JobId) -> Result<T> + Clone + Send + 'static,
    mut tell: impl FnMut(JobId, Result<T>) -> Result<()>,
) -> Result<()> {
    for batch in ids.chunks(BATCH_JOBS) {
        let mut done = Vec::with_capacity(batch.len());
        let mut last = None;
        for id in batch.iter().copied() {
            let verb = verb.clone();
            let result = store.commit(move |conn| verb(conn, id)).map(|(value, ticket)| {
                last = Some(ticket);
                value
            });
            done.push((id, result));
        }
        if let Some(ticket) = last {
            store.flushed(ticket)?;
        }
        done.into_iter().try_for_each(|(id, result)| tell(id, result))?;
    }
    Ok(())
}
