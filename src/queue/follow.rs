//! Follows a job's output across its runs, until it has ended. Used by `run` and by `logs -f`.
//!
//! One round reads what is new and returns; only the intervals in [`Changes`] decide when to poll
//! again. The log is read once more after the job was seen to have ended, so that nothing is
//! missed: all output was in the log before the end was recorded.

use std::io;
use std::time::Instant;

use super::changes::Changes;
use crate::error::{Error, Result};
use crate::host::followed;
use crate::job::{JobId, RunId, RunKind};
use crate::run::output::{Follow, Piece};
use crate::store::job::rows::{Job, Run};
use crate::store::{Store, job::launched, job::read};

/// Where output goes, piece by piece.
pub(crate) type Sink<'a> = dyn FnMut(Piece<'_>) -> io::Result<()> + 'a;

/// Follows one job.
pub(crate) struct Follower {
    store: Store,
    job: JobId,
    log: Option<(RunId, Follow)>,
    changes: Changes,
    /// When it was last looked whether another engine has the run.
    looked: Option<Instant>,
    /// The run that the worker was told is followed, as another engine has it.
    marked: Option<RunId>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.unmark();
    }
}

/// Result of one round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    /// It continues. `moved`: there was output, or the file has changed.
    Live { moved: bool },
    /// It has ended, and all of its output is written.
    Ended(Box<Job>),
}

impl Follower {
    /// Follows the output from the first byte of the first run that is not named in `skip`.
    pub fn new(store: &Store, job: JobId) -> Self {
        Self { store: store.clone(), job, log: None, changes: Changes::default(), looked: None, marked: None }
    }

    /// Continues from an offset of a run's log.
    pub fn at(mut self, run: RunId, offset: u64) -> Self {
        self.log = Some((run, Follow::from(&self.store.place().log_file(run), offset)));
        self
    }

    #[cfg(feature = "cli")]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Follows until the job has ended, and returns it.
    ///
    /// # Errors
    /// The file or a log cannot be read, or `sink` failed.
    pub fn until_ended(mut self, sink: &mut Sink<'_>) -> Result<Job> {
        loop {
            if let Seen::Ended(job) = self.round(sink)? {
                self.store.flush_now()?;
                return Ok(*job);
            }
            self.rest();
        }
    }

    /// Reads what is new. Does not wait.
    ///
    /// # Errors
    /// As [`Follower::until_ended`].
    pub fn round(&mut self, sink: &mut Sink<'_>) -> Result<Seen> {
        let changed = self.changes.poll(&self.store)?;
        self.look(changed, sink)
    }

    /// Like [`Follower::round`], for a caller that polls for changes of the file itself.
    ///
    /// # Errors
    /// As [`Follower::until_ended`].
    pub fn look(&mut self, changed: bool, sink: &mut Sink<'_>) -> Result<Seen> {
        let mut ended = None;
        let mut runs = Vec::new();
        if changed {
            let id = self.job;
            let (job, all) = self.store.read(move |conn| Ok((read::job(conn, id)?, read::runs(conn, id)?)))?;
            let job = job.ok_or_else(|| Error::NotFound(format!("job {id} is gone: it was pruned")))?;
            ended = job.shown_state().is_terminal().then_some(job);
            runs = all;
        }
        self.mark()?;
        let moved = self.read_logs(&runs, sink)?;
        if moved || changed {
            self.changes.stir();
        }
        Ok(ended.map_or(Seen::Live { moved: moved || changed }, |job| Seen::Ended(Box::new(job))))
    }

    /// Tells the worker that this output is followed: it fetches what another engine has of it.
    fn mark(&mut self) -> Result<()> {
        let Some((run, _)) = &self.log else { return Ok(()) };
        if self.looked.is_some_and(|at| at.elapsed() < followed::AGAIN) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let run = *run;
        if self.store.read(move |conn| launched::of_run(conn, run))?.is_some() {
            if self.marked != Some(run) {
                self.unmark();
            }
            followed::touch(self.store.place(), run);
            self.marked = Some(run);
        }
        Ok(())
    }

    fn unmark(&mut self) {
        if let Some(run) = self.marked.take() {
            followed::forget(self.store.place(), run);
        }
    }

    /// Continues reading the open log, and those of later runs.
    fn read_logs(&mut self, runs: &[Run], sink: &mut Sink<'_>) -> Result<bool> {
        let mut moved = self.read_on(sink)?;
        let mut next: Vec<RunId> = runs.iter().filter(|run| run.kind == RunKind::Job).map(|run| run.id).collect();
        next.sort_unstable();
        for run in next {
            if self.log.as_ref().is_none_or(|(open, _)| run > *open) {
                self.log = Some((run, Follow::from(&self.store.place().log_file(run), 0)));
                moved |= self.read_on(sink)?;
            }
        }
        Ok(moved)
    }

    fn read_on(&mut self, sink: &mut Sink<'_>) -> Result<bool> {
        let Some((_, log)) = &mut self.log else { return Ok(false) };
        log.read(sink).map(|bytes| bytes > 0).map_err(trouble)
    }

    /// Waits until there may be something new.
    pub fn rest(&mut self) {
        self.changes.rest(None);
    }
}

/// Describes an error while reading or writing output.
pub(crate) fn trouble(error: io::Error) -> Error {
    Error::io("passing output on", error)
}
