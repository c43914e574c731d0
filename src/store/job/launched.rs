//! Runs that a launcher gives to another engine.
//!
//! The row is written with the claim. So a run whose submission was interrupted by a crash is known
//! with its name, and the engine is asked for it; it is never submitted twice.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::{Cause, JobId, RunId, launcher};
use crate::store::engine::text::{Key, maybe, text};
use crate::store::job::rows::word;

/// How a run is given to another engine, and what that says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// The directory of the launcher, or the name of one that tenure has.
    pub launcher: String,
    /// What that is told with the run, by name.
    pub options: BTreeMap<String, String>,
    /// The engine has the run, or had it. Otherwise that is not known.
    pub is_sent: bool,
    /// What the engine calls it.
    pub remote: Option<String>,
    /// The last answer of the engine, more about it, and when it first answered so, in milliseconds
    /// UTC.
    pub says: Option<String>,
    pub detail: Option<String>,
    pub said_at: Option<i64>,
    /// When the engine was first seen to run it, in milliseconds UTC.
    pub ran_at: Option<i64>,
    /// Why the engine was asked to stop it.
    pub cause: Option<Cause>,
    /// Where the output of the job begins in the log of the run, in bytes.
    pub log_at: Option<i64>,
}

/// Returns how a run is given to another engine. `None`: it runs on this machine.
pub fn of_run(conn: &Connection, run: RunId) -> Result<Option<Launched>> {
    let mut of_run = conn.prepare_cached(sql!("launched.sql", "of_run"))?;
    let found = of_run.query_row([run.0], |row| {
        Ok(Launched {
            launcher: text(row, 0)?,
            options: launcher::options(&text(row, 1)?),
            is_sent: row.get(2)?,
            remote: maybe(row, 3)?,
            says: maybe(row, 4)?,
            detail: maybe(row, 5)?,
            said_at: row.get(6)?,
            ran_at: row.get(7)?,
            cause: word(row, 8, Cause::parse)?,
            log_at: row.get(9)?,
        })
    });
    Ok(found.optional()?)
}

/// Whether the queue of a job has a launcher.
pub fn has_launcher(conn: &Connection, job: JobId) -> Result<bool> {
    Ok(conn.prepare_cached(sql!("launched.sql", "has_launcher"))?.query_row([job.0], |row| row.get(0))?)
}

/// Records that the engine has the run. False: the run has ended in the file.
pub fn sent(conn: &Connection, run: RunId, remote: Option<&str>, log_at: i64) -> Result<bool> {
    Ok(conn.prepare_cached(sql!("launched.sql", "sent"))?.execute((run.0, remote, log_at))? > 0)
}

/// Records what the engine says of a run. Writes only changes.
pub fn said(conn: &Connection, run: RunId, says: &str, detail: Option<&str>, now_ms: i64) -> Result<()> {
    conn.prepare_cached(sql!("launched.sql", "said"))?.execute((run.0, says, detail, now_ms))?;
    Ok(())
}

/// Records why the engine is asked to stop a run, before it is.
pub fn asked(conn: &Connection, run: RunId, cause: Cause) -> Result<()> {
    conn.prepare_cached(sql!("launched.sql", "asked"))?.execute((run.0, cause.as_str()))?;
    Ok(())
}

/// Records that a person knows that the engine of a run will never answer for it. False: no engine
/// has it, or it has ended.
pub fn give_up(conn: &Connection, run: RunId) -> Result<bool> {
    Ok(conn.prepare_cached(sql!("launched.sql", "give_up"))?.execute([run.0])? > 0)
}

/// Returns the open runs for which their engine will never answer.
pub fn given_up(conn: &Connection) -> Result<Vec<RunId>> {
    let mut given_up = conn.prepare_cached(sql!("launched.sql", "given_up"))?;
    let runs = given_up.query_map([], |row| row.get(0).map(RunId))?;
    Ok(runs.collect::<rusqlite::Result<_>>()?)
}

/// Changes the slots of a queue, and what gives its jobs to another engine: such a queue needs
/// slots. Runs that were given away before keep their launcher.
///
/// # Errors
/// [`Error::Invalid`] for a launcher without slots, and for options without a launcher.
pub fn set_slots_and_launcher(
    conn: &Connection,
    name: &Key,
    slots: Option<Option<i64>>,
    launcher: Option<Option<&str>>,
    changed: &BTreeMap<String, Option<String>>,
) -> Result<()> {
    let read = "SELECT slots, launcher, launcher_options FROM queue WHERE name = ?1";
    let (had_slots, had, options) =
        conn.query_row(read, [name], |row| Ok((row.get::<_, Option<i64>>(0)?, maybe(row, 1)?, text(row, 2)?)))?;
    let launcher = launcher.map_or(had, |launcher| launcher.map(str::to_owned));
    let slots = slots.unwrap_or(had_slots);
    if launcher.is_some() && slots.is_none() {
        return Err(Error::Invalid(
            "a queue with a launcher needs --slots N: how many runs its engine is given at a time".into(),
        ));
    }
    let mut options = launcher::options(&options);
    for (name, value) in changed {
        match value {
            Some(value) => _ = options.insert(name.clone(), value.clone()),
            None => _ = options.remove(name),
        }
    }
    if launcher.is_none() {
        if changed.values().any(Option::is_some) {
            return Err(Error::Invalid("these options are for a launcher, and the queue has none; set --launcher too".into()));
        }
        options.clear();
    }
    let options = serde_json::to_string(&options).map_err(|error| Error::Internal(error.to_string()))?;
    conn.prepare_cached(sql!("launched.sql", "set_launcher"))?.execute((name, launcher, options, slots))?;
    Ok(())
}
