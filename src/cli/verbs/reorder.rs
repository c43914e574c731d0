//! `tenure move`: a place in the queue for queued jobs.

use std::collections::HashSet;

use serde_json::json;

use crate::cli::face;
use crate::cli::face::{Face, versioned};
use crate::cli::parse::pick::{self, Named};
use crate::cli::parse::select::Selector;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::Queue;
use crate::store::job::reorder::Position;

/// Most jobs that one command moves.
const MOVED_MAX: usize = 1_000;
/// Most jobs that are reported one by one.
const LINES_MAX: usize = 10;

#[derive(Debug, clap::Args)]
#[group(id = "position", required = true, multiple = false, args = ["first", "before", "after"])]
pub struct Args {
    #[command(flatten)]
    pub which: Named,
    /// Before all ready jobs of its queue
    #[arg(long)]
    pub first: bool,
    /// Before this job, with its priority
    #[arg(long, value_name = "ID")]
    pub before: Option<Selector>,
    /// After this job, with its priority
    #[arg(long, value_name = "ID")]
    pub after: Option<Selector>,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let queue = Queue::of(&face.editor()?);
    let ids = in_order(&queue, &args.which)?;
    if ids.len() > MOVED_MAX {
        return Err(Error::Invalid(format!(
            "these are {} jobs, and one command moves at most {MOVED_MAX}; name fewer",
            ids.len()
        )));
    }
    let (to, place) = match (&args.before, &args.after) {
        (Some(other), _) => {
            let other = one(&queue, other)?;
            (Position::Before(other), format!("before job {other}"))
        }
        (None, Some(other)) => {
            let other = one(&queue, other)?;
            (Position::After(other), format!("after job {other}"))
        }
        (None, None) => (Position::First, "to the front of its queue".to_owned()),
    };
    let moved = queue.reorder(&ids, to)?;
    for (n, (id, moved)) in ids.iter().zip(&moved).enumerate() {
        let now = if moved.priority == moved.was {
            String::new()
        } else {
            format!(", with priority {} (was {})", moved.priority, moved.was)
        };
        if face.json {
            face.print_line(&versioned(json!({"id": id, "priority": moved.priority, "was": moved.was})))?;
        } else if n < LINES_MAX {
            face::say(&format!("job {id} is moved {place}{now}"));
        } else if n == LINES_MAX {
            face::say(&format!("and {} more", ids.len() - LINES_MAX));
        }
    }
    Ok(exit::OK)
}

/// Returns the jobs in the order in which they are named, each once.
fn in_order(queue: &Queue, which: &Named) -> Result<Vec<JobId>> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    for part in which.ids.iter().flat_map(|selector| &selector.0) {
        let jobs = pick::jobs_in(queue, &[Selector(vec![part.clone()])], &[State::Queued])?;
        ids.extend(jobs.iter().map(|job| job.id).filter(|id| seen.insert(*id)));
    }
    Ok(ids)
}

fn one(queue: &Queue, selector: &Selector) -> Result<JobId> {
    match pick::jobs_in(queue, std::slice::from_ref(selector), &[State::Queued])?.as_slice() {
        [one] => Ok(one.id),
        several => Err(Error::Invalid(format!("--before and --after take one job, and these are {}; name one", several.len()))),
    }
}
