//! `tenure rerun`: new jobs with the descriptions of other ones.

use crate::cli::adding;
use crate::cli::copying::with_remedy;
use crate::cli::face::Face;
use crate::cli::parse::options::JobOptions;
use crate::cli::parse::pick::Many;
use crate::error::{Result, exit};
use crate::job::{JobId, State};
use crate::queue::Queue;
use crate::store::receipt::OneJob;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.editor()?;
    let queue = Queue::of(&store);
    let options = JobOptions::default();
    let around = adding::surroundings(face, &store, &options)?;
    let ids: Vec<JobId> =
        args.which.jobs(&queue, &[State::Done, State::Failed, State::Cancelled])?.iter().map(|job| job.id).collect();
    // All descriptions are read before the first is added.
    let jobs: Result<Vec<_>> = ids.into_iter().map(|id| Ok((id, queue.description(id)?))).collect();
    for (id, base) in jobs? {
        let jobs = options.jobs_like(None, base, &around).map_err(|why| with_remedy(id, &why))?;
        let added = adding::add_jobs(&store, jobs, &options, &around, Some(id))?;
        adding::tell(face, added.iter().map(OneJob::from))?;
    }
    Ok(exit::OK)
}
