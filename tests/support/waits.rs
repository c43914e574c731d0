//! Waits for what becomes of a job.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Nest, until};

impl Nest {
    /// Waits for a job to come to a state, and returns it.
    pub fn until_state(&self, id: i64, state: &str) -> Value {
        self.until_row(&format!("job {id} to be {state}"), id, |now, _| now == state);
        self.show(id)
    }

    pub fn until_ended(&self, id: i64) -> Value {
        self.until_row(&format!("job {id} to end"), id, |now, _| matches!(now, "done" | "failed" | "cancelled"));
        self.show(id)
    }

    /// Waits until a job runs and its pid is known.
    pub fn until_pid(&self, id: i64) -> i32 {
        let mut pid = None;
        self.until_row(&format!("job {id} to have a pid"), id, |_, now| {
            pid = now;
            now.is_some()
        });
        pid.and_then(|pid| pid.try_into().ok()).expect("a pid")
    }

    /// Waits for the row of a job. It is read by SQL: a process for each look would compete with what the test looks at.
    fn until_row(&self, what: &str, id: i64, mut is_so: impl FnMut(&str, Option<i64>) -> bool) {
        let inode = || std::fs::metadata(self.db()).map(|meta| meta.ino()).ok();
        let mut open: Option<(Option<u64>, rusqlite::Connection)> = None;
        until(what, || {
            // A test may put another file in the place of this one.
            if open.as_ref().is_none_or(|(of, _)| *of != inode()) {
                open = Some((inode(), reader(&self.db())?));
            }
            let (_, conn) = open.as_ref()?;
            let row = conn.query_row("SELECT state, pid FROM jobs WHERE id = ?1", [id], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
            });
            match row {
                Ok((state, pid)) => is_so(&state, pid).then_some(()),
                Err(_) => {
                    open = None;
                    None
                }
            }
        });
    }
}

fn reader(db: &Path) -> Option<rusqlite::Connection> {
    let conn = rusqlite::Connection::open_with_flags(db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    conn.busy_timeout(Duration::from_secs(10)).ok()?;
    Some(conn)
}
