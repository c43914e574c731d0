//! What time and other clients bring about: a delayed job becomes due, and a queued job that can
//! never start ends.
//!
//! One round does a limited number of each and says whether more is waiting. Each of them is found
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

/// What one round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processed {
    /// Jobs whose time has come.
    pub released: usize,
    /// Queued jobs that were ended, with those that ended because of them.
    pub ended: Vec<JobId>,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
    /// The limit was reached; call again.
    pub more: bool,
}

/// Releases what is due, and ends queued jobs that can never start: a client cancelled them, a job
/// that they wait for ended the wrong way, they have expired. At most `limit` of each.
pub fn process(conn: &Connection, now_ms: i64, limit: usize) -> Result<Processed> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut out = advance::aftermath();
    let cancelled = end_all(conn, sql!("due.sql", "cancelled"), params![limit], Reason::Cancelled, now_ms, &mut out)?;
    let broken = end_broken(conn, limit, now_ms, &mut out)?;
    let expired = end_all(conn, sql!("due.sql", "expired"), params![limit, now_ms], Reason::Expired, now_ms, &mut out)?;
    // Last, because an ending may leave a job that waits for nothing but a time that has come.
    let told = ended::resolve_remaining(conn, now_ms, &mut out)?;
    let released = conn.prepare_cached(sql!("due.sql", "due"))?.execute((now_ms, limit))?;
    let most = [released, cancelled, broken, expired].into_iter().max().unwrap_or(0);
    let more = i64::try_from(most).is_ok_and(|most| most >= limit) || told || out.left() == 0;
    Ok(Processed { released, ended: out.ended, freed: out.freed, more })
}

/// Goes on with ends that concern more jobs than one transaction touches, for a client with no
/// worker. At most `limit` jobs; there is `more` as long as something was done.
pub fn continue_ends(conn: &Connection, now_ms: i64, limit: usize) -> Result<Processed> {
    let mut out = Aftermath::within(limit, advance::job_ended);
    end_broken(conn, i64::try_from(limit).unwrap_or(i64::MAX), now_ms, &mut out)?;
    let told = ended::resolve_remaining(conn, now_ms, &mut out)?;
    Ok(Processed { released: 0, more: told || !out.ended.is_empty(), ended: out.ended, freed: out.freed })
}

/// The wall clock was set by so many milliseconds: what waits for another attempt, or for another
/// teardown, waits as long as before. Says how many jobs that are.
pub fn clock_was_set(conn: &Connection, by_ms: i64) -> Result<usize> {
    conn.prepare_cached(sql!("due.sql", "clock_resources"))?.execute([by_ms])?;
    Ok(conn.prepare_cached(sql!("due.sql", "clock"))?.execute([by_ms])?)
}

/// The earliest instant at which [`due`] has something to do, as far as time decides that; in
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

/// Ends the jobs that wait in vain for another one. Says how many there were.
fn end_broken(conn: &Connection, limit: i64, now_ms: i64, out: &mut Aftermath) -> Result<usize> {
    let mut doomed = conn.prepare_cached(sql!("due.sql", "broken"))?;
    let doomed: Vec<JobId> = doomed.query_map([limit], |row| rows::id(row, 0))?.collect::<rusqlite::Result<_>>()?;
    for job in &doomed {
        end_apart(conn, *job, "waits in vain for another one and cannot end", out, |after| {
            ended::end_broken(conn, *job, now_ms, after)
        })?;
    }
    Ok(doomed.len())
}

/// Ends the jobs that a statement names, for one reason. Says how many it named.
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

/// One ending: a job that refuses it stays as it is, and keeps no other from its own.
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
