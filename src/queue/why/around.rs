//! What is read besides the file when a person asks why a job waits: the worker, and what the
//! machine lacks.

use crate::error::Result;
use crate::host::gates::{Floors, Gate, Machine};
use crate::host::sight::Sight;
use crate::job::Advice;
use crate::place::Place;
use crate::store::{Store, job::read};

/// What was read besides the file.
#[derive(Debug, Clone)]
pub(crate) struct Around {
    /// In the local time zone.
    pub now: jiff::Zoned,
    pub worker: Option<Sight>,
    /// The text about the job's run, if it is over and no worker records that ([`super::over`]).
    pub over: Option<String>,
    /// Processes of the job that are stopped from outside ([`super::stopped`]).
    pub stopped: Option<Advice>,
    /// What is wrong with the job's script, although the kernel executes it.
    pub script: Option<String>,
    /// Running jobs in all queues, and the slots that they take.
    pub running: i64,
    pub taken: i64,
    /// Why the machine would hold jobs back, by the floors of the configuration; if no worker
    /// reports that itself.
    pub gate: Option<Advice>,
}

/// Reads the worker and the machine.
///
/// # Errors
/// The file or the lock file cannot be read.
pub(crate) fn read(store: &Store, now: jiff::Zoned, floors: &Floors) -> Result<Around> {
    let read::Counts { running, slots_taken: taken, .. } = store.read(read::counts)?;
    let worker = Sight::read(store.place())?;
    Ok(Around {
        now,
        gate: gate(floors, store.place(), worker.as_ref()),
        worker,
        over: None,
        stopped: None,
        script: None,
        running,
        taken,
    })
}

/// Returns the floor of the configuration that is not met, if no worker reports its own.
pub(crate) fn gate(floors: &Floors, place: &Place, worker: Option<&Sight>) -> Option<Advice> {
    if worker.is_some_and(|worker| worker.report.is_some()) {
        return None;
    }
    let gate = Gate::closed(floors, &Machine::sample(place.dir()))?;
    let remedy = "wait, or lower the floor in [floor] of the configuration: tenure config";
    Some(Advice::new(gate.code(), format!("{gate}: no job is claimed until then"), remedy.to_owned()))
}
