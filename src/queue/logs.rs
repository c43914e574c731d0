//! The output of a job, as it was written.

#[cfg(any(feature = "web", feature = "mcp"))]
use std::fs::File;
use std::io::{self, Write};

use super::Queue;
use super::follow::{Follower, trouble};
use crate::error::{Error, Result};
use crate::job::{JobId, RunId, RunKind};
#[cfg(any(feature = "web", feature = "mcp"))]
use crate::run::output::open_log;
use crate::run::output::{Piece, tail};
use crate::store::job::read;
use crate::store::job::rows::Run;

/// The output of a job: `queue.logs(id).follow().copy_to(&mut std::io::stdout())`. See
/// [`Queue::logs`].
#[derive(Debug, Clone)]
#[must_use = "it reads nothing until it is read"]
pub struct Logs {
    queue: Queue,
    id: JobId,
    run: Option<RunId>,
    last_lines: Option<usize>,
    follow: bool,
}

/// The log of a run, open for reading.
#[cfg(any(feature = "web", feature = "mcp"))]
#[derive(Debug)]
pub(crate) struct OpenLog {
    /// `None`: the job has not run.
    pub run: Option<RunId>,
    /// The run is not over: the log may grow.
    pub is_open: bool,
    pub content: Content,
}

/// What is said of a log that is gone.
#[cfg(any(feature = "web", feature = "mcp"))]
pub(crate) const GONE: &str = "the log of this run was deleted, or not copied with the file";

/// What a log has.
#[cfg(any(feature = "web", feature = "mcp"))]
#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing was written yet, or the run never started.
    Nothing,
    /// The log was deleted, or not copied with the file.
    Gone,
    Log(File),
}

impl Queue {
    /// Opens the log of a run of a job; `None`: of its latest one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such job or run; [`Error::Io`] if the log cannot be
    /// opened.
    #[cfg(any(feature = "web", feature = "mcp"))]
    pub(crate) fn open_log(&self, id: JobId, wanted: Option<RunId>) -> Result<OpenLog> {
        self.row(id)?;
        let runs = self.store.read(|conn| read::runs(conn, id))?;
        let Some(run) = which(id, wanted, &runs)? else {
            return Ok(OpenLog { run: None, is_open: false, content: Content::Nothing });
        };
        let path = self.store.place().log_file(run.id);
        let file = open_log(&path).map_err(|e| Error::io(format!("reading the log of run {}", run.id), e))?;
        let content = match (file, run.started_at) {
            (Some(file), _) => Content::Log(file),
            (None, None) => Content::Nothing,
            (None, Some(_)) => Content::Gone,
        };
        Ok(OpenLog { run: Some(run.id), is_open: run.outcome.is_none(), content })
    }

    /// Returns the output of a job's latest run: what its processes wrote to stdout and stderr.
    pub fn logs(&self, id: JobId) -> Logs {
        Logs { queue: self.clone(), id, run: None, last_lines: None, follow: false }
    }
}

impl Logs {
    /// Reads the output of this run instead of the latest.
    pub fn run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Reads only the last `n` lines.
    pub fn last_lines(mut self, n: usize) -> Self {
        self.last_lines = Some(n);
        self
    }

    /// Continues with output that is written later, of this run and of later ones, until the job
    /// has ended.
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// Writes it to `out`. Nothing marks the place where the middle of a log was dropped because of
    /// its limit.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such job or run; [`Error::Io`] if the log cannot be read
    /// or `out` fails.
    pub fn copy_to(self, out: &mut dyn Write) -> Result<()> {
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Bytes(bytes) => out.write_all(bytes),
            Piece::Dropped(_) => Ok(()),
        };
        self.pieces(&mut sink)?;
        out.flush().map_err(trouble)
    }

    /// Returns it, in memory.
    ///
    /// # Errors
    /// As [`Logs::copy_to`].
    pub fn read(self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy_to(&mut bytes)?;
        Ok(bytes)
    }

    fn pieces(self, sink: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> Result<()> {
        let (store, id) = (&self.queue.store, self.id);
        self.queue.row(id)?;
        let runs = store.read(|conn| read::runs(conn, id))?;
        let run = which(id, self.run, &runs)?.map(|run| run.id);
        let offset = match run {
            Some(run) => tail(&store.place().log_file(run), self.last_lines, sink).map_err(trouble)?,
            None => 0,
        };
        if self.follow {
            let mut follower = Follower::new(store, id);
            if let Some(run) = run {
                follower = follower.at(run, offset);
            }
            follower.until_ended(sink)?;
        }
        Ok(())
    }
}

/// Returns the wanted run of a job, or its latest one.
fn which(id: JobId, wanted: Option<RunId>, runs: &[Run]) -> Result<Option<&Run>> {
    let Some(wanted) = wanted else { return Ok(runs.iter().filter(|run| run.kind == RunKind::Job).max_by_key(|run| run.id)) };
    let found = runs.iter().find(|run| run.id == wanted);
    found.map(Some).ok_or_else(|| Error::NotFound(format!("job {id} has no run {wanted}; tenure show {id} lists them")))
}
