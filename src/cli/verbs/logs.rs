//! `tenure logs`: the output of a job, as it was written.

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick;
use crate::cli::parse::pick::Named;
use crate::cli::view::output::Output;
use crate::cli::view::{code, table};
use crate::cli::watch::waits::{By, Waits};
use crate::error::{Error, Result, exit};
use crate::job::{RunId, RunKind};
use crate::queue::JobInfo;
use crate::queue::follow::{Follower, Seen, trouble};
use crate::run::output::tail;
use crate::store::job::rows::Run;
use crate::store::{Store, job::read};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Named,
    /// Follow the output until the job has ended
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Print only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Print the output of this run (default: the latest)
    ///
    /// `tenure show` lists the runs.
    #[arg(long, value_name = "RUN", conflicts_with = "follow")]
    pub run: Option<i64>,
    /// Pass control sequences to the terminal
    #[arg(long)]
    pub raw: bool,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let queue = face.queue()?;
    let jobs = pick::jobs(&queue, &args.which.ids)?;
    if (args.follow || args.run.is_some()) && jobs.len() != 1 {
        return Err(Error::Invalid("-f and --run go with one job".into()));
    }
    let several = jobs.len() > 1;
    let mut all_there = true;
    for job in &jobs {
        if several {
            face::say(&format!("job {}:", job.id));
        }
        all_there &= one(face, &queue.store, job, args)?;
    }
    Ok(if all_there { exit::OK } else { exit::FAILED })
}

/// Returns false if a log that was written is missing.
fn one(face: &Face, store: &Store, job: &JobInfo, args: &Args) -> Result<bool> {
    let mut output = Output::new(args.raw);
    let runs = store.read(|conn| read::runs(conn, job.id))?;
    let run = which_run(job, &runs, args)?;
    let offset = match run {
        Some(run) => tail(&store.place().log_file(run.id), args.lines, &mut |piece| output.piece(piece)).map_err(trouble)?,
        None => 0,
    };
    if !args.follow {
        output.finish()?;
        return Ok(tell(store, job, run));
    }
    let follower = Follower::new(store, job.id);
    let follower = match run {
        Some(run) => follower.at(run.id, offset),
        None => follower,
    };
    let ended = follow(face, store, follower, &mut output)?;
    output.finish()?;
    log::debug!("job {} has ended: {}", ended.id, code::of_job(&ended));
    let runs = store.read(|conn| read::runs(conn, job.id))?;
    Ok(tell(store, &ended, which_run(&ended, &runs, args)?))
}

/// Follows until the job has ended, and says what it waits for.
fn follow(face: &Face, store: &Store, mut follower: Follower, output: &mut Output) -> Result<JobInfo> {
    let mut waits = Waits::of(follower.job(), By::Watcher);
    loop {
        match follower.round(&mut |piece| output.piece(piece))? {
            Seen::Ended(job) => {
                store.flush_now()?;
                return Ok(JobInfo::of(*job));
            }
            Seen::Live { .. } => waits.poll(face, store)?,
        }
        follower.rest();
    }
}

/// Explains why there is no output, unless nothing was written. Returns false if a log that was
/// written is missing.
fn tell(store: &Store, job: &JobInfo, run: Option<&Run>) -> bool {
    let because = |error: Option<&String>| error.map(|error| format!(": {error}")).unwrap_or_default();
    let Some(run) = run else {
        match job.has_ended() {
            true => face::say(&format!("job {} never ran; it is {}{}", job.id, table::state(job), because(job.error.as_ref()))),
            false => face::say(&format!("job {0} has not run yet; tenure why {0} says what it waits for", job.id)),
        }
        return true;
    };
    if run.started_at.is_none() {
        if run.finished_at.is_some() {
            face::say(&format!("run {} of job {} did not start{}", run.id, job.id, because(run.error.as_ref())));
        }
        return true;
    }
    let path = store.place().log_file(run.id);
    // A user without the permission gets that error when it is read.
    if std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        let (path, id) = (path.display(), job.id);
        face::complain(&format!(
            "the log of run {} of job {id} is gone: {path} was deleted, or not copied with the file; tenure show {id} says how it ended",
            run.id
        ));
        return false;
    }
    true
}

fn which_run<'a>(job: &JobInfo, runs: &'a [Run], args: &Args) -> Result<Option<&'a Run>> {
    let Some(wanted) = args.run.map(RunId) else {
        let latest = runs.iter().filter(|run| run.kind == RunKind::Job).max_by_key(|run| run.id);
        return Ok(latest.map(|run| told_by(run, runs)));
    };
    let found = runs.iter().find(|run| run.id == wanted);
    let none = || Error::NotFound(format!("job {} has no run {wanted}; tenure show {0} lists them", job.id));
    found.map(Some).ok_or_else(none)
}

/// A run that never started has no output; the auxiliary run that prevented its start may have.
fn told_by<'a>(latest: &'a Run, runs: &'a [Run]) -> &'a Run {
    let of_it = |run: &&Run| run.kind == RunKind::Prepare && run.parent == Some(latest.id) && latest.started_at.is_none();
    runs.iter().rfind(of_it).unwrap_or(latest)
}
