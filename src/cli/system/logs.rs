//! `tenure --system logs`: the worker opens the log and gives it to its owner, who reads it.

use std::fs::File;

use super::pick::{self, unexpected};
use super::{not_here, wait::Pause};
use crate::cli::face;
use crate::cli::parse::select::{Part, Selector};
use crate::cli::verbs::logs::Args;
use crate::cli::view::output::Output;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, RunId, State};
use crate::queue::follow::trouble;
use crate::queue::people::{Ask, Reply, System};
use crate::run::output::{more_of, tail_of};

pub fn run(system: &System, args: &Args) -> Result<u8> {
    if args.grep.is_some() {
        return not_here("--grep");
    }
    let [id] = pick::many(system, &args.which, &State::ALL)?[..] else {
        return Err(Error::Invalid("the system worker gives the log of one job at a time; name one".into()));
    };
    let mut output = Output::new(args.raw);
    let (run, file) = log(system, id, args.run.map(RunId))?;
    let at = match &file {
        Some(file) => tail_of(file, args.lines, &mut |piece| output.piece(piece)).map_err(trouble)?,
        None => 0,
    };
    let has_log = if args.follow { follow(system, id, (run, file), at, &mut output)? } else { file.is_some() };
    output.finish()?;
    if !has_log {
        face::say(&format!("job {id} has no log; tenure --system show {id} says more"));
    }
    Ok(exit::OK)
}

/// Prints what is written until the job has ended; returns whether there was a log.
fn follow(system: &System, id: JobId, from: (Option<RunId>, Option<File>), at: u64, output: &mut Output) -> Result<bool> {
    let ((mut run, mut open), mut at, mut pause) = (from, at, Pause::default());
    loop {
        // Asked before the log is read: what the job wrote before its end is there then.
        let has_ended = pick::named(system, &one(id), &State::ALL)?.iter().all(|shown| shown.job.has_ended());
        let latest = log(system, id, None)?;
        at = more(open.as_ref(), at, output, &mut pause)?;
        if latest.0 != run || open.is_none() {
            (run, open) = latest;
            at = more(open.as_ref(), 0, output, &mut pause)?;
        }
        if has_ended {
            return Ok(open.is_some());
        }
        pause.rest(None);
    }
}

fn one(id: JobId) -> [Selector; 1] {
    [Selector(vec![Part::One(id)])]
}

/// Prints what a log has after an offset; returns where that ended.
fn more(log: Option<&File>, at: u64, output: &mut Output, pause: &mut Pause) -> Result<u64> {
    let Some(log) = log else { return Ok(at) };
    let end = more_of(log, at, &mut |piece| output.piece(piece)).map_err(trouble)?;
    if end != at {
        pause.stir();
    }
    Ok(end)
}

fn log(system: &System, id: JobId, run: Option<RunId>) -> Result<(Option<RunId>, Option<File>)> {
    match system.ask(&Ask::Log { id, run })? {
        (Reply::Log { run }, file) => Ok((run, file.map(File::from))),
        _ => Err(unexpected()),
    }
}
