//! Contradictions between what is kept and what is true: counts, lanes, dependencies, sequences.
//!
//! The triggers keep all of these, so there is nothing to mend unless somebody worked around them. Looking costs little: only
//! the heads of the indexes, the running rows and the counts are compared, and a full recount is made only when they
//! contradict each other. A lane that has room while its members wait, with none of them ready, would wait for ever: that is
//! looked for at every tick.

use rusqlite::Connection;

use super::apart::apart;
use super::ended::{self, Aftermath};
use super::ids::ID_MAX;
use super::text::Key;
use super::{prune, rows, walk};
use crate::error::Result;
use crate::job::JobId;

/// Most rows of one kind that one round mends; the next round goes on.
pub const MENDED_MAX: i64 = 1_000;

/// Most jobs that others wait for, and most that wait for others, looked at in one round.
pub const PARENTS_LOOKED_AT_MAX: i64 = 1_000;

/// What one round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    /// The counts were taken anew.
    pub recounted: bool,
    /// Queues that had no row of their own, so that nothing of them was claimed.
    pub queues: usize,
    /// Cancels of jobs that have ended, or are gone.
    pub cancels: usize,
    /// Lanes whose number of running jobs was wrong.
    pub lanes_recounted: usize,
    /// Members of lanes with room that are ready now.
    pub lanes_passed_on: usize,
    /// Lanes of arrays that are gone.
    pub lanes_removed: usize,
    /// Dependencies on jobs that had ended.
    pub dependencies: usize,
    /// Jobs that had not counted right what they wait for.
    pub waiting: usize,
    /// Queued jobs that ended because of that.
    pub ended: Vec<JobId>,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
    /// Runs that had ended and still stood in their workspaces.
    pub workspaces_left: usize,
    /// Resources, their errands and the jobs that wait for them.
    pub resources: super::teardown::Mended,
    /// Tasks whose job had ended or was gone.
    pub tasks: usize,
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
    // The counts come before the rest: a count that cannot be changed makes each move of its queue fail.
    mended.recounted = step(conn, "the counts", || recount_if_contradicted(conn))?;
    mended.queues = step(conn, "queues", || Ok(conn.execute(include_str!("mend_queues.sql"), [])?))?;
    mended.cancels = step(conn, "cancels", || Ok(conn.execute(include_str!("mend_cancels.sql"), [now_ms])?))?;
    mended.lanes_recounted = step(conn, "lanes", || Ok(conn.execute(include_str!("mend_lanes.sql"), [])?))?;
    mended.lanes_passed_on = step(conn, "members of lanes", || pass_on(conn))?;
    mended.lanes_removed = step(conn, "lanes of arrays", || prune::remove_lanes_of_arrays(conn))?;
    mended.workspaces_left = step(conn, "uses of workspaces", || super::workspace::clear_uses(conn))?;
    mended.resources = step(conn, "resources", || super::teardown::mend(conn))?;
    step(conn, "dependencies", || mend_dependencies(conn, now_ms, &mut mended))?;
    // The steps before may have moved jobs whose counts were not kept.
    mended.recounted |= step(conn, "the counts", || recount_if_contradicted(conn))?;
    Ok(mended)
}

/// One step. A row that refuses it is told, and does not keep the other steps from being done.
fn step<T: Default>(conn: &Connection, what: &str, mend: impl FnOnce() -> Result<T>) -> Result<T> {
    Ok(apart(conn, mend)?.unwrap_or_else(|why| {
        log::error!("repairing {what}: {why}");
        T::default()
    }))
}

fn recount_if_contradicted(conn: &Connection) -> Result<bool> {
    let contradicted: bool = conn.prepare_cached(include_str!("mend_contradicted.sql"))?.query_row([], |row| row.get(0))?;
    if contradicted {
        recount(conn)?;
    }
    Ok(contradicted)
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
    let stranded: Vec<(Key, Key)> =
        stranded.query_map([MENDED_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut passed_on = 0;
    for (lane, queue) in &stranded {
        let passed = apart(conn, || {
            conn.prepare_cached("INSERT OR IGNORE INTO lane (key) VALUES (?1)")?.execute([lane])?;
            conn.prepare_cached("INSERT INTO lane_head VALUES (?1, ?2)")?.execute((lane, queue))?;
            Ok(())
        })?;
        match passed {
            Ok(()) => passed_on += 1,
            Err(why) => log::error!("lane {:?} cannot go on in queue {:?}: {why}", lane.shown(), queue.shown()),
        }
    }
    Ok(passed_on)
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
    for parent in lagging {
        mended.dependencies += usize::from(tell_dependants(conn, parent, now_ms, &mut out)?);
    }
    for from in [start, 0] {
        let mut count = conn.prepare_cached(include_str!("mend_waiting.sql"))?;
        mended.waiting += count.execute((from, PARENTS_LOOKED_AT_MAX))?;
    }
    mended.tasks = walk::go_on(conn, now_ms, &mut out)?;
    mended.ended = out.ended;
    mended.freed = out.freed;
    Ok(())
}

/// A row among those who wait that is sick itself must not keep everything else from being mended: nobody is told then, and
/// the next round tries again.
fn tell_dependants(conn: &Connection, parent: JobId, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    let mut ended = Aftermath::default();
    match apart(conn, || ended::resolve_dependants(conn, parent, now_ms, &mut ended))? {
        Ok(()) => {
            out.ended.append(&mut ended.ended);
            out.freed.append(&mut ended.freed);
            Ok(true)
        }
        Err(why) => {
            log::error!("those who wait for job {parent} can not be told that it has ended: {why}");
            Ok(false)
        }
    }
}

fn lagging_from(conn: &Connection, start: i64) -> Result<Vec<JobId>> {
    let mut lagging = conn.prepare_cached(include_str!("mend_dependencies.sql"))?;
    let rows = lagging.query_map((start, PARENTS_LOOKED_AT_MAX), |row| rows::id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A sequence at its end makes every insert fail as if the disk were full.
pub(super) fn mend_sequences(conn: &Connection) -> Result<usize> {
    // Written with the guards dropped: the largest id of all leaves none for what is written from now on.
    let mut mended = conn.prepare_cached("DELETE FROM event WHERE id > ?1")?.execute([ID_MAX])?;
    for (table, highest) in [
        ("job", "SELECT coalesce(max(id), 0) FROM job"),
        ("event", "SELECT coalesce(max(id), 0) FROM event"),
        ("cancel", "SELECT coalesce(max(id), 0) FROM cancel"),
        ("resource", "SELECT coalesce(max(id), 0) FROM resource"),
        ("pipeline", "SELECT coalesce(max(id), 0) FROM pipeline"),
        ("task", "SELECT coalesce(max(id), 0) FROM task"),
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
