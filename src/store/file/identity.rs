//! Identifies a file: new, tenure's own, older, newer, or another program's.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::store::engine::connection::snapshot;

/// `TENU`, in the header of the file.
pub const APPLICATION_ID: i32 = 0x5445_4e55;
/// The version of the schema that this program writes.
pub const USER_VERSION: i32 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Identity {
    /// Empty. Another process may be about to fill it.
    New,
    /// A tenure file of this version.
    Ours,
    /// A tenure file of an earlier version.
    Older { version: i32 },
}

/// Reads the header through SQLite; the file is never opened directly. All of it is of one instant:
/// between two statements another process may fill the file.
///
/// # Errors
/// [`Error::File`] if the file belongs to another program, or is newer than this one.
pub(in crate::store) fn identify(conn: &Connection) -> Result<Identity> {
    let (id, version, objects): (i32, i32, i64) = snapshot(conn, |conn| {
        let id = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let version = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        // The names of a file of tenure need not be counted.
        let objects = match id {
            APPLICATION_ID => 0,
            _ => conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        };
        Ok((id, version, objects))
    })?;
    if id == APPLICATION_ID {
        return match version {
            USER_VERSION => Ok(Identity::Ours),
            older if (1..USER_VERSION).contains(&older) => Ok(Identity::Older { version: older }),
            newer => Err(Error::File(format!(
                "the file was made by a newer tenure (schema {newer}, this program knows {USER_VERSION}); upgrade tenure"
            ))),
        };
    }
    match (id, version, objects) {
        (0, 0, 0) => Ok(Identity::New),
        _ => Err(Error::File("this is an SQLite file of another program; name another with --db".into())),
    }
}

/// Returns 128 random bits in hexadecimal.
pub fn random_name() -> Result<String> {
    let mut bytes = [0_u8; 16];
    crate::random::fill(&mut bytes).map_err(|error| Error::io("drawing a random name", error))?;
    Ok(crate::job::Nonce(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rusqlite::hooks::Authorization;

    use super::*;
    use crate::place::Place;
    use crate::store::engine::connection::{Access, connect};
    use crate::store::engine::structure::set_wal_mode;
    use crate::store::{Durability, create_schema};

    /// Another process fills the file at each moment at which this one could have read a part.
    #[test]
    fn a_file_that_is_filled_meanwhile_is_of_no_other_program() {
        for moment in 0..8 {
            let dir = tempfile::tempdir().unwrap();
            let place = Place::new(dir.path().join("q.db"));
            drop(Connection::open(place.db()).unwrap());
            let other = connect(&place, Access::Write, Durability::Full).unwrap();
            set_wal_mode(&other).unwrap();
            let conn = connect(&place, Access::Write, Durability::Full).unwrap();
            let (seen, other) = (AtomicUsize::new(0), std::sync::Mutex::new(other));
            conn.authorizer(Some(move |_: rusqlite::hooks::AuthContext<'_>| {
                if seen.fetch_add(1, Ordering::SeqCst) == moment {
                    let mut other = other.lock().unwrap();
                    let filled = other.transaction().unwrap();
                    create_schema(&filled, 1, "f").unwrap();
                    filled.commit().unwrap();
                }
                Authorization::Allow
            }))
            .unwrap();
            let first = identify(&conn);
            assert!(matches!(first, Ok(Identity::New | Identity::Ours)), "moment {moment}: {first:?}");
        }
    }
}
