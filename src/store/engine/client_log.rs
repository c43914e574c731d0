//! Keeps the log short between the commits of a client, which may add a million jobs while no
//! worker is running.
//!
//! SQLite's own automatic checkpoint runs inside the commit, while all other writers wait. This one
//! runs on the client's thread after the flush, where no writer waits, and never waits for a reader
//! or for another writer. Two clients that add without a pause would keep the log from ever being
//! copied completely, and so from being restarted; then one of them copies the rest while it has
//! the turn. A reader with an old snapshot prevents the restart too. Nothing helps against it, so
//! the attempts become rarer as the log grows: each of them sorts the index of what is not copied.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::Result;
use crate::store::engine::checkpoint::{self, Done, Mode, RESTART_AT_BYTES, pages_of};
use crate::store::engine::flush;
use crate::store::engine::hold_up::AGAIN_MS;
use crate::store::engine::turnstile::Turnstile;

/// Length of the log at which a client copies it into the file, in bytes: that of SQLite's
/// automatic checkpoint.
const COPY_AT_BYTES: u32 = 4 << 20;
/// The log grows by this part of its length before the next attempt, if that is more.
const GROWTH: u32 = 4;

/// What one client knows of the log.
pub(in crate::store) struct ClientLog {
    /// Length after this client's latest commit, in pages.
    pages: u32,
    /// Length at which it is copied next, in pages.
    copy_at: u32,
    /// When a copy that no other client of tenure disturbed was incomplete.
    in_vain: Option<Instant>,
}

impl ClientLog {
    /// Observes the log of a connection in place of SQLite's automatic checkpoint.
    pub(in crate::store) fn observe(conn: &Connection) -> Self {
        checkpoint::observe(conn);
        Self { pages: 0, copy_at: first(), in_vain: None }
    }

    /// Records the length of the log. Runs on the thread that committed.
    pub(in crate::store) fn committed(&mut self) {
        let pages = checkpoint::observed_pages();
        if pages < self.pages {
            // It has restarted from its beginning.
            self.copy_at = first();
        }
        self.pages = pages;
    }

    /// Copies the log if it is long.
    ///
    /// # Errors
    /// A flush failed, which is final. After any other error the log is only longer.
    pub(in crate::store) fn keep_short(&mut self, conn: &Connection, turnstile: &mut Turnstile) -> Result<()> {
        if self.pages < self.copy_at {
            return Ok(());
        }
        self.copy_at = next(self.pages);
        copy(conn)?;
        if self.pages < pages_of(RESTART_AT_BYTES) || self.is_futile() {
            return Ok(());
        }
        // Other writers may have added to the log meanwhile. Little is left to copy and to flush
        // while they wait.
        flush::flush_file(conn)?;
        copy(conn)?;
        let turn = turnstile.take();
        let copied = copy(conn);
        drop(turn);
        match copied? {
            Copied::All => self.in_vain = None,
            Copied::Some => self.in_vain = Some(Instant::now()),
            Copied::ByOther => self.copy_at = self.pages,
        }
        Ok(())
    }

    fn is_futile(&self) -> bool {
        self.in_vain.is_some_and(|at| at.elapsed() < Duration::from_millis(AGAIN_MS))
    }
}

fn first() -> u32 {
    pages_of(COPY_AT_BYTES)
}

/// Returns the length at which a log that is copied now is copied again, unless it restarts.
fn next(pages: u32) -> u32 {
    pages + first().max(pages / GROWTH)
}

/// Result of a copy.
enum Copied {
    /// The whole log, so that the next writer may restart it.
    All,
    /// A reader or a writer needs the rest.
    Some,
    /// Another process is copying at this moment.
    ByOther,
}

fn copy(conn: &Connection) -> rusqlite::Result<Copied> {
    match checkpoint::checkpoint(conn, Mode::Passive) {
        Ok(Done { busy: true, .. }) => Ok(Copied::ByOther),
        Ok(Done { log_pages, copied_pages, .. }) if copied_pages >= log_pages => Ok(Copied::All),
        Err(error) if flush::is_failed(&error) => Err(error),
        Ok(_) | Err(_) => Ok(Copied::Some),
    }
}
