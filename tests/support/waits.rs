//! Waits for what becomes of a job.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tenure::job::RunId;
use tenure::place::Place;

use crate::support::{Nest, until};

impl Nest {
    /// Waits for a job to come to a state, and returns it.
    pub fn until_state(&self, id: i64, state: &str) -> Value {
        self.until_row(&format!("job {id} to be {state}"), id, |row| row.state == state);
        self.show(id)
    }

    pub fn until_ended(&self, id: i64) -> Value {
        self.until_row(&format!("job {id} to end"), id, |row| matches!(row.state.as_str(), "done" | "failed" | "cancelled"));
        self.show(id)
    }

    /// Waits until a job runs and its pid is known.
    pub fn until_pid(&self, id: i64) -> i32 {
        let mut pid = None;
        self.until_row(&format!("job {id} to have a pid"), id, |row| {
            pid = row.pid;
            pid.is_some()
        });
        pid.and_then(|pid| pid.try_into().ok()).expect("a pid")
    }

    /// Waits until a run of a job has printed this.
    pub fn until_log(&self, id: i64, text: &str) {
        let place = Place::new(self.db());
        self.until_row(&format!("job {id} to print {text:?}"), id, |row| {
            let log = row.run.and_then(|run| std::fs::read(place.log_file(RunId(run))).ok());
            log.is_some_and(|log| String::from_utf8_lossy(&log).contains(text))
        });
    }

    /// Waits for the row of a job. It is read by SQL: a process for each look would compete with what the test looks at.
    fn until_row(&self, what: &str, id: i64, mut is_so: impl FnMut(&Row) -> bool) {
        let inode = || std::fs::metadata(self.db()).map(|meta| meta.ino()).ok();
        let mut open: Option<(Option<u64>, rusqlite::Connection)> = None;
        until(what, || {
            // A test may put another file in the place of this one.
            if open.as_ref().is_none_or(|(of, _)| *of != inode()) {
                open = Some((inode(), reader(&self.db())?));
            }
            let (_, conn) = open.as_ref()?;
            match Row::read(conn, id) {
                Ok(row) => is_so(&row).then_some(()),
                Err(_) => {
                    open = None;
                    None
                }
            }
        });
    }
}

/// What is waited for in the row of a job.
struct Row {
    state: String,
    pid: Option<i64>,
    run: Option<i64>,
}

impl Row {
    fn read(conn: &rusqlite::Connection, id: i64) -> rusqlite::Result<Self> {
        let mut select = conn.prepare_cached("SELECT state, pid, run_id FROM jobs WHERE id = ?1")?;
        select.query_row([id], |row| Ok(Self { state: row.get(0)?, pid: row.get(1)?, run: row.get(2)? }))
    }
}

fn reader(db: &Path) -> Option<rusqlite::Connection> {
    let conn = rusqlite::Connection::open_with_flags(db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    conn.busy_timeout(Duration::from_secs(10)).ok()?;
    Some(conn)
}
