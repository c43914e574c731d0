//! `tenure retry`: put ended jobs back into the queue. Their attempts start anew.

use serde_json::json;

use super::face::{self, Face, versioned};
use super::pick::Many;
use super::worker_calls;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::store::retry;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// Every job that failed
    #[arg(long, conflicts_with_all = ["ids", "state"])]
    pub failed: bool,
    /// Those too that ended because of it
    #[arg(long)]
    pub with_dependants: bool,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.editor()?;
    let mut which = args.which.clone();
    if args.failed {
        which.state = vec![State::Failed];
    }
    if which.is_empty() {
        return Err(Error::Usage("name the jobs: 7, 3-9, 1,4,8 or last; or --failed".into()));
    }
    let several = which.is_filter();
    let jobs = which.jobs(&store, &[State::Failed, State::Cancelled])?;
    let mut code = exit::OK;
    for job in jobs {
        let (id, with_dependants, now_ms) = (job.id, args.with_dependants, face.now_ms());
        match store.write(move |conn| retry::retry(conn, id, with_dependants, now_ms)) {
            Ok(back) => tell(face, id, &back)?,
            // One that can not go back does not keep the others from it.
            Err(error @ Error::Refused(_)) => {
                face::complain(&error.to_string());
                code = exit::REFUSED;
            }
            Err(Error::NoSuch(_)) if several => {}
            Err(error) => return Err(error),
        }
    }
    worker_calls::wake(store.place());
    Ok(code)
}

fn tell(face: &Face, id: JobId, back: &[JobId]) -> Result<()> {
    if face.json {
        return face::print(&format!("{}\n", versioned(json!({"id": id, "queued": back}))));
    }
    let others: Vec<String> = back.iter().filter(|other| **other != id).map(ToString::to_string).collect();
    let with = if others.is_empty() { String::new() } else { format!(", and with it {}", others.join(", ")) };
    face::say(&format!("job {id} is queued again{with}"));
    Ok(())
}
