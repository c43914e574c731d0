//! Receipts of requests that a client names itself (`Idempotency-Key`): the same name within
//! [`KEPT_HOURS`] is the same request, and adds nothing again.
//!
//! They are rows of `receipt` with a negative time: `-1 - HOUR`, where `HOUR` is the hour of the
//! wall clock, UTC. So a name is found by its key in the table, once for each hour around now, and
//! the clock of the boot, which the other receipts have, needs not be known after a boot.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::OneJob;
use crate::error::{Error, Result};
use crate::hash;
use crate::store::job::enqueue::Added;
use crate::store::job::parts::{self, Part};

/// How long a name is remembered, in hours; up to an hour longer.
pub const KEPT_HOURS: i64 = 24;
/// Longest name of a request, in bytes.
pub const KEY_BYTES_MAX: usize = 200;
const HOUR_MS: i64 = 3_600_000;
/// Most receipts that one request removes.
const FORGET_MAX: i64 = 200;

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    /// The name of its content.
    request: String,
    jobs: Vec<OneJob>,
}

/// A request by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Made from the name that the client gave.
    pub token: [u8; 16],
    /// Made from what the client sent.
    pub content: String,
}

impl Named {
    /// Returns the name of a request by the key that a client gave it. Keys of different scopes are
    /// different names.
    ///
    /// # Errors
    /// The key is empty, too long, or has other characters than printable ones of ASCII.
    pub fn of(scope: &str, key: &str, content: &[u8]) -> std::result::Result<Self, String> {
        let is_plain = !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(|b| b.is_ascii_graphic());
        if !is_plain {
            return Err(format!("it has 1 to {KEY_BYTES_MAX} characters from ! to ~"));
        }
        Ok(Self { token: hash::number(format!("{scope}{key}").as_bytes()).to_be_bytes(), content: hash::of(content) })
    }
}

/// Adds the jobs, or finds those of the same request, in one transaction.
///
/// # Errors
/// As [`parts::add`] and [`find`]; the caller rolls back.
pub fn once(conn: &Connection, named: Option<&Named>, parts: &[Part], now_ms: i64) -> Result<(Vec<Added>, Vec<OneJob>)> {
    if let Some(found) = named.map_or(Ok(None), |named| find(conn, named, now_ms))? {
        return Ok((Vec::new(), found));
    }
    let added = parts::add(conn, parts, now_ms)?;
    if let Some(named) = named {
        keep(conn, named, &added, now_ms)?;
    }
    let told = added.iter().map(OneJob::from).collect();
    Ok((added, told))
}

/// Returns the jobs that this request has added before; `None`: it is new.
///
/// # Errors
/// [`Error::KeyUsed`] if the name was used for another request.
pub fn find(conn: &Connection, named: &Named, now_ms: i64) -> Result<Option<Vec<OneJob>>> {
    let mut find = conn.prepare_cached(sql!("receipt.sql", "find"))?;
    let now = hour(now_ms);
    // Also later hours: the clock may have been set back.
    for hour in (now - KEPT_HOURS..=now + KEPT_HOURS).rev() {
        let text: Option<String> = find.query_row((-1 - hour, named.token), |row| row.get(0)).optional()?;
        let Some(text) = text else { continue };
        let receipt: Receipt =
            serde_json::from_str(&text).map_err(|error| Error::Internal(format!("a receipt cannot be read: {error}")))?;
        if receipt.request != named.content {
            return Err(Error::KeyUsed);
        }
        return Ok(Some(receipt.jobs));
    }
    Ok(None)
}

/// Records what a request has added, in the transaction that adds it, and forgets old receipts.
pub fn keep(conn: &Connection, named: &Named, added: &[Added], now_ms: i64) -> Result<()> {
    let now = hour(now_ms);
    let (oldest, newest) = (-1 - (now - KEPT_HOURS), -1 - (now + KEPT_HOURS));
    conn.prepare_cached(sql!("receipt.sql", "forget"))?.execute((newest, oldest, FORGET_MAX))?;
    let receipt = Receipt { request: named.content.clone(), jobs: added.iter().map(OneJob::from).collect() };
    let text = serde_json::to_string(&receipt).map_err(|error| Error::Internal(error.to_string()))?;
    conn.prepare_cached(sql!("receipt.sql", "keep"))?.execute((-1 - now, named.token, text))?;
    Ok(())
}

fn hour(now_ms: i64) -> i64 {
    now_ms.max(0) / HOUR_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;
    use crate::store::receipt::{self, Key};
    use crate::store::{Options, Role, Store};

    fn added(id: i64) -> Vec<Added> {
        vec![Added { id: JobId(id), existing: false, replaced: None, freed: Vec::new() }]
    }

    fn named(token: u8, content: &str) -> Named {
        Named { token: [token; 16], content: content.into() }
    }

    #[test]
    fn a_name_is_remembered_for_a_day_and_forgotten_later() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
        let now = 500_000 * HOUR_MS + 59 * 60_000;
        let ids = |jobs: Option<Vec<OneJob>>| jobs.map(|jobs| jobs[0].id.0);
        store.write(move |conn| keep(conn, &named(1, "x"), &added(7), now)).unwrap();
        store
            .read(|conn| {
                for later in [0, 1, 24, -1, -24] {
                    assert_eq!(ids(find(conn, &named(1, "x"), now + later * HOUR_MS)?), Some(7), "{later}");
                    assert!(find(conn, &named(1, "y"), now + later * HOUR_MS).is_err());
                }
                assert_eq!(ids(find(conn, &named(2, "x"), now)?), None);
                assert_eq!(ids(find(conn, &named(1, "x"), now + 25 * HOUR_MS)?), None);
                Ok(())
            })
            .unwrap();
        // Another request, a day later, removes it; the pruning of the other receipts does not.
        let n = |conn: &Connection| Ok(conn.query_row("SELECT count(*) FROM receipt", [], |row| row.get::<_, i64>(0))?);
        store.write(|conn| receipt::prune(conn, 10_000_000)).unwrap();
        assert!(!store.read(|conn| receipt::has_old(conn, 10_000_000)).unwrap());
        assert_eq!(store.read(n).unwrap(), 1);
        store.write(move |conn| keep(conn, &named(3, "z"), &added(8), now + 25 * HOUR_MS)).unwrap();
        assert_eq!(store.read(n).unwrap(), 1);
        assert_eq!(store.read(|conn| receipt::find(conn, &Key { sent_ms: 1, token: [3; 16] })).unwrap(), None);
    }
}
