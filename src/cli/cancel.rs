//! `tenure cancel`: end jobs. Queued ones end at once, also with no worker; of running ones the whole tree is stopped.

use serde_json::json;

use super::face::{self, Face, versioned};
use super::pick::Many;
use super::{values, worker_calls};
use crate::error::{Error, Result, exit};
use crate::job::State;
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
    let mut refused = false;
    for job in &jobs {
        refused |= !one(face, &store, job, args)?;
    }
    Ok(if refused { exit::REFUSED } else { exit::OK })
}

/// Cancels one job and says what became of it; false where it had ended already.
fn one(face: &Face, store: &Store, job: &Job, args: &Args) -> Result<bool> {
    let (id, why, now_ms) = (job.id, args.why.clone(), face.now_ms());
    let cancelled = match store.write(move |conn| control::cancel(conn, id, why.as_deref(), now_ms)) {
        // It may have been pruned since it was picked.
        Err(Error::NoSuch(_)) if args.which.is_filter() => Cancelled::AlreadyEnded,
        other => other?,
    };
    worker_calls::wake(store.place());
    let (word, text) = match cancelled {
        Cancelled::Ended { .. } => ("ended", format!("job {id} is cancelled")),
        Cancelled::Asked { run } => ("asked", format!("job {id} is being stopped (run {run}){}", directly(store, job)?)),
        Cancelled::AlreadyEnded => ("already_ended", format!("job {id} has ended already ({})", job.shown_state())),
    };
    if face.json {
        face::print(&format!("{}\n", versioned(json!({"id": id, "cancelled": word}))))?;
    } else {
        face::say(&text);
    }
    Ok(!matches!(cancelled, Cancelled::AlreadyEnded))
}

/// With no worker nobody would pass the wish on, so the shim is asked here.
fn directly(store: &Store, job: &Job) -> Result<String> {
    if worker_calls::look(store.place())?.is_some() {
        return Ok(String::new());
    }
    let asked = if worker_calls::ask_directly(store, job.id)? { "; it was asked to stop" } else { "" };
    Ok(format!("{asked}; there is no worker: its end is written down when there is one (tenure work)"))
}
