//! `tenure cancel`: end jobs. Queued ones end at once, also with no worker; of running ones the whole tree is stopped.

use serde_json::json;

use super::each::each;
use super::face::{self, Face, versioned};
use super::pick::Many;
use super::{secrets, values, worker_calls};
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::store::Store;
use crate::store::control::{self, Cancelled};
use crate::store::rows::Job;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// Why, for its history
    #[arg(long, value_name = "TEXT", value_parser = values::parse_label)]
    pub why: Option<String>,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.editor()?;
    let jobs = args.which.jobs(&store, &[State::Queued, State::Running])?;
    // One that had ended before is refused; one that ends with another of them is not.
    let had_ended: Vec<&Job> = jobs.iter().filter(|job| job.state.is_terminal()).collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let (why, now_ms) = (args.why.clone(), face.now_ms());
    let verb = move |conn: &rusqlite::Connection, id| control::cancel(conn, id, why.as_deref(), now_ms);
    each(&store, &ids, verb, |id, result| {
        let cancelled = match result {
            // It may have been pruned since it was picked.
            Err(Error::NoSuch(_)) => Cancelled::AlreadyEnded,
            other => other?,
        };
        worker_calls::wake(store.place());
        tell(face, &store, id, cancelled)
    })?;
    Ok(if had_ended.is_empty() { exit::OK } else { exit::REFUSED })
}

/// Says what became of one job.
fn tell(face: &Face, store: &Store, id: JobId, cancelled: Cancelled) -> Result<()> {
    let (word, text) = match cancelled {
        Cancelled::Ended { freed } => {
            secrets::remove(store.place(), &freed);
            ("ended", format!("job {id} is cancelled"))
        }
        Cancelled::Asked { run } => {
            ("asked", format!("job {id} is being stopped (run {run}){}", worker_calls::ask_directly(store, id)?))
        }
        Cancelled::AlreadyEnded => ("already_ended", format!("job {id} has ended already")),
    };
    if face.json {
        return face::print(&format!("{}\n", versioned(json!({"id": id, "cancelled": word}))));
    }
    face::say(&text);
    Ok(())
}
