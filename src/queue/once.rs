//! Adds jobs that were handed to the worker and whose answer was lost.

use std::time::Duration;

use rusqlite::Connection;

use super::submit::{Adding, unconfirmed};
use crate::error::{Error, Result};
use crate::job::NewJob;
use crate::run::machine::boottime_ms;
use crate::store::Store;
use crate::store::receipt::{self, Answer, Key};

impl Adding<'_> {
    /// Adds the jobs of a request, unless the worker has added them; or refuses them. The jobs name
    /// no private files.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`]: the worker may have added them.
    pub fn commit_once(self, key: Key, jobs: Vec<NewJob>) -> Result<std::result::Result<Answer, Error>> {
        let store = self.queue.store.clone();
        let add = move |conn: &Connection, now_ms| {
            Ok(match receipt::add_by_client(conn, &key, &jobs, now_ms, boottime_ms())? {
                Ok(done) => (done.added, Ok((done.answer, done.was_there))),
                Err(refusal) => (Vec::new(), Err(refusal)),
            })
        };
        let done = match self.commit(add) {
            Ok((_, done)) => done,
            // Not even a refusal can be written, which would keep the worker from adding them.
            Err(full @ Error::DiskFull(_)) => Ok((found_later(&store, key)?.ok_or(full)?, true)),
            Err(error) => return Err(may_be_added(error)),
        };
        match done {
            Ok((answer, was_there)) => {
                if was_there {
                    store.flush_now().map_err(may_be_added)?;
                }
                Ok(Ok(answer))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// Looks for the jobs of a request once the worker cannot add them any more, as it is too old.
fn found_later(store: &Store, key: Key) -> Result<Option<Answer>> {
    let age_ms = boottime_ms().saturating_sub(key.sent_ms);
    std::thread::sleep(Duration::from_millis((receipt::WORKER_MS + 1).saturating_sub(age_ms)));
    // As a writer, so that no transaction of the worker is under way.
    let found = store.commit(move |conn| receipt::find(conn, &key)).map_err(may_be_added)?;
    Ok(found.0)
}

/// Returns the error for jobs that the worker may have added.
pub(crate) fn may_be_added(error: Error) -> Error {
    match error {
        Error::Unconfirmed(_) => error,
        // It stays the error that it is for every command: the file cannot be used from here.
        Error::File(text) => {
            Error::File(format!("the jobs may have been added; look before you add again (tenure ls -a): {text}"))
        }
        error => unconfirmed(&[], error),
    }
}
