//! Passes cancels from the file to the threads that watch the runs.

use super::context::Context;
use crate::error::Result;
use crate::job::Cause;
use crate::store::job::control;

impl Context {
    /// Asks the monitor of every run whose job has an open cancel to stop it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pass_on_cancels(&self) -> Result<()> {
        for (_, run) in self.store.read(control::open_cancels)? {
            if let Some(run) = run {
                self.roster.request_stop(run, Cause::Cancel);
            }
        }
        Ok(())
    }
}
