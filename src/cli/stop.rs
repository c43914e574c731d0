//! Stops a running job, and describes the result.

use crate::error::Result;
use crate::host::sight::{Process, Sight};
use crate::host::stop::{self, Direct};
use crate::job::JobId;
use crate::store::Store;

/// Asks the shim of a running job to stop it, independently of the worker, and returns what a
/// person must know: empty if the job is being stopped and a worker records its end.
///
/// # Errors
/// The file cannot be read.
pub fn ask_directly(store: &Store, job: JobId) -> Result<String> {
    let asked = stop::ask_directly(store, job)?;
    let sight = Sight::read(store.place())?;
    let stopped = sight.as_ref().filter(|sight| matches!(sight.process, Process::Stopped | Process::Traced));
    let records_later = match (&sight, stopped) {
        (_, Some(sight)) => {
            let pid = sight.holder.pid;
            format!("; the worker (pid {pid}) is stopped: the end is recorded when it continues (kill -CONT {pid})")
        }
        (Some(_), None) => String::new(),
        (None, _) => "; there is no worker: its end is recorded when one starts (tenure work)".to_owned(),
    };
    let works = sight.is_some() && stopped.is_none();
    let sent = match asked {
        Direct::Asked if !works => "; it was asked to stop".to_owned(),
        Direct::Cannot(why) if works => format!("; this command cannot signal it ({why}), so the worker is asked to"),
        Direct::Cannot(why) => format!("; this command cannot signal it ({why})"),
        Direct::Asked | Direct::NoShim => String::new(),
    };
    Ok(sent + &records_later)
}
