//! `tenure prune`: remove ended jobs with their logs.

use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::{Result, exit};
use crate::job::RunId;
use crate::store::Store;
use crate::store::upkeep::prune::{self, Cursor};
use crate::units;

/// Jobs that one transaction removes, so that no process waits long for the write lock.
const BATCH_JOBS: usize = 500;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove what ended longer ago than this, as 30d
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub older_than: u64,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.editor()?;
    let before_ms = face.now_ms().saturating_sub_unsigned(args.older_than);
    let (mut jobs, mut runs, mut occurrences, mut tasks) = (0, 0, 0, 0);
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        let (pruned, next) = store.write(move |conn| prune::prune_from(conn, before_ms, from, BATCH_JOBS))?;
        cursor = next;
        // The rows are durably gone; only now may the logs be removed.
        pruned.runs.iter().for_each(|run| unlink(&store, *run));
        jobs += pruned.jobs;
        runs += pruned.runs.len();
        occurrences += pruned.occurrences;
        tasks += pruned.tasks;
    }
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
