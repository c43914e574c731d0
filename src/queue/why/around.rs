//! What is seen beside the file when a person asks why a job waits: the worker, and what the
//! machine lacks.

use super::advice::Advice;
use crate::error::Result;
use crate::host::gates::{Floors, Gate, Machine};
use crate::host::sight::Sight;
use crate::place::Place;
use crate::store::{Store, read};

/// What was seen beside the file.
#[derive(Debug, Clone)]
pub(crate) struct Around {
    /// In the local time zone.
    pub now: jiff::Zoned,
    pub worker: Option<Sight>,
    /// What is said of the job's run, where it is over and there is no worker that records it
    /// ([`super::over`]).
    pub over: Option<String>,
    /// What is wrong with the script that the job is, where the kernel executes it all the same.
    pub script: Option<String>,
    /// Jobs that run now, over all queues.
    pub running: i64,
    /// Why the machine would hold jobs back, by the floors of the configuration; where no worker
    /// says it of itself.
    pub gate: Option<Advice>,
}

/// What is seen beside the file.
///
/// # Errors
/// When the file or the lock file cannot be looked at.
pub(crate) fn read(store: &Store, now: jiff::Zoned, floors: &Floors) -> Result<Around> {
    let running = store.read(read::counts)?.running;
    let worker = Sight::read(store.place())?;
    Ok(Around { now, gate: gate(floors, store.place(), worker.as_ref()), worker, over: None, script: None, running })
}

/// The floor of our configuration that is not met, where no worker says what its own are.
pub(crate) fn gate(floors: &Floors, place: &Place, worker: Option<&Sight>) -> Option<Advice> {
    if worker.is_some_and(|worker| worker.report.is_some()) {
        return None;
    }
    let gate = Gate::closed(floors, &Machine::sample(place.dir()))?;
    let remedy = "wait, or lower the floor in [floor] of the configuration: tenure config";
    Some(Advice::new(gate.code(), format!("{gate}: no job is claimed meanwhile"), remedy.to_owned()))
}
