//! External resources: recorded, listed, and released by a person.
//!
//! Triggers of the schema make the resources of an owner `releasing` when it ends, in every case.
//! What the worker does then is in [`crate::store::resource::teardown`].

pub mod teardown;

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::job::limits::TEARDOWN_FAILURES_TOLD;
use crate::job::{Argv, JobId, ReleasedBy, ResourceId, ResourceState, RunId, names};
use crate::store::engine::text::{Key, first_fault, maybe, text};
use crate::store::job::rows;

/// Most resources in one list.
pub const RESOURCES_MAX: usize = 100_000;

/// The owner of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Run(RunId),
    Job(JobId),
    Task(i64),
}

/// A resource to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResource {
    pub name: String,
    pub owner: Owner,
    pub teardown: Argv,
    pub probe: Option<Argv>,
    pub cwd: String,
    /// In addition to the environment of the owner's job.
    pub env: BTreeMap<String, String>,
    /// Of the teardown, in milliseconds.
    pub timeout_ms: Option<u64>,
}

/// Result of recording a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub id: ResourceId,
    /// The owner had one of this name: it has the new teardown and probe.
    pub replaced: bool,
    /// `releasing`: the owner has already ended, so it is torn down now.
    pub state: ResourceState,
}

/// A row of `resource`. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub id: ResourceId,
    pub name: String,
    pub state: ResourceState,
    /// The owner, or the run that owns it.
    pub run: Option<RunId>,
    /// The owner, or the job of the run that owns it.
    pub job: Option<JobId>,
    pub task: Option<i64>,
    /// JSON.
    pub teardown: String,
    /// JSON.
    pub probe: Option<String>,
    pub cwd: String,
    /// JSON.
    pub env: String,
    pub timeout_ms: Option<u64>,
    pub was_torn_down: bool,
    /// The auxiliary run that is in progress for it.
    pub auxiliary: Option<RunId>,
    /// Failed attempts to tear it down.
    pub attempts: u32,
    pub next_at: i64,
    pub last_error: Option<String>,
    pub created_at: i64,
    pub releasing_since: Option<i64>,
    pub released_at: Option<i64>,
    pub released_by: Option<ReleasedBy>,
    /// Its latest teardown or probe.
    pub last_run: Option<RunId>,
    /// Why its teardown and probe cannot be run: a client wrote bytes that are not UTF-8.
    pub unreadable: Option<String>,
}

macro_rules! resource_columns {
    () => {
        "r.id, r.name, r.state, r.run_id, coalesce(r.job_id, (SELECT job_id FROM run WHERE id = r.run_id)), r.task_id, r.teardown, \
         r.probe, r.cwd, r.env, r.timeout_ms, r.torn, r.auxiliary_run_id, r.attempts, r.next_at, r.last_error, r.created_at, \
         r.releasing_since, r.released_at, r.released_by, (SELECT id FROM run WHERE resource_id = r.id ORDER BY claimed_at DESC, id DESC LIMIT 1)"
    };
}

impl Resource {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: ResourceId(row.get(0)?),
            name: text(row, 1)?,
            // An unknown state counts as one that still needs a teardown.
            state: rows::word(row, 2, ResourceState::parse)?.unwrap_or(ResourceState::Releasing),
            run: row.get::<_, Option<i64>>(3)?.map(RunId),
            job: row.get::<_, Option<i64>>(4)?.map(JobId),
            task: row.get(5)?,
            teardown: text(row, 6)?,
            probe: maybe(row, 7)?,
            cwd: text(row, 8)?,
            env: text(row, 9)?,
            timeout_ms: row.get::<_, Option<i64>>(10)?.and_then(|ms| u64::try_from(ms).ok()),
            was_torn_down: row.get::<_, i64>(11)? != 0,
            auxiliary: row.get::<_, Option<i64>>(12)?.map(RunId),
            attempts: rows::count(row, 13)?,
            next_at: row.get(14)?,
            last_error: maybe(row, 15)?,
            created_at: row.get(16)?,
            releasing_since: row.get(17)?,
            released_at: row.get(18)?,
            released_by: rows::word(row, 19, ReleasedBy::parse)?,
            last_run: row.get::<_, Option<i64>>(20)?.map(RunId),
            unreadable: first_fault(row, &[(6, "teardown"), (7, "probe"), (8, "cwd"), (9, "env")])?,
        })
    }
}

/// Records a resource. If the owner has one of this name that is not released, that one gets the
/// new teardown and probe.
///
/// # Errors
/// [`Error::Invalid`] for an invalid name, [`Error::NotFound`] for a job or a task that does not
/// exist.
pub fn add(conn: &Connection, new: &NewResource) -> Result<Written> {
    let (run, job, task) = of_owner(new.owner);
    names::name(&new.name).map_err(|why| Error::Invalid(format!("the name of a resource: {why}")))?;
    check_owner(conn, new.owner)?;
    let (teardown, probe) = (new.teardown.to_json(), new.probe.as_ref().map(Argv::to_json));
    let env = serde_json::json!(with_env_of_owner(conn, new)?).to_string();
    let timeout_ms = new.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
    let mut replace = conn.prepare_cached(sql!("resource.sql", "replace"))?;
    let there = replace
        .query_row(params![run, job, task, new.name, teardown, probe, new.cwd, env, timeout_ms], |row| row.get(0))
        .optional()?
        .map(ResourceId);
    let id = match there {
        Some(id) => id,
        None => {
            let mut insert = conn.prepare_cached(sql!("resource.sql", "add"))?;
            insert.execute(params![run, job, task, new.name, teardown, probe, new.cwd, env, timeout_ms])?;
            // Read back, because triggers insert into other tables after it.
            let mut id = conn.prepare_cached("SELECT max(id) FROM resource")?;
            ResourceId(id.query_row([], |row| row.get(0))?)
        }
    };
    let state = existing(conn, id)?.state;
    Ok(Written { id, replaced: there.is_some(), state })
}

fn of_owner(owner: Owner) -> (Option<i64>, Option<i64>, Option<i64>) {
    match owner {
        Owner::Run(run) => (Some(run.0), None, None),
        Owner::Job(job) => (None, Some(job.0), None),
        Owner::Task(task) => (None, None, Some(task)),
    }
}

/// An unknown run counts as ended, so its resources are not refused.
fn check_owner(conn: &Connection, owner: Owner) -> Result<()> {
    let (sql, id, what) = match owner {
        Owner::Run(_) => return Ok(()),
        Owner::Job(job) => ("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1)", job.0, "job"),
        Owner::Task(task) => ("SELECT EXISTS (SELECT 1 FROM task WHERE id = ?1)", task, "task"),
    };
    match conn.prepare_cached(sql)?.query_row([id], |row| row.get(0))? {
        true => Ok(()),
        false => Err(Error::NotFound(
            format!("there is no {what} {id}, so it can own nothing; tenure {what} ls lists them")
                .replace("tenure job ls", "tenure ls -a"),
        )),
    }
}

/// A teardown gets the environment of the job that created the resource; explicit variables take
/// precedence.
fn with_env_of_owner(conn: &Connection, new: &NewResource) -> Result<BTreeMap<String, String>> {
    let sql = match new.owner {
        Owner::Run(_) => "SELECT env FROM job WHERE id = (SELECT job_id FROM run WHERE id = ?1)",
        Owner::Job(_) => "SELECT env FROM job WHERE id = ?1",
        Owner::Task(_) => return Ok(new.env.clone()),
    };
    let (run, job, _) = of_owner(new.owner);
    let given: Option<Key> = conn.prepare_cached(sql)?.query_row([run.or(job)], |row| row.get(0)).optional()?;
    let mut env: BTreeMap<String, String> = given.and_then(|json| serde_json::from_slice(json.bytes()).ok()).unwrap_or_default();
    env.extend(new.env.clone());
    Ok(env)
}

/// Returns one resource; `None`: it does not exist.
pub fn one(conn: &Connection, id: ResourceId) -> Result<Option<Resource>> {
    let mut one = conn.prepare_cached(concat!("SELECT ", resource_columns!(), " FROM resource r WHERE r.id = ?1"))?;
    Ok(one.query_row([id.0], Resource::from_row).optional()?)
}

/// Returns one resource that must exist.
///
/// # Errors
/// [`Error::NotFound`].
pub fn existing(conn: &Connection, id: ResourceId) -> Result<Resource> {
    one(conn, id)?.ok_or_else(|| Error::NotFound(format!("there is no resource {id}; tenure resource ls -a lists them")))
}

/// Returns all resources, by id; if there are too many, the newest.
pub fn all(conn: &Connection) -> Result<Vec<Resource>> {
    let sql = concat!("SELECT ", resource_columns!(), " FROM resource r ORDER BY r.id DESC LIMIT ?1");
    collect(conn, sql, [i64::try_from(RESOURCES_MAX).unwrap_or(i64::MAX)])
}

/// Returns those with smaller numbers, the newest first, at most `limit`; those that are released
/// only with `released`.
pub fn page(conn: &Connection, before: Option<ResourceId>, released: bool, limit: usize) -> Result<Vec<Resource>> {
    const LIVE: &str = concat!(
        "SELECT ",
        resource_columns!(),
        " FROM resource r WHERE r.state <> 'released' AND r.id < ?1 ORDER BY r.id DESC LIMIT ?2"
    );
    const ALL: &str = concat!("SELECT ", resource_columns!(), " FROM resource r WHERE r.id < ?1 ORDER BY r.id DESC LIMIT ?2");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = collect(conn, if released { ALL } else { LIVE }, (before.map_or(i64::MAX, |id| id.0), limit))?;
    found.reverse();
    Ok(found)
}

/// Returns those that are not released, by id; at most `limit`, the newest.
pub fn live(conn: &Connection, limit: usize) -> Result<Vec<Resource>> {
    let sql = concat!("SELECT ", resource_columns!(), " FROM resource r WHERE r.state <> 'released' ORDER BY r.id DESC LIMIT ?1");
    collect(conn, sql, [i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Returns the resources of a job and its runs that are not released, and so block its next
/// attempt. At most `limit`, the newest.
pub fn left_by(conn: &Connection, job: JobId, limit: i64) -> Result<Vec<Resource>> {
    let sql = concat!(
        "SELECT ",
        resource_columns!(),
        " FROM resource r WHERE r.id IN (SELECT resource_id FROM blocking_resource WHERE job_id = ?1) ORDER BY r.id DESC LIMIT ?2"
    );
    collect(conn, sql, (job.0, limit))
}

/// The number of resources that are not released, and those that have failed so often that a person
/// should check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub held: i64,
    pub releasing: i64,
    /// With at least [`TEARDOWN_FAILURES_TOLD`] failures, longest waiting first.
    pub failing: Vec<Resource>,
}

/// Most that [`Counts`] names.
const FAILING_NAMED_MAX: i64 = 10;

pub fn counts(conn: &Connection) -> Result<Counts> {
    let mut count = conn.prepare_cached("SELECT count(*) FROM resource WHERE state = ?1 AND state <> 'released'")?;
    let mut of = |state: ResourceState| count.query_row([state.as_str()], |row| row.get(0));
    let (held, releasing) = (of(ResourceState::Held)?, of(ResourceState::Releasing)?);
    let sql = concat!(
        "SELECT ",
        resource_columns!(),
        " FROM resource r WHERE r.state = 'releasing' AND r.state <> 'released' AND r.attempts >= ?1 ORDER BY r.id DESC LIMIT ?2"
    );
    let failing = if releasing == 0 { Vec::new() } else { collect(conn, sql, (TEARDOWN_FAILURES_TOLD, FAILING_NAMED_MAX))? };
    Ok(Counts { held, releasing, failing })
}

fn collect(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Resource>> {
    let mut found = conn.prepare_cached(sql)?;
    let mut found: Vec<Resource> = found.query_map(params, Resource::from_row)?.collect::<rusqlite::Result<_>>()?;
    found.reverse();
    Ok(found)
}

/// Tears a resource down now, whether or not its owner lives, without the rest of its wait.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] if it is released already.
pub fn release(conn: &Connection, id: ResourceId) -> Result<Resource> {
    let released = conn
        .prepare_cached("UPDATE resource SET state = 'releasing', next_at = 0 WHERE id = ?1 AND state <> 'released'")?
        .execute([id.0])?;
    let resource = existing(conn, id)?;
    if released == 0 { Err(gone(&resource)) } else { Ok(resource) }
}

/// Records a resource as released without a teardown: a person has removed it. Its open auxiliary
/// run continues and has no effect.
///
/// # Errors
/// As [`release`].
pub fn give_up(conn: &Connection, id: ResourceId, now_ms: i64) -> Result<Resource> {
    let before = existing(conn, id)?;
    let given_up = conn.prepare_cached(sql!("resource.sql", "give_up"))?.execute((id.0, now_ms))?;
    if given_up == 0 { Err(gone(&before)) } else { Ok(before) }
}

fn gone(resource: &Resource) -> Error {
    let by = resource.released_by.map_or("", ReleasedBy::as_str);
    Error::Refused(format!("resource {} is gone already ({by}); there is nothing to release", resource.id))
}

/// Makes every releasing resource due now. Returns their number.
pub fn sweep(conn: &Connection) -> Result<usize> {
    let mut sweep = conn.prepare_cached("UPDATE resource SET next_at = 0 WHERE state = 'releasing' AND state <> 'released'")?;
    Ok(sweep.execute([])?)
}
