//! Adds jobs; what follows the end of a task's job is a parameter ([`crate::store::job::enqueue`]
//! provides it).
//!
//! A batch is accepted as a whole or not at all. It is validated here with a message, and again by
//! the guards of the schema, which do the same for every other client.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Statement, ToSql};

use crate::error::{Error, Result};
use crate::job::limits::{ADDED_AT_ONCE_MAX, JSON_BYTES_MAX};
use crate::job::{JobId, NewJob, Reason, State, check};
use crate::store::engine::text::text;
use crate::store::job::cancel;
use crate::store::job::ended;
use crate::store::job::ended::{Aftermath, TaskStep};
use crate::store::job::rows;

/// Columns of the statement that inserts jobs.
const COLUMNS: usize = 21;
/// Jobs of a batch that one statement inserts: SQLite opens the indexes, and keeps what it would
/// have to restore of each page, once for a statement.
pub const BLOCK: usize = 10;
/// The statement for as many.
static INSERT_BLOCK: LazyLock<String> = LazyLock::new(|| {
    let mut sql = sql!("insert.sql", "insert").trim_end().trim_end_matches(';').to_owned();
    for first in (1..BLOCK).map(|row| row * COLUMNS + 1) {
        let _text_takes_all = write!(sql, ", (?{first}");
        for column in first + 1..first + COLUMNS {
            let _text_takes_all = write!(sql, ", ?{column}");
        }
        sql.push(')');
    }
    sql
});

/// Result for one job of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    pub id: JobId,
    /// A live job has that unique key: this is that job, and none was added.
    pub existing: bool,
    /// The live job with the same unique key that was cancelled in favour of this one. It may still
    /// run.
    pub replaced: Option<JobId>,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
}

/// Adds jobs, all or none, in this order.
pub(in crate::store) fn add<J: Borrow<NewJob>>(
    conn: &Connection,
    jobs: &[J],
    now_ms: i64,
    task_step: TaskStep,
) -> Result<Vec<Added>> {
    if jobs.len() > ADDED_AT_ONCE_MAX {
        return Err(Error::Invalid(format!(
            "{} jobs in one transaction, {ADDED_AT_ONCE_MAX} at most; add them in parts",
            jobs.len()
        )));
    }
    let (mut added, mut rest) = (Vec::with_capacity(jobs.len()), jobs);
    while let Some(job) = rest.first() {
        let done = match rest.first_chunk::<BLOCK>().filter(|block| block.iter().all(|job| needs_only_a_row(job.borrow()))) {
            Some(block) => {
                added.extend(add_block(conn, block, now_ms)?);
                BLOCK
            }
            None => {
                added.push(add_one(conn, job.borrow(), now_ms, task_step)?);
                1
            }
        };
        rest = &rest[done..];
    }
    Ok(added)
}

/// Whether nothing precedes and nothing follows the insertion of this job.
pub fn needs_only_a_row(job: &NewJob) -> bool {
    job.placement.unique_key.is_none() && job.placement.lane.is_none() && job.placement.uses.is_empty() && job.after.is_empty()
}

fn add_block<J: Borrow<NewJob>>(
    conn: &Connection,
    jobs: &[J; BLOCK],
    now_ms: i64,
) -> Result<impl Iterator<Item = Added> + use<J>> {
    let mut insert = conn.prepare_cached(&INSERT_BLOCK)?;
    for (n, job) in jobs.iter().map(Borrow::borrow).enumerate() {
        check::of_row(job).map_err(|refusal| Error::Invalid(refusal.to_string()))?;
        bind(&mut insert, n * COLUMNS, job, now_ms)?;
    }
    insert.raw_execute()?;
    let last = conn.last_insert_rowid();
    let first = last - jobs.len() as i64 + 1;
    // Each id is the next one. As they are the highest, all of these are of this statement.
    let ours = conn.prepare_cached("SELECT count(*) FROM job WHERE id >= ?1")?.query_row([first], |row| row.get(0));
    if ours != Ok(jobs.len() as i64) {
        return Err(Error::Internal(format!("the ids of {} new jobs do not end with {last}", jobs.len())));
    }
    Ok((first..=last).map(|id| Added { id: JobId(id), existing: false, replaced: None, freed: Vec::new() }))
}

fn add_one(conn: &Connection, job: &NewJob, now_ms: i64, task_step: TaskStep) -> Result<Added> {
    check::of_row(job).map_err(|refusal| Error::Invalid(refusal.to_string()))?;
    let mut out = Aftermath::new(task_step);
    let live = job.placement.unique_key.as_deref().map(|key| live_with_key(conn, key)).transpose()?.flatten();
    let replaced = match live {
        Some((id, _)) if !job.placement.replace => return Ok(Added { id, existing: true, replaced: None, freed: Vec::new() }),
        Some((id, state)) => {
            make_way(conn, id, state, now_ms, &mut out)?;
            Some(id)
        }
        None => None,
    };
    if let (Some(lane), Some(limit)) = (&job.placement.lane, job.lane_limit) {
        // Before its first job, which would create the lane with a limit of one.
        conn.prepare_cached("INSERT INTO lane (key, max_running, of_array) VALUES (?1, ?2, 1)")?.execute((lane, limit))?;
    }
    let id = insert(conn, job, now_ms)?;
    for (parent, need) in &job.after {
        wait_for(conn, id, *parent, need.as_str())?;
    }
    if !job.after.is_empty() {
        end_if_hopeless(conn, id, now_ms, &mut out)?;
    }
    Ok(Added { id, existing: false, replaced, freed: out.freed })
}

/// Returns the job that has a key. A job that is being cancelled no longer has it: a trigger gives
/// it to the next job that asks for it.
pub(in crate::store) fn live_with_key(conn: &Connection, key: &str) -> Result<Option<(JobId, State)>> {
    let mut live = conn.prepare_cached(sql!("insert.sql", "live"))?;
    Ok(live.query_row([key], |row| Ok((rows::id(row, 0)?, rows::state(row, 1)?))).optional()?)
}

/// The newest job wins: a queued job with its key ends, a running one is asked to stop, and so
/// gives up the key.
fn make_way(conn: &Connection, old: JobId, state: State, now_ms: i64, out: &mut Aftermath) -> Result<()> {
    const WHY: &str = "replaced by a newer job with the same unique key";
    conn.prepare_cached("INSERT INTO event (job_id, kind, at) VALUES (?1, 'replaced', ?2)")?.execute((old.0, now_ms))?;
    if state == State::Queued {
        ended::end_queued(conn, old, Reason::Cancelled, WHY, now_ms, out)?;
        return Ok(());
    }
    cancel::ask(conn, old, Some(WHY), now_ms)
}

fn insert(conn: &Connection, job: &NewJob, now_ms: i64) -> Result<JobId> {
    check_pools(conn, &job.placement.uses)?;
    let mut insert = conn.prepare_cached(sql!("insert.sql", "insert"))?;
    bind(&mut insert, 0, job, now_ms)?;
    insert.raw_execute()?;
    Ok(JobId(conn.last_insert_rowid()))
}

/// Binds the columns of a job to the parameters after that one.
fn bind(insert: &mut Statement<'_>, after: usize, job: &NewJob, now_ms: i64) -> Result<()> {
    let env = if job.placement.env.is_empty() {
        "{}".to_owned()
    } else {
        serde_json::to_string(&job.placement.env).map_err(|error| Error::Internal(format!("env is not JSON: {error}")))?
    };
    let (command, policy) = (job.command.to_json(), job.policy.to_json());
    for (what, text) in [("command", &command), ("environment", &env), ("policy", &policy)] {
        if text.len() > JSON_BYTES_MAX {
            let why = format!("the {what} as JSON has {} bytes, {JSON_BYTES_MAX} at most; put the data in a file", text.len());
            return Err(Error::Invalid(why));
        }
    }
    let uses = uses_json(&job.placement.uses);
    let columns: [&dyn ToSql; COLUMNS] = [
        &command,
        &job.placement.queue,
        &job.placement.lane,
        &job.placement.priority,
        &job.placement.label,
        &job.placement.cwd,
        &job.available_at,
        &job.placement.max_attempts,
        &now_ms.max(0),
        &job.expires_at,
        &job.placement.unique_key,
        &job.array_index,
        &env,
        &policy,
        &job.placement.user_hold,
        &job.task,
        &job.task_hold,
        &job.placement.slots,
        &job.stop_group,
        &uses,
        &job.owner,
    ];
    for (n, column) in columns.iter().enumerate() {
        insert.raw_bind_parameter(after + n + 1, column)?;
    }
    Ok(())
}

/// Checks that each pool exists. (A guard refuses it too, and cannot name it.)
pub(in crate::store) fn check_pools(conn: &Connection, uses: &BTreeMap<String, u32>) -> Result<()> {
    for (name, amount) in uses {
        let mut pool = conn.prepare_cached("SELECT 1 FROM pool WHERE name = ?1")?;
        if !pool.exists([name])? {
            return Err(Error::NotFound(format!("there is no pool {name:?}; tenure pool set {name} --limit {amount} makes it")));
        }
    }
    Ok(())
}

/// Returns the JSON of what a job uses; `None`: nothing.
pub(in crate::store) fn uses_json(uses: &BTreeMap<String, u32>) -> Option<String> {
    (!uses.is_empty()).then(|| serde_json::json!(uses).to_string())
}

fn wait_for(conn: &Connection, job: JobId, parent: JobId, need: &str) -> Result<()> {
    let exists: bool =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1)")?.query_row([parent.0], |row| row.get(0))?;
    if !exists || parent >= job {
        return Err(Error::NotFound(format!("there is no job {parent} to wait for; tenure ls -a lists the jobs")));
    }
    // A dependency that is named twice with the same need counts once; with two needs the guard
    // explains the error.
    let mut same = conn.prepare_cached("SELECT need FROM dependency WHERE job_id = ?1 AND on_job = ?2")?;
    let before: Option<String> = same.query_row((job.0, parent.0), |row| text(row, 0)).optional()?;
    if before.as_deref() != Some(need) {
        conn.prepare_cached("INSERT INTO dependency (job_id, on_job, need) VALUES (?1, ?2, ?3)")?
            .execute((job.0, parent.0, need))?;
    }
    Ok(())
}

/// A job whose parent has already ended otherwise is added, and ends immediately: so its history
/// shows what happened.
fn end_if_hopeless(conn: &Connection, job: JobId, now_ms: i64, out: &mut Aftermath) -> Result<()> {
    ended::end_broken(conn, job, now_ms, out).map(|_| ())
}
