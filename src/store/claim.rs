//! queued -> running.
//!
//! A claim looks at the head of each open queue and nothing else, so its cost depends on how many queues have something ready,
//! not on how many jobs are ready, delayed, blocked, in a full lane or in a paused queue, nor on how much history there is.
//! A queue is open when it is not paused and has a free slot of its own; both come from counts that are kept, not counted.
//!
//! A head that may not start after all (somebody cancelled it, it has expired, its lane is full in spite of its pass) is put
//! out of the way and the next one is looked at: it never blocks its queue.
//!
//! Deliberately absent: starting anything. A run's file is created and locked before, its process is started after the commit.

use rusqlite::{Connection, OptionalExtension, params};

use super::apart::apart;
use super::ended::{self, Aftermath};
use super::rows::Job;
use super::text::Key;
use super::{heal, read, schema_watch, walk};
use crate::error::{Error, Result};
use crate::job::{JobId, Nonce, Reason, RunId};

pub use super::tend::{Tended, next_due_ms, tend};

/// Most heads that one claim puts out of the way before it returns with what it has; the next claim goes on.
pub const HEADS_CLEARED_MAX: usize = 256;

/// A run that could start at once: its file is there, and locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    pub run: RunId,
    pub nonce: Nonce,
}

/// What a claim may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Empty: all of them.
    pub queues: Vec<String>,
    /// This job and no other.
    pub only: Option<JobId>,
}

/// A job that is now running, as far as the file knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub job: Job,
    pub run: RunId,
    pub nonce: Nonce,
    /// Of the run before this one.
    pub previous_reason: Option<Reason>,
    /// The backstop of its queue, in milliseconds.
    pub max_runtime_ms: Option<u64>,
}

struct Queue {
    name: Key,
    /// Slots that are free; `None`: it has no limit.
    free: Option<i64>,
    max_runtime_ms: Option<u64>,
    head: Option<Head>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    job: JobId,
    priority: i64,
}

/// Who claims, and when.
struct Claimer<'a> {
    instance: &'a str,
    boot_id: &'a str,
    now_ms: i64,
}

/// Claims at most `prepared.len()` jobs, best first, and gives them these runs in this order.
///
/// A crash before the commit leaves run files that no row knows; a power cut after it leaves a job that is still queued.
pub fn claim(
    conn: &Connection,
    scope: &Scope,
    prepared: &[Prepared],
    instance: &str,
    boot_id: &str,
    now_ms: i64,
) -> Result<Vec<Claim>> {
    if !schema_watch::may_claim() {
        return Ok(Vec::new());
    }
    let claimer = Claimer { instance, boot_id, now_ms };
    let mut queues = queues_with_heads(conn, scope, &[])?;
    let (mut claims, mut cleared, mut stuck) = (Vec::new(), 0, Vec::new());
    while claims.len() < prepared.len() && cleared < HEADS_CLEARED_MAX {
        let Some((queue, head)) = best(&mut queues) else { break };
        let next = prepared[claims.len()];
        // A row that refuses its claim is put aside, alone: neither this claim nor a settle in the same transaction fails with it.
        let claim = apart(conn, || {
            Ok(match take(conn, head.job, next, &claimer)? {
                true => Some(taken(conn, head.job, next, queue.max_runtime_ms)?),
                false => {
                    clear(conn, head.job, now_ms)?;
                    None
                }
            })
        })?;
        let claim = claim.unwrap_or_else(|why| {
            heal::set_aside(conn, head.job, &why, now_ms);
            None
        });
        if let Some(claim) = claim {
            let has_lane = claim.job.lane.is_some();
            claims.push(claim);
            if claims.len() == prepared.len() {
                break;
            }
            queue.free = queue.free.map(|free| free - 1);
            queue.head = self::head(conn, scope, &queue.name)?.filter(|_| queue.free.is_none_or(|free| free > 0));
            // A lane that is full now has taken the passes from heads of other queues.
            if has_lane {
                queues = queues_with_heads(conn, scope, &stuck)?;
            }
            continue;
        }
        cleared += 1;
        // What could be neither taken nor put out of the way is left alone for this time.
        if self::head(conn, scope, &queue.name)? == Some(head) {
            stuck.push(queue.name.clone());
        }
        // Its end may have released others, in any queue.
        queues = queues_with_heads(conn, scope, &stuck)?;
    }
    Ok(claims)
}

/// Claims one job in a transaction that does something else as well, which must not be undone because the claim fails. What a claim writes, it writes in
/// savepoints of its own, so nothing is to be undone here.
pub fn claim_beside(
    conn: &Connection,
    scope: &Scope,
    prepared: Prepared,
    instance: &str,
    boot_id: &str,
    now_ms: i64,
) -> Result<Option<Claim>> {
    match claim(conn, scope, &[prepared], instance, boot_id, now_ms) {
        Ok(mut claims) => Ok(claims.pop()),
        Err(error @ (Error::Sqlite(_) | Error::Refused(_) | Error::Internal(_))) if !conn.is_autocommit() => {
            log::error!("claiming: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether a claim would find something, as far as can be told without writing.
pub fn has_ready(conn: &Connection, scope: &Scope) -> Result<bool> {
    for queue in open_queues(conn, scope)? {
        if head(conn, scope, &queue.name)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn queues_with_heads(conn: &Connection, scope: &Scope, without: &[Key]) -> Result<Vec<Queue>> {
    let mut queues = open_queues(conn, scope)?;
    queues.retain(|queue| !without.contains(&queue.name));
    for queue in &mut queues {
        queue.head = head(conn, scope, &queue.name)?;
    }
    Ok(queues)
}

fn open_queues(conn: &Connection, scope: &Scope) -> Result<Vec<Queue>> {
    let mut open = conn.prepare_cached(include_str!("claim_queues.sql"))?;
    let rows = open.query_map([], |row| {
        let max_runtime_ms = row.get::<_, Option<i64>>(2)?.and_then(|ms| u64::try_from(ms).ok());
        Ok(Queue { name: row.get(0)?, free: row.get(1)?, max_runtime_ms, head: None })
    })?;
    let wanted = |queue: &Queue| scope.queues.is_empty() || scope.queues.iter().any(|name| queue.name.is(name));
    Ok(rows.filter(|queue| queue.as_ref().map_or(true, wanted)).collect::<rusqlite::Result<_>>()?)
}

/// The best ready job of a queue, or the one job that is asked for where that is ready.
fn head(conn: &Connection, scope: &Scope, queue: &Key) -> Result<Option<Head>> {
    let to_head = |row: &rusqlite::Row<'_>| Ok(Head { job: JobId(row.get(0)?), priority: row.get(1)? });
    let found = match scope.only {
        None => conn.prepare_cached(include_str!("claim_head.sql"))?.query_row([queue], to_head),
        Some(job) => conn.prepare_cached(include_str!("claim_only.sql"))?.query_row(params![queue, job.0], to_head),
    };
    Ok(found.optional()?)
}

/// The queue whose head comes first: by priority, then by age.
fn best(queues: &mut [Queue]) -> Option<(&mut Queue, Head)> {
    queues
        .iter_mut()
        .filter_map(|queue| queue.head.map(|head| (queue, head)))
        .min_by_key(|(_, head)| (std::cmp::Reverse(head.priority), head.job))
}

/// The claim itself. False: it is not ready any more, or it may not start.
fn take(conn: &Connection, job: JobId, prepared: Prepared, by: &Claimer<'_>) -> Result<bool> {
    let mut take = conn.prepare_cached(include_str!("claim_take.sql"))?;
    if take.execute((job.0, prepared.run.0, by.now_ms))? == 0 {
        return Ok(false);
    }
    conn.prepare_cached(include_str!("claim_run.sql"))?.execute((
        prepared.run.0,
        job.0,
        prepared.nonce.to_string(),
        by.instance,
        by.boot_id,
        by.now_ms,
    ))?;
    Ok(true)
}

fn taken(conn: &Connection, job: JobId, prepared: Prepared, max_runtime_ms: Option<u64>) -> Result<Claim> {
    let job = read::job(conn, job)?.ok_or_else(|| Error::Internal(format!("job {job} was claimed and is gone")))?;
    let previous_reason = job.last_reason;
    Ok(Claim { job, run: prepared.run, nonce: prepared.nonce, previous_reason, max_runtime_ms })
}

/// Puts a head that may not start out of the way: ends it where it or its task is cancelled or it has expired, holds it where
/// a run of it is open, takes its pass where its lane is full. (Its files in `secrets/`, if it has any, are found by the sweep: see [`read::live_secrets`].)
fn clear(conn: &Connection, job: JobId, now_ms: i64) -> Result<()> {
    let mut out = Aftermath::default();
    if ended::open_cancel(conn, job)?.is_some() {
        ended::end_queued(conn, job, Reason::Cancelled, "cancelled before it started", now_ms, &mut out)?;
    } else if walk::is_of_a_stopped_task(conn, job)? {
        ended::end_queued(conn, job, Reason::Cancelled, "its task was stopped", now_ms, &mut out)?;
    } else if super::tend::is_expired(conn, job, now_ms)? {
        ended::end_queued(conn, job, Reason::Expired, super::tend::EXPIRED, now_ms, &mut out)?;
    } else if super::heal::hold_if_a_run_is_open(conn, job)? {
        // The reaper closes that run and empties its tree.
    } else {
        conn.prepare_cached("INSERT INTO lane_head SELECT lane, queue FROM job WHERE id = ?1 AND lane IS NOT NULL")?
            .execute([job.0])?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
