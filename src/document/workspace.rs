//! Workspaces, with their state on the disk.

use serde_json::{Value, json};

use crate::clock::rfc3339 as utc;
use crate::place::Place;
use crate::run::workspace::is_there;
use crate::store::workspace::WorkspaceRow;

/// A row, with its state on the disk.
pub struct Seen {
    pub row: WorkspaceRow,
    pub path: String,
    pub is_there: bool,
}

/// Looks at the directory of each row.
pub fn seen(place: &Place, rows: Vec<WorkspaceRow>) -> Vec<Seen> {
    let one = |row: WorkspaceRow| Seen {
        path: place.work().join(&row.dir).to_string_lossy().into_owned(),
        is_there: is_there(place, &row.dir).unwrap_or(false),
        row,
    };
    rows.into_iter().map(one).collect()
}

/// A workspace as a script reads it.
pub fn document(seen: &Seen) -> Value {
    let row = &seen.row;
    json!({
        "key": row.key,
        "path": seen.path,
        "present": seen.is_there,
        "bytes": row.bytes,
        "jobs": row.users,
        "prepare": row.prepare_command.as_deref().and_then(|prepare_command| serde_json::from_str::<Value>(prepare_command).ok()),
        "prepared_at": utc(row.prepared_at),
        "last_used_at": utc(row.last_used_at),
    })
}
