//! A job that `tenure run` follows inside another job: which jobs wait for it, and whether it could
//! ever start beside them.
//!
//! Those jobs keep their slot, lane and key until it has ended. Other holders may release theirs;
//! those jobs never do.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::template::PARENT;
use crate::job::{JobId, NewJob, RunId, State};
use crate::store::job::rows;
use crate::store::job::rows::Job;
use crate::store::job::{insert, pool, read};
use crate::store::upkeep::open_runs;

/// Most jobs that are followed upwards.
const DEPTH_MAX: usize = 1_000;

/// Why a job could never start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Never {
    /// A job that waits for it has its key.
    Key { key: String, of: JobId },
    /// It depends on a job that waits for it.
    Dependency { on: JobId },
    /// Jobs that wait for it fill its lane.
    Lane { key: String, limit: i64, by: Vec<JobId> },
    /// Jobs that wait for it have what it uses of a pool, which would need so many units.
    Pool { name: String, size: i64, needs: i64, by: Vec<JobId> },
    /// Jobs that wait for it fill its queue, which would need so many slots.
    Queue { name: String, slots: i64, needs: i64, by: Vec<JobId> },
}

/// Returns the running jobs that wait for what `run` follows, innermost first: `job` is the first
/// one, and `run` is its own run or an auxiliary run of it (its check, the preparation of its
/// workspace). Empty: there is no such run in this file, or it is over.
pub fn ancestors(conn: &Connection, job: JobId, run: RunId) -> Result<Vec<Job>> {
    let is_of_job = open_runs::open_run_of(conn, job)?
        .is_some_and(|(own, around)| own.run == run || around.is_some_and(|around| around.run == run));
    let mut chain: Vec<Job> = read::job(conn, job)?.into_iter().filter(|job| is_of_job && job.state == State::Running).collect();
    while let Some(parent) = chain.last().and_then(parent_of).filter(|_| !chain.is_empty() && chain.len() < DEPTH_MAX) {
        let child = chain.last().map(|job| job.id);
        // A parent is older than its child, so a row that a client has altered creates no cycle.
        let next = read::job(conn, parent)?.filter(|job| job.state == State::Running && Some(job.id) < child);
        let Some(next) = next else { break };
        chain.push(next);
    }
    Ok(chain)
}

fn parent_of(job: &Job) -> Option<JobId> {
    let env: BTreeMap<String, String> = serde_json::from_str(&job.env).ok()?;
    env.get(PARENT)?.parse().ok().map(JobId)
}

/// What is followed when a new job is requested.
pub enum Followed {
    /// The new one.
    New,
    /// The live job that has its key. Nothing is added.
    Live(Box<Job>),
}

impl Followed {
    /// Returns the slots that the followed job takes.
    pub fn slots(&self, new: &NewJob) -> i64 {
        match self {
            Self::New => new.placement.slots.into(),
            Self::Live(job) => job.slots.into(),
        }
    }

    /// Returns what the followed job uses of each pool.
    fn uses(&self, new: &NewJob) -> BTreeMap<String, u32> {
        match self {
            Self::New => new.placement.uses.clone(),
            Self::Live(job) => job.uses(),
        }
    }
}

/// Determines what would be followed.
pub fn followed(conn: &Connection, new: &NewJob) -> Result<Followed> {
    let Some(key) = new.placement.unique_key.as_ref().filter(|_| !new.placement.replace) else { return Ok(Followed::New) };
    let Some((live, _)) = insert::live_with_key(conn, key)? else { return Ok(Followed::New) };
    Ok(read::job(conn, live)?.map_or(Followed::New, |job| Followed::Live(Box::new(job))))
}

/// Explains why the followed job could never start while `ancestors` wait for it.
pub fn never(conn: &Connection, new: &NewJob, followed: &Followed, ancestors: &[Job]) -> Result<Option<Never>> {
    if ancestors.is_empty() {
        return Ok(None);
    }
    if let Some(key) = &new.placement.unique_key
        && let Some((of, _)) = insert::live_with_key(conn, key)?
        && ancestors.iter().any(|job| job.id == of)
    {
        return Ok(Some(Never::Key { key: key.clone(), of }));
    }
    let (lane, queue, ahead) = match followed {
        Followed::New => (&new.placement.lane, &new.placement.queue, new.after.iter().map(|(on, _)| *on).collect()),
        Followed::Live(job) if job.state == State::Running => return Ok(None),
        Followed::Live(job) => (&job.lane, &job.queue, vec![job.id]),
    };
    if let Some(on) = waits_for(conn, ahead, ancestors)? {
        return Ok(Some(Never::Dependency { on }));
    }
    if let Some(key) = lane {
        let by: Vec<JobId> = ancestors.iter().filter(|job| job.lane.as_ref() == Some(key)).map(|job| job.id).collect();
        let mut limit = conn.prepare_cached("SELECT max_running FROM lane WHERE key = ?1")?;
        let limit: i64 = limit.query_row([key], |row| row.get(0)).optional()?.unwrap_or(1);
        if !by.is_empty() && i64::try_from(by.len()).is_ok_and(|n| n >= limit) {
            return Ok(Some(Never::Lane { key: key.clone(), limit, by }));
        }
    }
    if let Some(never) = no_pool(conn, &followed.uses(new), ancestors)? {
        return Ok(Some(never));
    }
    let held: i64 = ancestors.iter().filter(|job| job.queue == *queue).map(|job| i64::from(job.slots)).sum();
    let by: Vec<JobId> = ancestors.iter().filter(|job| job.queue == *queue).map(|job| job.id).collect();
    let mut slots = conn.prepare_cached("SELECT slots FROM queue WHERE name = ?1")?;
    let slots: Option<i64> = slots.query_row([queue], |row| row.get(0)).optional()?.flatten();
    let wants = followed.slots(new);
    let is_full = |slots: &i64| !by.is_empty() && held + wants > *slots;
    Ok(slots.filter(is_full).map(|slots| Never::Queue { name: queue.clone(), slots, needs: held + wants, by }))
}

/// Returns the pool of which the ancestors leave too little.
fn no_pool(conn: &Connection, uses: &BTreeMap<String, u32>, ancestors: &[Job]) -> Result<Option<Never>> {
    if uses.is_empty() {
        return Ok(None);
    }
    let pools = pool::all(conn)?;
    for (name, wants) in uses {
        let Some(size) = pools.iter().find(|pool| pool.name == *name).map(|pool| pool.size) else { continue };
        let held: Vec<(JobId, i64)> =
            ancestors.iter().filter_map(|job| Some((job.id, i64::from(*job.uses().get(name)?)))).collect();
        let needs = held.iter().map(|(_, n)| n).sum::<i64>() + i64::from(*wants);
        if !held.is_empty() && needs > size {
            let by = held.into_iter().map(|(job, _)| job).collect();
            return Ok(Some(Never::Pool { name: name.clone(), size, needs, by }));
        }
    }
    Ok(None)
}

/// Returns the ancestor that is among the jobs `ahead` or their direct or indirect dependencies.
fn waits_for(conn: &Connection, mut ahead: Vec<JobId>, ancestors: &[Job]) -> Result<Option<JobId>> {
    let waited_for: BTreeSet<JobId> = ancestors.iter().map(|job| job.id).collect();
    let mut next = conn.prepare_cached("SELECT on_job FROM dependency WHERE job_id = ?1 AND state = 'unmet'")?;
    let mut seen = BTreeSet::new();
    while let Some(on) = ahead.pop() {
        if waited_for.contains(&on) {
            return Ok(Some(on));
        }
        if seen.insert(on) {
            ahead.extend(next.query_map([on.0], |row| rows::id(row, 0))?.collect::<rusqlite::Result<Vec<_>>>()?);
        }
    }
    Ok(None)
}
