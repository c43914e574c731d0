//! queued -> running.
//!
//! A claim takes the first row of one index: of the open queues with a ready job, the one whose
//! head comes first, by priority, rank and id. A queue is open when neither it nor all queues are
//! paused, and it has a free slot of its own. Triggers store in the row of each queue which job is
//! its head and whether it is full. So the cost depends neither on the number of queues, ready,
//! paused or full, nor on the number of jobs that are ready, delayed, blocked or in a full lane,
//! nor on the size of the history.
//!
//! Those rows are used to find a job; the statement that claims it checks again whether it may
//! start.
//!
//! The order is strict: the first head waits until as many slots are free as it takes, and no job
//! behind it is claimed meanwhile, in any queue. So a job that takes many slots is not overtaken
//! again and again by those that take few. Where its queue has too few free slots, that queue is
//! full, and those behind it in this queue wait. A job that takes more slots than there are is not
//! ready (`too_wide`), and blocks none.
//!
//! A head that may not start (a client cancelled it, it has expired, or its lane is full in spite
//! of its pass) is removed from the head and the next one is tried: it never blocks its queue.
//!
//! Deliberately absent: starting anything. The file of a run is created and locked before the
//! claim, and its process is started after the commit.

use crate::store::job::ids::Prepared;
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::{JobId, Nonce, Reason, RunId, RunKey};
use crate::store::engine::apart::apart;
use crate::store::engine::schema_watch;
use crate::store::engine::text::Key;
use crate::store::job::ended;
use crate::store::job::launched::{self, Launched};
use crate::store::job::pool;
use crate::store::job::rows::{Job, job_columns_but_suspension};
use crate::store::pipeline::advance;
use crate::store::upkeep::open_runs::hold_if_a_run_is_open;
use crate::store::upkeep::repair;

/// Most heads that one claim removes before it returns with what it has; the next claim continues.
pub const HEADS_CLEARED_MAX: usize = 256;

/// What a claim may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Empty: all of them.
    pub queues: Vec<String>,
    /// Only this job.
    pub only: Option<JobId>,
    /// The slots that are free. `None`: as many as are needed.
    pub room: Option<usize>,
    pub engine: Engine,
}

/// Which jobs a claim may take, by the engine that runs them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    #[default]
    Any,
    /// This machine.
    Here,
    /// That of a launcher.
    Launched,
}

impl Engine {
    fn has(self, is_launched: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Here => !is_launched,
            Self::Launched => is_launched,
        }
    }
}

/// A job that is now running, as far as the file knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub job: Job,
    pub run: RunId,
    pub nonce: Nonce,
    /// The reason of the previous run.
    pub previous_reason: Option<Reason>,
    /// The units that it has of each pool.
    pub units: Vec<(String, Vec<i64>)>,
    /// The backstop of its queue, in milliseconds.
    pub max_runtime_ms: Option<u64>,
    /// How it is given to another engine, if its queue has a launcher.
    pub launched: Option<Launched>,
}

impl Scope {
    /// The free slots, for SQL.
    fn room(&self) -> i64 {
        self.room.map_or(i64::MAX, |room| i64::try_from(room).unwrap_or(i64::MAX))
    }
}

impl Claim {
    pub fn key(&self) -> RunKey {
        RunKey { run: self.run, nonce: self.nonce }
    }
}

/// A job that comes next, with its queue.
#[derive(Debug, Clone, PartialEq)]
struct Head {
    queue: Key,
    job: JobId,
    priority: i64,
    rank: f64,
    max_runtime_ms: Option<u64>,
    is_launched: bool,
}

impl Head {
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.priority.cmp(&self.priority).then(self.rank.total_cmp(&other.rank)).then(self.job.cmp(&other.job))
    }
}

/// What came of an attempt to claim a head.
enum Tried {
    Claimed(Box<Claim>),
    /// It takes more slots than are free, and so comes next.
    Waits,
    /// It may not start, and is not the head any more.
    Cleared,
}

/// The claiming worker, and the time.
struct Claimer<'a> {
    instance: &'a str,
    boot_id: &'a str,
    now_ms: i64,
}

/// Claims at most `prepared.len()` jobs, best first, and assigns them these runs in order.
///
/// A crash before the commit leaves run files that no row knows; a power cut after it leaves a job
/// that is still queued.
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
    let (mut claims, mut cleared, mut stuck) = (Vec::new(), 0, Vec::new());
    let mut room = scope.room();
    while claims.len() < prepared.len() && room > 0 && cleared < HEADS_CLEARED_MAX {
        let Some(head) = next_head(conn, scope, &stuck)? else { break };
        let next = prepared[claims.len()];
        // A row that refuses its claim is skipped alone: neither this claim nor a settle in the
        // same transaction fails because of it.
        let tried = apart(conn, || {
            Ok(match take(conn, &head, next, room, &claimer)? {
                true => Tried::Claimed(Box::new(taken(conn, &head, next)?)),
                false if !fits(conn, head.job, room)? => Tried::Waits,
                false => {
                    clear(conn, &head, now_ms)?;
                    Tried::Cleared
                }
            })
        })?;
        let tried = tried.unwrap_or_else(|why| {
            repair::set_aside(conn, head.job, &why, now_ms);
            Tried::Cleared
        });
        match tried {
            Tried::Claimed(claim) => {
                room = room.saturating_sub(i64::from(claim.job.slots));
                claims.push(*claim);
                continue;
            }
            Tried::Waits => break,
            Tried::Cleared => {}
        }
        cleared += 1;
        // A head that could be neither claimed nor removed is skipped this time.
        if next_head(conn, scope, &stuck)?.is_some_and(|still| still.job == head.job) {
            stuck.push(head.queue);
        }
    }
    Ok(claims)
}

/// Claims one job in a transaction that also does other work, which must not be undone because the
/// claim fails. A claim writes in its own savepoints, so nothing has to be undone here.
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

/// Whether a claim would find a job, as far as can be seen without writing.
pub fn has_ready(conn: &Connection, scope: &Scope) -> Result<bool> {
    next_head(conn, scope, &[])?.map_or(Ok(false), |head| fits(conn, head.job, scope.room()))
}

/// Returns the job that comes first in the open queues of a scope, except for some of them: by
/// priority, rank and id.
fn next_head(conn: &Connection, scope: &Scope, without: &[Key]) -> Result<Option<Head>> {
    let is_meant = |head: &Head| !without.contains(&head.queue) && scope.engine.has(head.is_launched);
    if let Some(only) = scope.only {
        let mut one = conn.prepare_cached(sql!("claim.sql", "only"))?;
        let head = one.query_row([only.0], to_head).optional()?;
        return Ok(head
            .filter(is_meant)
            .filter(|head| scope.queues.is_empty() || scope.queues.iter().any(|name| head.queue.is(name))));
    }
    if scope.queues.is_empty() {
        let here = if scope.engine.has(false) { first(conn, sql!("claim.sql", "heads"), is_meant)? } else { None };
        let launched = if scope.engine.has(true) { first(conn, sql!("claim.sql", "heads_launched"), is_meant)? } else { None };
        return Ok(here.into_iter().chain(launched).min_by(Head::order));
    }
    let mut of_queue = conn.prepare_cached(sql!("claim.sql", "head"))?;
    let mut best: Option<Head> = None;
    for queue in &scope.queues {
        let head = of_queue.query_row([queue], to_head).optional()?.filter(is_meant);
        best = best.into_iter().chain(head).min_by(Head::order);
    }
    Ok(best)
}

fn first(conn: &Connection, heads: &str, is_meant: impl Fn(&Head) -> bool) -> Result<Option<Head>> {
    let mut heads = conn.prepare_cached(heads)?;
    for head in heads.query_map([], to_head)? {
        let head = head?;
        if is_meant(&head) {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn to_head(row: &rusqlite::Row<'_>) -> rusqlite::Result<Head> {
    let max_runtime_ms = row.get::<_, Option<i64>>(4)?.and_then(|ms| u64::try_from(ms).ok());
    let is_launched = row.get(5)?;
    Ok(Head {
        queue: row.get(0)?,
        job: JobId(row.get(1)?),
        priority: row.get(2)?,
        rank: row.get(3)?,
        max_runtime_ms,
        is_launched,
    })
}

/// Claims a job. False: it is not ready any more, or it may not start.
fn take(conn: &Connection, head: &Head, prepared: Prepared, room: i64, by: &Claimer<'_>) -> Result<bool> {
    let job = head.job;
    let mut take = conn.prepare_cached(sql!("claim.sql", "take"))?;
    if take.execute((job.0, prepared.run.0, by.now_ms, room))? == 0 {
        return Ok(false);
    }
    conn.prepare_cached(sql!("claim.sql", "run"))?.execute((
        prepared.run.0,
        job.0,
        prepared.nonce.to_string(),
        by.instance,
        by.boot_id,
        by.now_ms,
    ))?;
    if head.is_launched {
        conn.prepare_cached(sql!("claim.sql", "launch"))?.execute((prepared.run.0, job.0))?;
    }
    Ok(true)
}

/// Whether a job takes no more slots than are free; a job that is not ready any more takes none.
fn fits(conn: &Connection, job: JobId, room: i64) -> Result<bool> {
    let mut fits = conn.prepare_cached(sql!("claim.sql", "fits"))?;
    Ok(fits.query_row((job.0, room), |row| row.get(0)).optional()?.unwrap_or(true))
}

fn taken(conn: &Connection, head: &Head, prepared: Prepared) -> Result<Claim> {
    let job = head.job;
    // A run that is just claimed has no suspension, and does not pay for looking.
    const CLAIMED: &str = concat!("SELECT ", job_columns_but_suspension!(), ", NULL FROM job WHERE id = ?1");
    let found = conn.prepare_cached(CLAIMED)?.query_row([job.0], Job::from_row).optional()?;
    let job = found.ok_or_else(|| Error::Internal(format!("job {job} was claimed and is gone")))?;
    let previous_reason = job.last_reason;
    let units = pool::units_of(conn, &job)?;
    let launched = if head.is_launched { launched::of_run(conn, prepared.run)? } else { None };
    let max_runtime_ms = head.max_runtime_ms;
    Ok(Claim { units, job, run: prepared.run, nonce: prepared.nonce, previous_reason, max_runtime_ms, launched })
}

/// Removes a head that may not start: ends it if it or its task is cancelled, it has expired or its
/// array is being stopped, holds it if one of its runs is open, takes its pass if its lane is full.
/// (Its files in `secrets/` are found by the sweep: see `read::live_secrets`.)
fn clear(conn: &Connection, head: &Head, now_ms: i64) -> Result<()> {
    let job = head.job;
    let mut out = advance::aftermath();
    if ended::open_cancel(conn, job)?.is_some() {
        ended::end_queued(conn, job, Reason::Cancelled, "cancelled while it waited", now_ms, &mut out)?;
    } else if advance::is_of_a_stopped_task(conn, job)? {
        ended::end_queued(conn, job, Reason::Cancelled, "its task was stopped", now_ms, &mut out)?;
    } else if crate::store::upkeep::due::is_expired(conn, job, now_ms)? {
        ended::end_queued(conn, job, Reason::Expired, crate::store::upkeep::due::EXPIRED, now_ms, &mut out)?;
    } else if let Some(failed) = ended::stopped_by(conn, job)? {
        ended::end_queued(conn, job, Reason::Cancelled, &ended::stopped_text(conn, failed)?, now_ms, &mut out)?;
    } else if hold_if_a_run_is_open(conn, job)? {
        // The reaper closes that run and empties its tree.
    } else {
        conn.prepare_cached(
            "INSERT INTO choose_lane_head (lane, queue) SELECT lane, queue FROM job WHERE id = ?1 AND lane IS NOT NULL",
        )?
        .execute([job.0])?;
    }
    conn.prepare_cached("INSERT INTO place_in_pools (job_id, uses) SELECT id, NULL FROM job WHERE id = ?1 AND uses IS NOT NULL")?
        .execute([job.0])?;
    // If the row of its queue was wrong, it is corrected.
    conn.prepare_cached("INSERT INTO choose_queue_head (queue) VALUES (?1)")?.execute([&head.queue])?;
    Ok(())
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
