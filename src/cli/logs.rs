//! `tenure logs`: the output of a job, as it was written.

use super::code;
use super::face::{self, Face};
use super::follow::Follower;
use super::output::{Output, trouble};
use super::pick::{self, Named};
use crate::error::{Error, Result, exit};
use crate::job::{RunId, RunKind};
use crate::run::output::tail;
use crate::store::rows::{Job, Run};
use crate::store::{Store, read};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Named,
    /// Go on until the job has ended
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// The output of this run (default: the latest of the job); `tenure show` lists them
    #[arg(long, value_name = "RUN", conflicts_with = "follow")]
    pub run: Option<i64>,
    /// Let control sequences through to a terminal
    #[arg(long)]
    pub raw: bool,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.reader()?;
    let jobs = pick::jobs(&store, &args.which.ids)?;
    if (args.follow || args.run.is_some()) && jobs.len() != 1 {
        return Err(Error::Usage("-f and --run go with one job".into()));
    }
    let several = jobs.len() > 1;
    for job in &jobs {
        if several {
            face::say(&format!("job {}:", job.id));
        }
        let runs = store.read(|conn| read::runs(conn, job.id))?;
        one(face, &store, job, &runs, args)?;
    }
    Ok(exit::OK)
}

fn one(face: &Face, store: &Store, job: &Job, runs: &[Run], args: &Args) -> Result<()> {
    let mut output = Output::new(args.raw);
    let run = which_run(job, runs, args)?;
    let offset = match run {
        Some(run) => tail(&store.place().log_file(run), args.lines, &mut |piece| output.piece(piece)).map_err(trouble)?,
        None => 0,
    };
    if !args.follow {
        if run.is_none() {
            face::say(&format!("job {} has not run yet; tenure why {} says what it waits for", job.id, job.id));
        }
        return output.finish();
    }
    let follower = Follower::new(store, job.id, output);
    let follower = match run {
        Some(run) => follower.at(run, offset),
        None => follower,
    };
    let ended = follower.until_ended(face)?;
    log::debug!("job {} has ended: {}", ended.id, code::of_job(&ended));
    Ok(())
}

fn which_run(job: &Job, runs: &[Run], args: &Args) -> Result<Option<RunId>> {
    match args.run.map(RunId) {
        Some(wanted) if runs.iter().any(|run| run.id == wanted) => Ok(Some(wanted)),
        Some(wanted) => Err(Error::NoSuch(format!("job {} has no run {wanted}; tenure show {} lists them", job.id, job.id))),
        None => Ok(runs.iter().filter(|run| run.kind == RunKind::Job).max_by_key(|run| run.id).map(|run| told_by(run, runs))),
    }
}

/// A run that never started has said nothing; what kept it from that may have.
fn told_by(latest: &Run, runs: &[Run]) -> RunId {
    let of_it = |run: &&Run| run.kind == RunKind::Prepare && run.parent == Some(latest.id) && latest.started_at.is_none();
    runs.iter().rfind(of_it).map_or(latest.id, |run| run.id)
}
