//! Asks a shim to stop, from a process that is not the worker.

use crate::error::Result;
use crate::job::{Cause, JobId};
use crate::run::stop::{self, Asked, OutOfReach};
use crate::store::{Store, upkeep::open_runs};

/// Result of asking a shim without the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direct {
    /// A shim was asked: that of the job, or of an auxiliary run.
    Asked,
    /// There is no shim to ask: the run has just ended, or has not started. The worker handles it.
    NoShim,
    /// There is one, and this process cannot signal it.
    Cannot(OutOfReach),
}

/// Asks the shim of a running job to stop it, without the worker: the stop request is already in
/// the file, and the worker, or the next one, reads the shim's record. If a worker asks as well,
/// the second signal has no effect.
///
/// # Errors
/// The file cannot be read.
pub fn ask_directly(store: &Store, job: JobId) -> Result<Direct> {
    let Some((own, around)) = store.read(move |conn| open_runs::open_run_of(conn, job))? else { return Ok(Direct::NoShim) };
    let mut came = Direct::NoShim;
    for key in [Some(own), around].into_iter().flatten() {
        match stop::ask(store.place(), key, Cause::Cancel)? {
            Asked::Sent => came = Direct::Asked,
            Asked::OutOfReach(hindrance) if came == Direct::NoShim => came = Direct::Cannot(hindrance),
            _ => {}
        }
    }
    Ok(came)
}
