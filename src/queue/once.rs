//! Adds jobs that were handed to the worker and whose answer was lost.

use rusqlite::Connection;

use super::submit::{Adding, unconfirmed};
use crate::error::{Error, Result};
use crate::job::NewJob;
use crate::run::machine::boottime_ms;
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
        let (_, done) = self.commit(add).map_err(may_be_added)?;
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
