//! Due work: a delayed job becomes ready, and a queued job that can never start ends.
//!
//! One round does a limited amount of each and returns whether more is waiting. Each kind is found
//! at the head of an index.

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::job::{JobId, Reason};
use crate::store::engine::apart::apart;
use crate::store::engine::text::text;
use crate::store::job::ended;
use crate::store::job::ended::Aftermath;
use crate::store::job::rows;
use crate::store::pipeline::advance;

/// The error text of a job that expired.
pub(in crate::store) const EXPIRED: &str = "it had not started by the time it was to expire";

/// Result of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processed {
    /// Delayed jobs that became ready.
    pub released: usize,
    /// Queued jobs that were ended, with those that ended because of them.
    pub ended: Vec<JobId>,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
    /// The limit was reached; call again.
    pub more: bool,
}

/// Promotes due jobs, and ends queued jobs that can never start: they are cancelled, a dependency
/// is broken, or they have expired. At most `limit` of each.
pub fn process(conn: &Connection, now_ms: i64, limit: usize) -> Result<Processed> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut out = advance::aftermath();
    let cancelled = end_all(conn, sql!("due.sql", "cancelled"), params![limit], Reason::Cancelled, now_ms, &mut out)?;
    let broken = end_broken(conn, limit, now_ms, &mut out)?;
    let expired = end_all(conn, sql!("due.sql", "expired"), params![limit, now_ms], Reason::Expired, now_ms, &mut out)?;
    // Last, because an end may leave a job that waits only for an instant that has passed.
    let told = ended::resolve_remaining(conn, now_ms, &mut out)?;
    let released = conn.prepare_cached(sql!("due.sql", "due"))?.execute((now_ms, limit))?;
    let most = [released, cancelled, broken, expired].into_iter().max().unwrap_or(0);
    let more = i64::try_from(most).is_ok_and(|most| most >= limit) || told || out.left() == 0;
    Ok(Processed { released, ended: out.ended, freed: out.freed, more })
}

/// Continues ends that affect more jobs than one transaction touches, for a client without a
/// worker. At most `limit` jobs; there is `more` as long as something was done.
pub fn continue_ends(conn: &Connection, now_ms: i64, limit: usize) -> Result<Processed> {
    let mut out = Aftermath::within(limit, advance::job_ended);
    end_broken(conn, i64::try_from(limit).unwrap_or(i64::MAX), now_ms, &mut out)?;
    let told = ended::resolve_remaining(conn, now_ms, &mut out)?;
    Ok(Processed { released: 0, more: told || !out.ended.is_empty(), ended: out.ended, freed: out.freed })
}

/// Adjusts for a step of the wall clock: a job or resource that waits for its next attempt waits as
/// long as before. Returns the number of jobs.
pub fn clock_was_set(conn: &Connection, by_ms: i64) -> Result<usize> {
    conn.prepare_cached(sql!("due.sql", "clock_resources"))?.execute([by_ms])?;
    Ok(conn.prepare_cached(sql!("due.sql", "clock"))?.execute([by_ms])?)
}

/// Returns the earliest instant at which [`process`] has something to do because of time, in
/// milliseconds UTC.
pub fn next_due_ms(conn: &Connection) -> Result<Option<i64>> {
    Ok(conn.prepare_cached(sql!("due.sql", "next"))?.query_row([], |row| row.get(0))?)
}

pub(in crate::store) fn is_expired(conn: &Connection, job: JobId, now_ms: i64) -> Result<bool> {
    let mut expired = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND state = 'queued' AND expires_at <= ?2 AND attempts = 0 AND deferrals = 0)",
    )?;
    Ok(expired.query_row((job.0, now_ms), |row| row.get(0))?)
}

/// Ends the jobs with broken dependencies. Returns their number.
fn end_broken(conn: &Connection, limit: i64, now_ms: i64, out: &mut Aftermath) -> Result<usize> {
    let mut doomed = conn.prepare_cached(sql!("due.sql", "broken"))?;
    let doomed: Vec<JobId> = doomed.query_map([limit], |row| rows::id(row, 0))?.collect::<rusqlite::Result<_>>()?;
    for job in &doomed {
        end_apart(conn, *job, "has a broken dependency and cannot end", out, |after| {
            ended::end_broken(conn, *job, now_ms, after)
        })?;
    }
    Ok(doomed.len())
}

/// Ends the jobs that a statement returns, for one reason. Returns their number.
fn end_all(
    conn: &Connection,
    sql: &str,
    params: &[&dyn rusqlite::ToSql],
    reason: Reason,
    now_ms: i64,
    out: &mut Aftermath,
) -> Result<usize> {
    let mut doomed = conn.prepare_cached(sql)?;
    let doomed: Vec<(JobId, String)> =
        doomed.query_map(params, |row| Ok((rows::id(row, 0)?, text(row, 1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (job, error) in &doomed {
        end_apart(conn, *job, &format!("cannot end as {reason}"), out, |after| {
            ended::end_queued(conn, *job, reason, error, now_ms, after)
        })?;
    }
    Ok(doomed.len())
}

/// Ends one job: a job that refuses stays as it is, and blocks no other.
fn end_apart(
    conn: &Connection,
    job: JobId,
    refused: &str,
    out: &mut Aftermath,
    end: impl FnOnce(&mut Aftermath) -> Result<bool>,
) -> Result<()> {
    let mut after = out.part();
    match apart(conn, || end(&mut after))? {
        Ok(_) => out.add(after),
        Err(why) => log::error!("job {job} {refused}: {why}"),
    }
    Ok(())
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
