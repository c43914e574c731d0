//! Each table, altered in each way that a tool may alter it: tolerated, or repaired by the
//! statement that is named.

use super::*;
use crate::job::{Argv, NewJob};
use crate::store::fixture;
use crate::store::job::enqueue;
use crate::store::schema::objects::tables;
use crate::store::schema::{altered_tables, foreign_columns, repair_schema, schema_differences};

/// A file in memory with a job, whose remedies name statements alone.
fn file() -> Connection {
    let conn = fixture::fresh();
    add(&conn);
    conn
}

fn add(conn: &Connection) {
    enqueue::add(conn, &[NewJob::new(Argv::from_strs(&["true"]).unwrap())], 1_000).unwrap();
}

/// Does what the remedy says, by a client without our function.
fn obey(conn: &Connection, altered: &Altered) {
    let sql = altered.remedy.rsplit_once("'' '").unwrap_or_else(|| panic!("{}", altered.remedy)).1;
    fixture::make_plain(conn);
    conn.execute_batch(sql.trim_end_matches('\'')).unwrap_or_else(|error| panic!("{sql}: {error}"));
    fixture::register(conn);
}

#[test]
fn an_added_column_without_a_rule_is_tolerated_in_each_table() {
    let mut walked = 0;
    for (column, definition) in [
        ("tool_note", "tool_note TEXT"),
        ("tool_note", "[tool_note] INTEGER"),
        ("a b", "\"a b\" ANY DEFAULT 'CHECK (x), UNIQUE'"),
        ("check", "[check] REAL"),
        ("tool_note", "tool_note INT NOT NULL DEFAULT 5"),
        ("tool_note", "tool_note TEXT COLLATE NOCASE"),
        ("tool_note", "tool_note INTEGER REFERENCES job(id)"),
    ] {
        let conn = file();
        let mut added = Vec::new();
        for table in tables().unwrap() {
            conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {definition}; ALTER TABLE {table} ADD COLUMN more TEXT"))
                .unwrap();
            added.extend([format!("{table}.{column}"), format!("{table}.more")]);
            walked += 1;
        }
        assert_eq!(schema_differences(&conn).unwrap(), [""; 0], "{definition}");
        assert_eq!(foreign_columns(&conn).unwrap(), added, "{definition}");
        conn.execute_batch("DROP TRIGGER job_enters; CREATE TRIGGER spy AFTER INSERT ON job BEGIN SELECT 1; END").unwrap();
        assert_eq!(repair_schema(&conn).unwrap().len(), 2, "{definition}");
        add(&conn);
        fixture::make_plain(&conn);
        conn.execute("INSERT INTO job (command) VALUES (json_array('true'))", []).unwrap();
    }
    println!("{walked} columns");
}

#[test]
fn what_must_be_taken_back_is_by_the_named_statement() {
    let conn = file();
    let mut walked = 0;
    for table in tables().unwrap() {
        let last = columns_made(table).unwrap().pop().unwrap();
        for change in [
            format!("ALTER TABLE {table} ADD COLUMN tool_note TEXT CHECK (tool_note <> 'x')"),
            format!("ALTER TABLE {table} ADD COLUMN \"a note\" TEXT AS ('x')"),
            format!(
                "ALTER TABLE {table} ADD COLUMN more TEXT; ALTER TABLE {table} ADD COLUMN tool_note TEXT CONSTRAINT c CHECK (tool_note > '')"
            ),
            format!(
                "ALTER TABLE {table} DROP COLUMN more; ALTER TABLE {table} ADD COLUMN tool_note TEXT CHECK (tool_note <> 'x'); CREATE INDEX mine ON {table} (tool_note)"
            ),
            format!("ALTER TABLE {table} RENAME COLUMN {last} TO renamed"),
            format!("ALTER TABLE {table} RENAME TO other_name"),
        ] {
            // By a client without our function, as the tools are.
            fixture::make_plain(&conn);
            conn.execute_batch(&change).unwrap_or_else(|error| panic!("{change}: {error}"));
            fixture::register(&conn);
            let altered = altered_tables(&conn).unwrap();
            assert!(altered.len() == 1 && altered[0].text.contains(table), "{change}: {altered:?}");
            let refused = repair_schema(&conn).unwrap_err().to_string();
            assert!(refused.contains(&altered[0].remedy), "{change}: {refused}");
            obey(&conn, &altered[0]);
            assert_eq!(altered_tables(&conn).unwrap(), [], "{change}: {altered:?}");
            repair_schema(&conn).unwrap_or_else(|error| panic!("{change}: {error}"));
            assert_eq!(schema_differences(&conn).unwrap(), [""; 0], "{change}");
            walked += 1;
        }
        add(&conn);
    }
    println!("{walked} changes");
}

/// On a table with rows SQLite itself refuses most of these; on an empty one it takes all, and what
/// fails is each later insert.
#[test]
fn a_column_that_refuses_our_inserts_is_harmful_in_empty_tables() {
    let mut walked = 0;
    for definition in [
        "tool_note TEXT NOT NULL",
        "tool_note ANY NOT NULL",
        "tool_note TEXT DEFAULT NULL NOT NULL",
        "tool_note TEXT NOT NULL DEFAULT NULL",
        "[tool_note] TEXT NOT NULL COLLATE NOCASE",
        "tool_note INTEGER DEFAULT 'five'",
        "tool_note INTEGER DEFAULT CURRENT_TIMESTAMP",
        "tool_note BLOB DEFAULT 5",
        "tool_note INT DEFAULT (abs(-9223372036854775808))",
        "tool_note TEXT DEFAULT(hex(randomblob(4)))",
        "tool_note TEXT DEFAULT /* none */ (hex(randomblob(4)))",
        "tool_note INT REFERENCES job(id) DEFAULT (1 + 1)",
    ] {
        let conn = fixture::fresh();
        fixture::make_plain(&conn);
        for table in tables().unwrap() {
            let rows: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            if rows > 0 {
                continue;
            }
            conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {definition}")).unwrap();
            let altered = altered_tables(&conn).unwrap();
            assert!(altered.len() == 1 && altered[0].text.contains(table), "{table}, {definition}: {altered:?}");
            obey(&conn, &altered[0]);
            fixture::make_plain(&conn);
            assert_eq!(altered_tables(&conn).unwrap(), [], "{table}, {definition}");
            walked += 1;
        }
    }
    println!("{walked} columns");
    assert!(walked > 100, "{walked}");
}

#[test]
fn a_column_with_a_plain_default_is_tolerated_in_empty_tables() {
    for definition in [
        "tool_note TEXT NOT NULL DEFAULT ''",
        "tool_note TEXT NOT NULL DEFAULT '(x)'",
        "tool_note INTEGER NOT NULL DEFAULT -5",
        "tool_note INTEGER DEFAULT TRUE",
        "tool_note BLOB DEFAULT x'00'",
        "tool_note TEXT DEFAULT NULL",
        "\"DEFAULT (\" TEXT",
        "tool_note INTEGER REFERENCES job(id)",
    ] {
        let conn = fixture::fresh();
        for table in tables().unwrap() {
            conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {definition}")).unwrap();
        }
        assert_eq!(altered_tables(&conn).unwrap(), [], "{definition}");
        add(&conn);
    }
}

#[test]
fn a_table_that_is_gone_or_rebuilt_needs_a_backup() {
    for change in ["DROP TABLE counter", "DROP TABLE counter; CREATE TABLE counter (name TEXT, n INTEGER)"] {
        let conn = file();
        conn.execute_batch(change).unwrap();
        let altered = altered_tables(&conn).unwrap();
        assert!(altered.len() == 1 && altered[0].remedy.contains("tenure restore"), "{change}: {altered:?}");
    }
}
