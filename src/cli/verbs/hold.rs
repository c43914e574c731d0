//! `tenure hold` and `tenure release`: a person's hold on queued jobs.

use serde_json::json;

use crate::cli::each::{Report, Wordy, each};
use crate::cli::face::{Face, versioned};
use crate::cli::parse::pick::Many;
use crate::cli::worker_calls;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::store::control;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    #[command(flatten)]
    pub wordy: Wordy,
}

pub fn hold(face: &Face, args: &Args) -> Result<u8> {
    run(face, args, ("held", "is held; tenure release lets it go"), |conn, id, _| control::hold(conn, id))
}

pub fn release(face: &Face, args: &Args) -> Result<u8> {
    run(face, args, ("released", "is released"), control::release)
}

type Verb = fn(&rusqlite::Connection, JobId, i64) -> Result<()>;

fn run(face: &Face, args: &Args, (word, what): (&'static str, &str), verb: Verb) -> Result<u8> {
    let store = face.editor()?;
    let ids: Vec<JobId> = args.which.jobs(&store, &[State::Queued])?.iter().map(|job| job.id).collect();
    let now_ms = face.now_ms();
    let mut report = Report::new(face, ids.len(), args.wordy);
    each(
        &store,
        &ids,
        move |conn, id| verb(conn, id, now_ms),
        |id, result| match result {
            Ok(()) => {
                report.tell(word, || format!("job {id} {what}"), || versioned(json!({"id": id, "changed": word})).to_string())
            }
            Err(error @ (Error::Refused(_) | Error::NotFound(_))) => {
                report.refuse(&error);
                Ok(())
            }
            Err(error) => Err(error),
        },
    )?;
    worker_calls::wake(store.place());
    Ok(if report.end() { exit::REFUSED } else { exit::OK })
}
