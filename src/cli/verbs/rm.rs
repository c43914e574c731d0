//! `tenure rm`: remove ended jobs with their logs.

use serde_json::json;

use super::prune::{removed_text, unlink};
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick::{self, Named};
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::Queue;
use crate::store::upkeep::prune::Pruned;
use crate::store::upkeep::remove::{self, Obstacle};

/// Most refusals that are reported one by one.
const REFUSALS_MAX: usize = 10;
const ENDED: [State; 3] = [State::Done, State::Failed, State::Cancelled];

pub fn run(face: &Face, which: &Named) -> Result<u8> {
    let queue = Queue::of(&face.editor()?);
    let jobs: Vec<JobId> = pick::jobs_in(&queue, &which.ids, &ENDED)?.into_iter().map(|job| job.id).collect();
    let (mut all, mut kept, mut from) = (Pruned::default(), Vec::new(), 0);
    while from < jobs.len() {
        let removed = remove::pass(&queue.store, &jobs[from..], i64::MAX)?;
        // The rows are durably gone; only now may the logs be removed.
        removed.pruned.runs.iter().for_each(|run| unlink(&queue.store, *run));
        from += removed.handled;
        all.add(removed.pruned);
        kept.extend(removed.kept);
    }
    if face.json {
        let kept: Vec<_> =
            kept.iter().map(|(id, why)| json!({"id": id.0, "reason": why.word(), "text": refusal(*id, *why)})).collect();
        face.document(json!({"jobs": all.jobs, "runs": all.runs.len(), "kept": kept}))?;
    } else if all.jobs > 0 {
        face::say(&format!("removed {}", removed_text(all.jobs, all.runs.len())));
    }
    for (id, why) in kept.iter().take(REFUSALS_MAX) {
        face::complain(&Error::Refused(refusal(*id, *why)).to_string());
    }
    if kept.len() > REFUSALS_MAX {
        face::complain(&format!("{} more jobs stay", kept.len() - REFUSALS_MAX));
    }
    Ok(if kept.is_empty() { exit::OK } else { exit::REFUSED })
}

fn refusal(id: JobId, why: Obstacle) -> String {
    match why {
        Obstacle::Live(state) => format!("job {id} is {state}; to end it: tenure cancel {id}"),
        Obstacle::Younger => format!("job {id} has ended only now; tenure rm {id} removes it"),
        Obstacle::OfTask(task) => {
            format!("job {id} stays with its task {task}, which is removed as a whole: tenure prune --older-than DURATION")
        }
        Obstacle::NeededBy(child) => {
            format!("job {id} stays, as job {child} waits for it; to end that one: tenure cancel {child}")
        }
        Obstacle::OpenRun => {
            format!("job {id} stays, as the end of one of its runs is not recorded; a worker records it: tenure work")
        }
        Obstacle::Hook => format!("job {id} stays, as a hook is still to tell its end; tenure why {id}"),
        Obstacle::Resource(resource) => {
            format!("job {id} stays, as its resource {resource} is not torn down yet; see tenure resource show {resource}")
        }
    }
}
