//! Leases: a name that at most one owner has at a time.
//!
//! The owner is a run, whose leases are freed by a trigger in the transaction that ends its row, or
//! the tree of a command in the foreground. Whether such a tree is alive is asked of the kernel by
//! the callers, outside of any transaction; what they saw is acted on here by one statement that
//! names the very holding it is about (name and nonce), so that a late one changes nothing.
//!
//! Deliberately absent: lock files, processes, a time to live.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::job::{JobId, Nonce, RunId};
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows;
use crate::store::upkeep::open_runs;

/// Names that begin with this belong to workspaces, not to people.
pub const WORKSPACE_PREFIX: &str = "workspace/";

/// Who has a lease, since when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub name: String,
    /// The random name of this holding: never the same twice.
    #[serde(with = "nonce_text")]
    pub nonce: Nonce,
    /// The run that owns it; `None`: the tree of a command in the foreground does.
    pub run: Option<RunId>,
    /// The job that the owner belongs to, for showing.
    pub job: Option<JobId>,
    /// For showing, never proof.
    pub pid: Option<i32>,
    /// JSON array, see [`crate::job::Argv::from_json`].
    pub command: String,
    pub why: Option<String>,
    /// The boot of the machine in which its owner lives.
    pub boot_id: String,
    /// In milliseconds UTC.
    pub since: i64,
}

impl Lease {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: text(row, 0)?,
            // A row that only a program without guards can have written: a nonce that no process
            // carries, so its owner is gone.
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

/// What came of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Yours,
    /// Another owner has it.
    Held(Box<Lease>),
}

/// Takes a lease for a command in the foreground, whose lock file is locked already. If it is not
/// free, says who has it; one that this very holding has is yours.
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

/// The history of the job that an owner belongs to, if there is one.
fn tell(conn: &Connection, lease: &Lease, kind: &str, detail: &str, now_ms: i64) -> Result<()> {
    let Some(job) = lease.job else { return Ok(()) };
    conn.prepare_cached(sql!("lease.sql", "event"))?.execute((job.0, lease.run.map(|run| run.0), kind, detail, now_ms))?;
    Ok(())
}

/// Takes a lease for a run that has not ended. It is free when the run's row ends. A second time by
/// the same run is the same lease. A holder in the foreground may be dead: the caller asks the
/// kernel, [`reclaim`]s and comes again.
///
/// # Errors
/// [`Error::Refused`]: the run has ended, or there is none.
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

/// Its owner lets go of it. False: it was taken away meanwhile.
pub fn free(conn: &Connection, name: &str, nonce: Nonce) -> Result<bool> {
    let mut free = conn.prepare_cached("DELETE FROM lease WHERE name = ?1 AND nonce = ?2")?;
    Ok(free.execute((name, nonce.to_string()))? > 0)
}

/// Takes a lease back whose owner the kernel says is gone. False: another process was first.
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

/// Leases of runs that have ended, or that there are not: the trigger frees them, so there are none
/// unless a client worked around it.
pub fn reclaim_of_ended_runs(conn: &Connection, now_ms: i64) -> Result<usize> {
    let mut reclaim = conn.prepare_cached(sql!("lease.sql", "of_ended_runs"))?;
    let reclaimed = reclaim.execute([])?;
    if reclaimed > 0 {
        let by = i64::try_from(reclaimed).unwrap_or(i64::MAX);
        open_runs::count(conn, "leases_reclaimed_total", by, Some("their runs had ended"), now_ms)?;
    }
    Ok(reclaimed)
}

/// An operator takes a lease away, whatever its owner does. False: that holding is over already.
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

/// Every lease that has an owner, by name.
pub fn list(conn: &Connection) -> Result<Vec<Lease>> {
    let mut all = conn.prepare_cached(concat!(
        "SELECT name, nonce, run_id, job_id, pid, command, why, boot_id, since",
        " FROM lease ORDER BY name"
    ))?;
    Ok(all.query_map([], Lease::from_row)?.collect::<rusqlite::Result<_>>()?)
}

/// Who has the lease of this name; `None`: it is free.
pub fn named(conn: &Connection, name: &str) -> Result<Option<Lease>> {
    let mut one = conn.prepare_cached(concat!(
        "SELECT name, nonce, run_id, job_id, pid, command, why, boot_id, since",
        " FROM lease WHERE name = ?1"
    ))?;
    Ok(one.query_row([name], Lease::from_row).optional()?)
}

/// In a copy that comes back: what its rows say of owners is of another time, so they go, and those
/// that live now take their place.
pub(super) fn keep_living(conn: &Connection, living: &[Lease]) -> Result<()> {
    conn.execute("DELETE FROM lease", [])?;
    add_living(conn, living)
}

/// Leases of living owners that a file does not know of: they were taken while a copy came back.
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
