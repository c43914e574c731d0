//! `tenure suspend` and `tenure resume`: stop and continue the whole process tree of running jobs.

use serde_json::json;

use crate::cli::face::{Face, versioned};
use crate::cli::parse::pick::Many;
use crate::cli::parse::values;
use crate::cli::report::{Report, Wordy};
use crate::error::{Error, Result, exit};
use crate::host::sight::{Process, Sight};
use crate::job::{JobId, State};
use crate::queue::Queue;
use crate::store::Store;

/// The word for a job of which nothing had to be asked.
const UNCHANGED: &str = "unchanged";

#[derive(Debug, clap::Args)]
pub struct SuspendArgs {
    #[command(flatten)]
    pub which: Many,
    /// Record why, for its history
    #[arg(long, value_name = "TEXT", value_parser = values::parse_label)]
    pub why: Option<String>,
    #[command(flatten)]
    pub wordy: Wordy,
}

#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    pub which: Many,
    #[command(flatten)]
    pub wordy: Wordy,
}

pub fn suspend(face: &Face, args: &SuspendArgs) -> Result<u8> {
    let store = face.editor()?;
    let queue = Queue::of(&store);
    let ids = running(&queue, &args.which)?;
    let later = who_does_it(&store)?;
    let mut report = Report::new(face, ids.len(), args.wordy);
    queue.suspend_each(&ids, args.why.clone(), |id, result| {
        let text = format!("is being suspended; tenure resume {id} continues it{later}");
        tell(&mut report, id, result, "suspending", &text, "was suspended already")
    })?;
    Ok(if report.end() { exit::REFUSED } else { exit::OK })
}

pub fn resume(face: &Face, args: &ResumeArgs) -> Result<u8> {
    let store = face.editor()?;
    let queue = Queue::of(&store);
    let ids = running(&queue, &args.which)?;
    let later = who_does_it(&store)?;
    let mut report = Report::new(face, ids.len(), args.wordy);
    queue.resume_each(&ids, |id, result| {
        tell(&mut report, id, result, "resuming", &format!("is being resumed{later}"), "is not suspended")
    })?;
    Ok(if report.end() { exit::REFUSED } else { exit::OK })
}

fn running(queue: &Queue, which: &Many) -> Result<Vec<JobId>> {
    Ok(which.jobs(queue, &[State::Running])?.iter().map(|job| job.id).collect())
}

/// What a person must know if it is not done at once.
fn who_does_it(store: &Store) -> Result<String> {
    Ok(match Sight::read(store.place())? {
        None => "; there is no worker: it is done when one starts (tenure work)".to_owned(),
        Some(sight) if matches!(sight.process, Process::Stopped | Process::Traced) => {
            let pid = sight.holder.pid;
            format!("; the worker (pid {pid}) is stopped: it is done when it continues (kill -CONT {pid})")
        }
        Some(_) => String::new(),
    })
}

fn tell(report: &mut Report<'_>, id: JobId, result: Result<bool>, change: &'static str, done: &str, before: &str) -> Result<()> {
    match result {
        Ok(changed) => {
            let (word, text) = if changed { (change, done) } else { (UNCHANGED, before) };
            report.tell(word, || format!("job {id} {text}"), || versioned(json!({"id": id, "changed": word})).to_string())
        }
        Err(error @ (Error::Refused(_) | Error::NotFound(_))) => {
            report.refuse(&error);
            Ok(())
        }
        Err(error) => Err(error),
    }
}
