//! Changes that another program has made to a table: harmless columns, or a change that must be
//! reverted, and how.
//!
//! A column that was added (`ALTER TABLE job ADD COLUMN note`) with a plain type, and a literal
//! default or NULL, does not affect tenure's statements: each names its columns. A CHECK, an
//! expression, or a default that the column itself refuses could make them fail. REFERENCES does
//! not: tenure's connections check no foreign keys.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rusqlite::Connection;

use crate::error::Result;
use crate::store::schema::objects::{Object, Objects, SCHEMA, objects, plain, quoted};

/// A table compared with `schema.sql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Table {
    AsMade,
    /// It has columns of other programs, which are harmless.
    Wider(Vec<String>),
    /// The table cannot be used.
    Altered(Altered),
}

/// A change of a table that must be reverted, and the command for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Altered {
    pub text: String,
    /// A shell command.
    pub remedy: String,
}

/// Compares one of tenure's tables; `found` is `None` if it is missing.
pub(in crate::store) fn compare(conn: &Connection, name: &str, found: Option<&Object>, wanted: &Object) -> Result<Table> {
    let Some(found) = found else { return Ok(Table::Altered(missing(conn, name, wanted)?)) };
    let (is, was) = (body(&found.sql), body(&wanted.sql));
    if is == was {
        return Ok(Table::AsMade);
    }
    let (has, had) = (columns(conn, name)?, columns_made(name)?);
    let added: Vec<String> = has.iter().filter(|column| !had.contains(column)).cloned().collect();
    let gone: Vec<String> = had.iter().filter(|column| !has.contains(column)).cloned().collect();
    if let Some(definitions) =
        added_at_the_end(&is, &was).filter(|definitions| definitions.len() == added.len() && gone.is_empty())
    {
        let mut harmful: Vec<&String> = Vec::new();
        for (column, definition) in added.iter().zip(&definitions) {
            if !is_harmless(definition) || !takes_its_default(conn, name, column)? {
                harmful.push(column);
            }
        }
        if harmful.is_empty() {
            return Ok(Table::Wider(added));
        }
        let named = harmful.iter().map(|column| format!("{column:?}")).collect::<Vec<_>>().join(", ");
        let mut statements = Vec::new();
        for column in harmful {
            statements.extend(indexes_on(conn, name, column)?.iter().map(|index| format!("DROP INDEX {}", quoted(index))));
            statements.push(format!("ALTER TABLE {name} DROP COLUMN {}", quoted(column)));
        }
        let text = format!("the table {name} was altered: a rule of its new column {named} could stop the queue");
        return Ok(Table::Altered(Altered { text, remedy: in_a_shell(conn, &statements) }));
    }
    if let ([new], [old]) = (added.as_slice(), gone.as_slice()) {
        let text = format!("the table {name} was altered: its column {old} is named {new:?} now");
        let statements = [format!("ALTER TABLE {name} RENAME COLUMN {} TO {old}", quoted(new))];
        return Ok(Table::Altered(Altered { text, remedy: in_a_shell(conn, &statements) }));
    }
    Ok(Table::Altered(Altered { text: format!("the table {name} was altered"), remedy: restore() }))
}

/// Only the earlier copy has the rows.
fn restore() -> String {
    "stop the worker; tenure restore BACKUP".to_owned()
}

/// Returns the text after the name, which a rename and its reversal leave in quotes.
fn body(sql: &str) -> String {
    plain(sql).split_once('(').map_or_else(String::new, |(_, body)| body.to_owned())
}

fn missing(conn: &Connection, name: &str, wanted: &Object) -> Result<Altered> {
    let is: Objects = objects(conn)?;
    let renamed = is.iter().find(|(other, object)| {
        object.kind == "table"
            && crate::store::schema::objects::fresh().is_ok_and(|fresh| !fresh.contains_key(*other))
            && body(&object.sql) == body(&wanted.sql)
    });
    Ok(match renamed {
        Some((other, _)) => Altered {
            text: format!("the table {name} is named {other:?} now"),
            remedy: in_a_shell(conn, &[format!("ALTER TABLE {} RENAME TO {name}", quoted(other))]),
        },
        None => Altered { text: format!("the table {name} is missing"), remedy: restore() },
    })
}

/// Returns the definitions of the columns that `ALTER TABLE ADD COLUMN` has appended; `None` if
/// anything else differs.
fn added_at_the_end(is: &str, was: &str) -> Option<Vec<String>> {
    let ends = [",CONSTRAINT ", ",PRIMARY KEY(", ")STRICT"];
    let end = ends.iter().filter_map(|end| was.find(end)).min()?;
    let added = is.strip_prefix(&was[..end])?.strip_suffix(&was[end..])?.strip_prefix(',')?;
    let (mut definitions, mut depth) = (vec![String::new()], 0_u32);
    for part in unquoted(added) {
        match part {
            Part::Quoted => {}
            Part::Bare('(') => depth += 1,
            Part::Bare(')') => depth = depth.checked_sub(1)?,
            Part::Bare(',') if depth == 0 => {
                definitions.push(String::new());
                continue;
            }
            Part::Bare(_) => {}
        }
        definitions.last_mut()?.push(match part {
            // A quoted name or text is not a rule.
            Part::Quoted => '\'',
            Part::Bare(c) => c,
        });
    }
    Some(definitions)
}

#[derive(Clone, Copy)]
enum Part {
    Bare(char),
    Quoted,
}

fn unquoted(text: &str) -> impl Iterator<Item = Part> + '_ {
    let mut end = None;
    text.chars().map(move |c| match (end, c) {
        (Some(wanted), c) => {
            end = (c != wanted).then_some(wanted);
            Part::Quoted
        }
        (None, '\'' | '"' | '`') => {
            end = Some(c);
            Part::Quoted
        }
        (None, '[') => {
            end = Some(']');
            Part::Quoted
        }
        (None, c) => Part::Bare(c),
    })
}

fn is_harmless(definition: &str) -> bool {
    // A comment could hide a rule.
    !definition.contains('/') && !has_a_rule(definition) && !has_an_expression(definition)
}

fn has_an_expression(definition: &str) -> bool {
    let upper = definition.to_uppercase();
    upper.match_indices("DEFAULT").any(|(at, word)| upper[at + word.len()..].trim_start().starts_with('('))
}

/// Tests whether a row without a value for the column can be inserted. An empty table accepts any
/// definition, even one that makes every later insert fail.
fn takes_its_default(conn: &Connection, table: &str, column: &str) -> Result<bool> {
    let mut info = conn.prepare_cached("SELECT type, \"notnull\", dflt_value FROM pragma_table_xinfo(?1) WHERE name = ?2")?;
    let definition = info.query_row([table, column], |row| {
        let (kind, not_null, default): (String, bool, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let default = default.map_or_else(String::new, |value| format!(" DEFAULT {value}"));
        Ok(format!("added {kind}{}{default}", if not_null { " NOT NULL" } else { "" }))
    })?;
    let trial = Connection::open_in_memory()?;
    let tried =
        trial.execute_batch(&format!("CREATE TABLE trial (ours INT, {definition}) STRICT; INSERT INTO trial (ours) VALUES (1)"));
    Ok(tried.is_ok())
}

fn has_a_rule(definition: &str) -> bool {
    const RULES: &[&str] = &["CHECK", "AS", "GENERATED", "UNIQUE", "PRIMARY", "CONSTRAINT"];
    let mut words = definition.split(|c: char| !c.is_alphanumeric() && c != '_').skip(1).map(str::to_uppercase);
    words.any(|word| RULES.contains(&word.as_str()))
}

/// Returns foreign indexes on a column.
fn indexes_on(conn: &Connection, table: &str, column: &str) -> Result<Vec<String>> {
    let fresh = crate::store::schema::objects::fresh()?;
    let is = objects(conn)?;
    let names = is.iter().filter(|(name, object)| object.kind == "index" && object.table == table && !fresh.contains_key(*name));
    Ok(names.filter(|(_, object)| object.sql.contains(column)).map(|(name, _)| name.clone()).collect())
}

fn columns(conn: &Connection, table: &str) -> Result<Vec<String>> {
    let mut info = conn.prepare_cached("SELECT name FROM pragma_table_xinfo(?1)")?;
    let names = info.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// The columns of one of our tables as it is made.
fn columns_made(table: &str) -> Result<Vec<String>> {
    static MADE: OnceLock<BTreeMap<String, Vec<String>>> = OnceLock::new();
    if MADE.get().is_none() {
        let conn = Connection::open_in_memory()?;
        conn.execute_batch(SCHEMA)?;
        let made = crate::store::schema::objects::tables()?
            .map(|table| Ok((table.to_owned(), columns(&conn, table)?)))
            .collect::<Result<_>>()?;
        let _another_thread_was_first = MADE.set(made);
    }
    Ok(MADE.get().and_then(|made| made.get(table)).cloned().unwrap_or_default())
}

/// Returns the statements as a shell command for the file of this connection.
fn in_a_shell(conn: &Connection, statements: &[String]) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    format!("sqlite3 -cmd '.timeout 5000' {} {}", quote(conn.path().unwrap_or("FILE")), quote(&statements.join("; ")))
}

#[cfg(test)]
#[path = "altered_tests.rs"]
mod tests;
