//! Identifies a file: new, tenure's own, older, newer, or another program's.

use rusqlite::Connection;

use crate::error::{Error, Result};

/// `TENU`, in the header of the file.
pub const APPLICATION_ID: i32 = 0x5445_4e55;
/// The version of the schema that this program writes.
pub const USER_VERSION: i32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Identity {
    /// Empty. Another process may be about to fill it.
    New,
    /// A tenure file of this version.
    Ours,
    /// A tenure file of an earlier version.
    Older { version: i32 },
}

/// Reads the header through SQLite; the file is never opened directly.
///
/// # Errors
/// [`Error::File`] if the file belongs to another program, or is newer than this one.
pub(in crate::store) fn identify(conn: &Connection) -> Result<Identity> {
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if id == APPLICATION_ID {
        return match version {
            USER_VERSION => Ok(Identity::Ours),
            older if (1..USER_VERSION).contains(&older) => Ok(Identity::Older { version: older }),
            newer => Err(Error::File(format!(
                "the file was made by a newer tenure (schema {newer}, this program knows {USER_VERSION}); upgrade tenure"
            ))),
        };
    }
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
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
