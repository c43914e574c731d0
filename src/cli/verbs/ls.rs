//! `tenure ls`: lists jobs, running ones first, newest last; live ones by default.

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick::Many;
use crate::cli::view::{json, table};
use crate::error::{Result, exit};
use crate::job::State;
use crate::queue::why::over as run_over;
use crate::queue::{JobInfo, Queue};

/// Most jobs that are listed unless `-n` says otherwise.
const SHOWN_DEFAULT: usize = 1_000;
const LIVE: [State; 2] = [State::Queued, State::Running];

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// List at most N jobs (default: 1000)
    ///
    /// Those are the running ones and the newest.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// List ended jobs too
    #[arg(short = 'a', long)]
    pub all: bool,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let limit = args.limit.map_or(SHOWN_DEFAULT, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let queue = face.queue()?;
    let (jobs, more) = find(&queue, args, limit)?;
    if face.json {
        face.document(json::list("jobs", jobs.iter().map(json::job)))?;
    } else if jobs.is_empty() && args.which.is_empty() {
        face::say(if args.all { "there are no jobs" } else { "there are no live jobs; -a lists ended ones" });
    } else if jobs.is_empty() {
        // An empty list is a valid answer.
        let states: &[State] = match args.which.state.as_slice() {
            [] if args.all => &State::ALL,
            [] => &LIVE,
            named => named,
        };
        face::say(&args.which.no_match(&queue, states)?.to_string());
    } else {
        face::print(&table::jobs(&jobs, &face.now(), face.colour, face.columns))?;
        if let Some(over) = run_over::among(&queue, &jobs)? {
            face::say(&format!("{over}: tenure work"));
        }
    }
    if more && args.limit.is_none() {
        face::say(&format!("these are the running jobs and the newest others, {limit} in all; -n lists more"));
    }
    Ok(exit::OK)
}

/// Returns the running jobs and the newest others, and whether there are more.
fn find(queue: &Queue, args: &Args, limit: usize) -> Result<(Vec<JobInfo>, bool)> {
    if args.which.ids.is_empty() {
        let is_every_state = args.all && args.which.state.is_empty();
        let states: &[State] = if is_every_state { &State::ALL } else { &args.which.state };
        return queue.listing(&args.which.filter(states.iter().copied()).limit(limit));
    }
    let mut jobs = args.which.newest_jobs(queue, &State::ALL)?;
    let more = jobs.len() > limit;
    // The end of the list is kept.
    jobs.sort_by_key(|job| (job.state == State::Running, job.id));
    jobs.drain(..jobs.len().saturating_sub(limit));
    jobs.sort_by_key(|job| (job.state != State::Running, job.id));
    Ok((jobs, more))
}
