//! The worker's side of [`crate::store::file::belief`]: each claim, each settle and each add that a
//! client has handed over is made in a transaction that first checks whether the file is still the
//! one that this worker knows.
//!
//! If it is not, nothing is written any more: the worker records in the directory what it saw, and
//! ends. Its runs continue under their shims, unless they are to end with it. The next worker holds
//! every live job and ends those runs, so that no job has two copies.

use rusqlite::Connection;

use super::context::Context;
use super::stop_flag::Ended;
use crate::error::{Error, Result};
use crate::store::{Ticket, file::belief, file::home};
use crate::sync::lock;

impl Context {
    /// Commits a change that relies on the content of the rows.
    ///
    /// # Errors
    /// [`Error::Replaced`]: the worker ends; or the error of `f`.
    pub fn commit_believing<T: Send + 'static>(
        &self,
        f: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<(T, Ticket)> {
        self.learn(self.store.commit(self.believing(f)))
    }

    /// The same for a change that the caller can do without, see [`Store::commit_sparing`].
    ///
    /// # Errors
    /// As [`Context::commit_believing`].
    ///
    /// [`Store::commit_sparing`]: crate::store::Store::commit_sparing
    pub fn commit_believing_sparing<T: Send + 'static>(
        &self,
        f: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<(T, Ticket)> {
        self.learn(self.store.commit_sparing(self.believing(f)))
    }

    fn believing<T>(
        &self,
        mut f: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> impl FnMut(&Connection) -> Result<(T, belief::Belief)> + Send + 'static {
        let believed = self.believed();
        move |conn| {
            let before = belief::check(conn, &believed)?;
            let value = f(conn)?;
            Ok((value, before.with_events_now(conn)?))
        }
    }

    fn learn<T>(&self, done: Result<((T, belief::Belief), Ticket)>) -> Result<(T, Ticket)> {
        match done {
            Ok(((value, seen), ticket)) => {
                lock(&self.belief).learn(&seen);
                Ok((value, ticket))
            }
            Err(error) => Err(self.doubt(error)),
        }
    }

    /// Checks the same before a round that relies on the content of the rows.
    ///
    /// # Errors
    /// [`Error::Replaced`]: the worker ends.
    pub fn check_file(&self) -> Result<()> {
        let believed = self.believed();
        self.store.read(|conn| belief::check(conn, &believed).map(drop)).map_err(|error| self.doubt(error))
    }

    fn believed(&self) -> belief::Belief {
        lock(&self.belief).clone()
    }

    /// Ends the worker if the file is another one. Returns the error.
    fn doubt(&self, error: Error) -> Error {
        let Error::Replaced { why, superseded } = &error else { return error };
        let what = format!("the content of {} was replaced: {why}", self.place().db().display());
        if !superseded && let Err(error) = home::note_replaced(self.place(), self.now_ms(), why) {
            log::error!("{error}");
        }
        // Before the store is distrusted, which would end the worker for that reason.
        self.end(if *superseded {
            Ended::Superseded(format!("{what}; this worker ends, and leaves its runs to that one"))
        } else {
            Ended::Fatal(format!(
                "{what}; this worker ends. The next worker (tenure work) ends the runs that still continue, and holds every job that had not \
                 ended; check those, then tenure release ID"
            ))
        });
        self.store.distrust(&what);
        error
    }

    /// Creates the directory beside the file and the lock file again if they are gone.
    pub fn keep_home(&self) {
        match self.lock.keep() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => return log::warn!("the lock file is gone, and cannot be created again now: {error}"),
        }
        self.run_files.forget(&self.roster);
        self.report.write_again();
        let place = self.place();
        log::error!(
            "{} was emptied or removed while the worker served it; it is made again. Run files, logs, results and secrets that were in it are gone: \
             runs continue, and jobs with secrets fail. Keep cleaners of temporary files away from it",
            place.dir().display()
        );
        let settled = home::settle_in(place, &self.believed().file_id).and_then(|()| super::high_water::note(&self.store));
        if let Err(error) = settled {
            log::error!("{error}");
        }
    }
}
