//! Reads. Nothing here changes the file.
//!
//! Every list has a limit, and every question is answered from an index or from maintained counts.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::nearest;
use crate::job::policy::Stdin;
use crate::job::{Hold, JobId, Need, Policy, Reason, ResourceId, RunId};
use crate::store::engine::text::{maybe, text};
pub use crate::store::job::counted::{counters, lanes, queues};
pub use crate::store::job::listing::{Filter, JOBS_MAX, jobs, listing, listing_within};
use crate::store::job::rows;
use crate::store::job::rows::{Dependency, Event, Job, Run, job_columns, run_columns};

/// Most runs, and most events, that are read of one job: the newest.
pub const HISTORY_MAX: usize = 10_000;
/// Longest texts of these events, in bytes, about.
pub const HISTORY_BYTES_MAX: usize = 4 << 20;

/// The number of jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub queued: i64,
    pub running: i64,
    /// Slots that the running jobs take.
    pub slots_taken: i64,
    pub done: i64,
    pub failed: i64,
    pub cancelled: i64,
    /// Queued jobs by hold; those without a hold are ready.
    pub held: Vec<(Hold, i64)>,
}

/// Returns one job; `None`: it does not exist.
pub fn job(conn: &Connection, id: JobId) -> Result<Option<Job>> {
    let mut job = conn.prepare_cached(concat!("SELECT ", job_columns!(), " FROM job WHERE id = ?1"))?;
    Ok(job.query_row([id.0], Job::from_row).optional()?)
}

/// Returns the labels of jobs, each once, at most `most`: it skips from one to the next in the
/// index, however many jobs have each.
pub fn labels(conn: &Connection, most: usize) -> Result<Vec<String>> {
    let sql = sql!("read.sql", "labels");
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| text(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How far a reader has read the changes of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The newest event.
    event: i64,
    /// The latest end of a job.
    ended_at: i64,
}

/// How much later than its instant the end of a job may be committed and still be reported by
/// [`told_of`], in milliseconds.
const COMMIT_LATE_MS: i64 = 60_000;

/// Returns the current position.
pub fn seen(conn: &Connection) -> Result<Seen> {
    let mut seen = conn.prepare_cached(sql!("read.sql", "seen"))?;
    Ok(seen.query_row([], |row| Ok(Seen { event: row.get(0)?, ended_at: row.get(1)? }))?)
}

/// Returns the jobs that have ended since, and those with later events, at most `limit` of each,
/// and the new position. An end that was recorded long before it is committed, as after a crash of
/// the worker, is not included.
pub fn told_of(conn: &Connection, since: Seen, limit: usize) -> Result<(Vec<JobId>, Seen)> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut told = conn.prepare_cached(sql!("read.sql", "told"))?;
    let mut rows = told.query((since.event, limit))?;
    let (mut jobs, mut last) = (Vec::new(), since);
    while let Some(row) = rows.next()? {
        last.event = row.get(0)?;
        jobs.extend(row.get::<_, Option<i64>>(1)?.map(JobId));
    }
    let mut ended = conn.prepare_cached(sql!("read.sql", "ended_since"))?;
    let mut rows = ended.query((since.ended_at.saturating_sub(COMMIT_LATE_MS), limit))?;
    while let Some(row) = rows.next()? {
        jobs.push(rows::id(row, 0)?);
        last.ended_at = last.ended_at.max(row.get(1)?);
    }
    Ok((jobs, last))
}

/// The job with the highest number.
pub fn last_job(conn: &Connection) -> Result<Option<JobId>> {
    Ok(conn.prepare_cached("SELECT max(id) FROM job")?.query_row([], |row| row.get::<_, Option<i64>>(0))?.map(JobId))
}

/// The runs of a job, with the auxiliary runs around it and those of its hooks, newest last.
pub fn runs(conn: &Connection, job: JobId) -> Result<Vec<Run>> {
    // The newest of each are found in an index: a job may have a hundred thousand.
    const OF_JOB: &str =
        concat!("SELECT * FROM (SELECT ", run_columns!(), " FROM run WHERE job_id = ?1 ORDER BY id DESC LIMIT ?2)");
    const OF_HOOKS: &str = concat!(
        "SELECT * FROM (SELECT ",
        run_columns!(),
        " FROM run WHERE hook_id IN (SELECT id FROM hook WHERE job_id = ?1) ORDER BY id DESC LIMIT ?2)"
    );
    newest_runs(conn, &format!("{OF_JOB} UNION ALL {OF_HOOKS} ORDER BY 1 DESC LIMIT ?2"), job.0)
}

fn newest_runs(conn: &Connection, sql: &str, of: i64) -> Result<Vec<Run>> {
    let mut newest = conn.prepare_cached(sql)?;
    let mut found: Vec<Run> = newest.query_map((of, HISTORY_MAX as i64), Run::from_row)?.collect::<rusqlite::Result<_>>()?;
    found.reverse();
    Ok(found)
}

/// Returns the open runs that cannot end, with the text of
/// [`crate::store::upkeep::open_runs::note_trouble`].
pub fn stuck_runs(conn: &Connection) -> Result<Vec<(RunId, Option<JobId>, String)>> {
    let mut stuck = conn.prepare_cached(sql!("read.sql", "stuck"))?;
    let rows = stuck.query_map([], |row| Ok((RunId(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(JobId), text(row, 2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The probes and teardowns of a resource, newest last.
pub fn runs_of_resource(conn: &Connection, resource: ResourceId) -> Result<Vec<Run>> {
    const OF: &str =
        concat!("SELECT ", run_columns!(), " FROM run WHERE resource_id = ?1 ORDER BY claimed_at DESC, id DESC LIMIT ?2");
    newest_runs(conn, OF, resource.0)
}

/// What happened to a job, newest last, as far as [`history`] has it.
pub fn events(conn: &Connection, job: JobId) -> Result<Vec<Event>> {
    Ok(history(conn, job)?.0)
}

/// Returns the newest events of a job, newest last: at most [`HISTORY_MAX`], and about
/// [`HISTORY_BYTES_MAX`] of texts. Also returns whether there are older ones.
pub fn history(conn: &Connection, job: JobId) -> Result<(Vec<Event>, bool)> {
    let mut events = conn.prepare_cached(sql!("read.sql", "events"))?;
    let rows = events.query_map((job.0, HISTORY_MAX as i64 + 1), |row| {
        Ok(Event {
            seq: row.get(0)?,
            at: row.get(1)?,
            job: row.get::<_, Option<i64>>(2)?.map(JobId),
            run: row.get::<_, Option<i64>>(3)?.map(RunId),
            kind: text(row, 4)?,
            reason: maybe(row, 5)?,
            detail: maybe(row, 6)?,
        })
    })?;
    let (mut found, mut bytes, mut more) = (Vec::new(), 0, false);
    for event in rows {
        let event: Event = event?;
        more = found.len() == HISTORY_MAX || bytes > HISTORY_BYTES_MAX;
        if more {
            break;
        }
        bytes += event.kind.len() + event.detail.as_ref().map_or(0, String::len);
        found.push(event);
    }
    found.reverse();
    Ok((found, more))
}

/// What a job waits for, or waited for.
pub fn dependencies(conn: &Connection, job: JobId) -> Result<Vec<Dependency>> {
    let mut found = conn.prepare_cached(sql!("read.sql", "dependencies"))?;
    let rows = found.query_map([job.0], |row| {
        let need = rows::word(row, 1, |text| [Need::Done, Need::Any, Need::Failed].into_iter().find(|n| n.as_str() == text))?;
        Ok(Dependency {
            on: rows::id(row, 0)?,
            need: need.unwrap_or(Need::Done),
            state: text(row, 2)?,
            parent_state: rows::word(row, 3, |text| text.parse().ok())?,
            parent_reason: rows::word(row, 4, Reason::parse)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether there is a queue of this name.
pub fn has_queue(conn: &Connection, name: &str) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM queue WHERE name = ?1")?.exists([name])?)
}

/// Returns the names of queues, at most `most`.
pub fn queue_names(conn: &Connection, most: usize) -> Result<Vec<String>> {
    let mut names = conn.prepare_cached("SELECT name FROM queue ORDER BY name LIMIT ?1")?;
    let rows = names.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| text(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the name of a queue that one of this name, which does not exist, may have been meant to
/// be.
pub fn similar_queue(conn: &Connection, name: &str) -> Result<Option<String>> {
    if !nearest::is_comparable(name) || has_queue(conn, name)? {
        return Ok(None);
    }
    let names = queue_names(conn, nearest::NAMES_MAX)?;
    Ok(nearest::one_apart(name, names.iter().map(String::as_str)).map(str::to_owned))
}

/// Counts the jobs by state and by hold.
pub fn counts(conn: &Connection) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut tally = conn.prepare_cached(sql!("read.sql", "counts"))?;
    let mut rows = tally.query([])?;
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(2)?;
        match text(row, 0)?.as_str() {
            "queued" => counts.queued += n,
            "running" => counts.running += n,
            "done" => counts.done += n,
            "failed" => counts.failed += n,
            "cancelled" => counts.cancelled += n,
            _ => {}
        }
        if let Some(hold) = rows::word(row, 1, Hold::parse)? {
            counts.held.push((hold, n));
        }
    }
    let wide: i64 = conn.prepare_cached(sql!("read.sql", "wide"))?.query_row([], |row| row.get(0))?;
    counts.slots_taken = counts.running + wide;
    Ok(counts)
}

/// Counts the running jobs of these queues.
pub fn running_in(conn: &Connection, queues: &[String]) -> Result<i64> {
    let mut running = conn.prepare_cached("SELECT coalesce(sum(n), 0) FROM tally WHERE queue = ?1 AND state = 'running'")?;
    let distinct: std::collections::BTreeSet<_> = queues.iter().collect();
    distinct.into_iter().try_fold(0, |sum, queue| Ok(sum + running.query_row([queue], |row| row.get::<_, i64>(0))?))
}

/// Returns a value of the table `meta`.
pub fn meta(conn: &Connection, key: &str) -> Result<Option<String>> {
    let mut meta = conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(meta.query_row([key], |row| text(row, 0)).optional()?)
}

/// Returns when the oldest ready job was added, in milliseconds UTC. By id, so that a job that was
/// added under a wrong clock does not hide the others. Reads the first job of each priority, for a
/// limited number of priorities.
pub fn oldest_ready_ms(conn: &Connection) -> Result<Option<i64>> {
    Ok(conn.prepare_cached(sql!("read.sql", "oldest"))?.query_row([], |row| row.get(0)).optional()?)
}

/// Returns the files in `secrets/` that live jobs need; every other one may be removed. Reads only
/// the jobs that have some.
pub fn live_secrets(conn: &Connection) -> Result<Vec<String>> {
    let mut policies = conn.prepare_cached(sql!("read.sql", "secrets"))?;
    let mut rows = policies.query([])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        if let Ok(policy) = Policy::from_json(&text(row, 0)?) {
            tokens.extend(policy.secrets.into_values());
            tokens.extend(policy.stdin.and_then(|stdin| if let Stdin::Kept(token) = stdin { Some(token) } else { None }));
        }
    }
    Ok(tokens)
}

pub(in crate::store) fn existing(conn: &Connection, id: JobId) -> Result<Job> {
    job(conn, id)?.ok_or_else(|| Error::NotFound(format!("there is no job {id}")))
}
