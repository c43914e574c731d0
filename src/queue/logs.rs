//! The output of a job, as it was written.

use std::io::{self, Write};

use super::Queue;
use super::follow::{Follower, trouble};
use crate::error::{Error, Result};
use crate::job::{JobId, RunId, RunKind};
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

impl Queue {
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
        let run = self.which(&runs)?;
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

    fn which(&self, runs: &[Run]) -> Result<Option<RunId>> {
        match self.run {
            None => Ok(runs.iter().filter(|run| run.kind == RunKind::Job).map(|run| run.id).max()),
            Some(wanted) if runs.iter().any(|run| run.id == wanted) => Ok(Some(wanted)),
            Some(wanted) => Err(Error::NotFound(format!("job {} has no run {wanted}; tenure show {0} lists them", self.id))),
        }
    }
}
