//! Finds the values that cannot be read: bytes that are not UTF-8, and text that is larger than the
//! limit. It reads each row of each table, and is used by `doctor` only.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::error::Result;
use crate::job::JobId;
use crate::store::engine::text::READ_BYTES_MAX;
use crate::store::schema::objects::{quoted, tables};

/// A value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub table: String,
    pub column: String,
    /// The first column of the row, for display: an id, a name.
    pub row: String,
    /// The job that it belongs to.
    pub job: Option<JobId>,
    /// `is not valid UTF-8` or `has N bytes`.
    pub what: String,
}

/// Finds at most `limit` values of each table.
pub fn find(conn: &Connection, limit: usize) -> Result<Vec<Unreadable>> {
    let mut found = Vec::new();
    for table in tables()? {
        find_in(conn, table, found.len() + limit, &mut found)?;
    }
    Ok(found)
}

fn find_in(conn: &Connection, table: &str, most: usize, found: &mut Vec<Unreadable>) -> Result<()> {
    // A count of zero is equivalent to none.
    let which = if table == "tally" { "n <> 0" } else { "true" };
    let mut all = conn.prepare(&format!("SELECT * FROM {} WHERE {which}", quoted(table)))?;
    let columns: Vec<String> = all.column_names().into_iter().map(str::to_owned).collect();
    let job = columns.iter().position(|column| column == if table == "job" { "id" } else { "job_id" });
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        for (at, column) in columns.iter().enumerate() {
            let ValueRef::Text(bytes) = row.get_ref(at)? else { continue };
            let what = if bytes.len() > READ_BYTES_MAX {
                format!("has {} bytes", bytes.len())
            } else if std::str::from_utf8(bytes).is_err() {
                "is not valid UTF-8".to_owned()
            } else {
                continue;
            };
            if found.len() >= most {
                return Ok(());
            }
            let shown = match row.get_ref(0)? {
                ValueRef::Integer(id) => id.to_string(),
                ValueRef::Text(name) => String::from_utf8_lossy(&name[..name.len().min(1_000)]).into_owned(),
                _ => String::new(),
            };
            let job = job.map(|at| row.get(at)).transpose()?.flatten().map(JobId);
            found.push(Unreadable { table: table.to_owned(), column: column.clone(), row: shown, job, what });
        }
    }
    Ok(())
}
