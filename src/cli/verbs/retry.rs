//! `tenure retry`: return ended jobs to the queue, with new attempts.

use std::collections::HashSet;

use serde_json::json;

use crate::cli::face::{Face, versioned};
use crate::cli::parse::pick::Many;
use crate::cli::report::{Report, Wordy};
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::Queue;

/// Most names of jobs that are requeued together with another one.
const OTHERS_NAMED_MAX: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// Select every job that failed
    #[arg(long, conflicts_with_all = ["ids", "state"])]
    pub failed: bool,
    /// Retry the jobs too that ended because of it
    #[arg(long)]
    pub with_dependants: bool,
    #[command(flatten)]
    pub wordy: Wordy,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let queue = Queue::of(&face.editor()?);
    let mut which = args.which.clone();
    if args.failed {
        which.state = vec![State::Failed];
    }
    if which.is_empty() {
        return Err(Error::Invalid("name the jobs: 7, 3-9, 1,4,8, last, 12[3] or @label; or --failed".into()));
    }
    let jobs = which.jobs(&queue, &[State::Failed, State::Cancelled])?;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut report = Report::new(face, ids.len(), args.wordy);
    let mut back = HashSet::new();
    queue.retry_each(&ids, args.with_dependants, |id, result| match result {
        Ok(queued) if queued.is_empty() && back.contains(&id) => Ok(()),
        Ok(queued) if queued.is_empty() => report.refuse_with(|| queue.why_no_retry(id)),
        Ok(queued) => {
            back.extend(queued.iter().copied());
            let left = left_ended(&queue, &queued, &ids)?;
            tell(&mut report, id, &queued, &left)
        }
        // It was requeued together with another one that it waits for.
        Err(Error::Refused(_)) if back.contains(&id) => Ok(()),
        // A job that cannot be requeued does not affect the others.
        Err(error @ (Error::Refused(_) | Error::NotFound(_))) => {
            report.refuse(&error);
            Ok(())
        }
        Err(error) => Err(error),
    })?;
    Ok(if report.end() { exit::REFUSED } else { exit::OK })
}

/// Returns some of the jobs that ended because of these and are not queued. Those that are retried
/// too say themselves what becomes of them.
fn left_ended(queue: &Queue, queued: &[JobId], retried: &[JobId]) -> Result<Vec<JobId>> {
    let mut left = Vec::new();
    for id in queued.iter().take(OTHERS_NAMED_MAX) {
        left.extend(queue.dependants(*id, OTHERS_NAMED_MAX + 1)?);
    }
    left.sort_unstable();
    left.dedup();
    left.retain(|id| !retried.contains(id));
    Ok(left)
}

fn tell(report: &mut Report<'_>, id: JobId, back: &[JobId], left: &[JobId]) -> Result<()> {
    let text = || {
        let others: Vec<String> = back.iter().filter(|other| **other != id).map(ToString::to_string).collect();
        let with = match others.len() {
            0 => String::new(),
            n if n > OTHERS_NAMED_MAX => format!(", and with it {n} jobs that waited for it"),
            _ => format!(", and with it {}", others.join(", ")),
        };
        let without = match left {
            [] => String::new(),
            [first, ..] => {
                let names: Vec<String> = left.iter().take(OTHERS_NAMED_MAX).map(ToString::to_string).collect();
                let more = if left.len() > OTHERS_NAMED_MAX { ", ..." } else { "" };
                format!("; what ended because of it stays so: {}{more} (tenure why {first})", names.join(", "))
            }
        };
        format!("job {id} is queued again{with}{without}")
    };
    report.tell("queued again", text, || versioned(json!({"id": id, "queued": back})).to_string())
}
