//! `tenure why`: every reason a job waits, with numbers, and the command that would clear each; for
//! an ended job why it ended.

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick;
use crate::cli::parse::pick::Named;
use crate::cli::view::escape::line;
use crate::cli::view::{json, table, task_shown};
use crate::cli::worker_options;
use crate::error::{Result, exit};
use crate::job::State;
use crate::queue::why::Explainer;
use crate::queue::{Advice, JobInfo};

pub fn run(face: &Face, which: &Named) -> Result<u8> {
    let queue = face.queue()?;
    let explainer = Explainer::new(&queue.store, face.now(), &worker_options::floors(&face.settings))?;
    for job in pick::jobs(&queue, &which.ids)? {
        let (facts, all) = explainer.of(job.id)?;
        let job = JobInfo::of(facts.job);
        let step = queue.step(job.id)?;
        if face.json {
            face.document(json::why(&job, step.as_ref(), &all))?;
        } else {
            let step = step.as_ref().map(task_shown::step_of);
            face::print(&for_people(&job, step.as_deref(), &all))?;
        }
    }
    Ok(exit::OK)
}

pub(in crate::cli) fn for_people(job: &JobInfo, step: Option<&str>, all: &[Advice]) -> String {
    let mut text = format!("job {} is {}\n", job.id, line(&table::state(job)));
    if let Some(step) = step {
        text += &format!("  it is {}\n", line(step));
    }
    if all.is_empty() && job.state == State::Queued {
        text += "  ready: it starts in the next free slot\n";
    }
    for obstacle in all {
        text += &format!("  {}\n", line(&obstacle.text));
        if let Some(remedy) = &obstacle.remedy {
            text += &format!("      {}\n", line(remedy));
        }
    }
    text
}
