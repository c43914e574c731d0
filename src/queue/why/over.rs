//! Runs that are running according to the file but are over: their worker is gone, and no other has
//! recorded their end yet. The lock of the run decides, as always; a row cannot know.

use crate::error::Result;
use crate::host::lock::Holder;
use crate::job::verdict::Progress;
use crate::job::{Exit, JobId, RunId, RunKey, State};
use crate::place::Place;
use crate::queue::Queue;
use crate::queue::info::JobInfo;
use crate::run::record::Records;
use crate::run::runfile::{self, Inspection};
use crate::run::tree;
use crate::store::{Store, job::launched, upkeep::open_runs};
use crate::units::count;

/// Returns the text about the run of this job, if it is over and no worker is about to record that.
///
/// # Errors
/// The file, the worker's lock or the run file cannot be read.
pub(crate) fn of(store: &Store, job: JobId) -> Result<Option<String>> {
    if Holder::read(store.place())?.is_some() { Ok(None) } else { inspect(store, job) }
}

/// Returns one line about the running jobs among these, if any of them is over.
///
/// # Errors
/// As [`of`].
pub(crate) fn among<'a>(queue: &Queue, jobs: impl IntoIterator<Item = &'a JobInfo>) -> Result<Option<String>> {
    let store = &queue.store;
    if Holder::read(store.place())?.is_some() {
        return Ok(None);
    }
    let mut over = 0;
    for job in jobs.into_iter().filter(|job| job.state == State::Running) {
        over += i64::from(inspect(store, job.id)?.is_some());
    }
    Ok((over > 0).then(|| words(over)))
}

/// Counts the runs that are over and wait for a worker to record that, for a file without a worker.
///
/// # Errors
/// As [`of`].
pub(crate) fn how_many(store: &Store) -> Result<i64> {
    let mut over = 0;
    for open in store.read(open_runs::open_runs)? {
        over += i64::from(inspect(store, open.job.id)?.is_some());
    }
    Ok(over)
}

/// How many jobs are over.
pub(crate) fn words(over: i64) -> String {
    format!("{} ended, and no worker has recorded that yet", count(over, "running job", "has", "have"))
}

fn inspect(store: &Store, job: JobId) -> Result<Option<String>> {
    let Some((RunKey { run, .. }, around)) = store.read(move |conn| open_runs::open_run_of(conn, job))? else { return Ok(None) };
    // Another engine has it, and knows.
    if store.read(move |conn| launched::of_run(conn, run))?.is_some_and(|launched| launched.is_sent) {
        return Ok(None);
    }
    // A check or the preparation of a workspace continues without the run's own lock.
    if let Some(around) = around
        && is_alive(store.place(), around.run)?
    {
        return Ok(None);
    }
    Ok(match runfile::inspect(store.place(), run)? {
        Inspection::Found { locked: true, .. } | Inspection::Unreadable(_) => None,
        Inspection::Found { header, .. } if tree::is_out_of_sight(&header) => None,
        Inspection::Found { header, records, .. } => match tree::what_lives(store.place(), run, &header, &records)?.as_slice() {
            [] => Some(of_records(run, &records)),
            // A process that has escaped from a killed shim still belongs to the job.
            _ => None,
        },
        // A worker that has started meanwhile has recorded its end, and then removed the file.
        Inspection::Missing if Holder::read(store.place())?.is_some() => None,
        Inspection::Missing
            if store.read(move |conn| open_runs::open_run_of(conn, job))?.is_none_or(|(open, _)| open.run != run) =>
        {
            None
        }
        Inspection::Missing => Some(format!("run {run} has ended, and nothing is recorded of it; the worker records it as lost")),
    })
}

fn is_alive(place: &Place, run: RunId) -> Result<bool> {
    Ok(matches!(runfile::inspect(place, run)?, Inspection::Found { locked: true, .. }))
}

/// Pure: describes the records of a run whose lock is free.
fn of_records(run: RunId, records: &Records) -> String {
    let exit = records.exited.as_ref().map(|exited| match exited.exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    });
    match (records.progress(), exit) {
        (Progress::Nothing, _) => format!("run {run} never began; the worker queues the job again"),
        (Progress::Failed, _) => format!("run {run} could not be executed; the worker records that"),
        (_, Some(exit)) => format!("run {run} has ended ({exit}); the worker records that"),
        (_, None) => format!("run {run} has ended, and its end was not recorded; the worker records it as lost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::record::{Exited, Record};

    #[test]
    fn what_is_recorded_is_said_and_nothing_else() {
        let exited = |exit| Record::Exited(Exited { exit, cause: None, at_ms: 5, boot_ms: None });
        for (records, word) in [
            (vec![], "never began"),
            (vec![Record::Prepare { at_ms: 1 }], "as lost"),
            (vec![Record::Prepare { at_ms: 1 }, exited(Exit::Code(3))], "exit code 3"),
            (vec![Record::Prepare { at_ms: 1 }, exited(Exit::Signal(9))], "signal 9"),
        ] {
            let mut all = Records::default();
            records.iter().cloned().for_each(|record| all.add(record));
            assert!(of_records(RunId(7), &all).contains(word), "{records:?}");
        }
    }
}
