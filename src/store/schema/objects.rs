//! The tables, indexes, triggers and views of a file, and of a fresh one, each with its SQL text.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rusqlite::Connection;

use crate::error::Result;

/// The schema.
pub const SCHEMA: &str = include_str!("../../../schema.sql");

/// A table, index, trigger or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Object {
    pub(in crate::store) kind: String,
    pub(in crate::store) table: String,
    pub(in crate::store) sql: String,
}

pub(in crate::store) type Objects = BTreeMap<String, Object>;

pub(in crate::store) fn same(one: &Object, other: &Object) -> bool {
    let alike = || one.sql == other.sql || plain(&one.sql) == plain(&other.sql);
    one.kind == other.kind && one.table == other.table && alike()
}

pub(in crate::store) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(in crate::store) fn objects(conn: &Connection) -> Result<Objects> {
    let mut select = conn.prepare(
        "SELECT name, type, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL",
    )?;
    let rows =
        select.query_map([], |row| Ok((row.get(0)?, Object { kind: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The names of our tables.
pub(in crate::store) fn tables() -> Result<impl Iterator<Item = &'static str>> {
    Ok(fresh()?.iter().filter(|(_, object)| object.kind == "table").map(|(name, _)| name.as_str()))
}

/// Returns the objects of a fresh file. They are read back from SQLite, since it stores the text in
/// its own form.
pub(in crate::store) fn fresh() -> Result<&'static Objects> {
    static FRESH: OnceLock<Objects> = OnceLock::new();
    if let Some(known) = FRESH.get() {
        return Ok(known);
    }
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(SCHEMA)?;
    let found = objects(&conn)?;
    Ok(FRESH.get_or_init(|| found))
}

/// Returns the text without comments and redundant spaces, so that a better comment in a later
/// release is not a difference.
pub(in crate::store) fn plain(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql.chars().peekable();
    let mut gap = false;
    while let Some(c) = rest.next() {
        match c {
            '-' if rest.peek() == Some(&'-') => {
                let _ = rest.by_ref().find(|c| *c == '\n');
                gap = true;
            }
            c if c.is_whitespace() => gap = true,
            c => {
                let joins = |c: char| matches!(c, '(' | ')' | ',');
                if std::mem::take(&mut gap) && !joins(c) && !out.ends_with(joins) && !out.is_empty() {
                    out.push(' ');
                }
                out.push(c);
                if matches!(c, '\'' | '"' | '`') {
                    // A doubled quote inside ends one literal and begins the next, which gives the
                    // same text.
                    for inner in rest.by_ref() {
                        out.push(inner);
                        if inner == c {
                            break;
                        }
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_spaces_are_no_difference_and_text_in_quotes_is() {
        assert_eq!(plain("SELECT 'a''b -- c',\n  1 -- why\n FROM t"), "SELECT 'a''b -- c',1 FROM t");
        assert_ne!(plain("SELECT 'a b'"), plain("SELECT 'a  b'"));
    }
}
