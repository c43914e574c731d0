//! Declares what a file is that cannot be told from a copy: the file itself, moved here, or a copy
//! that becomes a file of its own.
//!
//! A copy must not do what the original does. Its jobs are held and its runs are closed, as after a
//! restore; its schedules are paused; and external resources are left to the original to tear down.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::connection::{Access, connect};
use crate::store::engine::flush;
use crate::store::engine::path::{find, make_beside};
use crate::store::engine::structure::set_wal_mode;
use crate::store::file::home;
use crate::store::file::identity::random_name;
use crate::store::file::identity::{Identity, identify};
use crate::store::file::restore::{Restored, treat};
use crate::store::file::stamp;
use crate::store::file::stamp::Stamp;
use crate::store::file::standing;
use crate::store::file::standing::Standing;
use crate::store::lease::Lease;
use crate::store::schema::upgrade;
use crate::store::{Durability, schedule};

/// The declaration of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// It was moved here, and no longer exists at its old place.
    Moved,
    /// It is a copy; the original continues or is irrelevant.
    Copy,
}

/// Binds the file to its place. The caller holds the worker lock and has no store open on the file;
/// `living`: the leases whose lock file in the directory is held now. `None`: it was moved, and
/// nothing in it was changed.
///
/// # Errors
/// [`Error::Refused`] if the file is bound to this place already, or the original still exists;
/// [`Error::File`] if it cannot be used.
pub fn declare(place: &Place, is: Is, above_run: i64, living: &[Lease], now_ms: i64) -> Result<Option<Restored>> {
    let place = find(place.db())?;
    let conn = connect(&place, Access::Write, Durability::Full)?;
    let identity = identify(&conn)?;
    let found = standing::assess(&place, &conn)?;
    match (&found, is) {
        (Standing::Copy { is_there: true, of }, Is::Moved) => {
            return Err(Error::Refused(format!(
                "{of} is still there, so this is a copy of it; if it is not in use any more, move it away first"
            )));
        }
        (Standing::Copy { .. }, _) => {}
        (Standing::Home | Standing::Moved | Standing::OlderCopy(_), _) => {
            return Err(Error::Refused(format!("{} belongs to this place; tenure work serves it", place.db().display())));
        }
        (Standing::Apart { .. }, _) => found.check(&place)?,
    }
    make_beside(&place)?;
    if let Identity::Older { version } = identity {
        // A copy must still be one if this process is killed before its jobs are held.
        upgrade::upgrade(&conn, &place, version, None)?;
    }
    // A backup is not in WAL mode. The first read opens the log, which is flushed below.
    set_wal_mode(&conn)?;
    conn.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
    let transaction = rusqlite::Transaction::new_unchecked(&conn, TransactionBehavior::Immediate)?;
    let file_id = crate::store::job::read::meta(&transaction, "file_id")?.unwrap_or_default();
    home::note(&transaction, &home::noted(&place)?)?;
    let (file_id, restored) = match is {
        Is::Moved => (file_id, None),
        Is::Copy => {
            let known = stamp::read(&place)?.unwrap_or_default();
            let is = stamp::current(&transaction)?;
            let floor = Stamp { run_id_limit: known.run_id_limit.max(is.run_id_limit).max(above_run + 1), ..known };
            let file_id = random_name()?;
            let restored = treat(&transaction, &floor, living, &file_id, "this file is a copy of another", now_ms)?;
            leave_to_the_original(&transaction, now_ms)?;
            (file_id, Some(restored))
        }
    };
    transaction.commit()?;
    flush::flush_journal(&conn)?;
    home::settle_in(&place, &file_id)?;
    Ok(restored)
}

fn leave_to_the_original(conn: &Connection, now_ms: i64) -> Result<()> {
    let mut names = conn.prepare("SELECT name FROM schedule WHERE paused = 0")?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    for name in names {
        schedule::pause(conn, &name, true, now_ms)?;
    }
    conn.execute(sql!("declare.sql", "release_all"), [now_ms])?;
    Ok(())
}
