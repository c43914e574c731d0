//! Corrects contradictions between maintained values and true ones: counts, heads, lanes,
//! dependencies, sequences.
//!
//! The triggers maintain all of these, so there is nothing to do unless a client bypassed them.
//! [`crate::store::upkeep::inspect`] looks for contradictions at every tick, without the write
//! lock; only what it has found is corrected here, each by a statement that checks again.
//! Everything is counted again only when the counts are wrong.

use std::fmt;

use rusqlite::Connection;

use crate::error::Result;
use crate::job::JobId;
use crate::store::engine::apart::apart;
use crate::store::engine::text::Key;
use crate::store::hook::delivery;
use crate::store::job::ended;
use crate::store::job::ended::Aftermath;
use crate::store::job::ids::ID_MAX;
use crate::store::pipeline::advance;
use crate::store::resource::teardown;
use crate::store::upkeep::inspect;
use crate::store::upkeep::inspect::{Cursor, Found, LOOKED_AT_MAX, SEQUENCES, is_poisoned};

/// Result of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recounted {
    /// Everything was counted again.
    pub recounted: bool,
    /// Queues without a row, whose jobs were not claimed.
    pub queues: usize,
    /// Queues with a wrong head or a wrong `is_full`.
    pub heads: usize,
    /// Cancels of jobs that have ended, or are gone.
    pub cancels: usize,
    /// Suspensions of runs that have ended.
    pub suspensions: usize,
    /// Lanes whose number of running jobs was wrong.
    pub lanes_recounted: usize,
    /// Members of lanes with room that are ready now.
    pub lanes_passed_on: usize,
    /// Dependencies on jobs that had ended.
    pub dependencies: usize,
    /// Jobs with wrong counts of dependencies.
    pub waiting: usize,
    /// Queued jobs that ended because of that.
    pub ended: Vec<JobId>,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
    /// Resources, their auxiliary runs and the jobs that wait for them.
    pub resources: crate::store::resource::teardown::Repaired,
    /// Hooks whose run had ended without a result.
    pub hooks: usize,
    /// Tasks whose job had ended or was gone.
    pub tasks: usize,
    /// Sequences that had been set out of range.
    pub sequences: usize,
    /// Jobs that waited for more slots although there were enough, or did not although there were
    /// not.
    pub wide: usize,
    /// Jobs whose rows of the pools were wrong, and pools with a wrong head.
    pub pools: usize,
}

impl Recounted {
    /// Whether nothing was wrong.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What was corrected, for a log line: `heads of queues: 2, counts of lanes: 1`.
impl fmt::Display for Recounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (usize::from(self.recounted), "counts of all jobs"),
            (self.queues, "queues without a row"),
            (self.heads, "heads of queues"),
            (self.cancels, "cancels of ended jobs"),
            (self.suspensions, "suspensions of ended runs"),
            (self.lanes_recounted, "counts of lanes"),
            (self.lanes_passed_on, "lanes with room"),
            (self.dependencies, "dependencies on ended jobs"),
            (self.waiting, "counts of dependencies"),
            (self.ended.len(), "jobs whose dependency had failed"),
            (self.resources.orphans, "resources of ended owners"),
            (self.resources.auxiliaries, "resources whose run had ended"),
            (self.resources.jobs, "counts of resources"),
            (self.hooks, "hooks whose run had ended"),
            (self.tasks, "tasks whose job had ended"),
            (self.sequences, "sequences"),
            (self.wide, "jobs that take several slots"),
            (self.pools, "uses of pools"),
        ];
        let made = parts.iter().filter(|(n, _)| *n > 0);
        let texts: Vec<String> = made.map(|(n, what)| format!("{what}: {n}")).collect();
        f.write_str(&texts.join(", "))
    }
}

/// Looks for contradictions from the beginning, and corrects them.
pub fn all(conn: &Connection, now_ms: i64) -> Result<Recounted> {
    let found = inspect::find(conn, &mut Cursor::default(), LOOKED_AT_MAX)?;
    self::found(conn, &found, now_ms)
}

/// Corrects the contradictions that were found.
pub fn found(conn: &Connection, found: &Found, now_ms: i64) -> Result<Recounted> {
    // First, because everything below may have to write an event.
    let mut made = Recounted::default();
    if found.sequences {
        made.sequences = make_sequences(conn)?;
    }
    // The counts come before the rest: a count that cannot be changed makes each move of its queue
    // fail.
    if found.counts {
        made.recounted = step(conn, "the counts", || tally(conn).map(|()| true))?;
    }
    made.queues = step(conn, "queues", || make_queues(conn, &found.missing_queues))?;
    if found.cancels {
        made.cancels = step(conn, "cancels", || Ok(conn.execute(sql!("recount.sql", "cancels"), [now_ms])?))?;
    }
    if found.suspensions {
        made.suspensions = step(conn, "suspensions", || Ok(conn.execute(sql!("recount.sql", "suspensions"), [now_ms])?))?;
    }
    if found.lanes {
        made.lanes_recounted = step(conn, "lanes", || Ok(conn.execute(sql!("recount.sql", "lanes"), [])?))?;
    }
    made.lanes_passed_on = step(conn, "members of lanes", || pass_on(conn, &found.stranded))?;
    made.resources = step(conn, "resources", || teardown::repair(conn, found))?;
    made.hooks = step(conn, "hooks", || delivery::repair(conn, &found.hooks))?;
    step(conn, "dependencies", || make_dependencies(conn, found, now_ms, &mut made))?;
    made.wide = step(conn, "jobs that take several slots", || judge_wide(conn, &found.wide))?;
    made.pools = step(conn, "uses of pools", || place_in_pools(conn, found))?;
    // The previous steps may have moved jobs whose counts were not maintained.
    if !found.is_nothing() && step(conn, "the counts", || inspect::are_counts_wrong(conn))? {
        made.recounted |= step(conn, "the counts", || tally(conn).map(|()| true))?;
    }
    // Last, because all of the above may have corrected it.
    made.heads = step(conn, "heads of queues", || choose_heads(conn, &found.wrong_heads))?;
    Ok(made)
}

/// Calls the procedures of the triggers. A job that is gone has neither units nor uses after that.
fn place_in_pools(conn: &Connection, found: &Found) -> Result<usize> {
    let mut place = conn.prepare_cached("INSERT INTO place_in_pools (job_id, uses) VALUES (?1, NULL)")?;
    let mut placed = 0;
    for id in &found.pooled {
        match apart(conn, || Ok(place.execute([id])?))? {
            Ok(_) => placed += 1,
            Err(why) => log::error!("the uses of job {id} cannot be corrected: {why}"),
        }
    }
    let mut choose = conn.prepare_cached("INSERT INTO choose_pool_head (pool) VALUES (?1)")?;
    found.pools.iter().try_for_each(|pool| choose.execute([pool]).map(drop))?;
    if placed > 0 {
        // What they had is free, and their earlier uses are not known any more.
        conn.execute("INSERT INTO choose_pool_head (pool) SELECT name FROM pool", [])?;
    }
    Ok(placed + found.pools.len())
}

fn judge_wide(conn: &Connection, wide: &[i64]) -> Result<usize> {
    let mut judge = conn.prepare_cached(sql!("recount.sql", "wide"))?;
    wide.iter().try_fold(0, |n, id| Ok(n + judge.execute([id])?))
}

/// Runs one step. A row that refuses it is logged, and blocks no other step.
fn step<T: Default>(conn: &Connection, what: &str, make: impl FnOnce() -> Result<T>) -> Result<T> {
    Ok(apart(conn, make)?.unwrap_or_else(|why| {
        log::error!("repairing {what}: {why}");
        T::default()
    }))
}

/// Inserts the rows of queues that jobs name. Counts of a queue that no job names have been
/// corrected before.
fn make_queues(conn: &Connection, missing: &[Key]) -> Result<usize> {
    let mut made = 0;
    for queue in missing {
        match apart(conn, || Ok(conn.prepare_cached(sql!("recount.sql", "queue"))?.execute([queue])?))? {
            Ok(n) => made += n,
            Err(why) => log::error!("queue {:?} cannot be created: {why}", queue.shown()),
        }
    }
    Ok(made)
}

/// Counts everything again, from every job.
pub(in crate::store) fn tally(conn: &Connection) -> Result<()> {
    conn.execute("DELETE FROM tally", [])?;
    conn.execute(sql!("recount.sql", "recount"), [])?;
    conn.execute("INSERT INTO choose_queue_head (queue) SELECT name FROM queue", [])?;
    Ok(())
}

/// Lanes with room, waiting members and none ready: calls the procedure of the triggers. A lane
/// without a row gets one.
fn pass_on(conn: &Connection, stranded: &[(Key, Key)]) -> Result<usize> {
    let mut passed_on = 0;
    for (lane, queue) in stranded {
        let passed = apart(conn, || {
            Ok(conn.prepare_cached("INSERT INTO choose_lane_head (lane, queue) VALUES (?1, ?2)")?.execute((lane, queue))?)
        })?;
        match passed {
            Ok(_) => passed_on += 1,
            Err(why) => log::error!("lane {:?} cannot continue in queue {:?}: {why}", lane.shown(), queue.shown()),
        }
    }
    Ok(passed_on)
}

fn choose_heads(conn: &Connection, queues: &[Key]) -> Result<usize> {
    for queue in queues {
        conn.prepare_cached("INSERT INTO choose_queue_head (queue) VALUES (?1)")?.execute([queue])?;
    }
    Ok(queues.len())
}

/// Corrects dependencies that contradict their parents, and jobs that contradict their
/// dependencies.
fn make_dependencies(conn: &Connection, found: &Found, now_ms: i64, made: &mut Recounted) -> Result<()> {
    let mut out = advance::aftermath();
    for parent in &found.lagging {
        made.dependencies += usize::from(tell_dependants(conn, *parent, now_ms, &mut out)?);
    }
    for job in &found.waiting {
        made.waiting += conn.prepare_cached(sql!("recount.sql", "waiting"))?.execute([job.0])?;
    }
    made.tasks = advance::resume(conn, &found.tasks, now_ms, &mut out)?;
    made.ended = out.ended;
    made.freed = out.freed;
    Ok(())
}

/// False: one of the dependants is invalid itself; the next round tries again.
fn tell_dependants(conn: &Connection, parent: JobId, now_ms: i64, out: &mut Aftermath) -> Result<bool> {
    let mut ended = out.part();
    match apart(conn, || ended::resolve_dependants(conn, parent, now_ms, &mut ended))? {
        Ok(all) => {
            out.add(ended);
            Ok(all)
        }
        Err(why) => {
            log::error!("the dependencies on job {parent} cannot be resolved: {why}");
            Ok(false)
        }
    }
}

/// An exhausted sequence makes every insert fail as if the disk were full.
pub(in crate::store) fn make_sequences(conn: &Connection) -> Result<usize> {
    // Written with the guards dropped: the largest possible id leaves none for later rows.
    let mut made = conn.prepare_cached("DELETE FROM event WHERE id > ?1")?.execute([ID_MAX])?;
    for (table, highest) in SEQUENCES {
        if is_poisoned(conn, table)? {
            let highest: i64 = conn.query_row(highest, [], |row| row.get(0))?;
            made += conn.execute("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", (table, highest))?;
        }
    }
    Ok(made)
}
