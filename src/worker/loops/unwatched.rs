//! Open runs that no thread of this worker watches.
//!
//! A thread may settle its run, and take it from the roster, after the rows were read and before
//! the roster is. So the rows are read again once the runs are in the roster: no other thread ends
//! a run then, and what is still open has no other thread.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::error::Result;
use crate::job::RunId;
use crate::worker::context::Context;
use crate::worker::roster::Roster;

/// Rows of runs that are in the roster, for their new thread. Dropped, it takes the others out.
pub struct Unwatched<'a, T> {
    rows: Vec<T>,
    roster: &'a Roster,
    owned: HashSet<RunId>,
    id: fn(&T) -> RunId,
}

impl<'a, T: Send + 'static> Unwatched<'a, T> {
    /// Reads the open runs, and puts those that no thread watches into the roster.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn find(ctx: &'a Context, read: fn(&Connection) -> Result<Vec<T>>, id: fn(&T) -> RunId) -> Result<Self> {
        let roster = &ctx.roster;
        let owned = ctx.store.read(read)?.iter().map(id).filter(|run| roster.try_own(*run)).collect();
        let mut found = Self { rows: Vec::new(), roster, owned, id };
        if !found.owned.is_empty() {
            found.rows = ctx.store.read(read)?;
            found.rows.retain(|row| found.owned.contains(&id(row)));
        }
        Ok(found)
    }

    /// Hands each over to a thread, which takes its run from the roster. After an error the others
    /// are found again at the next tick.
    ///
    /// # Errors
    /// That of the first that could not be handed over.
    pub fn each(mut self, mut give: impl FnMut(T) -> Result<()>) -> Result<()> {
        for row in std::mem::take(&mut self.rows) {
            let run = (self.id)(&row);
            give(row)?;
            self.owned.remove(&run);
        }
        Ok(())
    }
}

impl<T> Drop for Unwatched<'_, T> {
    fn drop(&mut self) {
        self.owned.iter().for_each(|run| self.roster.disown(*run));
    }
}
