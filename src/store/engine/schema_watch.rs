//! Verifies that the guards are still those of `schema.sql`. The worker's writer checks at the
//! start of each transaction, by the schema version that SQLite increments with each change; no
//! other program can change the schema before that transaction ends. So nothing is claimed or
//! settled under other guards.
//!
//! Guards that are missing, altered or added are repaired in the same transaction. If that is
//! impossible (a table itself was altered), nothing is claimed until it is restored; settles
//! continue, since runs end in any case.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::Result;
use crate::store::engine::health::Shared;
use crate::store::schema;
use crate::store::schema::altered::Altered;
use crate::store::upkeep::open_runs;

/// Interval between two attempts to repair the schema.
const RETRY: Duration = Duration::from_secs(1);

thread_local! {
    /// Whether the transaction of this thread is under tenure's guards.
    static TRUSTED: Cell<bool> = const { Cell::new(true) };
}

/// Whether a job may be claimed in this transaction.
pub(in crate::store) fn may_claim() -> bool {
    TRUSTED.get()
}

/// What the writer knows about the schema.
#[derive(Default)]
pub(in crate::store) struct SchemaWatch {
    /// The schema version that was last verified.
    known: Option<i64>,
    /// The same, as seen in the open transaction.
    seen: Option<i64>,
    /// When a repair last failed.
    refused: Option<Instant>,
}

impl SchemaWatch {
    /// Checks and repairs the schema. Called in a write transaction, before anything else.
    pub(in crate::store) fn check(&mut self, conn: &Connection, health: &Shared) -> rusqlite::Result<()> {
        let version = version(conn)?;
        self.seen = None;
        TRUSTED.set(self.known == Some(version));
        if TRUSTED.get() || self.refused.is_some_and(|at| at.elapsed() < RETRY) {
            return Ok(());
        }
        conn.execute_batch("SAVEPOINT guards")?;
        match repair(conn, health.clock.now_ms()) {
            Ok(repaired) => {
                conn.execute_batch("RELEASE guards")?;
                self.seen = Some(self::version(conn)?);
                self.refused = None;
                TRUSTED.set(true);
                repaired.iter().for_each(|what| log::warn!("{what}; it was repaired"));
                health.set_schema(None);
            }
            Err(_) if conn.is_autocommit() => return Err(rusqlite::Error::InvalidQuery),
            Err(error) => {
                conn.execute_batch("ROLLBACK TO guards; RELEASE guards")?;
                self.refused = Some(Instant::now());
                let altered = schema::altered_tables(conn).ok().and_then(|tables| tables.into_iter().next());
                health.set_schema(Some(altered.unwrap_or_else(|| Altered {
                    text: error.to_string(),
                    remedy: "undo that change, or: tenure restore BACKUP".to_owned(),
                })));
            }
        }
        Ok(())
    }

    /// The transaction was committed.
    pub(in crate::store) fn committed(&mut self, health: &Shared) {
        TRUSTED.set(true);
        if let Some(seen) = self.seen.take() {
            self.known = Some(seen);
            health.schema_version.store(seen, Ordering::SeqCst);
        }
    }

    /// The transaction was rolled back, and a repair with it.
    pub(in crate::store) fn undone(&mut self) {
        TRUSTED.set(true);
        self.seen = None;
    }
}

/// Whether the schema differs from the one that the writer last verified, so that it should check.
/// Takes no lock.
pub(in crate::store) fn is_unverified(conn: &Connection, health: &Shared) -> Result<bool> {
    Ok(version(conn)? != health.schema_version.load(Ordering::SeqCst))
}

fn repair(conn: &Connection, now_ms: i64) -> Result<Vec<String>> {
    let repaired = schema::repair_schema(conn)?;
    if !repaired.is_empty() {
        let n = i64::try_from(repaired.len()).unwrap_or(i64::MAX);
        open_runs::count(conn, "guards_repaired_total", n, Some(&repaired.join("; ")), now_ms)?;
    }
    Ok(repaired)
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}
