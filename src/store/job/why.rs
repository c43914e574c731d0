//! Why a job does not start, and why it ended. Facts with numbers; the command line turns them into
//! words and remedies.
//!
//! All facts, not only the first: a job that is held, waits for another job, and whose queue is
//! paused has all three.

use std::num::NonZeroUsize;

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::hook::HookOutcome;
use crate::job::retry::is_retried;
use crate::job::{Hold, JobId, Need, Outcome, Reason, RunKind, State};
use crate::store::engine::text::{Key, maybe};
use crate::store::hook::{self, Hook};
use crate::store::job::launched::{self, Launched};
use crate::store::job::pool;
use crate::store::job::read::existing;
use crate::store::job::retry;
use crate::store::job::retry::WayBack;
use crate::store::job::rows;
use crate::store::job::rows::{Dependency, Job, Run};
use crate::store::job::suspension::Holder;
use crate::store::job::{ended, pending, read, suspend};
use crate::store::resource;
use crate::store::resource::Resource;
use crate::store::workspace;

/// Most members of a lane that are named.
pub const MEMBERS_NAMED_MAX: i64 = 10;
/// Most resources that are named.
pub const RESOURCES_NAMED_MAX: i64 = 10;
/// Most suspended jobs that are named.
pub const SUSPENDED_NAMED_MAX: i64 = 10;
/// Jobs ahead are counted up to this number.
pub const AHEAD_COUNTED_MAX: i64 = 10_000;

/// One obstacle of a queued job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// A cancel is open; the worker ends it.
    Cancelled { why: Option<String> },
    /// Held by a person.
    UserHold,
    /// Held by its task.
    TaskHold { task: Option<i64> },
    /// A dependency that is unmet or broken. `back`: how the parent can be retried, if another end
    /// would help.
    Dependency { on: Dependency, back: Option<WayBack> },
    /// A resource of an earlier run is not released yet.
    Resource(Box<Resource>),
    /// Does not start before this instant, in milliseconds UTC. `due`: it has passed, and the
    /// worker has not seen it yet.
    Time { available_at: i64, due: bool },
    /// It takes more slots than its queue has (if that is why), or than the worker has or had.
    TooWide { slots: i64, queue: Option<(String, i64)>, worker: Option<i64> },
    /// A job that takes several slots comes first in all queues, and the others wait behind it.
    BehindWide { job: JobId, slots: i64 },
    /// It waits for its turn in a pool, or for free units of it.
    Pool(pool::Used),
    /// Its lane is full, or another member of its queue is first.
    Lane { key: String, max_running: i64, running: i64, members: Vec<Holder> },
    /// All queues are paused, since this instant in milliseconds UTC.
    AllPaused { at: i64 },
    /// `by`: the job that has paused it by failing, and when, in milliseconds UTC.
    QueuePaused { queue: String, by: Option<(JobId, Option<i64>)> },
    /// Its queue has fewer free slots than it takes.
    QueueFull {
        queue: String,
        slots: i64,
        /// Slots that its running jobs take, and those that this one takes.
        running: i64,
        wants: i64,
    },
    /// Ready jobs of its queue that come before it. `more`: at least so many.
    Behind { queue: String, ahead: i64, more: bool },
    /// It expires at this instant, in milliseconds UTC.
    Expires { at: i64 },
    /// Of a running job that has not started: its workspace is not ready. `by`: what prepares it,
    /// as text.
    Workspace { key: String, by: Option<String> },
}

/// A suspended job, which keeps its slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeper {
    pub job: JobId,
    /// It is of the same queue.
    pub is_of_queue: bool,
}

/// How the latest run ended, and whether the rules allow another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEnd {
    pub run: Option<Run>,
    /// The reason is retried under the job's policy.
    pub kind_is_retried: bool,
    pub attempts: u32,
    pub max_attempts: u32,
    pub deferrals: u32,
    pub max_deferrals: u32,
    pub failed_starts: u32,
}

/// Most dependants that are counted.
pub const DEPENDANTS_MAX: usize = 1_000;

/// All facts about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyFacts {
    pub job: Job,
    /// Of a queued job: all obstacles, most lasting first. Empty: it starts in the next free slot.
    /// Of a job that failed because of a dependency: which one.
    pub obstacles: Vec<Obstacle>,
    /// Of a job that has run or ended.
    pub last: Option<LastEnd>,
    /// Of a running job that is being cancelled, or of a cancelled one: the latest stop request and
    /// its text.
    pub cancel: Option<Option<String>>,
    /// Of a suspended job: why, as the client said.
    pub suspended_for: Option<String>,
    /// Of a queued job: running jobs that are suspended and keep what they have. First those that
    /// it waits for, then those of its queue.
    pub suspended: Vec<Keeper>,
    /// Of a running job that another engine runs.
    pub launched: Option<Launched>,
    /// Of a queued job: another engine will run it.
    pub has_launcher: bool,
    /// Of a running job: why its run, or an auxiliary run of it, cannot end.
    pub stuck: Option<String>,
    /// Of a failed or cancelled job: how it can be retried.
    pub back: Option<WayBack>,
    /// Of a failed or cancelled job: how many jobs ended because of it, counted up to 1,000.
    pub dependants: Option<NonZeroUsize>,
    /// Hooks that have not told its end yet, or were given up.
    pub hooks: Vec<Hook>,
}

/// Explains the state of a job.
///
/// # Errors
/// [`crate::error::Error::NotFound`].
pub fn why(conn: &Connection, id: JobId, now_ms: i64) -> Result<WhyFacts> {
    let job = existing(conn, id)?;
    let obstacles = match (job.state, job.reason) {
        (State::Queued, _) => obstacles(conn, &job, now_ms)?,
        (State::Running, _) => preparing(conn, &job)?.into_iter().collect(),
        (State::Failed, Some(Reason::Dependency)) => dependencies(conn, id, |state| state == "broken")?,
        _ => Vec::new(),
    };
    let last = last_end(conn, &job)?;
    let cancel = latest_cancel(conn, id)?;
    let suspended_for = job.suspension.map(|one| suspend::why(conn, one.id)).transpose()?.flatten();
    let suspended = if job.state == State::Queued { keepers(conn, id)? } else { Vec::new() };
    let stuck = read::stuck_runs(conn)?.into_iter().find(|(_, of, _)| *of == Some(id)).map(|(_, _, why)| why);
    let has_launcher = job.state == State::Queued && launched::has_launcher(conn, id)?;
    let launched = match (job.state, job.run_id) {
        (State::Running, Some(run)) => launched::of_run(conn, run)?,
        _ => None,
    };
    let back = match job.state {
        State::Failed | State::Cancelled => Some(retry::way_back(conn, &job)?),
        _ => None,
    };
    let dependants = if back.is_some() { NonZeroUsize::new(retry::dependants(conn, id, DEPENDANTS_MAX)?.len()) } else { None };
    let mut hooks = hook::of_job(conn, id)?;
    hooks.retain(|hook| hook.outcome != Some(HookOutcome::Done));
    Ok(WhyFacts {
        job,
        obstacles,
        last,
        cancel,
        suspended_for,
        suspended,
        launched,
        has_launcher,
        stuck,
        back,
        dependants,
        hooks,
    })
}

/// Returns what a running job waits for that is not in its workspace yet.
fn preparing(conn: &Connection, job: &Job) -> Result<Option<Obstacle>> {
    let (Some(run), Ok(policy)) = (job.run_id, job.policy()) else { return Ok(None) };
    let Some(wanted) = policy.workspace else { return Ok(None) };
    if workspace::entered(conn, run)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Obstacle::Workspace { by: workspace::being_made(conn, &wanted.key)?, key: wanted.key }))
}

fn obstacles(conn: &Connection, job: &Job, now_ms: i64) -> Result<Vec<Obstacle>> {
    let mut found = Vec::new();
    if let Some(why) = ended::open_cancel(conn, job.id)? {
        found.push(Obstacle::Cancelled { why });
    }
    if job.user_hold {
        found.push(Obstacle::UserHold);
    }
    if job.task_hold {
        found.push(Obstacle::TaskHold { task: job.task_id });
    }
    found.extend(dependencies(conn, job.id, |state| state != "met")?);
    let unreleased = resource::left_by(conn, job.id, RESOURCES_NAMED_MAX)?;
    found.extend(unreleased.into_iter().map(|resource| Obstacle::Resource(Box::new(resource))));
    // For a job with another hold, the worker checks the time when that hold is cleared.
    if job.available_at > job.due_seen && (job.available_at > now_ms || job.hold == Some(Hold::Time)) {
        found.push(Obstacle::Time { available_at: job.available_at, due: job.available_at <= now_ms });
    }
    let (queue_key, lane_key): (Key, Option<Key>) = conn
        .prepare_cached("SELECT queue, lane FROM job WHERE id = ?1")?
        .query_row([job.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if job.hold == Some(Hold::Slots) {
        found.push(too_wide(conn, job, &queue_key)?);
    }
    found.extend(behind_wide(conn, job)?);
    if job.hold == Some(Hold::Pool) {
        let lacks =
            |used: &pool::Used| used.first != Some(job.id) || used.size.is_none_or(|size| used.taken + used.amount > size);
        found.extend(pool::used_by(conn, job.id)?.into_iter().filter(lacks).map(Obstacle::Pool));
    }
    if let Some(key) = lane_key.filter(|_| !job.lane_pass) {
        found.extend(lane(conn, &key)?);
    }
    found.extend(pending::all_paused_at(conn)?.map(|at| Obstacle::AllPaused { at }));
    found.extend(queue(conn, job, &queue_key)?);
    found.extend(behind(conn, job, &queue_key)?);
    if let Some(at) = job.expires_at.filter(|_| job.attempts == 0 && job.deferrals == 0) {
        found.push(Obstacle::Expires { at });
    }
    Ok(found)
}

fn dependencies(conn: &Connection, job: JobId, is_told: impl Fn(&str) -> bool) -> Result<Vec<Obstacle>> {
    let all = read::dependencies(conn, job)?;
    let told = all.into_iter().filter(|one| is_told(&one.state));
    told.map(|on| Ok(Obstacle::Dependency { back: back_of_parent(conn, &on)?, on })).collect()
}

/// Determines how the parent of a dependency can be retried.
fn back_of_parent(conn: &Connection, on: &Dependency) -> Result<Option<WayBack>> {
    let is_broken = on.state == "broken" && on.need == Need::Done;
    let parent = if is_broken { read::job(conn, on.on)? } else { None };
    let parent = parent.filter(|job| matches!(job.state, State::Failed | State::Cancelled));
    parent.map(|job| retry::way_back(conn, &job)).transpose()
}

fn keepers(conn: &Connection, id: JobId) -> Result<Vec<Keeper>> {
    let mut keepers = conn.prepare_cached(sql!("why.sql", "keepers"))?;
    let keepers =
        keepers.query_map((id.0, SUSPENDED_NAMED_MAX), |row| Ok(Keeper { job: rows::id(row, 0)?, is_of_queue: row.get(1)? }))?;
    Ok(keepers.collect::<rusqlite::Result<_>>()?)
}

fn lane(conn: &Connection, key: &Key) -> Result<Option<Obstacle>> {
    let mut counts = conn.prepare_cached("SELECT max_running, running FROM lane WHERE key = ?1")?;
    let Some((max_running, running)) = counts.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()? else {
        // The repair round inserts the missing row of a lane.
        return Ok(Some(Obstacle::Lane { key: key.shown(), max_running: 1, running: 0, members: Vec::new() }));
    };
    let mut members = conn.prepare_cached(sql!("why.sql", "members"))?;
    let members =
        members.query_map((key, MEMBERS_NAMED_MAX), |row| Ok(Holder { job: rows::id(row, 0)?, is_suspended: row.get(1)? }))?;
    let members = members.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Obstacle::Lane { key: key.shown(), max_running, running, members }))
}

fn too_wide(conn: &Connection, job: &Job, key: &Key) -> Result<Obstacle> {
    let slots = i64::from(job.slots);
    let mut limits = conn.prepare_cached(sql!("why.sql", "slots"))?;
    let (queue, worker): (Option<i64>, Option<i64>) = limits.query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let less = |n: &i64| *n < slots;
    Ok(Obstacle::TooWide { slots, queue: queue.filter(less).map(|n| (job.queue.clone(), n)), worker: worker.filter(less) })
}

/// Returns the head of all queues, if this ready job waits behind it and it takes several slots.
fn behind_wide(conn: &Connection, job: &Job) -> Result<Option<Obstacle>> {
    let mut first = conn.prepare_cached(sql!("why.sql", "first"))?;
    let first: Option<(i64, i64)> = first.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let ahead = first.filter(|(id, slots)| job.hold.is_none() && *id != job.id.0 && *slots > 1);
    Ok(ahead.map(|(id, slots)| Obstacle::BehindWide { job: JobId(id), slots }))
}

fn queue(conn: &Connection, job: &Job, key: &Key) -> Result<Vec<Obstacle>> {
    let mut settings = conn.prepare_cached(sql!("why.sql", "queue"))?;
    let settings = settings.query_row([key], |row| {
        let by = row.get::<_, Option<i64>>(2)?.map(JobId);
        Ok((row.get(0)?, row.get(1)?, by.zip(Some(row.get(3)?)), row.get(4)?))
    });
    type Settings = (bool, Option<i64>, Option<(JobId, Option<i64>)>, i64);
    let (paused, slots, by, running): Settings = settings.optional()?.unwrap_or_default();
    let queue = || job.queue.clone();
    let full = slots.filter(|slots| running + i64::from(job.slots) > *slots);
    let full = full.map(|slots| Obstacle::QueueFull { queue: queue(), slots, running, wants: i64::from(job.slots) });
    Ok(paused.then(|| Obstacle::QueuePaused { queue: queue(), by }).into_iter().chain(full).collect())
}

fn behind(conn: &Connection, job: &Job, key: &Key) -> Result<Option<Obstacle>> {
    let mut ahead = conn.prepare_cached(sql!("why.sql", "ahead"))?;
    let ahead: i64 = ahead.query_row((key, job.priority, job.id.0, AHEAD_COUNTED_MAX), |row| row.get(0))?;
    if ahead == 0 {
        return Ok(None);
    }
    Ok(Some(Obstacle::Behind { queue: job.queue.clone(), ahead, more: ahead >= AHEAD_COUNTED_MAX }))
}

fn last_end(conn: &Connection, job: &Job) -> Result<Option<LastEnd>> {
    let run = read::runs(conn, job.id)?.into_iter().rfind(|run| run.kind == RunKind::Job && run.finished_at.is_some());
    if run.is_none() && !job.state.is_terminal() {
        return Ok(None);
    }
    let policy = job.policy().unwrap_or_default();
    let reason = run.as_ref().and_then(|run| run.reason).or(job.reason).unwrap_or(Reason::Lost);
    let exit_code = run.as_ref().map_or(job.exit_code, |run| run.exit_code);
    let tried = run.as_ref().is_none_or(|run| run.outcome != Some(Outcome::Done));
    Ok(Some(LastEnd {
        run,
        kind_is_retried: tried && is_retried(&policy, reason, exit_code),
        attempts: job.attempts,
        max_attempts: job.max_attempts,
        deferrals: job.deferrals,
        max_deferrals: policy.max_deferrals(),
        failed_starts: job.failed_starts,
    }))
}

fn latest_cancel(conn: &Connection, job: JobId) -> Result<Option<Option<String>>> {
    let mut latest = conn.prepare_cached("SELECT why FROM cancel WHERE job_id = ?1 ORDER BY id DESC LIMIT 1")?;
    Ok(latest.query_row([job.0], |row| maybe(row, 0)).optional()?)
}
