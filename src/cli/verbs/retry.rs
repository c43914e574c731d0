//! `tenure retry`: put ended jobs back into the queue. Their attempts start anew.

use std::collections::HashSet;

use serde_json::json;

use crate::cli::each::{Report, Wordy, each_with};
use crate::cli::face::{Face, versioned};
use crate::cli::parse::pick::Many;
use crate::cli::worker_calls;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::store::Store;
use crate::store::retry::{self, Back};

/// Most jobs that are named of those that go back with another one.
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
    let store = face.editor()?;
    let mut which = args.which.clone();
    if args.failed {
        which.state = vec![State::Failed];
    }
    if which.is_empty() {
        return Err(Error::Invalid("name the jobs: 7, 3-9, 1,4,8 or last; or --failed".into()));
    }
    let jobs = which.jobs(&store, &[State::Failed, State::Cancelled])?;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let (with_dependants, now_ms) = (args.with_dependants, face.now_ms());
    let verb = move |conn: &rusqlite::Connection, id| retry::retry_step(conn, id, with_dependants, now_ms);
    let mut report = Report::new(face, ids.len(), args.wordy);
    let mut back = HashSet::new();
    each_with(
        &store,
        &ids,
        verb,
        |done| done.back.len().max(1),
        |id, result| match result {
            Ok(done) if done.back.is_empty() && back.contains(&id) => Ok(()),
            Ok(done) if done.back.is_empty() => report.refuse_with(|| store.read(move |conn| retry::why_not(conn, id))),
            Ok(done) => {
                let queued = go_on(&store, done, now_ms)?;
                back.extend(queued.iter().copied());
                tell(&mut report, id, &queued)
            }
            // It went back with another one that it waits for.
            Err(Error::Refused(_)) if back.contains(&id) => Ok(()),
            // One that cannot go back does not keep the others from it.
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

/// Those below it, a transaction at a time.
fn go_on(store: &Store, mut done: Back, now_ms: i64) -> Result<Vec<JobId>> {
    while !done.parents.is_empty() {
        let parents = std::mem::take(&mut done.parents);
        let next = store.write(move |conn| retry::go_on(conn, parents.clone(), now_ms))?;
        done.back.extend(next.back);
        done.parents = next.parents;
    }
    Ok(done.back)
}

fn tell(report: &mut Report<'_>, id: JobId, back: &[JobId]) -> Result<()> {
    let text = || {
        let others: Vec<String> = back.iter().filter(|other| **other != id).map(ToString::to_string).collect();
        let with = match others.len() {
            0 => String::new(),
            n if n > OTHERS_NAMED_MAX => format!(", and with it {n} jobs that waited for it"),
            _ => format!(", and with it {}", others.join(", ")),
        };
        format!("job {id} is queued again{with}")
    };
    report.tell("queued again", text, || versioned(json!({"id": id, "queued": back})).to_string())
}
