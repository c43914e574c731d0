//! The schema: created once, compared at each start of a worker, and repaired if a guard is
//! missing.

pub(in crate::store) mod altered;
pub mod guard;
pub(in crate::store) mod objects;
pub(in crate::store) mod rebuild;
pub mod upgrade;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::store::file::identity::{APPLICATION_ID, USER_VERSION};
use crate::store::schema::altered::{Altered, Table};
use crate::store::schema::objects::{Object, Objects, fresh, objects, quoted, same};

pub use crate::store::schema::objects::SCHEMA;

/// Fills an empty file. In a transaction of the caller it is atomic.
///
/// `meta.run_id_limit` is the first run id that has not been reserved yet.
pub fn create_schema(conn: &Connection, now_ms: i64, file_id: &str) -> Result<()> {
    conn.execute_batch(SCHEMA)?;
    let mut insert = conn.prepare("INSERT INTO meta (key, value) VALUES (?1, ?2)")?;
    for (key, value) in [
        ("file_id", file_id.to_owned()),
        ("run_id_limit", "1".into()),
        ("generation", "0".into()),
        ("created_at", now_ms.to_string()),
    ] {
        insert.execute((key, value))?;
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", USER_VERSION)?;
    Ok(())
}

/// Returns the differences from a fresh file, as text; empty if there are none. What a person has
/// added is left alone, unless it could change the effect of a statement: a trigger or a unique
/// index on one of tenure's tables.
pub fn schema_differences(conn: &Connection) -> Result<Vec<String>> {
    let (is, fresh) = (objects(conn)?, fresh()?);
    let mut told = Vec::new();
    for (name, object) in fresh {
        if object.kind == "table" {
            if let Table::Altered(altered) = altered::compare(conn, name, is.get(name), object)? {
                told.push(altered.text);
            }
            continue;
        }
        match is.get(name) {
            None => told.push(format!("the {} {name} is missing", object.kind)),
            Some(found) if !same(found, object) => told.push(format!("the {} {name} was altered", object.kind)),
            Some(_) => {}
        }
    }
    let added = is.iter().filter(|(name, object)| !fresh.contains_key(*name) && is_dangerous(object, fresh));
    told.extend(added.map(|(name, object)| format!("the {} {name} on {} is not tenure's", object.kind, object.table)));
    Ok(told)
}

/// Recreates triggers, views and indexes as in a fresh file, and removes foreign triggers and
/// unique indexes from tenure's tables. Returns the differences. Run it in a transaction.
///
/// # Errors
/// [`Error::File`] if a table itself was altered: that needs the statement that it names, or a
/// backup.
pub fn repair_schema(conn: &Connection) -> Result<Vec<String>> {
    let told = schema_differences(conn)?;
    if told.is_empty() {
        return Ok(told);
    }
    let (is, fresh) = (objects(conn)?, fresh()?);
    if let Some(altered) = altered_tables(conn)?.first() {
        return Err(Error::File(format!("{}; {}", altered.text, altered.remedy)));
    }
    for (name, object) in &is {
        let wrong = match fresh.get(name) {
            Some(wanted) => wanted.kind != "table" && !same(object, wanted),
            None => is_dangerous(object, fresh),
        };
        if wrong {
            conn.execute_batch(&format!("DROP {} {}", object.kind, quoted(name)))?;
        }
    }
    let is = objects(conn)?;
    for (_, object) in fresh.iter().filter(|(name, _)| !is.contains_key(*name)) {
        conn.execute_batch(&object.sql)?;
    }
    // Recounts what the triggers did not maintain while they were missing. (The reaper finds
    // everything else.)
    conn.execute("INSERT INTO choose_queue_head (queue) SELECT name FROM queue", [])?;
    Ok(told)
}

/// Returns the tables that another program has altered in a way that cannot be repaired, each with
/// the remedy.
pub fn altered_tables(conn: &Connection) -> Result<Vec<Altered>> {
    let compared = compared(conn)?.into_iter().map(|(_, table)| table);
    Ok(compared.filter_map(|table| if let Table::Altered(altered) = table { Some(altered) } else { None }).collect())
}

/// Returns harmless columns of other programs, as `table.column`.
pub fn foreign_columns(conn: &Connection) -> Result<Vec<String>> {
    let wider = compared(conn)?.into_iter().filter_map(|(name, table)| match table {
        Table::Wider(columns) => Some(columns.into_iter().map(move |column| format!("{name}.{column}"))),
        _ => None,
    });
    Ok(wider.flatten().collect())
}

fn compared(conn: &Connection) -> Result<Vec<(&'static str, Table)>> {
    let is = objects(conn)?;
    let tables = fresh()?.iter().filter(|(_, object)| object.kind == "table");
    tables.map(|(name, wanted)| Ok((name.as_str(), altered::compare(conn, name, is.get(name), wanted)?))).collect()
}

fn is_dangerous(object: &Object, fresh: &Objects) -> bool {
    let ours = fresh.contains_key(&object.table);
    let unique = object.sql.trim_start().get(..13).is_some_and(|head| head.eq_ignore_ascii_case("CREATE UNIQUE"));
    ours && (object.kind == "trigger" || (object.kind == "index" && unique))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh_file() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        guard::register(&conn).unwrap();
        create_schema(&conn, 1, "f").unwrap();
        conn
    }

    #[test]
    fn a_fresh_file_has_no_differences_and_a_header_of_its_owner() {
        let conn = fresh_file();
        assert_eq!(schema_differences(&conn).unwrap(), [""; 0]);
        let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).unwrap();
        assert_eq!(id.to_be_bytes(), *b"TENU");
    }

    #[test]
    fn objects_that_differ_in_spaces_and_comments_are_as_made() {
        let conn = Connection::open_in_memory().unwrap();
        guard::register(&conn).unwrap();
        // No text in quotes has a line break.
        conn.execute_batch(&SCHEMA.replace('\n', " -- a comment\n\t   ")).unwrap();
        conn.pragma_update(None, "user_version", USER_VERSION).unwrap();
        let texts = |conn: &Connection| objects(conn).unwrap().into_values().map(|object| object.sql).collect::<Vec<_>>();
        let before = texts(&conn);
        assert!(before.iter().zip(fresh().unwrap().values()).filter(|(is, fresh)| **is != fresh.sql).count() > 100);
        assert_eq!(schema_differences(&conn).unwrap(), [""; 0]);
        assert_eq!(altered_tables(&conn).unwrap(), []);
        assert_eq!(repair_schema(&conn).unwrap(), [""; 0]);
        assert_eq!(texts(&conn), before, "nothing was rebuilt");
    }

    #[test]
    fn a_missing_altered_or_foreign_guard_is_reported_and_repaired() {
        let conn = fresh_file();
        conn.execute_batch(
            "DROP TRIGGER job_owner_guard; DROP VIEW jobs; CREATE VIEW jobs AS SELECT 1 AS id; DROP INDEX job_ready;
             CREATE TRIGGER spy AFTER INSERT ON job BEGIN DELETE FROM counter; END; CREATE UNIQUE INDEX one ON job (label);
             CREATE TABLE mine (a); CREATE INDEX mine_too ON job (cwd); CREATE VIEW also_mine AS SELECT 2;",
        )
        .unwrap();
        let told = schema_differences(&conn).unwrap();
        assert_eq!(told.len(), 5, "{told:?}");
        assert_eq!(repair_schema(&conn).unwrap(), told);
        assert_eq!(schema_differences(&conn).unwrap(), [""; 0]);
        let mine: i64 = conn
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name IN ('mine', 'mine_too', 'also_mine')", [], |row| row.get(0))
            .unwrap();
        assert_eq!(mine, 3, "what a person added is left alone");
    }

    #[test]
    fn an_altered_table_is_told_and_refused() {
        let conn = fresh_file();
        conn.execute_batch("DROP TABLE counter; CREATE TABLE counter (name TEXT PRIMARY KEY) STRICT").unwrap();
        assert!(schema_differences(&conn).unwrap().contains(&"the table counter was altered".to_owned()));
        assert!(repair_schema(&conn).unwrap_err().to_string().contains("tenure restore"));
    }
}
