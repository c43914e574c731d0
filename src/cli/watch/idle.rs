//! `tenure work --until-idle` beside another worker: that one does the work, and this command waits
//! until it has nothing to do.

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::Result;
use crate::host::report::Phase;
use crate::host::sight::Sight;
use crate::host::waker;
use crate::queue::changes::Changes;
use crate::store::claim::{self, Scope};
use crate::store::{Store, open_runs, pending, plan, read, teardown};

/// Waits until no job is running and none could be started. False: there is no such worker, or it
/// serves none of these queues.
///
/// # Errors
/// The file cannot be read.
pub fn wait(face: &Face, queues: &[String], until_empty: bool) -> Result<bool> {
    // A file that does not exist, or is of another version, is created or refused by the worker.
    let Ok(store) = face.reader() else { return Ok(false) };
    let mut changes = Changes::default();
    let (mut said, mut said_that_it_ends) = (false, false);
    loop {
        let Some(worker) = Sight::read(store.place())?.filter(|one| one.holder.kind == "work" && one.holder.is_here()) else {
            return Ok(false);
        };
        if is_ending(&worker) {
            // Queued jobs wait for the next worker, which is this one.
            if !said_that_it_ends {
                said_that_it_ends = true;
                face::say(&format!("{} claims nothing more; waiting until it has ended", worker.holder.named()));
            }
            changes.rest(None);
            continue;
        }
        let served = worker.report.as_ref().map(|report| report.queues.clone()).unwrap_or_default();
        if !served.is_empty() && queues.iter().any(|queue| !served.contains(queue)) {
            return Ok(false);
        }
        if !said {
            said = true;
            face::say(&format!("{} runs what is queued; waiting until it has nothing to do", worker.holder.named()));
            waker::send(store.place());
        }
        if is_idle(face, &store, &worker, served, queues, until_empty)? {
            return Ok(true);
        }
        if changes.poll(&store)? {
            changes.stir();
        }
        changes.rest(None);
    }
}

fn is_ending(worker: &Sight) -> bool {
    worker.report.as_ref().is_some_and(|report| matches!(report.phase, Phase::Draining | Phase::Leaving))
}

/// Whether a worker of these queues would end when idle: it processes due jobs and schedules of all
/// queues.
fn is_idle(
    face: &Face,
    store: &Store,
    worker: &Sight,
    served: Vec<String>,
    queues: &[String],
    until_empty: bool,
) -> Result<bool> {
    let now_ms = face.now_ms();
    let claims = worker.report.as_ref().is_none_or(|report| report.held_back().next().is_none());
    let claimed = if queues.is_empty() { served } else { queues.to_vec() };
    let scope = Scope { queues: claimed, only: None };
    store.read(|conn| {
        // Without a queue: all running jobs, as the worker may watch runs of an earlier one.
        let running = if queues.is_empty() { read::counts(conn)?.running } else { read::running_in(conn, queues)? };
        let goes_on = running > 0 || !open_runs::open_auxiliaries(conn)?.is_empty() || teardown::is_due(conn, now_ms)?;
        let could_start =
            claims && (claim::has_ready(conn, &scope)? || pending::has_due(conn, now_ms)? || plan::is_due(conn, now_ms)?);
        Ok(!(goes_on || could_start || until_empty && pending::waits_for_time(conn)?))
    })
}
