//! The changes of all jobs, in one order, from any position on.
//!
//! There are two sequences, which the file numbers in the order of the commits: the rows of `event`
//! (a claim and the end of a done job are among them, with `job_id` NULL), and the rows of `job`,
//! each of which was added. A position names the last one of each that was read. All that is later
//! is new: no client can commit a lower id meanwhile, and a pruned one is never given out again.
//!
//! Both are merged by their times, so that they read as a story; a job is added before anything
//! else happens to it. The order decides nothing: each change carries the position after it.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::position::Position;
use crate::job::{JobId, RunId, State};
use crate::store::engine::text::{maybe, text};

/// A change of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The position after it.
    pub position: Position,
    /// Milliseconds UTC.
    pub at: i64,
    pub job: JobId,
    pub run: Option<RunId>,
    /// A word such as `added`, `claimed`, `done`.
    pub kind: String,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub queue: String,
    pub label: Option<String>,
}

/// Longest texts of the events of one page, in bytes; a single event may be longer.
const PAGE_BYTES_MAX: usize = 1 << 20;

impl Change {
    fn text_bytes(&self) -> usize {
        self.kind.len() + self.reason.as_ref().map_or(0, String::len) + self.detail.as_ref().map_or(0, String::len)
    }

    /// Returns the state that the job entered, if it entered one.
    pub fn state(&self) -> Option<State> {
        match self.kind.as_str() {
            "added" | "requeued" | "retried" => Some(State::Queued),
            "claimed" => Some(State::Running),
            "done" => Some(State::Done),
            "failed" => Some(State::Failed),
            "cancelled" => Some(State::Cancelled),
            _ => None,
        }
    }
}

/// Some changes, and where to continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub changes: Vec<Change>,
    pub next: Position,
    /// There may be more.
    pub is_full: bool,
}

/// Returns the position after the newest change. Ids of pruned rows count.
pub fn newest(conn: &Connection) -> Result<Position> {
    let mut newest = conn.prepare_cached(sql!("stream.sql", "newest"))?;
    Ok(newest.query_row([], |row| Ok(Position { event: row.get(0)?, job: row.get(1)? }))?)
}

/// Returns the position after the newest change, if the file has a position.
///
/// # Errors
/// [`Error::NotFound`] if it has not: it is another one, or an older copy.
pub fn newest_of(conn: &Connection, from: Position) -> Result<Position> {
    let newest = newest(conn)?;
    if !from.is_within(newest) {
        return Err(Error::NotFound(format!(
            "there is no change {from} in this file, the newest is {newest}: it is another file, or an older copy was restored; omit --after"
        )));
    }
    Ok(newest)
}

/// Reads at most about `rows` changes after a position.
///
/// # Errors
/// As [`newest_of`].
pub fn page(conn: &Connection, from: Position, rows: usize) -> Result<Page> {
    newest_of(conn, from)?;
    let limit = i64::try_from(rows).unwrap_or(i64::MAX);
    let mut added = conn.prepare_cached(sql!("stream.sql", "added"))?;
    let added = added.query_map((from.job, limit), |row| {
        Ok(Change {
            position: from,
            at: row.get(1)?,
            job: JobId(row.get(0)?),
            run: None,
            kind: "added".to_owned(),
            reason: None,
            detail: None,
            queue: text(row, 2)?,
            label: maybe(row, 3)?,
        })
    })?;
    let mut changed = conn.prepare_cached(sql!("stream.sql", "changed"))?;
    let changed = changed.query_map((from.event, limit), |row| {
        let id = row.get(0)?;
        // A run or a job that was pruned since takes its events along.
        let (Some(job), Some(queue)) = (row.get::<_, Option<i64>>(2)?, maybe(row, 7)?) else { return Ok((id, None)) };
        let change = Change {
            position: from,
            at: row.get(1)?,
            job: JobId(job),
            run: row.get::<_, Option<i64>>(3)?.map(RunId),
            kind: text(row, 4)?,
            reason: maybe(row, 5)?,
            detail: maybe(row, 6)?,
            queue,
            label: maybe(row, 8)?,
        };
        Ok((id, Some(change)))
    })?;
    let added: Vec<Change> = added.collect::<rusqlite::Result<_>>()?;
    let (mut some, mut bytes, mut all_changed) = (Vec::new(), 0, true);
    for one in changed {
        let (id, change) = one?;
        bytes += change.as_ref().map_or(0, Change::text_bytes);
        some.push((id, change));
        all_changed = some.len() < rows && bytes < PAGE_BYTES_MAX;
        if !all_changed {
            break;
        }
    }
    let all_added = added.len() < rows;
    Ok(merge((added, all_added), (some, all_changed), from))
}

/// Merges both sequences, as far as both were read. What follows the last row of one that was not
/// read to its end is unknown.
fn merge(
    (added, all_added): (Vec<Change>, bool),
    (changed, all_changed): (Vec<(i64, Option<Change>)>, bool),
    from: Position,
) -> Page {
    let (mut added, mut changed) = (added.into_iter().peekable(), changed.into_iter().peekable());
    let (mut next, mut changes) = (from, Vec::new());
    loop {
        let is_add = match (added.peek(), changed.peek()) {
            (None, _) if !all_added => break,
            (_, None) if !all_changed => break,
            (None, None) => break,
            (Some(job), Some((_, Some(event)))) => job.job <= event.job || job.at <= event.at,
            (Some(_), None) => true,
            (_, Some(_)) => false,
        };
        if is_add {
            let Some(job) = added.next() else { break };
            next.job = job.job.0;
            changes.push(Change { position: next, ..job });
        } else {
            let Some((id, event)) = changed.next() else { break };
            next.event = id;
            changes.extend(event.map(|event| Change { position: next, ..event }));
        }
    }
    Page { changes, next, is_full: !(all_added && all_changed) }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
