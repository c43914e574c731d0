//! A person moves a queued job: before another one, after it, or to the front of its queue.
//!
//! Jobs of a queue start by priority, then by rank, then by id. The rank of a job is its place, or
//! its id if it was never moved. So the ranks of jobs that were not moved are whole numbers, and
//! between two of them there is room for places. If the room between two places is used up, the
//! places between the same two whole numbers are spread again, which changes no order.

use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::job::JobId;
use crate::store::engine::text::Key;
use crate::store::job::control;
use crate::store::job::rows;

/// Most places that one move spreads again.
const SPREAD_MAX: usize = 1_000;

/// Where a job is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Before all jobs of its queue that are ready now.
    First,
    Before(JobId),
    After(JobId),
}

/// A job that was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// It has the priority of the other job now.
    pub priority: i64,
    pub was: i64,
}

/// A queued job and where it is.
struct Spot {
    queue: Key,
    priority: i64,
    rank: f64,
}

/// Moves a queued job. It takes the priority of the job that it is moved before or after; moved to
/// the front, the highest one of the ready jobs of its queue, unless its own is higher.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] if one of the jobs is not queued, if they are in
/// different queues, or if there is no room; [`Error::Invalid`] for a job and itself.
pub fn reorder(conn: &Connection, id: JobId, to: Position) -> Result<Moved> {
    let own = spot(conn, id)?;
    let (priority, place) = match to {
        Position::First => first(conn, &own)?,
        Position::Before(other) | Position::After(other) => {
            let at = beside(conn, id, &own, other)?;
            let place = match between(conn, &at, id, to)? {
                Some(place) => place,
                None => {
                    spread(conn, &at, id, other, to)?;
                    let at = spot(conn, other)?;
                    between(conn, &at, id, to)?.ok_or_else(|| no_room(other))?
                }
            };
            (at.priority, place)
        }
    };
    let detail = told(to, own.priority, priority);
    conn.prepare_cached(sql!("reorder.sql", "move"))?.execute((id.0, priority, place))?;
    conn.prepare_cached("INSERT INTO event (job_id, kind, detail) VALUES (?1, 'moved', ?2)")?.execute((id.0, detail))?;
    Ok(Moved { priority, was: own.priority })
}

fn told(to: Position, was: i64, priority: i64) -> String {
    let place = match to {
        Position::First => "to the front of its queue".to_owned(),
        Position::Before(other) => format!("before job {other}"),
        Position::After(other) => format!("after job {other}"),
    };
    if was == priority { place } else { format!("{place}; its priority was {was} and is {priority} now") }
}

fn spot(conn: &Connection, id: JobId) -> Result<Spot> {
    control::queued(conn, id, "moved")?;
    let mut spot = conn.prepare_cached("SELECT queue, priority, rank FROM job WHERE id = ?1")?;
    Ok(spot.query_row([id.0], |row| Ok(Spot { queue: row.get(0)?, priority: row.get(1)?, rank: row.get(2)? }))?)
}

/// Returns where the other job is.
fn beside(conn: &Connection, id: JobId, own: &Spot, other: JobId) -> Result<Spot> {
    if id == other {
        return Err(Error::Invalid(format!("job {id} cannot be moved before or after itself; name another job")));
    }
    let at = spot(conn, other)?;
    if at.queue != own.queue {
        let queue = at.queue.shown();
        return Err(Error::Refused(format!(
            "job {id} is in queue {:?} and job {other} in queue {queue:?}, and a place is one in a queue; tenure set {id} queue=NAME comes first",
            own.queue.shown()
        )));
    }
    Ok(at)
}

/// The front: lower than every id and every place of that priority.
fn first(conn: &Connection, own: &Spot) -> Result<(i64, f64)> {
    let mut highest = conn.prepare_cached(sql!("reorder.sql", "highest"))?;
    let highest: Option<i64> = highest.query_row([&own.queue], |row| row.get(0))?;
    let priority = highest.map_or(own.priority, |highest| highest.max(own.priority));
    let mut lowest = conn.prepare_cached(sql!("reorder.sql", "lowest"))?;
    let lowest: Option<f64> = lowest.query_row(params![own.queue, priority], |row| row.get(0))?;
    Ok((priority, lowest.unwrap_or(0.0).min(0.0).floor() - 1.0))
}

/// Returns a place between the other job and its neighbour; `None`: there is no room.
fn between(conn: &Connection, at: &Spot, id: JobId, to: Position) -> Result<Option<f64>> {
    let (low, high) = if matches!(to, Position::Before(_)) {
        let mut near = conn.prepare_cached(sql!("reorder.sql", "near_below"))?;
        let near: Option<f64> = near.query_row(params![at.queue, at.priority, at.rank, id.0], |row| row.get(0))?;
        let whole = at.rank.ceil() - 1.0;
        (near.map_or(whole, |near| near.max(whole)), at.rank)
    } else {
        let mut near = conn.prepare_cached(sql!("reorder.sql", "near_above"))?;
        let near: Option<f64> = near.query_row(params![at.queue, at.priority, at.rank, id.0], |row| row.get(0))?;
        let whole = at.rank.floor() + 1.0;
        (at.rank, near.map_or(whole, |near| near.min(whole)))
    };
    let middle = low + (high - low) / 2.0;
    Ok((low < middle && middle < high).then_some(middle))
}

/// Spreads the places between two whole numbers, where the other job is, and leaves room beside it.
fn spread(conn: &Connection, at: &Spot, id: JobId, other: JobId, to: Position) -> Result<()> {
    let low = if matches!(to, Position::Before(_)) { at.rank.ceil() - 1.0 } else { at.rank.floor() };
    let mut within = conn.prepare_cached(sql!("reorder.sql", "within"))?;
    let most = i64::try_from(SPREAD_MAX + 1).unwrap_or(i64::MAX);
    let ids = within.query_map(params![at.queue, at.priority, low, low + 1.0, id.0, most], |row| rows::id(row, 0))?;
    let ids: Vec<JobId> = ids.collect::<rusqlite::Result<_>>()?;
    if ids.len() > SPREAD_MAX {
        return Err(no_room(other));
    }
    let parts = ids.len() as f64 + 1.0;
    let places: Vec<f64> = (1..=ids.len()).map(|n| low + n as f64 / parts).collect();
    let is_rising = places.iter().zip(places.iter().skip(1)).all(|(one, next)| one < next);
    if !is_rising || places.iter().any(|place| *place <= low || *place >= low + 1.0) {
        return Err(no_room(other));
    }
    for (job, place) in ids.iter().zip(places) {
        conn.prepare_cached("UPDATE job SET place = ?2 WHERE id = ?1 AND state = 'queued'")?.execute((job.0, place))?;
    }
    Ok(())
}

fn no_room(other: JobId) -> Error {
    Error::Refused(format!(
        "too many jobs were moved to that place beside job {other}; name another job, or use priorities: tenure set {other} priority=N"
    ))
}

#[cfg(test)]
#[path = "reorder_tests.rs"]
mod tests;
