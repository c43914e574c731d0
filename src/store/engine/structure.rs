//! Checks the structure of the file, and switches it to WAL mode.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::store::engine::connection::BUSY_TIMEOUT_MS;
use crate::store::engine::write;

/// Interval between two attempts to switch a new file to WAL mode, in milliseconds.
const MODE_RETRY_MS: u64 = 10;

/// Switches to WAL mode, which needs exclusive access for a moment; SQLite does not wait for it.
pub(in crate::store) fn set_wal_mode(conn: &Connection) -> Result<()> {
    let began = Instant::now();
    loop {
        let mode = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Err(error) if !write::is_busy(&error) => return Err(error.into()),
            _ if began.elapsed() < Duration::from_millis(BUSY_TIMEOUT_MS) => thread::sleep(Duration::from_millis(MODE_RETRY_MS)),
            _ => {
                return Err(Error::File(
                    "the file cannot be switched to WAL mode, because another program has it open in another mode; close that program".into(),
                ));
            }
        }
    }
}

/// How thorough a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Thorough {
    /// The structure of the tables only.
    No,
    /// Every entry of every index as well.
    Yes,
}

/// Checks the structure. Returns rows that break a CHECK: they are found and repaired one by one.
///
/// # Errors
/// [`Error::File`] if the structure itself is damaged.
pub(in crate::store) fn check_structure(conn: &Connection, thorough: Thorough) -> Result<Vec<String>> {
    let pragma = match thorough {
        Thorough::No => "PRAGMA quick_check",
        Thorough::Yes => "PRAGMA integrity_check",
    };
    let mut check = conn.prepare(pragma)?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let (rows, damage): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .filter(|line| line != "ok")
        .partition(|line| line.starts_with("CHECK constraint failed") || line.starts_with("NULL value in"));
    if damage.is_empty() {
        return Ok(rows);
    }
    let shown = damage.iter().take(COMPLAINTS_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
    Err(Error::File(format!("the file is damaged ({shown}); tenure restore brings a backup back")))
}

/// Maximum number of complaints that are shown.
const COMPLAINTS_MAX: usize = 10;
