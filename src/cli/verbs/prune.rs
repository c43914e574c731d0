//! `tenure prune`: remove ended jobs with their logs.

use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::{Result, exit};
use crate::job::RunId;
use crate::store::Store;
use crate::store::upkeep::prune::{self, Cursor, Pruned};
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove what ended longer ago than this, as 30d
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub older_than: u64,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.editor()?;
    let before_ms = face.now_ms().saturating_sub_unsigned(args.older_than);
    let (mut all, mut next) = (Pruned::default(), Some(Cursor::default()));
    while let Some(from) = next {
        let pruned;
        (pruned, next) = prune::pass(&store, before_ms, from)?;
        // The rows are durably gone; only now may the logs be removed.
        pruned.runs.iter().for_each(|run| unlink(&store, *run));
        all.add(pruned);
    }
    let (jobs, runs, occurrences, tasks) = (all.jobs, all.runs.len(), all.occurrences, all.tasks);
    if face.json {
        face.document(json!({"jobs": jobs, "runs": runs, "occurrences": occurrences, "tasks": tasks}))?;
    } else {
        let counted = |n: usize, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
        let also = |n, one, many| if n > 0 { format!(", and {}", counted(n, one, many)) } else { String::new() };
        let more = also(tasks, "task", "tasks") + &also(occurrences, "occurrence of a schedule", "occurrences of schedules");
        let (jobs, runs) = (counted(jobs, "job", "jobs"), counted(runs, "run", "runs"));
        face::say(&format!("removed {jobs} with {runs} and their logs{more}"));
    }
    Ok(exit::OK)
}

/// A log that cannot be removed now belongs to no job any more; the worker's sweep finds it.
fn unlink(store: &Store, run: RunId) {
    let path = store.place().log_file(run);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => log::warn!("{}: {error}", path.display()),
        _ => {}
    }
}
