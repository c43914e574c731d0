//! The planner: due occurrences become jobs, or rows that say why not.
//!
//! [`crate::job::schedule::decide`] decides what to do. It is done here, in one transaction for
//! each occurrence's row, its job, and the instant until which the schedule has decided. So a crash
//! leaves an occurrence either undecided or decided with its job, and a second planner finds it
//! decided.
//!
//! An occurrence whose job cannot be added is skipped, and the schedule records why; the others
//! continue.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::job::schedule::{
    CATCH_UP_MAX, COUNTED_MAX, CatchUp, Decision, Overlap, QUEUED_MAX, SET_BACK_MS, Skip, Skipped, Standing, decide,
};
use crate::job::template::SCHEDULED_FOR;
use crate::job::{Calendar, JobId, Need, NewJob, Template};
use crate::store::job::enqueue;
use crate::store::schedule::{Schedule, existing};

/// Most schedules that one round decides.
pub const SCHEDULES_MAX: usize = 100;
/// A round that has added so many jobs leaves the rest to the next one.
const JOBS_MAX: usize = 500;
/// Most fired occurrences that are read while one schedule is decided: the newest.
const FIRED_MAX: i64 = 10_000;

/// Result of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// Jobs that were made.
    pub jobs: Vec<JobId>,
    /// Schedules that were decided.
    pub schedules: usize,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
    /// The limit was reached; call again.
    pub more: bool,
}

/// Whether [`plan`] has something to do now.
pub fn is_due(conn: &Connection, now_ms: i64) -> Result<bool> {
    let mut due = conn.prepare_cached(sql_of!("SELECT EXISTS (", sql!("plan.sql", "due"), ")"))?;
    Ok(due.query_row(due_params(now_ms, 1), |row| row.get(0))?)
}

/// Returns the earliest instant at which [`plan`] has something to do because of time, in
/// milliseconds UTC.
pub fn next_due_ms(conn: &Connection) -> Result<Option<i64>> {
    Ok(conn.prepare_cached("SELECT min(next_at) FROM schedule WHERE paused = 0")?.query_row([], |row| row.get(0))?)
}

/// Decides the occurrences of schedules whose next one has passed, or whose clock was set back; at
/// most `limit` schedules.
pub fn plan(conn: &Connection, now_ms: i64, limit: usize) -> Result<Planned> {
    let mut due =
        conn.prepare_cached(sql_of!(sql!("schedule.sql", "columns"), " WHERE id IN (", sql!("plan.sql", "due"), ")"))?;
    let due: Vec<Schedule> = due.query_map(due_params(now_ms, limit), Schedule::from_row)?.collect::<rusqlite::Result<_>>()?;
    let mut planned = Planned { more: due.len() >= limit, ..Planned::default() };
    for schedule in due {
        if planned.jobs.len() >= JOBS_MAX {
            planned.more = true;
            break;
        }
        plan_apart(conn, &schedule, now_ms, &mut planned)?;
    }
    Ok(planned)
}

/// A row that a client has altered stops its own schedule, and no other.
fn plan_apart(conn: &Connection, schedule: &Schedule, now_ms: i64, planned: &mut Planned) -> Result<()> {
    let before = planned.clone();
    conn.execute_batch("SAVEPOINT one_schedule")?;
    let error = match plan_one(conn, schedule, now_ms, planned) {
        Err(error) if is_of_the_row(&error) => error,
        Err(error) => return Err(error),
        Ok(()) => return Ok(conn.execute_batch("RELEASE one_schedule")?),
    };
    conn.execute_batch("ROLLBACK TO one_schedule; RELEASE one_schedule")?;
    *planned = before;
    if let Err(worse) = unreadable(conn, schedule, &error.to_string()) {
        log::error!("schedule {:?}: {error}; and that cannot be recorded: {worse}", schedule.name);
    }
    Ok(())
}

/// Whether the error is about the row, not about the disk or another program.
fn is_of_the_row(error: &Error) -> bool {
    matches!(error, Error::Invalid(_) | Error::NotFound(_) | Error::Refused(_) | Error::Sqlite(_))
}

fn due_params(now_ms: i64, limit: usize) -> (i64, i64, i64) {
    (now_ms, now_ms.saturating_add(SET_BACK_MS), i64::try_from(limit).unwrap_or(i64::MAX))
}

fn plan_one(conn: &Connection, schedule: &Schedule, now_ms: i64, planned: &mut Planned) -> Result<()> {
    let calendar = match schedule.calendar() {
        Ok(calendar) => calendar,
        Err(error) => return unreadable(conn, schedule, &error),
    };
    let standing = standing(schedule);
    let decision = decide(&calendar, &standing, now_ms, &fired(conn, schedule, now_ms)?);
    if !commit_to(conn, schedule, &calendar, &decision)? {
        return Ok(());
    }
    planned.schedules += 1;
    if decision.set_back {
        open_again(conn, schedule, &calendar, decision.decided_until)?;
    }
    carry_out(conn, schedule, &calendar, decision, now_ms, planned)
}

fn carry_out(
    conn: &Connection,
    schedule: &Schedule,
    calendar: &Calendar,
    decision: Decision,
    now_ms: i64,
    planned: &mut Planned,
) -> Result<()> {
    for skipped in &decision.skip {
        skip(conn, schedule.id, skipped, None, now_ms)?;
    }
    let template = Template::from_json(&schedule.template).map_err(Error::Invalid);
    for at in decision.fire {
        let made = template.as_ref().map_err(|e| Error::Invalid(e.to_string())).and_then(|t| job(t, calendar, at, now_ms));
        let made = made.map(|job| delayed(job, schedule, at, now_ms));
        fire(conn, schedule, calendar, made, at, now_ms, planned)?;
    }
    Ok(())
}

/// Decides what has passed before the line or the zone of a schedule is changed: what is on time is
/// fired, the rest is recorded as skipped. Nothing is caught up by a line that is given up.
pub(super) fn decide_old_line(conn: &Connection, schedule: &Schedule, now_ms: i64) -> Result<Planned> {
    let mut planned = Planned::default();
    let Ok(calendar) = schedule.calendar() else { return Ok(planned) };
    let pause = schedule.paused_at.filter(|_| schedule.paused).map(|from| (from, i64::MAX));
    let standing = Standing { catch_up: CatchUp::None, paused: pause.or(standing(schedule).paused), ..standing(schedule) };
    let decision = decide(&calendar, &standing, now_ms, &fired(conn, schedule, now_ms)?);
    carry_out(conn, schedule, &calendar, decision, now_ms, &mut planned)?;
    Ok(planned)
}

/// Adds a job of a schedule now, because a person asks for it. Returns the id and names of files in
/// `secrets/` that no live job needs now; `true`: a live job has its unique key, this is that job,
/// and none was added.
///
/// # Errors
/// [`Error::NotFound`], and why the job cannot be made.
pub fn by_hand(conn: &Connection, name: &str, now_ms: i64) -> Result<(JobId, Vec<String>, bool)> {
    let schedule = existing(conn, name)?;
    let calendar = schedule.calendar().map_err(Error::Refused)?;
    let at = instant_by_hand(conn, schedule.id, now_ms.max(0))?;
    let template = Template::from_json(&schedule.template).map_err(Error::Refused)?;
    let mut job = job(&template, &calendar, at, now_ms)?;
    if let Err(live) = relate(conn, &schedule, &mut job)? {
        return Err(Error::Refused(format!(
            "job {live} of schedule {0} has not ended; wait for it (tenure wait {live}), or: tenure schedule set {0} --overlap allow",
            schedule.name
        )));
    }
    let Some(added) = enqueue::add(conn, &[job], now_ms)?.pop() else {
        return Err(Error::Internal("a job was added without an id".into()));
    };
    if !added.existing {
        write_fired(conn, schedule.id, at, added.id, now_ms, true)?;
        record_maker(conn, added.id, &format!("by schedule {}, by hand at {}", schedule.name, calendar.text(at)), now_ms)?;
    }
    Ok((added.id, added.freed, added.existing))
}

/// Returns an instant of no occurrence: those of a calendar are whole seconds.
fn instant_by_hand(conn: &Connection, schedule: i64, now_ms: i64) -> Result<i64> {
    let mut taken = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM occurrence WHERE schedule_id = ?1 AND at = ?2)")?;
    let mut at = now_ms;
    while at % 1_000 == 0 || taken.query_row((schedule, at), |row| row.get(0))? {
        at += 1;
    }
    Ok(at)
}

/// Relates a new job to the earlier ones of its schedule that have not ended: it is independent of
/// them, or waits until all of them have ended in any way. All, because one that is cancelled while
/// it waits ends before the one that it waits for. `Err`: it must not be made because of that job.
fn relate(conn: &Connection, schedule: &Schedule, job: &mut NewJob) -> Result<std::result::Result<(), JobId>> {
    let overlap = Overlap::parse(&schedule.overlap).unwrap_or_default();
    if overlap == Overlap::Allow {
        return Ok(Ok(()));
    }
    conn.prepare_cached(sql!("plan.sql", "see_ends"))?.execute([schedule.id])?;
    let mut live = conn.prepare_cached(sql!("plan.sql", "live"))?;
    let live = live.query_map((schedule.id, QUEUED_MAX as i64 + 1), |row| row.get(0).map(JobId))?;
    let live: Vec<JobId> = live.collect::<rusqlite::Result<_>>()?;
    match live.last() {
        None => {}
        Some(last) if overlap == Overlap::Skip || live.len() > QUEUED_MAX => return Ok(Err(*last)),
        Some(_) => job.after = live.into_iter().map(|id| (id, Need::Any)).collect(),
    }
    Ok(Ok(()))
}

/// A job starts later by the jitter of its occurrence, if that is not over.
fn delayed(mut job: NewJob, schedule: &Schedule, at: i64, now_ms: i64) -> NewJob {
    let more = schedule.starts_at(at).saturating_sub(now_ms);
    if schedule.jitter_ms > 0 && more > 0 {
        job.available_at = job.available_at.max(now_ms).saturating_add(more);
        job.expires_at = job.expires_at.map(|expires| expires.saturating_add(more));
    }
    job
}

fn record_maker(conn: &Connection, job: JobId, detail: &str, now_ms: i64) -> Result<()> {
    let mut event = conn.prepare_cached("INSERT INTO event (job_id, kind, at, detail) VALUES (?1, 'scheduled', ?2, ?3)")?;
    event.execute((job.0, now_ms, detail))?;
    Ok(())
}

fn standing(schedule: &Schedule) -> Standing {
    let paused = schedule.paused_at.zip(schedule.resumed_at).filter(|(from, to)| from < to);
    Standing {
        decided_until: schedule.decided_until,
        catch_up: CatchUp::parse(&schedule.catch_up).unwrap_or_default(),
        catch_up_max: schedule.catch_up_max.clamp(1, CATCH_UP_MAX),
        paused,
    }
}

fn fired(conn: &Connection, schedule: &Schedule, now_ms: i64) -> Result<BTreeSet<i64>> {
    let mut fired = conn.prepare_cached(
        "SELECT at FROM occurrence WHERE schedule_id = ?1 AND at > ?2 AND at <= ?3 AND state = 'fired' ORDER BY at DESC LIMIT ?4",
    )?;
    let rows = fired.query_map((schedule.id, schedule.decided_until, now_ms, FIRED_MAX), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Records until when the schedule has decided. False: another process was first, or it is paused
/// now.
fn commit_to(conn: &Connection, schedule: &Schedule, calendar: &Calendar, decision: &Decision) -> Result<bool> {
    let until = decision.decided_until.max(schedule.pruned_until).max(0);
    let next = if until == decision.decided_until { decision.next } else { calendar.next(until) };
    let mut decided = conn.prepare_cached(sql!("plan.sql", "decided"))?;
    Ok(decided.execute((schedule.id, schedule.decided_until, until, next))? > 0)
}

/// The clock was set back: skipped occurrences that are in the future now are open again.
fn open_again(conn: &Connection, schedule: &Schedule, calendar: &Calendar, now_ms: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM occurrence WHERE schedule_id = ?1 AND state = 'skipped' AND at > ?2")?
        .execute((schedule.id, now_ms))?;
    let mut cut = conn
        .prepare_cached("UPDATE occurrence SET last_at = ?2, n = ?3 WHERE schedule_id = ?1 AND at = ?4 AND state = 'skipped'")?;
    let mut across = conn
        .prepare_cached("SELECT at FROM occurrence WHERE schedule_id = ?1 AND state = 'skipped' AND at <= ?2 AND last_at > ?2")?;
    let across: Vec<i64> = across.query_map((schedule.id, now_ms), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for at in across {
        let occurrences = std::iter::successors(Some(at), |at| calendar.next(*at)).take_while(|at| *at <= now_ms);
        let n = occurrences.take(COUNTED_MAX as usize + 1).count() as i64;
        cut.execute((schedule.id, calendar.last(now_ms).unwrap_or(at).max(at), n.max(1), at))?;
    }
    conn.prepare_cached(
        "UPDATE schedule SET paused_at = min(paused_at, ?2), resumed_at = min(resumed_at, ?2) WHERE id = ?1 AND (paused_at > ?2 OR resumed_at > ?2)",
    )?
    .execute((schedule.id, now_ms))?;
    Ok(())
}

fn job(template: &Template, calendar: &Calendar, at: i64, now_ms: i64) -> Result<NewJob> {
    let mut job = template.fill(&BTreeMap::new(), now_ms).map_err(Error::Invalid)?;
    job.placement.env.insert(SCHEDULED_FOR.to_owned(), calendar.text(at));
    Ok(job)
}

/// Adds the job of one occurrence, or returns why not.
fn fire(
    conn: &Connection,
    schedule: &Schedule,
    calendar: &Calendar,
    job: Result<NewJob>,
    at: i64,
    now_ms: i64,
    planned: &mut Planned,
) -> Result<()> {
    let mut job = job;
    if let Ok(job) = &mut job
        && let Err(live) = relate(conn, schedule, job)?
    {
        return skip(conn, schedule.id, &one(at, Skip::Overlap), Some(live), now_ms);
    }
    conn.execute_batch("SAVEPOINT one_occurrence")?;
    let added = job.and_then(|job| enqueue::add(conn, &[job], now_ms));
    let error = match added.map(|mut added| added.pop()) {
        Ok(Some(added)) if added.existing => {
            conn.execute_batch("ROLLBACK TO one_occurrence; RELEASE one_occurrence")?;
            return skip(conn, schedule.id, &one(at, Skip::Unique), Some(added.id), now_ms);
        }
        Ok(Some(added)) if write_fired(conn, schedule.id, at, added.id, now_ms, false)? => {
            let detail = format!("by schedule {}, occurrence {}", schedule.name, calendar.text(at));
            record_maker(conn, added.id, &detail, now_ms)?;
            if schedule.last_error.is_some() {
                say(conn, schedule.id, None)?;
            }
            conn.execute_batch("RELEASE one_occurrence")?;
            planned.jobs.push(added.id);
            planned.freed.extend(added.freed);
            return Ok(());
        }
        // Fired before: nothing follows.
        Ok(_) => return Ok(conn.execute_batch("ROLLBACK TO one_occurrence; RELEASE one_occurrence")?),
        Err(error) if is_of_the_row(&error) => error,
        Err(error) => return Err(error),
    };
    conn.execute_batch("ROLLBACK TO one_occurrence; RELEASE one_occurrence")?;
    say(conn, schedule.id, Some(&format!("occurrence {}: {error}", calendar.text(at))))?;
    skip(conn, schedule.id, &one(at, Skip::Error), None, now_ms)
}

fn one(at: i64, why: Skip) -> Skipped {
    Skipped { first: at, last: at, n: 1, why }
}

/// False: that occurrence was fired before.
fn write_fired(conn: &Connection, schedule: i64, at: i64, job: JobId, now_ms: i64, by_hand: bool) -> Result<bool> {
    let values = params![schedule, at, job.0, now_ms, by_hand];
    if conn.prepare_cached(sql!("plan.sql", "fired_after_all"))?.execute(values)? > 0 {
        return Ok(true);
    }
    Ok(conn.prepare_cached(sql!("plan.sql", "fired"))?.execute(values)? > 0)
}

/// Records skipped occurrences; if adjacent ones were skipped for the same reason, in their row.
fn skip(conn: &Connection, schedule: i64, skipped: &Skipped, job: Option<JobId>, now_ms: i64) -> Result<()> {
    let job = job.map(|job| job.0);
    let most = COUNTED_MAX + 1;
    let values = params![schedule, skipped.first, skipped.last, skipped.n, skipped.why.as_str(), job, now_ms, most];
    if conn.prepare_cached(sql!("plan.sql", "skipped_more"))?.execute(values)? == 0 {
        let values = params![schedule, skipped.first, skipped.last, skipped.n, skipped.why.as_str(), job, now_ms];
        conn.prepare_cached(sql!("plan.sql", "skipped"))?.execute(values)?;
    }
    Ok(())
}

fn say(conn: &Connection, schedule: i64, error: Option<&str>) -> Result<()> {
    conn.prepare_cached("UPDATE schedule SET last_error = ?2 WHERE id = ?1")?.execute((schedule, error))?;
    Ok(())
}

/// The line or the zone cannot be read: it is not due any more, until a person changes it.
fn unreadable(conn: &Connection, schedule: &Schedule, error: &str) -> Result<()> {
    conn.prepare_cached("UPDATE schedule SET last_error = ?2, next_at = NULL WHERE id = ?1")?.execute((schedule.id, error))?;
    Ok(())
}

/// Continues a schedule from an instant, in milliseconds UTC.
pub(in crate::store) fn set_next(conn: &Connection, schedule: &Schedule, from_ms: i64) -> Result<()> {
    let calendar = match schedule.calendar() {
        Ok(calendar) => calendar,
        Err(error) => return unreadable(conn, schedule, &error),
    };
    let could_not_be_read = schedule.next_at.is_none();
    conn.prepare_cached(
        "UPDATE schedule SET decided_until = ?2, next_at = ?3, last_error = CASE WHEN ?4 THEN NULL ELSE last_error END WHERE id = ?1",
    )?
    .execute((schedule.id, from_ms, calendar.next(from_ms), could_not_be_read))?;
    Ok(())
}

#[cfg(test)]
#[path = "plan_guard_tests.rs"]
mod guard_tests;
#[cfg(test)]
#[path = "overlap_tests.rs"]
mod overlap_tests;
#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
