//! Prepares a workspace for a job, by its prepare command, in the directory that
//! [`crate::host::workspace`] makes for the job's own run, which stays open meanwhile.
//!
//! A crash leaves a directory without a row, which is swept when the run is closed, or a prepare
//! command under its shim, which the next worker resumes.

use crate::error::Result;
use crate::host::workspace::Maker;
use crate::job::ending::{Verdict, verdict};
use crate::job::{Argv, Outcome, Reason, RunEnd, RunKind, Workspace};
use crate::store::job::auxiliary::Opening;
use crate::store::job::rows::Run;
use crate::store::workspace;
use crate::worker::attempt::{Attempt, Auxiliary, Came, Command, Halt};
use crate::worker::job_run::JobRun;

/// Result of preparing a workspace.
pub(super) enum Made {
    Ready,
    /// A process outside this worker prepares it.
    Elsewhere,
    /// No process saw how its prepare command ended, or it was not started.
    Again(String),
    Failed(String),
    Stopped,
}

/// One preparation of one workspace.
pub(super) struct Preparation<'a, 'w> {
    attempt: &'a Attempt<'w>,
    job: &'a JobRun,
    wanted: &'a Workspace,
    maker: Maker,
}

impl<'a, 'w> Preparation<'a, 'w> {
    pub fn of(attempt: &'a Attempt<'w>, job: &'a JobRun, wanted: &'a Workspace) -> Result<Self> {
        let maker = Maker::of(attempt.ctx.place(), wanted, attempt.key.nonce)?;
        Ok(Self { attempt, job, wanted, maker })
    }

    /// Prepares it, by its prepare command if it has one.
    pub fn make(&self) -> Result<Made, Halt> {
        match &self.wanted.prepare {
            None => Ok(self.make_empty()),
            Some(command) => self.prepare(command),
        }
    }

    fn make_empty(&self) -> Made {
        let made = self.begin().and_then(|()| self.settle(false));
        match made {
            Ok(true) => Made::Ready,
            Ok(false) => Made::Elsewhere,
            Err(error) => {
                self.abandon();
                Made::Failed(self.told(&error.to_string()))
            }
        }
    }

    /// Leftovers of an earlier attempt in this run are removed first.
    fn begin(&self) -> Result<()> {
        self.abandon();
        self.maker.begin()
    }

    fn abandon(&self) {
        if let Err(error) = self.maker.abandon(&|| !self.attempt.ctx.is_detaching()) {
            log::warn!("{error}; it is tried again");
        }
    }

    fn prepare(&self, argv: &Argv) -> Result<Made, Halt> {
        let came = self.auxiliary().run(
            |key| {
                self.begin().map_err(|e| e.to_string())?;
                let command = Command::around(self.attempt.ctx, self.job, argv.clone())?;
                command.launch_prepare(key, &self.maker.new_path(), &self.maker.path())
            },
            |end| self.verdict(end),
        );
        self.after(came)
    }

    /// Resumes a prepare command that an earlier worker started for this run.
    pub fn resume(&self, open: &Run) -> Result<Made, Halt> {
        let came = self.auxiliary().resume(open, |end| self.verdict(end));
        self.after(came)
    }

    fn auxiliary(&self) -> Auxiliary<'w> {
        let opening = Opening::of(RunKind::Prepare, self.job.row.id, self.attempt.key.run);
        Auxiliary::of_job(self.attempt, Opening { workspace: Some(self.wanted.key.clone()), ..opening })
    }

    fn after(&self, came: Result<Came, Halt>) -> Result<Made, Halt> {
        let made = came.map(|came| self.of_came(came));
        if !matches!(made, Ok(Made::Ready) | Err(Halt::Detached)) {
            self.abandon();
        }
        made
    }

    fn of_came(&self, came: Came) -> Made {
        match came {
            Came::NotBegun => Made::Elsewhere,
            Came::NotMade(error) => Made::Failed(self.told(&error)),
            Came::Over(over) => self.of_outcome(over.closed.outcome, over.closed.error.as_deref().unwrap_or("it was not done")),
        }
    }

    /// Returns the result of a prepare command from its row.
    pub fn of_outcome(&self, outcome: Outcome, error: &str) -> Made {
        match outcome {
            Outcome::Done => Made::Ready,
            Outcome::Cancelled => Made::Stopped,
            Outcome::Lost | Outcome::Unstarted | Outcome::Deferred => Made::Again(self.told(error)),
            Outcome::Failed => Made::Failed(self.told(error)),
        }
    }

    fn told(&self, error: &str) -> String {
        format!("workspace {:?} could not be prepared: {error}", self.wanted.key)
    }

    /// Decides what the end of the prepare command means. Its tree is gone: a filled directory is
    /// moved into place now, and recorded, before the auxiliary run is closed and another process
    /// could begin. Repeating it after a crash gives the same result.
    fn verdict(&self, end: &RunEnd) -> Verdict {
        if !end.is_success() {
            return verdict(end);
        }
        match self.settle(true) {
            Ok(true) => verdict(end),
            Ok(false) => (Outcome::Lost, Some(Reason::Lost), Some("its run did not own its job any more".into())),
            Err(error) => (Outcome::Failed, Some(Reason::Workspace), Some(error.to_string())),
        }
    }

    /// `prepared`: by an auxiliary run that is still open. False: the run does not own its job, or
    /// another process prepares it.
    fn settle(&self, prepared: bool) -> Result<bool> {
        let ctx = self.attempt.ctx;
        let made = self.maker.finish(&|| !ctx.is_detaching())?;
        let (job, run) = (self.job.row.id, self.attempt.key.run);
        let (is_written, _) = ctx.persist("recording a workspace", || {
            let (made, boot_id, now_ms) = (made.clone(), ctx.boot_id.clone(), ctx.now_ms());
            ctx.store.commit(move |conn| workspace::made_for(conn, &made, job, run, prepared, &boot_id, now_ms))
        })?;
        if !is_written {
            self.maker.withdraw(&|| !ctx.is_detaching())?;
        }
        Ok(is_written)
    }
}
