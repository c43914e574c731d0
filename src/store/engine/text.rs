//! Text that any client may have written.
//!
//! A TEXT value may hold bytes that are not UTF-8, and may have any size: SQLite checks neither.
//! Reading never fails because of that. A value that is shown is truncated, with its invalid bytes
//! replaced; a value that names a row (a queue, a lane) is kept byte for byte; and a value that
//! would be acted on (a command) is refused by [`whole`], so that no altered command ever runs.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Result, Row};

/// Most of one value that is read, in bytes: the guards of the schema allow no more.
pub(in crate::store) const READ_BYTES_MAX: usize = crate::job::limits::JSON_BYTES_MAX;

/// Reads text for display.
pub(in crate::store) fn text(row: &Row<'_>, at: usize) -> Result<String> {
    Ok(maybe(row, at)?.unwrap_or_default())
}

/// Reads text for display, or NULL.
pub(in crate::store) fn maybe(row: &Row<'_>, at: usize) -> Result<Option<String>> {
    Ok(row.get::<_, Option<Shown>>(at)?.map(|shown| shown.0))
}

/// Like [`text`], in a `query_row` that reads one column.
pub(in crate::store) struct Shown(pub(in crate::store) String);

impl FromSql for Shown {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_bytes()?;
        Ok(Self(String::from_utf8_lossy(&bytes[..bytes.len().min(READ_BYTES_MAX)]).into_owned()))
    }
}

/// Text that names something in the file: compared and bound byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl Key {
    pub(in crate::store) fn of(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }

    pub(in crate::store) fn is(&self, text: &str) -> bool {
        self.0 == text.as_bytes()
    }

    pub(in crate::store) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the form for display, which is also what a person types.
    pub(in crate::store) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_bytes().map(|bytes| Self(bytes.to_vec()))
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// Explains why a value cannot be acted on; `None` if it is complete.
pub(in crate::store) fn fault(row: &Row<'_>, at: usize, name: &'static str) -> Result<Option<String>> {
    let ValueRef::Text(bytes) = row.get_ref(at)? else { return Ok(None) };
    Ok(if bytes.len() > READ_BYTES_MAX {
        Some(format!("{name} has {} bytes; the limit is {READ_BYTES_MAX}", bytes.len()))
    } else if std::str::from_utf8(bytes).is_err() {
        Some(format!("{name} is not valid UTF-8"))
    } else {
        None
    })
}

/// Returns the first fault of these columns.
pub(in crate::store) fn first_fault(row: &Row<'_>, columns: &[(usize, &'static str)]) -> Result<Option<String>> {
    for (at, name) in columns {
        if let Some(fault) = fault(row, *at, name)? {
            return Ok(Some(fault));
        }
    }
    Ok(None)
}
