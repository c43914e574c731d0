use crate::error::{Error, Result};
use crate::place::Place;
use rusqlite::Connection;
pub(super) fn needed(version: i32) -> Error {
    Error::File(format!("older {version}"))
}
pub(super) fn upgrade(_conn: &Connection, _place: &Place, version: i32) -> Result<()> {
    Err(needed(version))
}
