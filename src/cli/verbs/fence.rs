//! `tenure fence`: inside a job, runs a command only while this run still owns its job.
//!
//! The command belongs to the run from before the check: it carries the run's cookie, and it has
//! the run's log open. So either the file says that the run is over, and nothing happens, or
//! recovery finds the command before it declares the run over.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use crate::cli::face::Face;
use crate::cli::parse::options::Command;
use crate::cli::verbs::progress;
use crate::cli::view::code;
use crate::error::{Error, Result};
use crate::job::{Argv, JobId, Nonce, RunId};
use crate::run::launch::COOKIE;
use crate::run::{fence, foreground};
use crate::store::{Store, job::ids, job::settle};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub command: Command,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let argv = args.command.argv().map_err(Error::Invalid)?;
    let (job, run) = (JobId(progress::inside("TENURE_JOB")?), RunId(progress::inside("TENURE_RUN")?));
    let store = face.reader()?;
    let nonce = store.read(move |conn| ids::nonce_of(conn, run))?.ok_or_else(|| over(job, run))?;
    carry(nonce)?;
    // In this order: a run whose log lock is held is not over, and a run that is over admits no
    // command.
    let owned = |store: &Store| store.read(|conn| settle::owns(conn, job, run));
    let log = match fence::hold(store.place(), run) {
        Ok(log) => log,
        Err(_) if !owned(&store)? => return Err(over(job, run)),
        Err(error) => return Err(error),
    };
    if !owned(&store)? {
        return Err(over(job, run));
    }
    drop(store);
    let error = foreground::become_command(&argv, &[], Some(log.as_fd()));
    Ok(code::complain_of(&argv, &error))
}

fn over(job: JobId, run: RunId) -> Error {
    Error::Refused(format!("run {run} does not own job {job} any more; the command was not run"))
}

/// If the environment was cleared on the way here: executes once more, with the cookie in the
/// environment that the kernel shows.
fn carry(nonce: Nonce) -> Result<()> {
    if std::env::var(COOKIE).is_ok_and(|cookie| cookie == nonce.to_string()) {
        return Ok(());
    }
    let own = [OsString::from("/proc/self/exe")].into_iter().chain(std::env::args_os().skip(1));
    let argv = Argv::new(own.map(OsStringExt::into_vec).collect()).map_err(|e| Error::Internal(e.to_string()))?;
    let error = foreground::become_command(&argv, &[(COOKIE.to_owned(), nonce.to_string())], None);
    Err(Error::io("starting tenure again with the cookie of its run", error))
}
