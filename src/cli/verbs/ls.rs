//! `tenure ls`: lists jobs, running ones first, newest last; live ones by default.

use std::io::IsTerminal;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick::Many;
use crate::cli::parse::time::parse_since;
use crate::cli::view::columns::{Column, Reader, Separator};
use crate::cli::view::escape::quote_text;
use crate::cli::view::{columns, json, table};
use crate::clock::time_of;
use crate::error::{Error, Result, exit};
use crate::job::State;
use crate::queue::why::{over as run_over, paused, stopped};
use crate::queue::{JobInfo, Queue};

/// Most jobs that are listed unless `-n` says otherwise.
const SHOWN_DEFAULT: usize = 1_000;
const LIVE: [State; 2] = [State::Queued, State::Running];

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// List at most N jobs (default: 1000)
    ///
    /// Those are the running ones and the newest.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// List ended jobs too
    #[arg(short = 'a', long)]
    pub all: bool,
    /// List what changed since 12h ago, 03:00 or a day
    ///
    /// Jobs that ended since then, and live jobs that were started or added since then. 12h is 12
    /// hours ago, 03:00 the last such local time; also 2026-12-01, '2026-12-01 03:00' or RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Sort by this column
    ///
    /// Jobs without a value come first.
    #[arg(long, value_name = "COLUMN", hide_possible_values = true)]
    pub sort: Option<Column>,
    /// List these columns, in this order
    ///
    /// id, owner, state, reason, hold, priority, queue, lane, label, unique, since, created_at,
    /// available_at, started_at, finished_at, took, attempts, max_attempts, exit_code, signal,
    /// error, result, progress, run_id, pid, task, array_index, cwd or command, with commas between
    /// them.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', hide_possible_values = true)]
    pub columns: Vec<Column>,
    /// Print a table, csv, tsv or json
    ///
    /// In csv and tsv times are UTC and durations are milliseconds. csv quotes a value as RFC 4180
    /// does. In tsv a tab, a newline and a backslash of a value are \t, \n and \\, so that each job
    /// is one line.
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// Print the ids alone, one per line
    #[arg(id = "ids_only", long = "ids", conflicts_with_all = ["columns", "format"])]
    pub ids_only: bool,
}

/// How jobs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Tsv,
    Json,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let limit = args.limit.map_or(SHOWN_DEFAULT, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let since_ms = args.since.as_deref().map(|text| parse_since(text, &face.now())).transpose();
    let since_ms = since_ms.map_err(|why| Error::Invalid(format!("--since: {why}")))?;
    let format = format(face, args)?;
    let queue = face.queue()?;
    let (mut jobs, more) = find(&queue, args, since_ms, limit)?;
    if let Some(column) = args.sort {
        jobs.sort_by(|a, b| column.compare(a, b, face.now_ms()));
    }
    stopped::mark(&queue, &mut jobs)?;
    print(face, args, format, &queue, &jobs)?;
    if more && args.limit.is_none() {
        face::say(&format!("these are the running jobs and the newest others, {limit} in all; -n lists more"));
    }
    Ok(exit::OK)
}

/// Returns the format. `--json` is `--format json`.
fn format(face: &Face, args: &Args) -> Result<Format> {
    let format = match args.format {
        Some(format) if face.json && format != Format::Json => {
            return Err(Error::Invalid("--json and --format contradict each other; omit one".into()));
        }
        Some(format) => format,
        None if face.json => Format::Json,
        None => Format::Table,
    };
    let contradicts = |option| Err(Error::Invalid(format!("{option} does not go with JSON, which has all fields; omit one")));
    match format {
        Format::Json if !args.columns.is_empty() => contradicts("--columns"),
        Format::Json if args.ids_only => contradicts("--ids"),
        format => Ok(format),
    }
}

fn print(face: &Face, args: &Args, format: Format, queue: &Queue, jobs: &[JobInfo]) -> Result<()> {
    if args.ids_only {
        return face::print(&jobs.iter().map(|job| format!("{}\n", job.id)).collect::<String>());
    }
    // Bytes of a job reach a pipe as they are, and a terminal escaped.
    let reader = if std::io::stdout().is_terminal() { Reader::Terminal } else { Reader::Script };
    let separated = |by| face::write_bytes(columns::separated(jobs, &args.columns, face.now_ms(), by, reader).as_bytes());
    match format {
        Format::Json => face.document(json::list("jobs", jobs.iter().map(json::job))),
        Format::Csv => separated(Separator::Comma),
        Format::Tsv => separated(Separator::Tab),
        Format::Table => print_table(face, args, queue, jobs),
    }
}

fn print_table(face: &Face, args: &Args, queue: &Queue, jobs: &[JobInfo]) -> Result<()> {
    if jobs.is_empty() {
        return say_none(args, queue);
    }
    let text = match args.columns.as_slice() {
        [] => table::jobs(jobs, &face.now(), face.colour, face.columns),
        chosen => columns::chosen(jobs, chosen, &face.now(), face.columns),
    };
    face::print(&text)?;
    if let Some(over) = run_over::among(queue, jobs)? {
        face::say(&format!("{over}: tenure work"));
    }
    for one in paused::among(&queue.store, jobs)? {
        face::say(&format!("{}: {}", one.text, one.remedy.as_deref().unwrap_or_default()));
    }
    Ok(())
}

/// An empty list is a valid answer.
fn say_none(args: &Args, queue: &Queue) -> Result<()> {
    let lists_ended = args.all || args.since.is_some();
    if let Some(since) = &args.since {
        face::say(&format!("no job that matches has changed since {}", quote_text(since)));
    } else if args.which.is_empty() {
        face::say(if lists_ended { "there are no jobs" } else { "there are no live jobs; -a lists ended ones" });
    } else {
        let states: &[State] = match args.which.state.as_slice() {
            [] if lists_ended => &State::ALL,
            [] => &LIVE,
            named => named,
        };
        face::say(&args.which.no_match(queue, states)?.to_string());
    }
    Ok(())
}

/// Returns the running jobs and the newest others, and whether there are more.
fn find(queue: &Queue, args: &Args, since_ms: Option<i64>, limit: usize) -> Result<(Vec<JobInfo>, bool)> {
    let since = since_ms.map(time_of);
    if args.which.ids.is_empty() {
        let is_every_state = (args.all || since.is_some()) && args.which.state.is_empty();
        let states: &[State] = if is_every_state { &State::ALL } else { &args.which.state };
        let filter = args.which.filter(states.iter().copied()).limit(limit);
        return queue.listing(&since.map_or(filter.clone(), |since| filter.since(since)));
    }
    let mut jobs = args.which.newest_jobs(queue, &State::ALL)?;
    jobs.retain(|job| since.is_none_or(|since| columns::since(job) >= since));
    let more = jobs.len() > limit;
    // The end of the list is kept.
    jobs.sort_by_key(|job| (job.state == State::Running, job.id));
    jobs.drain(..jobs.len().saturating_sub(limit));
    jobs.sort_by_key(|job| (job.state != State::Running, job.id));
    Ok((jobs, more))
}
