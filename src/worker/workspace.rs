//! Getting a job into its workspace, which is made first where it is not there.
//!
//! ```text
//! warm    a use is written down, then one look whether the directory is there
//! miss    lead, or wait for the leader ─▶ .new-NONCE ─▶ prepare (an errand of the job's run, with the lease of the workspace)
//!           ─▶ its tree is empty ─▶ renamed into its place ─▶ row ─▶ errand closed, lease free ─▶ warm
//! ```
//!
//! The nonce is that of the job's own run, which is open all the while: by it the directory is known to belong to a run, before it is
//! there. Meanwhile the run has its file and its lock, and no record. Killed at any instant: without a use the job has certainly not
//! started, and goes back to the queue with nothing held against it; the errand goes on under its shim, is adopted, and what comes of
//! it is used; a directory without a row belongs to no run when the run is closed, and is swept.
//!
//! Deliberately absent: names and directories (`run::workspace`), which may go (`store::workspace`, `tidy`).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::errand::{Came, Errand};
use super::launch::{self, Start};
use super::monitor::{Watched, wait_for};
use super::shortage;
use super::single_flight::{Flight, FlightEnd, Role};
use crate::error::{Error, Result};
use crate::host::lease;
use crate::job::ending::{Verdict, verdict};
use crate::job::workspace::{directory_name, inside, new_name};
use crate::job::{Argv, Outcome, Policy, Reason, RunEnd, RunKind, Workspace};
use crate::run::Launch;
use crate::run::workspace::{Work, is_there};
use crate::store::errand::Opening;
use crate::store::rows::{Job, Run};
use crate::store::settle;
use crate::store::workspace::{self, Made};

/// How often it is made for one run: it may vanish as soon as it is there, and no process may see how a recipe ended.
const MAKES_MAX: u32 = 3;
/// Between two looks whether a process outside this worker has made it, in milliseconds.
const LOOK_MS: u64 = 200;

/// How far a job came.
pub(super) enum Entered {
    /// It is in this directory, as long as its run is open. That is on the disk where it must be.
    In(PathBuf),
    /// The worker lets go of its runs.
    Left,
    /// It did not get in; what its run comes to.
    Not(RunEnd),
}

/// What came of making it.
enum Making {
    Made,
    /// A process outside this worker makes it.
    Elsewhere,
    /// No process saw how the recipe ended, or it was not started.
    Again(String),
    Failed(String),
    Stopped,
    Left,
}

/// Lets a job into its workspace, if it could be run there: what is wrong with it is found before anything expensive is done for it.
pub(super) fn enter_checked(watched: &Watched<'_>, start: &Start<'_>, wanted: &Workspace, launch: &Launch) -> Result<Entered> {
    if let Err(error) = inside(&start.job.cwd) {
        return Ok(Entered::Not(RunEnd::Unrunnable { error }));
    }
    match launch::is_findable(launch) {
        Ok(()) => enter(watched, start, wanted),
        Err(end) => Ok(Entered::Not(end)),
    }
}

fn enter(watched: &Watched<'_>, start: &Start<'_>, wanted: &Workspace) -> Result<Entered> {
    let ctx = watched.ctx;
    let mut again = format!("workspace {:?} was gone each time as soon as it had been made", wanted.key);
    let (mut makes, mut lead) = (0, None);
    loop {
        if let Some(end) = stopped(watched) {
            return Ok(Entered::Not(end));
        }
        if ctx.is_detaching() {
            return Ok(Entered::Left);
        }
        match warm(watched, start.job, wanted) {
            Ok(Some(path)) => return Ok(Entered::In(path)),
            Ok(None) if makes == MAKES_MAX => return Ok(Entered::Not(failed(again))),
            Ok(None) => {}
            Err(error) if let Some(errno) = shortage::want_of(&error) => {
                return Ok(Entered::Not(RunEnd::NoMeans { errno, error: error.to_string() }));
            }
            Err(error @ Error::Io { .. }) => return Ok(Entered::Not(failed(error.to_string()))),
            Err(error) => return Err(error),
        }
        let Some(leading) = lead.take() else {
            match ctx.single_flight.join(&wanted.key, &watched.waker) {
                // Another flight may have landed since we looked: once more.
                Role::Leads(leads) => lead = Some(leads),
                Role::Waits(flight) => match wait_for_landing(watched, &flight)? {
                    Some(FlightEnd::Failed { recipe, error }) if recipe == wanted.recipe() => {
                        return Ok(Entered::Not(failed(error)));
                    }
                    _ => {}
                },
            }
            continue;
        };
        match make(watched, start, wanted)? {
            Making::Made => makes += 1,
            Making::Again(error) => (makes, again) = (makes + 1, error),
            Making::Failed(error) => {
                leading.fail(wanted.recipe(), error.clone());
                return Ok(Entered::Not(failed(error)));
            }
            Making::Elsewhere => {
                drop(leading);
                if !look_later(watched, start.job)? {
                    // Its settle comes too late, and changes nothing.
                    return Ok(Entered::Not(RunEnd::Unprepared));
                }
            }
            // The next look at the waker says why, also where a client has asked the shim before this worker did.
            Making::Stopped => super::monitor::ring_cancels(ctx)?,
            Making::Left => return Ok(Entered::Left),
        }
    }
}

fn failed(error: String) -> RunEnd {
    RunEnd::PrepareFailed { error }
}

/// A stop request wants the run to end.
fn stopped(watched: &Watched<'_>) -> Option<RunEnd> {
    watched.waker.cause().map(RunEnd::stopped_before_start)
}

/// The directory, if it is there and was made by the same recipe. The use is written down first, so that no process removes it meanwhile.
fn warm(watched: &Watched<'_>, job: &Job, wanted: &Workspace) -> Result<Option<PathBuf>> {
    let ctx = watched.ctx;
    let (one, id, run, boot_id, now_ms) = (wanted.clone(), job.id, watched.run, ctx.boot_id.clone(), ctx.now_ms());
    let (dir, ticket) = ctx.persist("entering a workspace", || {
        let (one, boot_id) = (one.clone(), boot_id.clone());
        ctx.store.commit(move |conn| workspace::enter(conn, &one, id, run, &boot_id, now_ms))
    })?;
    let Some(dir) = dir else { return Ok(None) };
    if is_there(ctx.place(), &dir)? {
        if job.max_attempts == 1 {
            // Without it the run has never started; that must be true after a power cut as well.
            ctx.store.flushed(ticket)?;
        }
        return Ok(Some(ctx.place().work().join(dir)));
    }
    log::info!("workspace {:?}: {dir} is gone; it is made anew", wanted.key);
    let key = wanted.key.clone();
    ctx.store.commit(move |conn| workspace::forget(conn, &key, &dir, Some(run)))?;
    Ok(None)
}

/// `None`: it is to be looked at again, or the worker lets go.
fn wait_for_landing(watched: &Watched<'_>, flight: &Flight) -> Result<Option<FlightEnd>> {
    loop {
        // In this order: a nudge between the two looks is in the waker.
        let is_stopped = watched.waker.cause().is_some();
        if let Some(landed) = flight.ended() {
            return Ok(Some(landed));
        }
        if is_stopped || watched.ctx.is_detaching() {
            return Ok(None);
        }
        wait_for(&mut [PollFd::new(&*watched.waker, PollFlags::IN)], None)?;
    }
}

/// Polls for a workspace that another process is preparing, after reclaiming the lease of a dead holder. False: the run does not own its job any more.
fn look_later(watched: &Watched<'_>, job: &Job) -> Result<bool> {
    let (store, id, run) = (&watched.ctx.store, job.id, watched.run);
    if !store.read(move |conn| settle::owns(conn, id, run))? {
        return Ok(false);
    }
    lease::reclaim(store)?;
    let until = Instant::now() + Duration::from_millis(LOOK_MS);
    wait_for(&mut [PollFd::new(&*watched.waker, PollFlags::IN)], Some(until))?;
    Ok(true)
}

fn make(watched: &Watched<'_>, start: &Start<'_>, wanted: &Workspace) -> Result<Making> {
    let making = Maker::of(watched, start.job, wanted);
    match making {
        Err(error) => Ok(Making::Failed(error.to_string())),
        Ok(maker) => match &wanted.prepare {
            None => Ok(maker.make_empty()),
            Some(recipe) => maker.prepare(start, recipe),
        },
    }
}

/// One making of one workspace.
struct Maker<'a, 'w> {
    watched: &'a Watched<'w>,
    job: &'a Job,
    wanted: &'a Workspace,
    work: Work,
    /// Where it is made.
    new: String,
    /// Where it will be.
    dir: String,
}

impl<'a, 'w> Maker<'a, 'w> {
    fn of(watched: &'a Watched<'w>, job: &'a Job, wanted: &'a Workspace) -> Result<Self> {
        let work = Work::open(watched.ctx.place())?;
        let (new, dir) = (new_name(watched.nonce), directory_name(&wanted.key, watched.nonce));
        Ok(Self { watched, job, wanted, work, new, dir })
    }

    fn make_empty(&self) -> Making {
        let made = self.make_new().and_then(|()| self.settle(false));
        match made {
            Ok(true) => Making::Made,
            Ok(false) => Making::Elsewhere,
            Err(error) => {
                self.remove_new();
                Making::Failed(self.told(&error.to_string()))
            }
        }
    }

    /// What is left there of an earlier time in this run goes first.
    fn make_new(&self) -> Result<()> {
        self.remove_new();
        self.work.make(&self.new)
    }

    fn remove_new(&self) {
        let goes_on = || !self.watched.ctx.is_detaching();
        if let Err(error) = self.work.remove(&self.new, &goes_on) {
            log::warn!("{error}; it is tried again");
        }
    }

    fn prepare(&self, start: &Start<'_>, recipe: &Argv) -> Result<Making> {
        let opening =
            Opening { workspace: Some(self.wanted.key.clone()), ..Opening::of(RunKind::Prepare, self.job.id, self.watched.run) };
        let errand = Errand::of_job(self.watched, opening);
        let came = errand.once(
            |run, nonce| {
                self.make_new().map_err(|e| e.to_string())?;
                let start = Start { run, nonce, ..*start };
                launch::of_prepare(self.watched.ctx, &start, recipe, &self.work.path_of(&self.new), &self.work.path_of(&self.dir))
            },
            |end| self.judge(end),
        );
        let making = came.map(|came| self.of_came(came));
        if !matches!(making, Ok(Making::Made | Making::Left)) {
            self.remove_new();
        }
        making
    }

    /// Goes on with a prepare that an earlier worker began for this run.
    fn go_on(&self, open: &Run) -> Result<Making> {
        let opening =
            Opening { workspace: Some(self.wanted.key.clone()), ..Opening::of(RunKind::Prepare, self.job.id, self.watched.run) };
        let came = Errand::of_job(self.watched, opening).go_on(open, |end| self.judge(end));
        let making = came.map(|came| self.of_came(came));
        if !matches!(making, Ok(Making::Made | Making::Left)) {
            self.remove_new();
        }
        making
    }

    fn of_came(&self, came: Came) -> Making {
        match came {
            Came::Left => Making::Left,
            Came::NotBegun => Making::Elsewhere,
            Came::NotMade(error) => Making::Failed(self.told(&error)),
            Came::Over(came_to) => {
                self.of_outcome(came_to.closed.outcome, came_to.closed.error.as_deref().unwrap_or("it was not done"))
            }
        }
    }

    fn of_outcome(&self, outcome: Outcome, error: &str) -> Making {
        match outcome {
            Outcome::Done => Making::Made,
            Outcome::Cancelled => Making::Stopped,
            Outcome::Lost | Outcome::Unstarted | Outcome::Deferred => Making::Again(self.told(error)),
            Outcome::Failed => Making::Failed(self.told(error)),
        }
    }

    fn told(&self, error: &str) -> String {
        format!("workspace {:?} could not be made: {error}", self.wanted.key)
    }

    /// What the end of the recipe means. Its tree is gone: a directory that was filled comes into its place now, and into the file, before the
    /// errand is closed and another process could begin. Done again after a crash, it comes to the same.
    fn judge(&self, end: &RunEnd) -> Verdict {
        if !end.is_success() {
            return verdict(end);
        }
        match self.settle(true) {
            Ok(true) => verdict(end),
            Ok(false) => (Outcome::Lost, Some(Reason::Lost), Some("its run did not own its job any more".into())),
            Err(error) => (Outcome::Failed, Some(Reason::Workspace), Some(error.to_string())),
        }
    }

    /// `prepared`: by an errand, which is open still. False: the run does not own its job, or another process makes it.
    fn settle(&self, prepared: bool) -> Result<bool> {
        let ctx = self.watched.ctx;
        let place = ctx.place();
        // After a crash it may be in its place already.
        if !is_there(place, &self.dir)? || is_there(place, &self.new)? {
            self.work.settle(&self.new, &self.dir)?;
        }
        let bytes = self.work.size(&self.dir, &|| !ctx.is_detaching())?;
        let made = Made { workspace: self.wanted.clone(), dir: self.dir.clone(), bytes };
        let (job, run) = (self.job.id, self.watched.run);
        let (is_written, _) = ctx.persist("writing a workspace down", || {
            let (made, boot_id, now_ms) = (made.clone(), ctx.boot_id.clone(), ctx.now_ms());
            ctx.store.commit(move |conn| workspace::made_for(conn, &made, job, run, prepared, &boot_id, now_ms))
        })?;
        if !is_written {
            self.work.remove(&self.dir, &|| !ctx.is_detaching())?;
        }
        Ok(is_written)
    }
}

/// What a run comes to that an earlier worker claimed and that has no record; `None`: the worker lets go again. Where it had not entered its
/// workspace it has certainly not started, and what its prepare comes to is seen to first.
pub(super) fn of_unstarted(watched: &Watched<'_>, job: &Job, policy: &Policy, latest: Option<&Run>) -> Result<Option<RunEnd>> {
    let Some(wanted) = policy.workspace.as_ref().filter(|_| has_not_entered(watched)) else {
        return Ok(Some(RunEnd::NeverStarted));
    };
    let Some(prepare) = latest.filter(|errand| errand.kind == RunKind::Prepare) else {
        return Ok(Some(stopped(watched).unwrap_or(RunEnd::Unprepared)));
    };
    let maker = Maker::of(watched, job, wanted);
    let making = match (&maker, prepare.outcome) {
        (Ok(maker), None) => {
            // Each thread that wants the same one waits for this.
            let _lead = watched.ctx.single_flight.join(&wanted.key, &watched.waker);
            maker.go_on(prepare)?
        }
        (Ok(maker), Some(outcome)) => maker.of_outcome(outcome, prepare.error.as_deref().unwrap_or("it was not done")),
        (Err(error), _) => Making::Failed(error.to_string()),
    };
    Ok(match making {
        Making::Left => None,
        Making::Failed(error) => Some(failed(error)),
        Making::Made | Making::Again(_) | Making::Elsewhere | Making::Stopped => {
            Some(stopped(watched).unwrap_or(RunEnd::Unprepared))
        }
    })
}

/// Whether a run with a workspace is known not to have started: it has not entered. (After another boot of the machine this is known only
/// where the entering was flushed.)
pub(super) fn is_known_unstarted(watched: &Watched<'_>, job: &Job, policy: &Policy, same_boot: bool) -> bool {
    policy.workspace.is_some() && (same_boot || job.max_attempts == 1) && has_not_entered(watched)
}

fn has_not_entered(watched: &Watched<'_>) -> bool {
    let run = watched.run;
    matches!(watched.ctx.store.read(move |conn| workspace::entered(conn, run)), Ok(None))
}

/// A job that could not be executed because its workspace had vanished since it had entered: that is not its own fault.
pub(super) fn unless_it_was_gone(watched: &Watched<'_>, policy: &Policy, end: RunEnd) -> RunEnd {
    let (RunEnd::NotExecuted { errno, .. }, Some(wanted)) = (&end, &policy.workspace) else { return end };
    let is_gone = || of_run(watched).is_ok_and(|path| !path.is_dir());
    if [Errno::NOENT, Errno::NOTDIR].map(Errno::raw_os_error).contains(errno) && is_gone() {
        return failed(format!("workspace {:?} was removed before the job could start in it", wanted.key));
    }
    end
}

/// The directory that a run is in, for the check of its job.
///
/// # Errors
/// In words for its owner.
pub(super) fn of_run(watched: &Watched<'_>) -> Result<PathBuf, String> {
    let run = watched.run;
    let dir = watched.ctx.store.read(move |conn| workspace::entered(conn, run)).map_err(|e| e.to_string())?;
    dir.map(|dir| watched.ctx.place().work().join(dir)).ok_or_else(|| "its run is in no workspace".into())
}
