//! A job's own run: launched, or resumed after a crash, until its end is certain, as far as it can
//! be known.
//!
//! If this worker did not see the end of a run, `job::verdict` decides from what is observed here.
//! No process is killed and no run is given up after a single observation.

use super::empty::empty;
use super::halt::Halt;
use super::handle::Attempt;
use super::observe::observe;
use crate::error::Error;
use crate::job::RunEnd;
use crate::job::verdict::{Claimed, Progress, RunFile, Verdict, of_claim};
use crate::run::record::Records;
use crate::run::{Launch, RunFile as LockedFile};
use crate::store::{Ticket, upkeep::open_runs};
use crate::worker::job_log;
use crate::worker::job_run::JobRun;
use crate::worker::shortage;

/// What is certain about a job's run that is over.
#[allow(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Over {
    /// How it ended, with its tree gone, or why it could not be executed.
    Recorded(Records),
    /// No process of the job ever existed.
    Unstarted { has_its_file: bool },
    /// No process saw its end. No process of its tree is alive.
    Lost { records: Records, has_its_file: bool },
}

/// What is known of a run besides its run file.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// It was claimed in this boot of the machine.
    pub same_boot: bool,
    /// It had not entered its workspace, so it cannot have started.
    pub unstarted: bool,
}

/// Launches the job's run and watches it until it is over. `ticket`: the flush that makes its claim
/// durable.
///
/// # Errors
/// [`Halt`]: the worker detaches; there is a shortage; or the run is left to recovery.
pub fn run(attempt: &Attempt<'_>, job: &JobRun, mut launch: Launch, file: LockedFile, ticket: Ticket) -> Result<Over, Halt> {
    let ctx = attempt.ctx;
    // At most once must hold after a power cut as well: the claim is durable before a process of
    // the job exists. The shim is created and prepares meanwhile.
    // The name that another engine is given must not be forgotten either.
    launch.waits_for_go = (job.row.max_attempts == 1 || job.launched.is_some()) && !ctx.store.is_flushed(ticket);
    let known = Known { same_boot: true, unstarted: false };
    let spawner = ctx.spawner().map_err(|error| Halt::no_means(&error))?;
    let pipe = match spawner.launch(&launch, file) {
        Ok(pipe) => pipe,
        // Nothing was sent, and this copy of the lock is closed.
        Err(error) if shortage::want_of(&error).is_some() => return Err(Halt::no_means(&error)),
        Err(error) => {
            log::warn!("run {}: {error}", attempt.key.run);
            return resume(attempt, job, known);
        }
    };
    job_log::started(&job.row, attempt.key.run);
    let waits_for_go = launch.waits_for_go;
    // Its environment may be long, with secrets in it, and the run may last for days.
    drop(launch);
    if waits_for_go {
        let start = pipe.go();
        ctx.store.as_soon_as_flushed(ticket, move || start.say())?;
    }
    ctx.run_files.fill(&ctx.store, &ctx.roster);
    let records = attempt.follow(pipe)?;
    if records.progress() == Progress::Drained || records.failed.is_some() {
        return Ok(Over::Recorded(records));
    }
    if records.progress() == Progress::Nothing
        && let Some(errno) = spawner.take_complaint()
    {
        let error = "the spawner could not take the run: it has no descriptor or memory left".into();
        return Err(RunEnd::NoMeans { errno, error }.into());
    }
    resume(attempt, job, known)
}

/// Determines the fate of a run that no thread of this worker watched to its end, and waits for it
/// if it is alive.
///
/// # Errors
/// [`Halt`]: the worker detaches; or the run is left to recovery.
pub fn resume(attempt: &Attempt<'_>, job: &JobRun, known: Known) -> Result<Over, Halt> {
    let verdict_of = |file| of_claim(Claimed { same_boot: known.same_boot, file, known_unstarted: known.unstarted });
    let mut seen = observe(attempt)?;
    if verdict_of(seen.file) == Verdict::Adopt {
        count("adopted_total", attempt, job);
        job_log::adopted(&job.row, attempt.key.run);
        attempt.wait_until_over()?;
        seen = observe(attempt)?;
    }
    // The second observation: nothing is done after a single one.
    let observed = observe(attempt)?;
    if observed.file != seen.file {
        seen = observe(attempt)?;
    }
    let verdict = verdict_of(seen.file);
    log::info!("job {} run {}: {verdict:?} ({:?})", job.row.id, attempt.key.run, seen.file);
    let has_its_file = seen.file != RunFile::Foreign;
    let over = match verdict {
        Verdict::Adopt => {
            let error = format!("run {} is held again; checked at the next tick", attempt.key.run);
            return Err(Error::Held(error).into());
        }
        Verdict::Requeue { .. } => Over::Unstarted { has_its_file },
        Verdict::Lose { .. } => Over::Lost { records: seen.records, has_its_file },
        Verdict::Finish { .. } => Over::Recorded(seen.records),
    };
    if verdict.empties_tree() {
        empty(attempt.ctx, attempt.key)?;
    }
    Ok(over)
}

/// Counts what recovery has done with a run, over the life of the file.
pub fn count(name: &'static str, attempt: &Attempt<'_>, job: &JobRun) {
    let (ctx, run) = (attempt.ctx, attempt.key.run);
    let (note, now_ms, instance) = (format!("job {} run {run}", job.row.id), ctx.now_ms(), ctx.instance.clone());
    let counted = ctx.store.commit(move |conn| {
        if name == "adopted_total" {
            open_runs::adopted(conn, run, &instance)?;
        }
        open_runs::count(conn, name, 1, Some(&note), now_ms)
    });
    if let Err(error) = counted {
        log::warn!("counting {name}: {error}");
    }
}
