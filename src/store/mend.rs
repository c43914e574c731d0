//! Contradictions between what is kept and what is true: counts, lanes, dependencies, sequences.
//!
//! The triggers keep all of these, so there is nothing to mend unless somebody worked around them. Looking costs little: only
//! the heads of the indexes, the running rows and the counts are compared, and a full recount is made only when they
//! contradict each other. A lane that has room while its members wait, with none of them ready, would wait for ever: that is
//! looked for at every tick.

use rusqlite::Connection;

use super::ended::{self, Aftermath};
use super::ids::ID_MAX;
use super::rows;
use crate::error::Result;
use crate::job::JobId;

/// Most rows of one kind that one round mends; the next round goes on.
pub const MENDED_MAX: i64 = 1_000;

/// Most jobs that others wait for, looked at in one round.
pub const PARENTS_LOOKED_AT_MAX: i64 = 1_000;

/// What one round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    /// The counts were taken anew.
    pub recounted: bool,
    /// Queues that had no row of their own, so that nothing of them was claimed.
    pub queues: usize,
    /// Lanes whose number of running jobs was wrong.
    pub lanes_recounted: usize,
    /// Members of lanes with room that are ready now.
    pub lanes_passed_on: usize,
    /// Dependencies on jobs that had ended.
    pub dependencies: usize,
    /// Queued jobs that ended because of that.
    pub ended: Vec<JobId>,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
    /// Sequences that had been set out of reach.
    pub sequences: usize,
}

impl Mended {
    /// Nothing was wrong.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Looks for contradictions, and mends them.
pub fn mend(conn: &Connection, now_ms: i64) -> Result<Mended> {
    // First, because everything below may have to write an event.
    let mut mended = Mended { sequences: mend_sequences(conn)?, ..Mended::default() };
    mended.queues = conn.execute(include_str!("mend_queues.sql"), [])?;
    mended.lanes_recounted = conn.execute(include_str!("mend_lanes.sql"), [])?;
    mended.lanes_passed_on = pass_on(conn)?;
    mend_dependencies(conn, now_ms, &mut mended)?;
    let contradicted: bool = conn.prepare_cached(include_str!("mend_contradicted.sql"))?.query_row([], |row| row.get(0))?;
    if contradicted {
        recount(conn)?;
        mended.recounted = true;
    }
    Ok(mended)
}

/// Takes the counts anew, from every job.
pub(super) fn recount(conn: &Connection) -> Result<()> {
    conn.execute("DELETE FROM tally", [])?;
    conn.execute(include_str!("mend_recount.sql"), [])?;
    Ok(())
}

/// Lanes with room, waiting members and none ready: the triggers are asked once more. Lanes without a row get one.
fn pass_on(conn: &Connection) -> Result<usize> {
    let mut stranded = conn.prepare_cached(include_str!("mend_stranded.sql"))?;
    let stranded: Vec<(String, String)> =
        stranded.query_map([MENDED_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (lane, queue) in &stranded {
        conn.prepare_cached("INSERT OR IGNORE INTO lane (key) VALUES (?1)")?.execute([lane])?;
        conn.prepare_cached("INSERT INTO lane_head VALUES (?1, ?2)")?.execute((lane, queue))?;
    }
    Ok(stranded.len())
}

/// Dependencies that lag behind their parents. Looks at a limited number of parents, from another one on at each round.
fn mend_dependencies(conn: &Connection, now_ms: i64, mended: &mut Mended) -> Result<()> {
    let last: i64 = conn.prepare_cached("SELECT coalesce(max(id), 0) FROM job")?.query_row([], |row| row.get(0))?;
    let start = now_ms.rem_euclid(last.saturating_add(1));
    let mut lagging = lagging_from(conn, start)?;
    lagging.extend(lagging_from(conn, 0)?);
    lagging.sort_unstable();
    lagging.dedup();
    let mut out = Aftermath::default();
    for parent in &lagging {
        ended::resolve_dependants(conn, *parent, now_ms, &mut out)?;
    }
    mended.dependencies = lagging.len();
    mended.ended = out.ended;
    mended.freed = out.freed;
    Ok(())
}

fn lagging_from(conn: &Connection, start: i64) -> Result<Vec<JobId>> {
    let mut lagging = conn.prepare_cached(include_str!("mend_dependencies.sql"))?;
    let rows = lagging.query_map((start, PARENTS_LOOKED_AT_MAX), |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A sequence at its end makes every insert fail as if the disk were full.
pub(super) fn mend_sequences(conn: &Connection) -> Result<usize> {
    let mut mended = 0;
    for (table, highest) in [
        ("job", "SELECT coalesce(max(id), 0) FROM job"),
        ("event", "SELECT coalesce(max(id), 0) FROM event"),
        ("cancel", "SELECT coalesce(max(id), 0) FROM cancel"),
    ] {
        let poisoned: bool = conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1 AND seq > ?2)")?
            .query_row((table, ID_MAX), |row| row.get(0))?;
        if poisoned {
            let highest: i64 = conn.query_row(highest, [], |row| row.get(0))?;
            mended += conn.execute("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", (table, highest))?;
        }
    }
    Ok(mended)
}
