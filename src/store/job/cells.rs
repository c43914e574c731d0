//! Single values of a row, read leniently or strictly.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Result, Row};

use crate::job::{JobId, State};

/// A state, strictly.
struct Word<T>(T);

impl FromSql for Word<State> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = String::from_utf8_lossy(value.as_bytes()?);
        text.parse()
            .map(Word)
            .map_err(|error: String| FromSqlError::Other(format!("{error}; a worker repairs such a row").into()))
    }
}

pub(in crate::store) fn state(row: &Row<'_>, at: usize) -> Result<State> {
    row.get::<_, Word<State>>(at).map(|word| word.0)
}

pub(in crate::store) fn id(row: &Row<'_>, at: usize) -> Result<JobId> {
    row.get(at).map(JobId)
}

/// Reads a word of a closed list; `None` for NULL and for an unknown word.
pub(in crate::store) fn word<T>(row: &Row<'_>, at: usize, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    Ok(row.get_ref(at)?.as_bytes_or_null()?.and_then(|word| std::str::from_utf8(word).ok()).and_then(parse))
}

/// Reads a number that is never negative.
pub(in crate::store) fn count(row: &Row<'_>, at: usize) -> Result<u32> {
    row.get::<_, i64>(at).map(|n| n.clamp(0, i64::from(u32::MAX)) as u32)
}

/// Reads a pid, an exit code or a signal; `None` for a value that cannot be one.
pub(in crate::store) fn small(row: &Row<'_>, at: usize) -> Result<Option<i32>> {
    Ok(row.get::<_, Option<i64>>(at)?.and_then(|n| i32::try_from(n).ok()))
}
