//! `tenure hold` and `tenure release`: a person's hold on queued jobs.

use super::each::each;
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
    run(face, args, "is held; tenure release lets it go", |conn, id, _| control::hold(conn, id))
}

pub fn release(face: &Face, args: &Args) -> Result<u8> {
    run(face, args, "is released", control::release)
}

type Verb = fn(&rusqlite::Connection, JobId, i64) -> Result<()>;

fn run(face: &Face, args: &Args, what: &str, verb: Verb) -> Result<u8> {
    let store = face.editor()?;
    let ids: Vec<JobId> = args.which.jobs(&store, &[State::Queued])?.iter().map(|job| job.id).collect();
    let now_ms = face.now_ms();
    let mut code = exit::OK;
    each(
        &store,
        &ids,
        move |conn, id| verb(conn, id, now_ms),
        |id, result| match result {
            Ok(()) => {
                face::say(&format!("job {id} {what}"));
                Ok(())
            }
            Err(error @ (Error::Refused(_) | Error::NoSuch(_))) => {
                face::complain(&error.to_string());
                code = exit::REFUSED;
                Ok(())
            }
            Err(error) => Err(error),
        },
    )?;
    worker_calls::wake(store.place());
    Ok(code)
}
