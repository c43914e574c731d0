//! `tenure --system ls`

use serde_json::Value;

use super::{not_here, pick};
use crate::cli::face::{self, Face};
use crate::cli::parse::time::parse_since;
use crate::cli::verbs::ls::Args;
use crate::cli::view::{json, table};
use crate::error::{Error, Result, exit};
use crate::job::State;
use crate::queue::JobInfo;
use crate::queue::people::{LISTED_MAX, System, Which};

pub fn run(face: &Face, system: &System, args: &Args) -> Result<u8> {
    if args.sort.is_some() || !args.columns.is_empty() || args.format.is_some() {
        return not_here("--sort, --columns or --format");
    }
    let since_ms = args.since.as_deref().map(|text| parse_since(text, &face.now())).transpose();
    let since_ms = since_ms.map_err(|why| Error::Invalid(format!("--since: {why}")))?;
    let limit = args.limit.map_or(LISTED_MAX, |most| usize::try_from(most).unwrap_or(LISTED_MAX)).min(LISTED_MAX);
    let which = &args.which;
    let (shown, more) = if which.ids.is_empty() {
        let all = (args.all || since_ms.is_some()) && which.state.is_empty();
        let (queue, label, states) = (which.queue.clone(), which.label.clone(), which.state.clone());
        pick::jobs(system, Which { queue, label, states, all, since_ms, limit, ..Which::default() })?
    } else if which.is_filter() || since_ms.is_some() {
        return not_here("a number together with --queue, --state, --label or --since");
    } else {
        (pick::named(system, &which.ids, &State::ALL)?, false)
    };
    if args.ids_only {
        face::print(&shown.iter().map(|one| format!("{}\n", one.job.id)).collect::<String>())?;
    } else if face.json {
        face.document(json::list("jobs", shown.iter().map(document)))?;
    } else if shown.is_empty() {
        face::say(if args.all { "no job matches" } else { "no live job matches; -a lists ended ones" });
    } else {
        let jobs: Vec<JobInfo> = shown.into_iter().map(|one| one.job).map(without_command).collect();
        face::print(&table::jobs(&jobs, &face.now(), face.colour, face.columns))?;
    }
    if more && args.limit.is_none() {
        face::say(&format!("these are the running jobs and the newest others, {limit} in all"));
    }
    Ok(exit::OK)
}

fn document(shown: &pick::Shown) -> Value {
    if shown.is_whole { json::job(&shown.job) } else { json::outline(&shown.job) }
}

/// The command of another user's job is not known.
fn without_command(mut job: JobInfo) -> JobInfo {
    if job.command.is_empty() && job.stored.command == "null" {
        job.stored.command.clear();
    }
    job
}
