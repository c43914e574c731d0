//! `tenure logs`: the output of a job, as it was written.

use regex::bytes::Regex;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick::Many;
use crate::cli::parse::values;
use crate::cli::view::escape::quote_text;
use crate::cli::view::log_lines::{LogLines, Screen};
use crate::cli::view::output::Output;
use crate::cli::view::{code, table};
use crate::cli::watch::waits::{By, Waits};
use crate::error::{Error, Result, exit};
use crate::job::{RunId, RunKind, State};
use crate::queue::changes::Changes;
use crate::queue::follow::{Follower, Seen, trouble};
use crate::queue::{JobInfo, Queue};
use crate::run::output::tail;
use crate::store::job::rows::Run;
use crate::store::{Store, job::read};

/// Most jobs whose output is followed at once.
const FOLLOWED_MAX: usize = 100;
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// Follow the output until the job has ended
    ///
    /// Of several jobs, at most 100, until all have ended. With --queue, --state or --label: of the
    /// live jobs that match now.
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Print only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Print only the lines that match a regular expression
    ///
    /// Of the last N lines with -n. Of a line of more than 256 KiB the beginning is searched. If no
    /// line matches, it ends with 1.
    #[arg(long, value_name = "REGEX", value_parser = parse_pattern)]
    pub grep: Option<Regex>,
    /// Print the output of this run (default: the latest)
    ///
    /// `tenure show` lists the runs.
    #[arg(long, value_name = "RUN", conflicts_with = "follow")]
    pub run: Option<i64>,
    /// Pass control sequences to the terminal
    #[arg(long)]
    pub raw: bool,
}

fn parse_pattern(text: &str) -> Result<Regex, String> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(format!("it has {} bytes; the limit is {PATTERN_BYTES_MAX}", text.len()));
    }
    Regex::new(text).map_err(|error| {
        // Its first lines repeat the pattern and point into it.
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("{:?} is not a regular expression: {why}", values::shorten(text))
    })
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let queue = face.queue()?;
    let jobs = meant(&queue, args)?;
    if args.run.is_some() && jobs.len() != 1 {
        return Err(Error::Invalid("--run goes with one job".into()));
    }
    if args.follow && jobs.len() > FOLLOWED_MAX {
        let many = jobs.len();
        return Err(Error::Invalid(format!(
            "-f follows at most {FOLLOWED_MAX} jobs, and these are {many}; name fewer, or omit -f"
        )));
    }
    let is_all_there = match jobs.as_slice() {
        [job] if args.grep.is_none() => one(face, &queue.store, job, args)?,
        jobs => return lines_of(face, &queue.store, jobs, args),
    };
    Ok(if is_all_there { exit::OK } else { exit::FAILED })
}

/// A job that is named is meant in any state; a filter means those that can still write, if they
/// are followed.
fn meant(queue: &Queue, args: &Args) -> Result<Vec<JobInfo>> {
    match args.follow {
        true => args.which.jobs(queue, &[State::Queued, State::Running]),
        false => args.which.jobs_to_wait_for(queue),
    }
}

/// Prints the output of jobs line by line.
fn lines_of(face: &Face, store: &Store, jobs: &[JobInfo], args: &Args) -> Result<u8> {
    let mut screen = Screen::new(args.raw);
    let (mut is_all_there, mut matched) = (true, 0);
    let mut followed = Vec::new();
    for job in jobs {
        let mut lines = LogLines::new(job.id, jobs.len() > 1, args.grep.clone());
        let runs = store.read(|conn| read::runs(conn, job.id))?;
        let run = which_run(job, &runs, args)?;
        let offset = match run {
            Some(run) => tail(&store.place().log_file(run.id), args.lines, &mut |piece| lines.piece(piece, &mut screen)),
            None => Ok(0),
        };
        let offset = offset.map_err(trouble)?;
        if args.follow {
            let follower = Follower::new(store, job.id);
            let follower = match run {
                Some(run) => follower.at(run.id, offset),
                None => follower,
            };
            followed.push((follower, lines));
        } else {
            lines.end(&mut screen).and_then(|()| screen.flush()).map_err(trouble)?;
            matched += lines.matched;
            is_all_there &= tell(store, job, run);
        }
    }
    if args.follow {
        (is_all_there, matched) = follow_all(face, store, followed, args, &mut screen)?;
    }
    screen.finish().map_err(trouble)?;
    if let (0, Some(pattern)) = (matched, &args.grep) {
        face::say(&format!("no line matches {}", quote_text(pattern.as_str())));
        return Ok(exit::FAILED);
    }
    Ok(if is_all_there { exit::OK } else { exit::FAILED })
}

/// Follows until all jobs have ended. Returns whether every log was there, and how many lines were
/// printed.
fn follow_all(
    face: &Face,
    store: &Store,
    mut live: Vec<(Follower, LogLines)>,
    args: &Args,
    screen: &mut Screen,
) -> Result<(bool, u64)> {
    let (mut is_all_there, mut matched, mut changes) = (true, 0, Changes::default());
    let mut waits = live.first().map(|(first, _)| Waits::of(first.job(), By::Watcher));
    while !live.is_empty() {
        let is_changed = changes.poll(store)?;
        let (mut has_moved, mut still) = (is_changed, Vec::new());
        for (mut follower, mut lines) in std::mem::take(&mut live) {
            match follower.look(is_changed, &mut |piece| lines.piece(piece, screen))? {
                Seen::Live { moved } => {
                    has_moved |= moved;
                    still.push((follower, lines));
                }
                Seen::Ended(job) => {
                    lines.end(screen).map_err(trouble)?;
                    matched += lines.matched;
                    let job = JobInfo::of(*job);
                    let runs = store.read(|conn| read::runs(conn, job.id))?;
                    is_all_there &= tell(store, &job, which_run(&job, &runs, args)?);
                }
            }
        }
        live = still;
        screen.flush().map_err(trouble)?;
        if let (Some((first, _)), Some(waits)) = (live.first(), &mut waits) {
            waits.poll_job(first.job(), face, store)?;
            if has_moved {
                changes.stir();
            }
            changes.rest(None);
        }
    }
    store.flush_now()?;
    Ok((is_all_there, matched))
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
pub(super) fn tell(store: &Store, job: &JobInfo, run: Option<&Run>) -> bool {
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
    let Some(wanted) = args.run.map(RunId) else { return Ok(latest(runs)) };
    let found = runs.iter().find(|run| run.id == wanted);
    let none = || Error::NotFound(format!("job {} has no run {wanted}; tenure show {0} lists them", job.id));
    found.map(Some).ok_or_else(none)
}

/// Returns the run whose output is that of the job.
pub(super) fn latest(runs: &[Run]) -> Option<&Run> {
    let latest = runs.iter().filter(|run| run.kind == RunKind::Job).max_by_key(|run| run.id);
    latest.map(|run| told_by(run, runs))
}

/// A run that never started has no output; the auxiliary run that prevented its start may have.
fn told_by<'a>(latest: &'a Run, runs: &'a [Run]) -> &'a Run {
    let of_it = |run: &&Run| run.kind == RunKind::Prepare && run.parent == Some(latest.id) && latest.started_at.is_none();
    runs.iter().rfind(of_it).unwrap_or(latest)
}
