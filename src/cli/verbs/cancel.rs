//! `tenure cancel`: end jobs. Queued jobs end immediately, also without a worker; the whole tree of
//! a running one is stopped.

use serde_json::json;

use crate::cli::face::{Face, versioned};
use crate::cli::parse::pick::Many;
use crate::cli::parse::values;
use crate::cli::report::{Report, Wordy};
use crate::cli::stop;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::Queue;
use crate::queue::why::over as run_over;
use crate::store::Store;
use crate::store::job::control::Cancelled;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// Record why, for its history
    #[arg(long, value_name = "TEXT", value_parser = values::parse_label)]
    pub why: Option<String>,
    #[command(flatten)]
    pub wordy: Wordy,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.editor()?;
    let queue = Queue::of(&store);
    let jobs = args.which.jobs(&queue, &[State::Queued, State::Running])?;
    // A job that had ended before is refused; one that ends with another of them is not.
    let had_ended = jobs.iter().any(|job| job.stored.state.is_terminal());
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut report = Report::new(face, ids.len(), args.wordy);
    queue.cancel_each(&ids, args.why.clone(), |id, result| {
        let cancelled = match result {
            // It may have been pruned since it was picked.
            Err(Error::NotFound(_)) => Cancelled::AlreadyEnded,
            other => other?,
        };
        tell(&mut report, &store, id, cancelled)
    })?;
    report.end();
    Ok(if had_ended { exit::REFUSED } else { exit::OK })
}

/// Reports the result for one job.
fn tell(report: &mut Report<'_>, store: &Store, id: JobId, cancelled: Cancelled) -> Result<()> {
    let (word, counted, text) = match cancelled {
        Cancelled::Ended { .. } => ("ended", "cancelled", format!("job {id} is cancelled")),
        Cancelled::Asked { run } => {
            if let Some(over) = run_over::of(store, id)? {
                let text = format!("there is nothing of job {id} left to stop: no worker is running, and {over} (tenure work)");
                return report.tell("over already", || text, || versioned(json!({"id": id, "cancelled": "asked"})).to_string());
            }
            let asked = stop::ask_directly(store, id)?;
            report.note(asked.clone());
            ("asked", "being stopped", format!("job {id} is being stopped (run {run}){asked}"))
        }
        Cancelled::AlreadyEnded => ("already_ended", "had ended already", format!("job {id} has ended already")),
    };
    report.tell(counted, || text, || versioned(json!({"id": id, "cancelled": word})).to_string())
}
