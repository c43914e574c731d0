//! `tenure run`: add a job, show its output as it arrives, exit with its code.

use crate::cli::adding;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::options::{Command, JobOptions};
use crate::cli::view::output::Output;
use crate::cli::view::{code, table};
use crate::cli::warn::{nested, unread};
use crate::cli::watch::follow::{Outcome, follow};
use crate::error::{Error, Result};
use crate::host::lock::Holder;
use crate::job::{JobId, State};
use crate::queue::JobInfo;
use crate::queue::why::obstacles;
use crate::run::limits;
use crate::store::{Store, job::read};
use crate::worker::can_run;

/// It follows one job: `--array` is refused with a reason, and not shown.
#[derive(Debug, clap::Args)]
#[command(mut_arg("array", |arg| arg.hide(true)), mut_arg("stop_on_failure", |arg| arg.hide(true)))]
pub struct Args {
    #[command(flatten)]
    pub options: JobOptions,
    /// Fail with exit code 5 if no worker is running
    ///
    /// Without it, the job is run here.
    #[arg(long)]
    pub need_worker: bool,
    /// Pass control sequences to the terminal
    #[arg(long)]
    pub raw: bool,
    #[command(flatten)]
    pub command: Command,
}

pub fn run(face: &Face, args: Args) -> Result<u8> {
    if args.options.array.is_some() {
        return Err(Error::Invalid("run follows one job; use tenure add --array, then tenure wait".into()));
    }
    args.command.argv().map_err(Error::Invalid)?;
    let store = face.client()?;
    if args.need_worker {
        face::need_worker(store.place())?;
    } else if Holder::read(store.place())?.is_none() {
        // It will be the worker: a job that it could not run is not left behind.
        limits::check_for_worker(store.place())?;
        can_run()?;
    }
    let id = add_one(face, &store, &args)?;
    let mut input = unread::Input::new(id, args.options.stdin.is_some());
    input.check();
    let outcome = follow(face, &store, id, Output::new(args.raw))?;
    input.check();
    match outcome {
        Outcome::Detached(code) => Ok(code),
        Outcome::Ended(job) => {
            let job = JobInfo::of(*job);
            tell(&store, &job)?;
            Ok(code::of_job(&job))
        }
    }
}

fn add_one(face: &Face, store: &Store, args: &Args) -> Result<JobId> {
    let around = adding::surroundings(face, store, &args.options)?;
    let mut jobs = adding::prepare(&args.options, &args.command, &around)?;
    nested::enter(store, &mut jobs)?;
    // Without a worker it is one itself, with the environment of this command; missing files are
    // reported by the job's end.
    adding::warn(store, &jobs, &around, Holder::read(store.place())?.is_some());
    let added = adding::add_jobs(store, jobs, &args.options, &around, None)?;
    let added = added.into_iter().next().ok_or_else(|| Error::Internal("a job was added and none came back".into()))?;
    if added.existing {
        face::say(&format!("job {} is live and has this --unique key; following that one", added.id));
    }
    Ok(added.id)
}

/// Explains why it is not done, if its exit code alone does not, and names the processes that were
/// left behind and ended.
fn tell(store: &Store, job: &JobInfo) -> Result<()> {
    if job.state != State::Done && job.stored.reason != Some(crate::job::Reason::Exit) {
        let error = job.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
        face::say(&format!("job {} {}{error}", job.id, table::state(job)));
    }
    let runs = store.read(|conn| read::runs(conn, job.id))?;
    obstacles::all_left_behind(&runs).iter().for_each(|line| face::say(line));
    Ok(())
}
