//! Workspaces: which directory is the current one of a key, which runs use it, and which may be
//! removed.
//!
//! A row of `workspace` is a cache hint: a process that enters checks whether the directory exists,
//! and [`forget`]s it otherwise. The `dir` of an open run is a fact: while the run is open, its
//! directory stays. Both are read and changed in one transaction, so that entering and removing
//! never miss each other.
//!
//! Every name in `work/` that neither a row nor an open run names is an orphan. Names are never
//! used twice, and the preparation is recorded before the directory is created, so an orphan stays
//! one: list the directory first, then call [`in_hand`].
//!
//! Deliberately absent: directories.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::job::workspace::is_made_by;
use crate::job::{JobId, Nonce, RunId, Workspace, nearest};
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows;
use crate::store::lease;

/// A row of `workspace`, and how many runs use its directory. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    pub key: String,
    pub dir: String,
    /// JSON array, see [`crate::job::Argv::from_json`].
    pub prepare_command: Option<String>,
    pub bytes: Option<u64>,
    pub prepared_at: i64,
    pub last_used_at: i64,
    pub measured_at: Option<i64>,
    pub users: u32,
}

impl WorkspaceRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: text(row, 0)?,
            dir: text(row, 1)?,
            prepare_command: maybe(row, 2)?,
            bytes: row.get::<_, Option<i64>>(3)?.and_then(|bytes| u64::try_from(bytes).ok()),
            prepared_at: row.get(4)?,
            last_used_at: row.get(5)?,
            measured_at: row.get(6)?,
            users: rows::count(row, 7)?,
        })
    }
}

/// A directory that is complete and in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub workspace: Workspace,
    pub dir: String,
    pub bytes: Option<u64>,
}

/// Admits a run to the current directory of its workspace, if the same command prepared it and it
/// is known to have survived any power cut; returns the directory. A second call returns the
/// directory that the run is in.
pub fn enter(
    conn: &Connection,
    workspace: &Workspace,
    job: JobId,
    run: RunId,
    boot_id: &str,
    now_ms: i64,
) -> Result<Option<String>> {
    if let Some(dir) = entered(conn, run)? {
        return Ok(Some(dir));
    }
    let prepare_command = workspace.prepare_command();
    let mut enter = conn.prepare_cached(sql!("workspace.sql", "enter"))?;
    let dir = enter.query_row((run.0, &workspace.key, prepare_command, job.0, boot_id), |row| row.get(0)).optional()?;
    if dir.is_some() {
        touch(conn, &workspace.key, now_ms)?;
    }
    Ok(dir)
}

/// Returns the directory that a run is in.
pub fn entered(conn: &Connection, run: RunId) -> Result<Option<String>> {
    let mut entered = conn.prepare_cached("SELECT dir FROM run WHERE id = ?1 AND finished_at IS NULL AND dir IS NOT NULL")?;
    Ok(entered.query_row([run.0], |row| row.get(0)).optional()?)
}

/// Forgets a missing directory: its key has none, and this run is not in it. Other runs stay in it
/// until they end.
pub fn forget(conn: &Connection, key: &str, dir: &str, run: Option<RunId>) -> Result<()> {
    if let Some(run) = run {
        conn.prepare_cached("UPDATE run SET dir = NULL WHERE id = ?1 AND dir = ?2 AND finished_at IS NULL")?
            .execute((run.0, dir))?;
    }
    conn.prepare_cached("DELETE FROM workspace WHERE key = ?1 AND dir = ?2")?.execute((key, dir))?;
    Ok(())
}

/// Returns the current directory of a workspace, if a run could enter it.
pub fn present(conn: &Connection, workspace: &Workspace, boot_id: &str) -> Result<Option<String>> {
    let mut present =
        conn.prepare_cached("SELECT dir FROM workspace WHERE key = ?1 AND prepare_command IS ?2 AND (synced OR boot_id = ?3)")?;
    Ok(present.query_row((&workspace.key, workspace.prepare_command(), boot_id), |row| row.get(0)).optional()?)
}

/// Records that a caller has used a workspace.
pub fn touch(conn: &Connection, key: &str, now_ms: i64) -> Result<()> {
    conn.prepare_cached("UPDATE workspace SET last_used_at = max(last_used_at, ?2) WHERE key = ?1")?.execute((key, now_ms))?;
    Ok(())
}

/// Makes a directory the current one of its key. The previous one is removed when no run is in it
/// any more.
pub fn made(conn: &Connection, made: &Made, boot_id: &str, now_ms: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM workspace WHERE key = ?1")?.execute([&made.workspace.key])?;
    let bytes = made.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let mut insert = conn.prepare_cached(sql!("workspace.sql", "made"))?;
    insert.execute(params![made.workspace.key, made.dir, made.workspace.prepare_command(), bytes, now_ms, boot_id])?;
    Ok(())
}

/// Like [`made`], for a run that owns its job and, if it was `prepared`, has its auxiliary run
/// still open. A second call changes nothing. False: it may not be used.
pub fn made_for(
    conn: &Connection,
    one: &Made,
    job: JobId,
    run: RunId,
    prepared: bool,
    boot_id: &str,
    now_ms: i64,
) -> Result<bool> {
    let is_theirs: bool = conn
        .prepare_cached(sql!("workspace.sql", "may_be_made"))?
        .query_row((job.0, run.0, prepared, &one.workspace.key), |row| row.get(0))?;
    if !is_theirs {
        return Ok(false);
    }
    if named(conn, &one.workspace.key)?.is_none_or(|row| row.dir != one.dir) {
        made(conn, one, boot_id, now_ms)?;
        tell(conn, "prepared", job, run, &one.workspace.key, now_ms)?;
    }
    Ok(true)
}

/// Whether no process prepares it, as far as the file knows.
pub(super) fn is_free_to_make(conn: &Connection, key: &str) -> Result<bool> {
    Ok(lease::named(conn, &lease_of(key))?.is_none())
}

/// The run that prepares it holds its lease while it is open.
pub(super) fn begin_making(conn: &Connection, key: &str, job: Option<JobId>, maker: RunId, now_ms: i64) -> Result<()> {
    lease::take_for_run(conn, &lease_of(key), maker, None, now_ms)?;
    job.map_or(Ok(()), |job| tell(conn, "preparing", job, maker, key, now_ms))
}

fn lease_of(key: &str) -> String {
    format!("{}{key}", lease::WORKSPACE_PREFIX)
}

fn tell(conn: &Connection, what: &str, job: JobId, run: RunId, key: &str, now_ms: i64) -> Result<()> {
    conn.prepare_cached("INSERT INTO event (job_id, run_id, kind, detail, at) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
        job.0,
        run.0,
        what,
        format!("workspace {key}"),
        now_ms,
    ))?;
    Ok(())
}

/// Returns directories that may not survive a power cut yet.
pub fn unsynced(conn: &Connection) -> Result<Vec<String>> {
    let mut unsynced = conn.prepare_cached("SELECT dir FROM workspace WHERE NOT synced")?;
    Ok(unsynced.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Records that everything in these directories, as of an instant after they were created, is
/// durable.
pub fn synced(conn: &Connection, dirs: &[String]) -> Result<()> {
    let mut synced = conn.prepare_cached("UPDATE workspace SET synced = 1 WHERE dir = ?1")?;
    for dir in dirs {
        synced.execute([dir])?;
    }
    Ok(())
}

/// Records the size of a directory on the disk.
pub fn measured(conn: &Connection, dir: &str, bytes: u64, now_ms: i64) -> Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut measured =
        conn.prepare_cached("UPDATE workspace SET bytes = ?2, measured_at = max(?3, last_used_at) WHERE dir = ?1")?;
    measured.execute((dir, bytes, now_ms))?;
    Ok(())
}

/// Returns a directory that no run is in and that was used since it was measured, or never
/// measured.
pub fn to_measure(conn: &Connection) -> Result<Option<String>> {
    let mut one = conn.prepare_cached(sql!("workspace.sql", "to_measure"))?;
    Ok(one.query_row([], |row| row.get(0)).optional()?)
}

/// Returns the total size, as far as it is measured.
pub fn total_bytes(conn: &Connection) -> Result<u64> {
    let mut total = conn.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM workspace")?;
    Ok(u64::try_from(total.query_row([], |row| row.get::<_, i64>(0))?).unwrap_or(0))
}

/// Deletes the rows of the least recently used ones that no run is in, until the others take no
/// more than `most_bytes`. Returns the deleted ones: their directories are orphans now.
pub fn evict(conn: &Connection, most_bytes: u64) -> Result<Vec<WorkspaceRow>> {
    let mut all = conn.prepare_cached(sql_of!(sql!("workspace.sql", "columns"), " ORDER BY last_used_at, key"))?;
    let all: Vec<WorkspaceRow> = all.query_map([], WorkspaceRow::from_row)?.collect::<rusqlite::Result<_>>()?;
    let mut total: u64 = all.iter().filter_map(|one| one.bytes).sum();
    let mut evicted = Vec::new();
    for one in all {
        if total <= most_bytes {
            break;
        }
        if one.users == 0 && one.bytes.is_some_and(|bytes| bytes > 0) && take_row(conn, &one.key, &one.dir)? {
            total = total.saturating_sub(one.bytes.unwrap_or(0));
            evicted.push(one);
        }
    }
    Ok(evicted)
}

/// Deletes the row of a workspace at the request of a person. Its directory is an orphan then.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] while a run is in it or a process prepares it.
pub fn remove(conn: &Connection, key: &str) -> Result<String> {
    let Some(row) = named(conn, key)? else {
        return Err(match being_made(conn, key)? {
            Some(who) => Error::Refused(format!("workspace {key:?} is being prepared by {who}; wait for it, or end that")),
            None => {
                let keys: Vec<String> = list(conn)?.into_iter().map(|row| row.key).collect();
                let meant = nearest::question(key, keys.iter().map(String::as_str));
                Error::NotFound(format!("there is no workspace {key:?}; tenure workspace ls names them{meant}"))
            }
        });
    };
    if !take_row(conn, key, &row.dir)? {
        let jobs = jobs_in(conn, &row.dir)?;
        let who = jobs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let wait = who.replace(", ", " ");
        return Err(Error::Refused(format!("workspace {key:?} is in use by job {who}; wait for it: tenure wait {wait}")));
    }
    Ok(row.dir)
}

fn take_row(conn: &Connection, key: &str, dir: &str) -> Result<bool> {
    let mut take = conn.prepare_cached(
        "DELETE FROM workspace WHERE key = ?1 AND dir = ?2 AND NOT EXISTS (SELECT 1 FROM run WHERE dir = ?2 AND finished_at IS NULL)",
    )?;
    Ok(take.execute((key, dir))? > 0)
}

fn jobs_in(conn: &Connection, dir: &str) -> Result<Vec<JobId>> {
    let mut jobs = conn.prepare_cached(
        "SELECT job_id FROM run WHERE dir = ?1 AND finished_at IS NULL AND job_id IS NOT NULL ORDER BY 1 LIMIT 20",
    )?;
    Ok(jobs.query_map([dir], |row| rows::id(row, 0))?.collect::<rusqlite::Result<_>>()?)
}

/// Returns what prepares a workspace now, as text.
pub fn being_made(conn: &Connection, key: &str) -> Result<Option<String>> {
    Ok(lease::named(conn, &lease_of(key))?.map(|held| match (held.run, held.job, held.pid) {
        (Some(run), Some(job), _) => format!("run {run} of job {job}"),
        (Some(run), None, _) => format!("run {run}"),
        (None, _, Some(pid)) => format!("pid {pid}"),
        (None, _, None) => "an unknown process".to_owned(),
    }))
}

/// All of them, by key.
pub fn list(conn: &Connection) -> Result<Vec<WorkspaceRow>> {
    let mut all = conn.prepare_cached(sql_of!(sql!("workspace.sql", "columns"), " ORDER BY key"))?;
    Ok(all.query_map([], WorkspaceRow::from_row)?.collect::<rusqlite::Result<_>>()?)
}

/// The one of this key.
pub fn named(conn: &Connection, key: &str) -> Result<Option<WorkspaceRow>> {
    let mut one = conn.prepare_cached(sql_of!(sql!("workspace.sql", "columns"), " WHERE key = ?1"))?;
    Ok(one.query_row([key], WorkspaceRow::from_row).optional()?)
}

/// The names in `work/` that belong to a row or a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InHand {
    dirs: Vec<String>,
    makers: Vec<Nonce>,
}

impl InHand {
    /// Whether no row and no run names this directory, and none ever will.
    pub fn is_orphan(&self, name: &str) -> bool {
        !self.dirs.iter().any(|dir| dir == name) && !is_made_by(name, &self.makers)
    }
}

/// Called after the directory was listed, it shows which of its names are orphans.
pub fn in_hand(conn: &Connection) -> Result<InHand> {
    let text = |row: &Row<'_>| text(row, 0);
    let mut dirs =
        conn.prepare_cached("SELECT dir FROM workspace UNION SELECT dir FROM run WHERE finished_at IS NULL AND dir IS NOT NULL")?;
    let dirs = dirs.query_map([], text)?.collect::<rusqlite::Result<_>>()?;
    let mut makers = conn.prepare_cached(sql!("workspace.sql", "makers"))?;
    let makers = makers.query_map([], text)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(InHand { dirs, makers: makers.iter().filter_map(|nonce| nonce.parse().ok()).collect() })
}

#[cfg(test)]
#[path = "workspace_tests.rs"]
mod tests;
