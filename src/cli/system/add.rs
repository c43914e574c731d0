//! `tenure --system add`

use super::{not_here, pick};
use crate::cli::adding::{prepare, surroundings_without, tell};
use crate::cli::face::Face;
use crate::cli::parse::options::Surroundings;
use crate::cli::parse::select::Selector;
use crate::cli::verbs::add::Args;
use crate::error::{Error, Result, exit};
use crate::job::State;
use crate::queue::people::System;

pub fn run(face: &Face, system: &System, args: &Args) -> Result<u8> {
    if args.from.is_some() || args.chunk.is_some() {
        return not_here("--from");
    }
    if args.like.is_some() {
        return not_here("--like");
    }
    // Both are private files of the worker's user, and are not part of the request.
    if !args.options.secret.is_empty() {
        return refused("secret");
    }
    if args.options.stdin.is_some() {
        return refused("stdin");
    }
    args.command.argv().map_err(Error::Invalid)?;
    let mut found = Vec::new();
    for part in args.options.parts_to_find() {
        let shown = pick::named(system, &[Selector(vec![part.clone()])], &State::ALL)?;
        found.push((part.clone(), shown.into_iter().map(|one| one.job.id).collect()));
    }
    let around = Surroundings { found, ..surroundings_without(face.now())? };
    let answer = system.add(prepare(&args.options, &args.command, &around)?)?;
    tell(face, answer.jobs.into_iter())?;
    Ok(exit::OK)
}

fn refused(option: &str) -> Result<u8> {
    Err(Error::Refused(format!("--{option}: only jobs that root adds have it; omit it")))
}
