//! `tenure hold` and `tenure release`: a person's hold on queued jobs.

use super::face::{self, Face};
use super::pick::Many;
use super::worker_calls;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::store::control;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
}

pub fn hold(face: &Face, args: &Args) -> Result<u8> {
    each(face, args, "is held; tenure release lets it go", |conn, id, _| control::hold(conn, id))
}

pub fn release(face: &Face, args: &Args) -> Result<u8> {
    each(face, args, "is released", control::release)
}

type Verb = fn(&rusqlite::Connection, JobId, i64) -> Result<()>;

fn each(face: &Face, args: &Args, what: &str, verb: Verb) -> Result<u8> {
    let store = face.editor()?;
    let mut code = exit::OK;
    for job in args.which.jobs(&store, &[State::Queued])? {
        let (id, now_ms) = (job.id, face.now_ms());
        match store.write(move |conn| verb(conn, id, now_ms)) {
            Ok(()) => face::say(&format!("job {id} {what}")),
            Err(error @ Error::Refused(_)) => {
                face::complain(&error.to_string());
                code = exit::REFUSED;
            }
            Err(error) => return Err(error),
        }
    }
    worker_calls::wake(store.place());
    Ok(code)
}
