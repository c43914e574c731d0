//! Leases: named locks that at most one owner holds at a time.
//!
//! The owner is the process tree of a foreground command, or a run that prepares a workspace,
//! whose lease a trigger releases in the transaction that ends its row. Callers ask the kernel
//! whether such a tree is alive, outside any transaction; the result is applied here by one
//! statement that names the exact holding (name and nonce), so that a late caller changes nothing.
//!
//! Deliberately absent: lock files, processes, a time to live.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::job::{JobId, Nonce, RunId};
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows;
use crate::store::upkeep::open_runs;

/// Names with this prefix belong to workspaces, not to people.
pub const WORKSPACE_PREFIX: &str = "workspace/";

/// The holder of a lease, since when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub name: String,
    /// The nonce of this holding: never used twice.
    #[serde(with = "nonce_text")]
    pub nonce: Nonce,
    /// The run that owns it; `None`: the tree of a foreground command does.
    pub run: Option<RunId>,
    /// The job of the owner, for display.
    pub job: Option<JobId>,
    /// For display, never proof.
    pub pid: Option<i32>,
    /// JSON array, see [`crate::job::Argv::from_json`].
    pub command: String,
    pub why: Option<String>,
    /// The boot of the machine in which the owner acquired it.
    pub boot_id: String,
    /// In milliseconds UTC.
    pub since: i64,
}

impl Lease {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: text(row, 0)?,
            // A row that only a client without guards can have written: no process carries its
            // nonce, so its owner is gone.
            nonce: text(row, 1)?.parse().unwrap_or(Nonce([0; 16])),
            run: row.get::<_, Option<i64>>(2)?.map(RunId),
            job: row.get::<_, Option<i64>>(3)?.map(JobId),
            pid: rows::small(row, 4)?,
            command: text(row, 5)?,
            why: maybe(row, 6)?,
            boot_id: text(row, 7)?,
            since: row.get(8)?,
        })
    }
}

/// Result of acquiring a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Yours,
    /// Another owner holds it.
    Held(Box<Lease>),
}

/// Acquires a lease for a foreground command whose lock file is locked already. If it is held,
/// returns the holder; a lease of this very holding counts as acquired.
///
/// Needs no flush: after a power cut its owner is dead. The same holds for [`free`] and
/// [`reclaim`].
pub fn take(conn: &Connection, lease: &Lease) -> Result<Taken> {
    let taken = conn.prepare_cached(sql!("lease.sql", "take"))?.execute(params![
        lease.name,
        lease.nonce.to_string(),
        lease.job.map(|job| job.0),
        lease.pid,
        lease.command,
        lease.why,
        lease.boot_id,
        lease.since,
    ])?;
    if taken > 0 {
        tell(conn, lease, "lease_taken", &lease.name, lease.since)?;
        return Ok(Taken::Yours);
    }
    let name = &lease.name;
    let held = named(conn, name)?.ok_or_else(|| Error::Internal(format!("the lease {name:?} is neither free nor held")))?;
    Ok(if held.nonce == lease.nonce { Taken::Yours } else { Taken::Held(Box::new(held)) })
}

/// Adds an event to the history of the owner's job, if it has one.
fn tell(conn: &Connection, lease: &Lease, kind: &str, detail: &str, now_ms: i64) -> Result<()> {
    let Some(job) = lease.job else { return Ok(()) };
    conn.prepare_cached(sql!("lease.sql", "event"))?.execute((job.0, lease.run.map(|run| run.0), kind, detail, now_ms))?;
    Ok(())
}

/// Acquires a lease for an open run; it is released when the row of the run ends. A second call by
/// the same run returns the same lease. A foreground holder may be dead: the caller asks the
/// kernel, [`reclaim`]s and tries again.
///
/// # Errors
/// [`Error::Refused`]: the run has ended or does not exist.
pub fn take_for_run(conn: &Connection, name: &str, run: RunId, why: Option<&str>, now_ms: i64) -> Result<Taken> {
    let taken = conn.prepare_cached(sql!("lease.sql", "take_for_run"))?.execute((name, run.0, why, now_ms))? > 0;
    match named(conn, name)? {
        Some(held) if taken => {
            tell(conn, &held, "lease_taken", name, now_ms)?;
            Ok(Taken::Yours)
        }
        Some(held) if held.run == Some(run) => Ok(Taken::Yours),
        Some(held) => Ok(Taken::Held(Box::new(held))),
        None => Err(Error::Refused(format!("run {run} has ended, so it is given no lease"))),
    }
}

/// Releases a lease of its owner. False: it was released by force.
pub fn free(conn: &Connection, name: &str, nonce: Nonce) -> Result<bool> {
    let mut free = conn.prepare_cached("DELETE FROM lease WHERE name = ?1 AND nonce = ?2")?;
    Ok(free.execute((name, nonce.to_string()))? > 0)
}

/// Reclaims a lease whose owner is gone according to the kernel. False: another process was first.
pub fn reclaim(conn: &Connection, dead: &Lease, now_ms: i64) -> Result<bool> {
    let mut reclaim = conn.prepare_cached("DELETE FROM lease WHERE name = ?1 AND nonce = ?2 AND run_id IS NULL")?;
    let reclaimed = reclaim.execute((&dead.name, dead.nonce.to_string()))? > 0;
    if reclaimed {
        let note = format!("{}: its owner was gone", dead.name);
        open_runs::count(conn, "leases_reclaimed_total", 1, Some(&note), now_ms)?;
        tell(conn, dead, "lease_reclaimed", &note, now_ms)?;
    }
    Ok(reclaimed)
}

/// Reclaims leases of runs that have ended or do not exist: the trigger releases them, so there are
/// none unless a client bypassed it.
pub fn reclaim_of_ended_runs(conn: &Connection, now_ms: i64) -> Result<usize> {
    let mut reclaim = conn.prepare_cached(sql!("lease.sql", "of_ended_runs"))?;
    let reclaimed = reclaim.execute([])?;
    if reclaimed > 0 {
        let by = i64::try_from(reclaimed).unwrap_or(i64::MAX);
        open_runs::count(conn, "leases_reclaimed_total", by, Some("their runs had ended"), now_ms)?;
    }
    Ok(reclaimed)
}

/// Releases a lease by force, also while its owner lives. False: that holding is over already.
pub fn force(conn: &Connection, held: &Lease, by: &str, now_ms: i64) -> Result<bool> {
    let mut force = conn.prepare_cached("DELETE FROM lease WHERE name = ?1 AND nonce = ?2")?;
    if force.execute((&held.name, held.nonce.to_string()))? == 0 {
        return Ok(false);
    }
    let from = match (held.run, held.pid) {
        (Some(run), _) => format!("run {run}"),
        (None, Some(pid)) => format!("pid {pid}"),
        (None, None) => "its owner".to_owned(),
    };
    let note = format!("{}: taken from {from} by {by}", held.name);
    open_runs::count(conn, "leases_forced_total", 1, Some(&note), now_ms)?;
    tell(conn, held, "lease_forced", &note, now_ms)?;
    Ok(true)
}

/// Returns every held lease, by name.
pub fn list(conn: &Connection) -> Result<Vec<Lease>> {
    let mut all = conn.prepare_cached(concat!(
        "SELECT name, nonce, run_id, job_id, pid, command, why, boot_id, since",
        " FROM lease ORDER BY name"
    ))?;
    Ok(all.query_map([], Lease::from_row)?.collect::<rusqlite::Result<_>>()?)
}

/// Returns the holder of this lease; `None`: it is free.
pub fn named(conn: &Connection, name: &str) -> Result<Option<Lease>> {
    let mut one = conn.prepare_cached(concat!(
        "SELECT name, nonce, run_id, job_id, pid, command, why, boot_id, since",
        " FROM lease WHERE name = ?1"
    ))?;
    Ok(one.query_row([name], Lease::from_row).optional()?)
}

/// In a restored copy: replaces its outdated leases by those that are held now.
pub(super) fn keep_living(conn: &Connection, living: &[Lease]) -> Result<()> {
    conn.execute("DELETE FROM lease", [])?;
    add_living(conn, living)
}

/// Adds leases of live owners that a file does not know: they were acquired while a copy was
/// restored.
pub fn add_living(conn: &Connection, living: &[Lease]) -> Result<()> {
    for lease in living.iter().filter(|lease| lease.run.is_none()) {
        if take(conn, lease)? != Taken::Yours {
            log::warn!("two living owners say that they have the lease {:?}; the first one was kept", lease.name);
        }
    }
    Ok(())
}

/// The digits of a nonce, in the text of a lock file.
mod nonce_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::job::Nonce;

    pub fn serialize<S: Serializer>(nonce: &Nonce, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(nonce)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Nonce, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| de::Error::custom("this is not a nonce"))
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
