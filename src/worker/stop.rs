//! Asking a shim to stop from a process that is not the worker.

use crate::error::Result;
use crate::job::{Cause, JobId};
use crate::run::stop::{self, Asked};
use crate::store::{Store, reap};

/// Asks the shim of a running job to stop it, with no worker's help: the wish is in the file already, and the shim's record will
/// be found by the next worker. True when a shim was asked.
///
/// # Errors
/// When the file can not be read, or a shim that is there may not be signalled.
pub fn ask_directly(store: &Store, job: JobId) -> Result<bool> {
    let open = store.read(reap::open_runs)?;
    let Some(open) = open.into_iter().find(|open| open.job.id == job) else { return Ok(false) };
    let mut asked = stop::ask(store.place(), open.run.id, open.run.nonce, Cause::Cancel)? == Asked::Sent;
    if let Some(errand) = &open.errand {
        asked |= stop::ask(store.place(), errand.id, errand.nonce, Cause::Cancel)? == Asked::Sent;
    }
    Ok(asked)
}
