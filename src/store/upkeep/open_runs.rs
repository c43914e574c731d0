//! The open runs that the reaper checks, and what the file knows of a run file.
//!
//! The decision is made in [`crate::job::verdict`]; locks, run files and processes are read
//! elsewhere.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::job::verdict::Row;
use crate::job::{JobId, RunId, RunKey};
use crate::store::job::launched::{self, Launched};
use crate::store::job::pool;
use crate::store::job::rows::{JOB_COLUMNS, Job, Run, job_columns, run_columns};

/// A job that is running, as far as the file knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    pub job: Job,
    /// The run that owns it.
    pub run: Run,
    pub open_cancel: bool,
    /// Its latest auxiliary run (the preparation of its workspace, its check), if there was one;
    /// open while `finished_at` is `None`.
    pub auxiliary: Option<Run>,
    /// The units that it has of each pool.
    pub units: Vec<(String, Vec<i64>)>,
    /// How it was given to another engine, if it was.
    pub launched: Option<Launched>,
}

/// Returns every running job with the run that owns it, oldest first. A row whose run is missing is
/// left to the repair.
pub fn open_runs(conn: &Connection) -> Result<Vec<OpenRun>> {
    const OPEN: &str = concat!(
        "SELECT ",
        job_columns!(),
        ", ",
        run_columns!(),
        " FROM job CROSS JOIN run ON run.id = job.run_id AND run.job_id = job.id AND run.kind = 'job' AND run.finished_at IS NULL",
        " WHERE job.state = 'running' AND job.state <> 'done' ORDER BY job.id"
    );
    read(conn, OPEN, [])
}

/// Returns a running job with the run that owns it. `None`: this run does not own it any more.
pub fn open_run(conn: &Connection, job: JobId, run: RunId) -> Result<Option<OpenRun>> {
    const ONE: &str = concat!(
        "SELECT ",
        job_columns!(),
        ", ",
        run_columns!(),
        " FROM job CROSS JOIN run ON run.id = job.run_id AND run.job_id = job.id AND run.kind = 'job' AND run.finished_at IS NULL",
        " WHERE job.id = ?1 AND run.id = ?2 AND job.state = 'running'"
    );
    Ok(read(conn, ONE, (job.0, run.0))?.pop())
}

fn read(conn: &Connection, open: &str, of: impl rusqlite::Params) -> Result<Vec<OpenRun>> {
    let mut open = conn.prepare_cached(open)?;
    let rows = open.query_map(of, |row| Ok((Job::from_row(row)?, Run::from_row_at(row, JOB_COLUMNS)?)))?;
    let rows: Vec<(Job, Run)> = rows.collect::<rusqlite::Result<_>>()?;
    rows.into_iter()
        .map(|(job, run)| {
            let (auxiliary, units) = (latest_auxiliary(conn, job.id, run.id)?, pool::units_of(conn, &job)?);
            let launched = launched::of_run(conn, run.id)?;
            Ok(OpenRun { open_cancel: job.cancel_open, auxiliary, units, launched, job, run })
        })
        .collect()
}

/// Returns the open run of a job, and its open auxiliary run, if there is one. `None`: the job is
/// not running.
pub fn open_run_of(conn: &Connection, job: JobId) -> Result<Option<(RunKey, Option<RunKey>)>> {
    let mut run = conn.prepare_cached(
        "SELECT run.id, run.nonce FROM job JOIN run ON run.id = job.run_id WHERE job.id = ?1 AND job.state = 'running'",
    )?;
    let mut auxiliary = conn.prepare_cached(
        "SELECT id, nonce FROM run WHERE job_id = ?1 AND parent = ?2 AND kind <> 'job' AND finished_at IS NULL LIMIT 1",
    )?;
    let named = |row: &rusqlite::Row<'_>| Ok((RunId(row.get(0)?), row.get::<_, String>(1)?));
    let read = |(run, nonce): (RunId, String)| nonce.parse().ok().map(|nonce| RunKey { run, nonce });
    let Some(run) = run.query_row([job.0], named).optional()?.and_then(read) else { return Ok(None) };
    let auxiliary = auxiliary.query_row((job.0, run.run.0), named).optional()?.and_then(read);
    Ok(Some((run, auxiliary)))
}

/// Returns what the file knows of each of these runs.
pub fn run_rows(conn: &Connection, ids: &[RunId]) -> Result<Vec<(RunId, Row)>> {
    let mut row = conn.prepare_cached("SELECT finished_at IS NULL FROM run WHERE id = ?1")?;
    ids.iter()
        .map(|id| {
            Ok(match row.query_row([id.0], |row| row.get::<_, bool>(0)).optional()? {
                None => (*id, Row::Unknown),
                Some(true) => (*id, Row::Open),
                Some(false) => (*id, Row::Settled),
            })
        })
        .collect()
}

/// Records that a later worker has adopted a run. False: it is settled.
pub fn adopted(conn: &Connection, run: RunId, instance: &str) -> Result<bool> {
    let mut adopt =
        conn.prepare_cached("UPDATE run SET adopted = adopted + 1, instance = ?2 WHERE id = ?1 AND finished_at IS NULL")?;
    Ok(adopt.execute((run.0, instance))? > 0)
}

/// Records why an open run cannot end, or that it can: the first line is the reason, the second the
/// remedy. Shown by `status`, `why` and `doctor`; the settle replaces it with its own text. Writes
/// only changes.
pub fn note_trouble(conn: &Connection, run: RunId, what: Option<&str>) -> Result<()> {
    conn.prepare_cached("UPDATE run SET error = ?2 WHERE id = ?1 AND finished_at IS NULL AND error IS NOT ?2")?
        .execute((run.0, what))?;
    Ok(())
}

/// Adds to a counter over the life of the file.
pub fn count(conn: &Connection, name: &str, by: i64, note: Option<&str>, now_ms: i64) -> Result<()> {
    conn.prepare_cached(sql!("open_runs.sql", "count"))?.execute((name, by, now_ms, note))?;
    Ok(())
}

/// Returns the open auxiliary runs that belong to no run of a job: only the reaper finds them
/// again.
pub fn open_auxiliaries(conn: &Connection) -> Result<Vec<Run>> {
    let mut open = conn.prepare_cached(concat!(
        "SELECT ",
        run_columns!(),
        " FROM run WHERE finished_at IS NULL AND kind <> 'job' AND parent IS NULL ORDER BY id"
    ))?;
    let rows = open.query_map([], Run::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn latest_auxiliary(conn: &Connection, job: JobId, parent: RunId) -> Result<Option<Run>> {
    let mut auxiliary = conn.prepare_cached(concat!(
        "SELECT ",
        run_columns!(),
        " FROM run WHERE job_id = ?1 AND parent = ?2 AND kind <> 'job'",
        // Ids come from a stock and are not in order. A check comes after everything else, and its
        // attempts are numbered.
        " ORDER BY finished_at IS NULL DESC, kind = 'check' DESC, attempt DESC LIMIT 1"
    ))?;
    Ok(auxiliary.query_row((job.0, parent.0), Run::from_row).optional()?)
}

/// Holds a queued job with an open run: its process may live, and no worker starts a second one.
pub(in crate::store) fn hold_if_a_run_is_open(conn: &Connection, job: JobId) -> Result<bool> {
    Ok(conn.prepare_cached(sql!("open_runs.sql", "hold"))?.execute([job.0])? > 0)
}
