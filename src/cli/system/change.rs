//! `tenure --system cancel`, `retry`, `hold`, `release` and `rm`

use serde_json::json;

use super::not_here;
use super::pick::{self, unexpected};
use crate::cli::face::{self, Face, versioned};
use crate::cli::parse::pick::{Many, Named};
use crate::cli::verbs::retry;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::people::{Ask, CHANGED_MAX, Came, Change, Reply, System};

const ENDED: [State; 3] = [State::Done, State::Failed, State::Cancelled];

pub fn retry(face: &Face, system: &System, args: &retry::Args) -> Result<u8> {
    if args.with_dependants {
        return not_here("--with-dependants");
    }
    let mut which = args.which.clone();
    if args.failed {
        which.state = vec![State::Failed];
    }
    run(face, system, Change::Retry, &which, None)
}

pub fn run(face: &Face, system: &System, verb: Change, which: &Many, why: Option<String>) -> Result<u8> {
    let states: &[State] = match verb {
        Change::Cancel => &[State::Queued, State::Running],
        Change::Retry => &[State::Failed, State::Cancelled],
        Change::Hold | Change::Release => &[State::Queued],
    };
    let mut code = exit::OK;
    for ids in pick::many(system, which, states)?.chunks(CHANGED_MAX) {
        let ask = Ask::Change { verb, ids: ids.to_vec(), why: why.clone() };
        let (Reply::Changed(done), _) = system.ask(&ask)? else { return Err(unexpected()) };
        for (id, came) in done {
            code = code.max(tell(face, verb, id, &came)?);
        }
    }
    Ok(code)
}

/// Reports one job; returns the exit code.
fn tell(face: &Face, verb: Change, id: JobId, came: &Came) -> Result<u8> {
    let (key, word, text) = match came {
        Came::Cancelled => ("cancelled", "ended", format!("job {id} is cancelled")),
        Came::Stopping => ("cancelled", "asked", format!("job {id} is being stopped")),
        Came::AlreadyEnded => ("cancelled", "already_ended", format!("job {id} has ended already")),
        Came::Queued => ("queued", "queued", format!("job {id} is queued again")),
        Came::Changed if verb == Change::Hold => {
            ("changed", "held", format!("job {id} is held; tenure --system release ends that"))
        }
        Came::Changed => ("changed", "released", format!("job {id} is released")),
        Came::Unchanged => ("changed", "unchanged", format!("job {id} was so already")),
        Came::Refused(kind, why) => {
            let error = kind.error(why.clone());
            face::complain(&error.to_string());
            return Ok(error.exit_code());
        }
    };
    if face.json {
        let value = if key == "queued" { json!([id]) } else { json!(word) };
        face.print_line(&versioned(json!({"id": id, key: value})))?;
    } else {
        face::say(&text);
    }
    Ok(if *came == Came::AlreadyEnded { exit::REFUSED } else { exit::OK })
}

pub fn remove(face: &Face, system: &System, which: &Named) -> Result<u8> {
    let ids: Vec<JobId> = pick::named(system, &which.ids, &ENDED)?.into_iter().map(|one| one.job.id).collect();
    let (mut all, mut logs, mut stay) = (0, 0, Vec::new());
    for ids in ids.chunks(CHANGED_MAX) {
        let (Reply::Removed { jobs, runs, kept }, _) = system.ask(&Ask::Remove { ids: ids.to_vec() })? else {
            return Err(unexpected());
        };
        (all, logs) = (all + jobs, logs + runs);
        stay.extend(kept);
    }
    if face.json {
        let kept: Vec<_> = stay.iter().map(|(id, why)| json!({"id": id, "reason": why})).collect();
        face.document(json!({"jobs": all, "runs": logs, "kept": kept}))?;
    } else if all > 0 {
        face::say(&format!("removed {all} jobs with {logs} logs"));
    }
    for (id, why) in &stay {
        face::complain(&Error::Refused(format!("job {id} stays ({why}); tenure --system why {id} says more")).to_string());
    }
    Ok(if stay.is_empty() { exit::OK } else { exit::REFUSED })
}
