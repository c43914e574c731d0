//! `tenure hold` and `tenure release`: a person's hold on queued jobs.

use serde_json::json;

use crate::cli::face::{Face, versioned};
use crate::cli::parse::pick::Many;
use crate::cli::report::{Report, Wordy};
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::Queue;

/// The word for a job that was held, or not held, before.
const UNCHANGED: &str = "unchanged";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    #[command(flatten)]
    pub wordy: Wordy,
}

pub fn hold(face: &Face, args: &Args) -> Result<u8> {
    run(face, args, true, Words { change: "held", done: "is held; tenure release ends that", before: "was held already" })
}

pub fn release(face: &Face, args: &Args) -> Result<u8> {
    run(
        face,
        args,
        false,
        Words { change: "released", done: "is released", before: "was not held (tenure why says what it waits for)" },
    )
}

/// What is printed about a job.
struct Words {
    change: &'static str,
    done: &'static str,
    before: &'static str,
}

fn run(face: &Face, args: &Args, held: bool, words: Words) -> Result<u8> {
    let queue = Queue::of(&face.editor()?);
    let ids: Vec<JobId> = args.which.jobs(&queue, &[State::Queued])?.iter().map(|job| job.id).collect();
    let mut report = Report::new(face, ids.len(), args.wordy);
    queue.hold_each(&ids, held, |id, result| match result {
        Ok(changed) => {
            let (word, text) = if changed { (words.change, words.done) } else { (UNCHANGED, words.before) };
            report.tell(word, || format!("job {id} {text}"), || versioned(json!({"id": id, "changed": word})).to_string())
        }
        Err(error @ (Error::Refused(_) | Error::NotFound(_))) => {
            report.refuse(&error);
            Ok(())
        }
        Err(error) => Err(error),
    })?;
    Ok(if report.end() { exit::REFUSED } else { exit::OK })
}
