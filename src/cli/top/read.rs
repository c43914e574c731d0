//! What the screen needs of the file: the reads of `status`, `ls` and `logs`, each with a limit.
//! Changes nothing.

use std::path::PathBuf;

use crate::cli::face::Face;
use crate::cli::top::log_text;
use crate::cli::top::state::{Pane, Snapshot};
use crate::cli::view::escape::line;
use crate::cli::view::problems;
use crate::cli::worker_options;
use crate::document::picture::Picture;
use crate::error::{Error, Result};
use crate::job::{JobId, RunKind, State};
use crate::queue::why::{Explainer, around};
use crate::queue::{Filter, Queue};
use crate::run::output;
use crate::store::job::read;

/// Most jobs that are listed.
const JOBS_MAX: usize = 500;
/// Latest ends that are listed.
const ENDED_MAX: usize = 50;
/// Bytes of the end of a log that are read, and most lines of it.
const LOG_BYTES_MAX: u64 = 128 << 10;
const LINES_MAX: usize = 1_000;

/// Reads everything but the pane.
pub fn snapshot(face: &Face, queue: &Queue) -> Result<Snapshot> {
    let picture = Picture::take(&queue.store, face.settings.workspace_max_size_bytes.value)?;
    let gate = around::gate(&worker_options::floors(&face.settings), queue.store.place(), picture.worker.as_ref());
    let problems = problems::of(&picture, gate);
    let (jobs, more) = queue.listing(&Filter::live().limit(JOBS_MAX))?;
    let ended = queue.latest_ends(ENDED_MAX)?;
    Ok(Snapshot { now: face.now(), picture, problems, jobs, more, ended })
}

/// The pane of a job, which is read again when it may have changed.
#[derive(Default)]
pub struct PaneReader {
    of: Option<(JobId, Pane)>,
    log: Option<PathBuf>,
    /// Length of the log when it was read.
    length: u64,
}

impl PaneReader {
    /// Returns the lines of the pane of a job. `is_new`: the file has changed since the last call.
    /// `None`: they are the same as before.
    pub fn lines(&mut self, face: &Face, queue: &Queue, of: Option<(JobId, Pane)>, is_new: bool) -> Result<Option<Vec<String>>> {
        let is_other = self.of != of;
        self.of = of;
        match of {
            None => Ok(is_other.then(Vec::new)),
            Some(_) if !is_other && !is_new && self.log.is_none() => Ok(None),
            Some((id, Pane::Why)) if is_other || is_new => {
                self.log = None;
                why(face, queue, id).map(Some)
            }
            Some((_, Pane::Why)) => Ok(None),
            Some((id, Pane::Log)) => self.log(queue, id, is_other, is_new),
        }
    }

    fn log(&mut self, queue: &Queue, id: JobId, is_other: bool, is_new: bool) -> Result<Option<Vec<String>>> {
        if is_other || is_new {
            let runs = queue.store.read(|conn| read::runs(conn, id))?;
            let latest = runs.iter().filter(|run| run.kind == RunKind::Job).max_by_key(|run| run.id);
            let log = latest.map(|run| queue.store.place().log_file(run.id));
            if is_other || log != self.log {
                (self.log, self.length) = (log, u64::MAX);
            }
        }
        let Some(path) = &self.log else {
            return Ok((is_other || is_new).then(|| vec!["it has not run yet; w says what it waits for".to_owned()]));
        };
        let length = std::fs::symlink_metadata(path).map_or(0, |log| log.len());
        if length == self.length {
            return Ok(None);
        }
        self.length = length;
        let (bytes, is_cut) = output::end(path, LOG_BYTES_MAX).map_err(|error| Error::io("reading a log", error))?;
        Ok(Some(log_text::lines(&bytes, is_cut, LINES_MAX)))
    }
}

fn why(face: &Face, queue: &Queue, id: JobId) -> Result<Vec<String>> {
    let explainer = Explainer::new(&queue.store, face.now(), &worker_options::floors(&face.settings))?;
    let (facts, all) = match explainer.of(id) {
        Err(Error::NotFound(why)) => return Ok(vec![why]),
        found => found?,
    };
    let mut lines = Vec::new();
    if all.is_empty() && facts.job.state == State::Queued {
        lines.push("ready: it starts in the next free slot".to_owned());
    }
    for one in all.iter().take(LINES_MAX) {
        lines.push(line(&one.text).into_owned());
        lines.extend(one.remedy.as_ref().map(|remedy| format!("    {}", line(remedy))));
    }
    Ok(lines)
}
