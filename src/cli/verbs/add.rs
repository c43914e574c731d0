//! `tenure add`: queue a job; prints its id alone. `add --from`: many jobs, all or nothing.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;
use rusqlite::Connection;

use crate::cli::adding::{add_jobs, keep_secrets, prepare, surroundings, surroundings_without, tell, warn};
use crate::cli::copying::add_like;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::job_options::MANY;
use crate::cli::parse::lines::{Asked, Lines};
use crate::cli::parse::options::{Command, JobOptions, Surroundings};
use crate::cli::parse::select::Selector;
use crate::cli::parse::values;
use crate::cli::refs::{Ids, Known, Refs};
use crate::cli::warn::long_log::LongLog;
use crate::cli::warn::new_queues::Queues;
use crate::cli::warn::path_warning::{ShellBy, Warnings};
use crate::clock;
use crate::error::{self, Error, Result, exit};
use crate::host::handover::{Outcome, Sent};
use crate::host::lock::Holder;
use crate::job::limits::ADD_BATCH_MAX;
use crate::job::{JobId, Need, NewJob};
use crate::place::Place;
use crate::queue::Queue;
use crate::queue::once;
use crate::store::Store;
use crate::store::job::enqueue::{self, Added, BLOCK, needs_only_a_row};
use crate::store::receipt::{Answer, Key, OneJob};
use crate::units::size_text;

/// Most bytes of lines in one transaction; an array counts each of its jobs.
const CHUNK_BYTES_MAX: usize = 256 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub options: JobOptions,
    /// Add a job for each line of FILE, a JSON object
    ///
    /// The other options are defaults. FILE - is standard input.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["shell", "command"], help_heading = MANY)]
    pub from: Option<OsString>,
    /// With --from: commit after each N lines
    ///
    /// Without it, all lines are added in one transaction or none is. 10000, the most, is fastest.
    #[arg(long, value_name = "N", value_parser = parse_chunk, help_heading = MANY)]
    pub chunk: Option<usize>,
    /// Take the command and all options from this job
    ///
    /// Other options and another command replace what they name. Not taken: when it starts, what it
    /// waits for, a hold, secrets.
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    pub like: Option<Selector>,
    /// Fail with exit code 5 if no worker is running
    #[arg(long)]
    pub need_worker: bool,
    #[command(flatten)]
    pub command: Command,
}

fn parse_chunk(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=ADD_BATCH_MAX).contains(&n) => Ok(n),
        _ => Err(format!("{:?} is not a number from 1 to {ADD_BATCH_MAX}", values::shorten(text))),
    }
}

pub fn run(face: &Face, args: Args) -> Result<u8> {
    if args.chunk.is_some() && args.from.is_none() {
        return Err(Error::Invalid("--chunk needs --from FILE".into()));
    }
    if args.from.is_none() && (args.like.is_none() || !args.command.is_empty()) {
        // Before the file is created: a mistyped command leaves nothing behind.
        args.command.argv().map_err(Error::Invalid)?;
    }
    if let Some(done) = by_worker(face, &args) {
        return done;
    }
    let store = face.client()?;
    if args.need_worker {
        face::need_worker(store.place())?;
    }
    let around = surroundings(face, &store, &args.options)?;
    match (&args.from, &args.like) {
        (Some(file), _) => add_lines(face, &store, &args, file, &around)?,
        (None, Some(like)) => add_like(face, &store, like, &args.options, &args.command, &around)?,
        (None, None) => {
            let jobs = prepare(&args.options, &args.command, &around)?;
            warn(&store, &jobs, &around, true);
            let added = add_jobs(&store, jobs, &args.options, &around, None)?;
            tell(face, added.iter().map(OneJob::from))?;
        }
    }
    say_if_nothing_starts(&store)?;
    Ok(exit::OK)
}

/// Tells a person that a queued job waits for a worker: other queues start one themselves.
fn say_if_nothing_starts(store: &Store) -> Result<()> {
    if std::io::stderr().is_terminal() && Holder::read(store.place())?.is_none() {
        face::say("no worker is running; it starts when one does: tenure work");
    }
    Ok(())
}

/// Has the running worker add the jobs. `None`: nothing was added, no worker will add it, and
/// nothing was printed.
fn by_worker(face: &Face, args: &Args) -> Option<Result<u8>> {
    if !face.settings.handover.value || args.from.is_some() || args.like.is_some() || !args.options.can_be_handed_over() {
        return None;
    }
    // What is wrong with them is reported after the file was opened.
    let now = if args.options.names_time_of_day() { face.now() } else { clock::utc(face.now_ms()) };
    let around = surroundings_without(now).ok()?;
    let jobs = prepare(&args.options, &args.command, &around).ok()?;
    let job = jobs.first()?;
    let place = Place::new(std::path::absolute(&face.settings.db.value).ok()?);
    let sent = Sent::send(&place, &jobs)?;
    let warnings = Warnings::kept(&place, &around, job);
    let done = match sent.outcome() {
        Outcome::NotTaken => return None,
        Outcome::Added(answer) => Ok(answer),
        Outcome::Refused(refusal, similar) => Err((refusal, Queues::Told(similar))),
        Outcome::Lost(key) => match add_once(face, key, &jobs) {
            Ok((_, Ok(answer))) => Ok(answer),
            Ok((store, Err(refusal))) => Err((refusal, Queues::In(store))),
            Err(error) => return Some(Err(error)),
        },
    };
    Some(match done {
        Ok(answer) => {
            warnings.say(&Queues::Told(answer.similar_queue), job);
            tell(face, answer.jobs.into_iter()).map(|()| exit::OK)
        }
        Err((refusal, queues)) => {
            warnings.say(&queues, job);
            Err(refusal)
        }
    })
}

/// Adds the jobs that the worker may have added, unless it has; or refuses them.
fn add_once(face: &Face, key: Key, jobs: &[NewJob]) -> Result<(Store, Result<Answer>)> {
    let store = face.client().map_err(once::may_be_added)?;
    let added = Queue::of(&store).adding().commit_once(key, jobs.to_vec())?;
    Ok((store, added))
}

fn add_lines(face: &Face, store: &Store, args: &Args, file: &OsString, around: &Surroundings) -> Result<()> {
    if args.options.stdin.as_deref().is_some_and(|stdin| stdin == "-") {
        return Err(Error::Invalid("--stdin - and --from: give each line a file with \"stdin\" instead".into()));
    }
    let reader = open(file)?;
    let mut lines = Lines::new(reader, &args.options, around);
    let bar = progress_bar();
    let refs = Arc::new(Mutex::new(Refs::new()));
    let mut warnings = Warnings::new(store, around, ShellBy::Key);
    let mut log = LongLog::default();
    let mut done = 0;
    loop {
        let asked = read_chunk(&mut lines, args.chunk).map_err(|e| Error::Invalid(after_chunks(&e, done)))?;
        if asked.is_empty() {
            break;
        }
        let count = asked.len();
        for line in &asked {
            line.jobs
                .iter()
                .take(1)
                .for_each(|job| warnings.check_after(&format!("line {}: ", line.line), job, !line.after.is_empty()));
        }
        let added = add_chunk(store, asked, &refs, around).map_err(|error| match error {
            // The first chunk may have been added: that nothing was is not known.
            Error::Unconfirmed(_) if done == 0 => error,
            error => reworded(error, |text| after_chunks(text, done)),
        })?;
        done += count;
        bar.set_position(done as u64);
        tell(face, added.iter().map(OneJob::from))?;
        if args.chunk.is_none() {
            break;
        }
        log.check(store);
    }
    bar.finish_and_clear();
    warnings.end();
    if done == 0 {
        face::say("there was no job in it");
    }
    Ok(())
}

/// Explains that the lines above it in the file were added, or none were.
fn after_chunks(error: &str, done: usize) -> String {
    if done == 0 {
        format!("{error}; nothing was added")
    } else {
        format!("{error}; the {done} lines before this chunk are added")
    }
}

fn open(file: &OsString) -> Result<Box<dyn BufRead>> {
    if file == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let opened =
        File::open(file).map_err(|e| Error::Invalid(format!("--from {}: {}", file.to_string_lossy(), error::words(&e))))?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, opened)))
}

fn progress_bar() -> ProgressBar {
    if std::io::stderr().is_terminal() && !std::io::stdout().is_terminal() {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    }
}

/// Reads up to one transaction's worth of lines. Only one such chunk is in memory, however long the
/// file is.
fn read_chunk<R: BufRead>(lines: &mut Lines<'_, R>, chunk: Option<usize>) -> Result<Vec<Asked>, String> {
    let mut asked: Vec<Asked> = Vec::new();
    let (mut jobs, mut bytes) = (0, 0);
    while asked.len() < chunk.unwrap_or(usize::MAX) && (chunk.is_none() || bytes < CHUNK_BYTES_MAX) {
        let Some(line) = lines.next_line()? else { break };
        jobs += line.jobs.len();
        bytes += lines.bytes().saturating_mul(line.jobs.len());
        let too_much = if jobs > ADD_BATCH_MAX {
            format!("{ADD_BATCH_MAX} jobs")
        } else if bytes > CHUNK_BYTES_MAX && chunk.is_none() {
            size_text(CHUNK_BYTES_MAX as u64)
        } else {
            asked.push(line);
            continue;
        };
        return Err(format!(
            "line {}: more than {too_much} in one transaction; add --chunk 1000 (then not all or nothing), or split the file",
            line.line
        ));
    }
    Ok(asked)
}

fn add_chunk(store: &Store, mut asked: Vec<Asked>, refs: &Arc<Mutex<Refs>>, around: &Surroundings) -> Result<Vec<Added>> {
    let queue = Queue::of(store);
    let mut adding = queue.adding();
    for line in asked.iter_mut().filter(|line| !line.secrets.is_empty()) {
        keep_secrets(&mut adding, &mut line.jobs, &line.secrets, around)
            .map_err(|error| reworded(error, |text| format!("line {}: {text}", line.line)))?;
    }
    let known = Arc::clone(refs);
    // It may run more than once: its results are kept separate until they are durable.
    let (added, learned) = adding.commit(move |conn, now_ms| {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refs = Known { before: &known, here: Refs::new() };
        let added = insert_lines(conn, &asked, &mut refs, now_ms)?;
        Ok((added, refs.here))
    })?;
    refs.lock().unwrap_or_else(PoisonError::into_inner).extend(learned);
    Ok(added)
}

fn insert_lines(conn: &Connection, asked: &[Asked], refs: &mut Known<'_>, now_ms: i64) -> Result<Vec<Added>> {
    let (mut added, mut rest) = (Vec::new(), asked);
    while let Some(line) = rest.first() {
        if let Some(block) = rest.first_chunk::<BLOCK>()
            && let Some(of_block) = insert_block(conn, block, now_ms)?
        {
            added.extend(of_block);
            rest = &rest[BLOCK..];
            continue;
        }
        let of_line =
            insert_line(conn, line, refs, now_ms).map_err(|e| reworded(e, |text| format!("line {}: {text}", line.line)))?;
        if line.name.is_some() {
            refs.here.push(Ids::of(&of_line));
        }
        added.extend(of_line);
        rest = &rest[1..];
    }
    Ok(added)
}

/// Inserts lines of one job each by one statement. `None`, and nothing was inserted: one of them
/// needs more than a row, or is refused, which its own statement tells with its number.
fn insert_block(conn: &Connection, block: &[Asked; BLOCK], now_ms: i64) -> Result<Option<Vec<Added>>> {
    let plain = |line: &'_ Asked| line.name.is_none() && line.after.is_empty() && line.jobs.len() == 1;
    let jobs: Vec<&NewJob> = block.iter().filter(|line| plain(line)).flat_map(|line| &line.jobs).collect();
    if jobs.len() < BLOCK || !jobs.iter().all(|job| needs_only_a_row(job)) {
        return Ok(None);
    }
    match enqueue::add(conn, &jobs, now_ms) {
        Ok(added) => Ok(Some(added)),
        Err(Error::Refused(_) | Error::Invalid(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn insert_line(conn: &Connection, line: &Asked, refs: &Known<'_>, now_ms: i64) -> Result<Vec<Added>> {
    if line.after.is_empty() {
        return enqueue::add(conn, &line.jobs, now_ms);
    }
    let waits_for = ids_of(&line.after, refs)?;
    let with_refs = |job: &NewJob| NewJob { after: [job.after.as_slice(), &waits_for].concat(), ..job.clone() };
    let jobs: Vec<NewJob> = line.jobs.iter().map(with_refs).collect();
    enqueue::add(conn, &jobs, now_ms)
}

fn ids_of(after: &[(usize, Need)], refs: &Known<'_>) -> Result<Vec<(JobId, Need)>> {
    let mut ids = Vec::new();
    for (number, need) in after {
        let jobs = refs.get(*number).ok_or_else(|| Error::Internal("a line refers to jobs that were not added".into()))?;
        jobs.push_to(&mut ids, *need);
    }
    Ok(ids)
}

/// Returns the same error, in other words.
fn reworded(error: Error, words: impl Fn(&str) -> String) -> Error {
    match error {
        Error::Refused(text) => Error::Refused(words(&text)),
        Error::NotFound(text) => Error::NotFound(words(&text)),
        Error::Invalid(text) => Error::Invalid(words(&text)),
        Error::Unconfirmed(text) => Error::Unconfirmed(words(&text)),
        Error::DiskFull(text) => Error::DiskFull(words(&text)),
        Error::Busy(text) => Error::Busy(words(&text)),
        other => other,
    }
}
