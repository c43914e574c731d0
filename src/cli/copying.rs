//! A new job with the description of another one: `add --like`, and what `rerun` shares with it.

use crate::cli::adding;
use crate::cli::face::Face;
use crate::cli::parse::options::{Command, JobOptions, Surroundings};
use crate::cli::parse::pick;
use crate::cli::parse::select::Selector;
use crate::error::{Error, Result};
use crate::job::{Argv, JobId};
use crate::queue::Queue;
use crate::store::Store;
use crate::store::receipt::OneJob;

/// Adds the jobs of `add --like`.
pub fn add_like(
    face: &Face,
    store: &Store,
    like: &Selector,
    options: &JobOptions,
    command: &Command,
    around: &Surroundings,
) -> Result<()> {
    let queue = Queue::of(store);
    let [job] = &pick::jobs(&queue, std::slice::from_ref(like))?[..] else {
        return Err(Error::Invalid("--like: name one job; tenure rerun takes several".into()));
    };
    let command: Option<Argv> = if command.is_empty() { None } else { Some(command.argv().map_err(Error::Invalid)?) };
    let jobs = options.jobs_like(command, queue.description(job.id)?, around).map_err(|why| with_remedy(job.id, &why))?;
    adding::warn(store, &jobs, around, true);
    let added = adding::add_jobs(store, jobs, options, around, Some(job.id))?;
    adding::tell(face, added.iter().map(OneJob::from))
}

/// Names the job whose description cannot be used.
pub fn with_remedy(id: JobId, why: &str) -> Error {
    Error::Invalid(format!("like job {id}: {why}"))
}
