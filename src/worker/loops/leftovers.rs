//! Leftover files of ended jobs: secrets and kept standard inputs, results, logs of pruned runs,
//! unfinished copies.
//!
//! The winner of a settle, or their creator, removes them; leftovers of a crash are found here. A
//! file that a process is about to name in a new job is locked by it and left alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::host::condition::Condition;
use crate::host::secrets;
use crate::job::RunId;
use crate::job::verdict::Row;
use crate::place::{LOGS_PER_DIRECTORY, Place};
use crate::run::removal;
use crate::store::{self, job::read, upkeep::open_runs, upkeep::prune};
use crate::worker::context::Context;

/// Results that are asked for at once.
const RESULTS_AT_ONCE: usize = 500;
/// Rounds between two scans of the log directories.
const ROUNDS_BETWEEN_WALKS: u32 = 360;

/// Removes the secrets that no live job names, and those whose creation was interrupted.
pub fn secrets(ctx: &Arc<Context>) -> Result<()> {
    let entries = match std::fs::read_dir(ctx.place().secrets()) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("reading the directory of secrets", e)),
    };
    let mut unlocked = Vec::new();
    for entry in entries.flatten() {
        let Ok(token) = entry.file_name().into_string() else { continue };
        // Locked before the rows are read: the client that creates a secret holds it until its job
        // is in the file.
        let free = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        match free {
            // No row names it. A client that is about to lock it finds it gone and creates another.
            true if Place::is_secret_temporary(&token) => secrets::remove_file(&entry.path()),
            true => unlocked.push(token),
            false => {}
        }
    }
    if unlocked.is_empty() {
        return Ok(());
    }
    let named = ctx.store.read(read::live_secrets)?;
    unlocked.retain(|token| !named.contains(token));
    if unlocked.is_empty() {
        return Ok(());
    }
    // The end that freed them may be committed and not durable yet: after a power cut the job would
    // start again without its secret.
    ctx.store.flush_now()?;
    secrets::remove(ctx.place(), &unlocked);
    Ok(())
}

/// Removes the results of settled runs, and files beside them.
pub fn results(ctx: &Arc<Context>) -> Result<()> {
    let place = ctx.place();
    let Ok(entries) = std::fs::read_dir(place.results()) else { return Ok(()) };
    let of_run = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        Some((RunId(name[..digits].parse().ok()?), path))
    };
    let found: Vec<(RunId, PathBuf)> = entries.flatten().filter_map(|entry| of_run(entry.path())).collect();
    let (mut flushed, mut left) = (false, None);
    for chunk in found.chunks(RESULTS_AT_ONCE) {
        let ids: Vec<RunId> = chunk.iter().map(|(run, _)| *run).collect();
        let rows = ctx.store.read(move |conn| open_runs::run_rows(conn, &ids))?;
        let is_settled = |run: RunId| rows.iter().all(|(id, row)| *id != run || *row != Row::Open);
        for (run, path) in chunk {
            // Its monitor, or the worker that adopts its run file, reads it before.
            if !ctx.roster.owns(*run) && !place.run_file(*run).exists() && is_settled(*run) {
                if !flushed {
                    ctx.store.flush_now()?;
                    flushed = true;
                }
                // A job may have created anything there.
                match removal::remove(path, &|| !ctx.is_detaching()) {
                    Ok(_) => {}
                    Err(error) => left = Some(error),
                }
            }
        }
    }
    tell_of_what_is_left(ctx, "result_left", left);
    Ok(())
}

/// An entry in a directory of tenure cannot be removed; it is retried while it exists.
pub fn tell_of_what_is_left(ctx: &Context, code: &'static str, left: Option<Error>) {
    match left {
        Some(error) => ctx.report.set(Condition::notice(code, format!("{error} (it is tried again)"), None)),
        None => ctx.report.clear(code),
    }
}

fn remove_log(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => log::warn!("removing {}: {error} (it is tried again)", path.display()),
    }
}

/// Logs of pruned runs: a scan of the directories, one at each call, and again after a while.
#[derive(Default)]
pub struct Logs {
    left: Vec<i64>,
    rest: u32,
}

impl Logs {
    /// Scans one directory.
    pub fn round(&mut self, ctx: &Context) -> Result<()> {
        let Some(number) = self.left.pop() else {
            if self.rest > 0 {
                self.rest -= 1;
                return Ok(());
            }
            self.rest = ROUNDS_BETWEEN_WALKS;
            store::sweep_copies(ctx.place().db().parent().unwrap_or(Path::new("/")));
            let Ok(entries) = std::fs::read_dir(ctx.place().logs()) else { return Ok(()) };
            self.left = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
            return Ok(());
        };
        let place = ctx.place();
        let first = RunId(number * LOGS_PER_DIRECTORY);
        let last = RunId(first.0 + LOGS_PER_DIRECTORY - 1);
        let directory = place.log_dir(first);
        let Ok(entries) = std::fs::read_dir(&directory) else { return Ok(()) };
        let logs: Vec<RunId> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok().map(RunId))
            .collect();
        let (known, pruned_below) = ctx.store.read(move |conn| prune::kept(conn, first, last))?;
        let is_pruned = |run: &RunId| run.0 < pruned_below && !known.contains(&run.0) && !place.run_file(*run).exists();
        let pruned: Vec<&RunId> = logs.iter().filter(|run| is_pruned(run)).collect();
        if !pruned.is_empty() {
            ctx.store.flush_now()?;
        }
        pruned.into_iter().for_each(|run| remove_log(&place.log_file(*run)));
        if last.0 < pruned_below {
            let _it_is_not_empty = std::fs::remove_dir(&directory);
        }
        Ok(())
    }
}
