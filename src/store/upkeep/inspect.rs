//! Finds contradictions between maintained values and true ones, and changes nothing.
//! [`crate::store::upkeep::recount`] corrects them.
//!
//! This needs no write lock, so no writer waits for it. One round covers a limited number of lanes,
//! queues, jobs, resources and tasks, and the next one continues from there: so its cost does not
//! depend on their number.

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::job::JobId;
use crate::store::engine::text::Key;
use crate::store::job::ids::ID_MAX;
use crate::store::job::rows;

/// Most rows of one kind that one round covers.
pub const LOOKED_AT_MAX: i64 = 1_000;

/// Where the next round continues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// A lane with members waiting, and one of their queues.
    waiting: (Key, Key),
    lane: Key,
    queue: Key,
    /// A queue with something ready.
    ready: Key,
    /// A queue that something is counted in.
    counted: Key,
    parent: i64,
    child: i64,
    held: i64,
    auxiliary: i64,
    hook: i64,
    releasing: i64,
    unreleased: i64,
    task: i64,
    wide: i64,
    pooled: i64,
}

/// The contradictions that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Sequences that have been set out of range.
    pub sequences: bool,
    /// Queues with jobs but without a row.
    pub missing_queues: Vec<Key>,
    /// Queues with a wrong head or a wrong `is_full`.
    pub wrong_heads: Vec<Key>,
    /// Queues without a job and without a setting.
    pub empty_queues: Vec<Key>,
    /// Lanes without a job and without a setting, and lanes of arrays that are gone.
    pub empty_lanes: Vec<Key>,
    /// Open cancels of jobs that have ended, or are gone.
    pub cancels: bool,
    /// Open suspensions of runs that have ended.
    pub suspensions: bool,
    /// Lanes whose number of running jobs is wrong.
    pub lanes: bool,
    /// Lanes with room, waiting members and none ready, each with a queue of those members.
    pub stranded: Vec<(Key, Key)>,
    /// Ended jobs with dependants that still wait.
    pub lagging: Vec<JobId>,
    /// Jobs whose counts of dependencies are wrong.
    pub waiting: Vec<JobId>,
    /// Resources that are held although their owner has ended.
    pub orphans: Vec<i64>,
    /// Resources whose auxiliary run has ended without a result.
    pub auxiliaries: Vec<i64>,
    /// Hooks whose run has ended without a result.
    pub hooks: Vec<i64>,
    /// Jobs that wait for a teardown that does not exist.
    pub unreleased: Vec<JobId>,
    /// Resources that are being torn down, and whose job does not count them.
    pub unwaited: Vec<i64>,
    /// Tasks that no worker will advance.
    pub tasks: Vec<i64>,
    /// Jobs that wait for more slots although there are enough, or do not although there are not.
    pub wide: Vec<i64>,
    /// Jobs whose rows of the pools are wrong.
    pub pooled: Vec<i64>,
    /// Pools whose head is wrong, or has no pass although all is free.
    pub pools: Vec<Key>,
    /// The counts are wrong.
    pub counts: bool,
}

impl Found {
    /// Whether nothing is wrong. (An empty queue or lane is not wrong.)
    pub fn is_nothing(&self) -> bool {
        let not_wrong =
            Self { empty_queues: self.empty_queues.clone(), empty_lanes: self.empty_lanes.clone(), ..Self::default() };
        *self == not_wrong
    }
}

/// Continues from the cursor, over at most `limit` rows of each kind.
pub fn find(conn: &Connection, cursor: &mut Cursor, limit: i64) -> Result<Found> {
    let mut found = Found { sequences: are_sequences_poisoned(conn)?, ..Found::default() };
    found.cancels = ask(conn, sql!("inspect.sql", "cancels"))?;
    found.suspensions = ask(conn, sql!("inspect.sql", "suspensions"))?;
    found.lanes = ask(conn, sql!("inspect.sql", "lanes"))?;
    found.counts = ask(conn, sql!("inspect.sql", "running"))?;
    waiting_lanes(conn, cursor, limit, &mut found)?;
    ready_queues(conn, cursor, limit, &mut found)?;
    queues(conn, cursor, limit, &mut found)?;
    counted_queues(conn, cursor, limit, &mut found)?;
    cursor.lane = names(conn, sql!("inspect.sql", "empty_lanes"), &cursor.lane, limit, &mut found.empty_lanes)?;
    let jobs = |list: Vec<i64>| list.into_iter().map(JobId);
    let ids = |sql: &str, from: &mut i64| numbers(conn, sql, from, limit);
    found.lagging.extend(jobs(ids(sql!("inspect.sql", "parents"), &mut cursor.parent)?));
    found.waiting.extend(jobs(ids(sql!("inspect.sql", "children"), &mut cursor.child)?));
    found.orphans = ids(sql!("inspect.sql", "held"), &mut cursor.held)?;
    found.auxiliaries = ids(sql!("inspect.sql", "auxiliaries"), &mut cursor.auxiliary)?;
    found.hooks = ids(sql!("inspect.sql", "hooks"), &mut cursor.hook)?;
    found.unwaited = ids(sql!("inspect.sql", "releasing"), &mut cursor.releasing)?;
    found.unreleased.extend(jobs(ids(sql!("inspect.sql", "unreleased"), &mut cursor.unreleased)?));
    found.tasks = ids(sql!("inspect.sql", "tasks"), &mut cursor.task)?;
    found.wide = ids(sql!("inspect.sql", "wide"), &mut cursor.wide)?;
    found.pooled = ids(sql!("inspect.sql", "pooled"), &mut cursor.pooled)?;
    found.pooled.extend(strays(conn)?);
    found.pools =
        conn.prepare_cached(sql!("inspect.sql", "pools"))?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

fn ask(conn: &Connection, sql: &str) -> Result<bool> {
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Jobs that have units or rows of pools and do not live.
fn strays(conn: &Connection) -> Result<Vec<i64>> {
    let mut strays = conn.prepare_cached(sql!("inspect.sql", "pool_strays"))?;
    let rows = strays.query_map([LOOKED_AT_MAX], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn waiting_lanes(conn: &Connection, cursor: &mut Cursor, limit: i64, found: &mut Found) -> Result<()> {
    let mut lanes = conn.prepare_cached(sql!("inspect.sql", "stranded"))?;
    let mut rows = lanes.query(params![cursor.waiting.0, cursor.waiting.1, limit])?;
    let (mut looked_at, mut last) = (0, Default::default());
    while let Some(row) = rows.next()? {
        last = (row.get(0)?, row.get(1)?);
        looked_at += 1;
        if row.get(2)? {
            found.stranded.push(last.clone());
        }
    }
    cursor.waiting = if looked_at < limit { Default::default() } else { last };
    Ok(())
}

fn ready_queues(conn: &Connection, cursor: &mut Cursor, limit: i64, found: &mut Found) -> Result<()> {
    let mut ready = conn.prepare_cached(sql!("inspect.sql", "ready"))?;
    let mut rows = ready.query(params![cursor.ready, limit])?;
    let (mut looked_at, mut last) = (0, Key::of(""));
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        looked_at += 1;
        if row.get(1)? {
            found.missing_queues.push(last.clone());
        }
        found.counts |= row.get::<_, bool>(2)?;
    }
    cursor.ready = if looked_at < limit { Key::of("") } else { last };
    Ok(())
}

fn queues(conn: &Connection, cursor: &mut Cursor, limit: i64, found: &mut Found) -> Result<()> {
    let mut queues = conn.prepare_cached(sql!("inspect.sql", "queues"))?;
    let mut rows = queues.query(params![cursor.queue, limit])?;
    let (mut looked_at, mut last) = (0, Key::of(""));
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        looked_at += 1;
        if row.get(1)? {
            found.wrong_heads.push(last.clone());
        }
        if row.get(2)? {
            found.empty_queues.push(last.clone());
        }
        found.counts |= row.get::<_, bool>(3)?;
    }
    cursor.queue = if looked_at < limit { Key::of("") } else { last };
    Ok(())
}

/// Counts of live jobs in queues that have no row of their own.
fn counted_queues(conn: &Connection, cursor: &mut Cursor, limit: i64, found: &mut Found) -> Result<()> {
    let mut strays = Vec::new();
    cursor.counted = names(conn, sql!("inspect.sql", "tally"), &cursor.counted, limit, &mut strays)?;
    found.counts |= !strays.is_empty();
    found.missing_queues.extend(strays);
    Ok(())
}

/// Whether the counts of the first queues are wrong.
pub(in crate::store) fn are_counts_wrong(conn: &Connection) -> Result<bool> {
    let (mut cursor, mut found) = (Cursor::default(), Found::default());
    ready_queues(conn, &mut cursor, LOOKED_AT_MAX, &mut found)?;
    queues(conn, &mut cursor, LOOKED_AT_MAX, &mut found)?;
    counted_queues(conn, &mut cursor, LOOKED_AT_MAX, &mut found)?;
    Ok(found.counts || ask(conn, sql!("inspect.sql", "running"))?)
}

/// Returns every running task that no worker will advance.
pub(in crate::store) fn stuck_tasks(conn: &Connection) -> Result<Vec<i64>> {
    numbers(conn, sql!("inspect.sql", "tasks"), &mut 0, i64::MAX)
}

/// Reads rows of a name and a flag. Returns where to continue.
fn names(conn: &Connection, sql: &str, from: &Key, limit: i64, meant: &mut Vec<Key>) -> Result<Key> {
    let mut names = conn.prepare_cached(sql)?;
    let mut rows = names.query(params![from, limit])?;
    let (mut looked_at, mut last) = (0, Key::of(""));
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        looked_at += 1;
        if row.get(1)? {
            meant.push(last.clone());
        }
    }
    Ok(if looked_at < limit { Key::of("") } else { last })
}

/// Reads rows of an id and a flag.
fn numbers(conn: &Connection, sql: &str, from: &mut i64, limit: i64) -> Result<Vec<i64>> {
    let mut ids = conn.prepare_cached(sql)?;
    let mut rows = ids.query((*from, limit))?;
    let (mut looked_at, mut last, mut meant) = (0, 0, Vec::new());
    while let Some(row) = rows.next()? {
        last = rows::id(row, 0)?.0;
        looked_at += 1;
        if row.get(1)? {
            meant.push(last);
        }
    }
    *from = if looked_at < limit { 0 } else { last };
    Ok(meant)
}

/// Whether a sequence is exhausted, or an event has an id beyond it.
pub(in crate::store) fn are_sequences_poisoned(conn: &Connection) -> Result<bool> {
    let beyond =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM event WHERE id > ?1)")?.query_row([ID_MAX], |row| row.get(0))?;
    if beyond {
        return Ok(true);
    }
    SEQUENCES.iter().try_fold(false, |any, (table, _)| Ok(any || is_poisoned(conn, table)?))
}

pub(in crate::store) const SEQUENCES: [(&str, &str); 6] = [
    ("job", "SELECT coalesce(max(id), 0) FROM job"),
    ("event", "SELECT coalesce(max(id), 0) FROM event"),
    ("cancel", "SELECT coalesce(max(id), 0) FROM cancel"),
    ("resource", "SELECT coalesce(max(id), 0) FROM resource"),
    ("pipeline", "SELECT coalesce(max(id), 0) FROM pipeline"),
    ("task", "SELECT coalesce(max(id), 0) FROM task"),
];

pub(in crate::store) fn is_poisoned(conn: &Connection, table: &str) -> Result<bool> {
    let mut poisoned = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1 AND seq > ?2)")?;
    Ok(poisoned.query_row((table, ID_MAX), |row| row.get(0))?)
}
