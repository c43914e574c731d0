//! Passes cancels and suspensions from the file to the threads that watch the runs.

use super::context::Context;
use crate::error::Result;
use crate::job::Cause;
use crate::store::job::{control, suspend};

impl Context {
    /// Asks the monitor of every run whose job has an open cancel to stop it; returns `false` if
    /// one has no monitor yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pass_on_cancels(&self) -> Result<bool> {
        let open = self.store.read(control::open_cancels)?;
        let runs = open.into_iter().filter_map(|(_, run)| run);
        let unheard = runs.filter(|run| !self.roster.request_stop(*run, Cause::Cancel)).count();
        Ok(unheard == 0)
    }

    /// Tells the monitor of every run with an open suspension what is wanted of it; returns `false`
    /// if one has no monitor yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pass_on_suspensions(&self) -> Result<bool> {
        let open = self.store.read(suspend::wanted)?;
        Ok(open.into_iter().filter(|(run, wanted)| !self.roster.want(*run, *wanted)).count() == 0)
    }
}
