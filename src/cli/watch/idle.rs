//! `tenure work --until-idle` beside another worker: that one does the work, and this command waits
//! until it has nothing to do.

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::Result;
use crate::host::report::Phase;
use crate::host::sight::Sight;
use crate::host::waker;
use crate::queue::changes::Changes;

/// Waits until no job is running and none could be started. False: there is no such worker, or it
/// serves none of these queues.
///
/// # Errors
/// The file cannot be read.
pub fn wait(face: &Face, queues: &[String], until_empty: bool) -> Result<bool> {
    // A file that does not exist, or is of another version, is created or refused by the worker.
    let Ok(queue) = face.queue() else { return Ok(false) };
    let mut changes = Changes::default();
    let (mut said, mut said_that_it_ends) = (false, false);
    loop {
        let Some(worker) = Sight::read(queue.store.place())?.filter(|one| one.holder.kind == "work" && one.holder.is_here())
        else {
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
        let served = worker.report.as_ref().map(|report| report.queues.as_slice()).unwrap_or_default();
        if !served.is_empty() && queues.iter().any(|queue| !served.contains(queue)) {
            return Ok(false);
        }
        if !said {
            said = true;
            face::say(&format!("{} runs what is queued; waiting until it has nothing to do", worker.holder.named()));
            waker::send(queue.store.place());
        }
        if queue.is_idle(&worker, queues, until_empty)? {
            return Ok(true);
        }
        if changes.poll(&queue.store)? {
            changes.stir();
        }
        changes.rest(None);
    }
}

fn is_ending(worker: &Sight) -> bool {
    worker.report.as_ref().is_some_and(|report| matches!(report.phase, Phase::Draining | Phase::Leaving))
}
