//! Makes the tables of an older file equal to `schema.sql`.
//!
//! Each table whose text differs is renamed, created again from the text of `schema.sql`, filled
//! with the columns that both have, and dropped. Triggers, views and indexes are left to
//! [`crate::store::schema::repair_schema`]. A new column needs a default value, or an upgrade step
//! that fills it.
//!
//! CHECK constraints are not applied while rows are copied: a row that breaks a new rule would
//! otherwise make the upgrade impossible. Such a row stays as it is and is found by the repair
//! rounds of the worker.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::store::file::stamp::raise_sequence;
use crate::store::schema;
use crate::store::schema::objects::{Objects, fresh, objects, quoted};

/// Tables that have another name since version 4: the old name and the new one.
const RENAMED_TABLES: &[(&str, &str)] = &[("slot", "occurrence"), ("untold", "unresolved")];

/// Names of tables and views by the version that first used them, apart from those of version 1.
const NEW_NAMES: &[(i32, &[&str])] = &[
    (3, &["choose_lane_head", "choose_queue_head", "queue_truth"]),
    (4, &["blocking_resource", "occurrence", "unresolved"]),
    (6, &["receipt"]),
    (7, &["hook", "hook_rule"]),
    (9, &["queue_load", "wide_truth"]),
    (10, &["pause"]),
    (11, &["suspend"]),
    (
        13,
        &[
            "pool",
            "pool_use",
            "pool_unit",
            "pool_use_truth",
            "worker_scope",
            "waiting_for_pool",
            "pool_head_truth",
            "admitted_by_pools",
            "choose_pool_head",
            "place_in_pools",
            "take_units",
        ],
    ),
    (15, &["launched"]),
];

/// Views of earlier versions that this one does not have.
const OLD_VIEWS: &[&str] = &["impossible_job", "lane_head", "queue_head", "resource_in_the_way", "unreadable_job"];

/// Indexes of earlier versions that this one does not have. All others that are not in
/// `schema.sql` are a person's.
const OLD_INDEXES: &[&str] =
    &["job_impossible", "job_of_array", "job_untorn", "lane_of_array", "run_open_errand", "workspace_use_of_dir"];

/// Columns that have another name since version 4: the table, the old name and the new one.
const RENAMED_COLUMNS: &[(&str, &str, &str)] = &[
    ("job", "unstarts", "failed_starts"),
    ("job", "untorn", "unreleased"),
    ("resource", "errand", "auxiliary_run_id"),
    ("workspace", "recipe", "prepare_command"),
];

/// Changes all tables to the form in `schema.sql`. Run it in a transaction.
pub(in crate::store) fn rebuild_tables(conn: &Connection) -> Result<()> {
    let _settings = Settings::begin(conn)?;
    let fresh = fresh()?;
    let is = objects(conn)?;
    drop_triggers_and_views(conn, &is, |table| {
        fresh.contains_key(table) || OLD_VIEWS.contains(&table) || RENAMED_TABLES.iter().any(|(old, _)| *old == table)
    })?;
    for index in OLD_INDEXES.iter().filter(|index| is.contains_key(**index)) {
        conn.execute_batch(&format!("DROP INDEX {index}"))?;
    }
    let is = if rename_tables(conn, &is)? { objects(conn)? } else { is };
    let differs = |name: &String| is.get(name).is_none_or(|found| !schema::same(found, &fresh[name]));
    let tables: Vec<&String> = fresh.keys().filter(|name| fresh[*name].kind == "table" && differs(name)).collect();
    tables.into_iter().try_for_each(|name| match is.get(name) {
        Some(_) => rebuild(conn, name, &is, fresh),
        None => Ok(conn.execute_batch(&fresh[name].sql)?),
    })
}

/// Refuses to upgrade a file of version `from` in which something of a person has a name that a
/// later version uses: it would be taken for tenure's, and replaced.
///
/// # Errors
/// [`Error::File`] with its name and the remedy.
pub(in crate::store) fn refuse_taken_names(conn: &Connection, from: i32) -> Result<()> {
    let is = objects(conn)?;
    // No step leads from a version before 1, which says so.
    let new = NEW_NAMES.iter().filter(|(since, _)| (1..*since).contains(&from)).flat_map(|(_, names)| *names);
    let Some((name, kind)) = new.filter_map(|name| Some((name, is.get(*name)?.kind.as_str()))).next() else { return Ok(()) };
    let remedy = match kind {
        "table" => format!("ALTER TABLE {name} RENAME TO another name"),
        _ => format!("DROP {} {name}, and create it with another name", kind.to_uppercase()),
    };
    Err(Error::File(format!(
        "the file has a {kind} {name} that is not tenure's, and this version needs that name; {remedy}, then start tenure work"
    )))
}

/// Drops the triggers and views of tenure's tables: they name tables that are missing for a moment.
fn drop_triggers_and_views(conn: &Connection, is: &Objects, is_ours: impl Fn(&str) -> bool) -> Result<()> {
    for kind in ["trigger", "view"] {
        for (name, _) in is.iter().filter(|(_, object)| object.kind == kind && is_ours(&object.table)) {
            conn.execute_batch(&format!("DROP {kind} {}", quoted(name)))?;
        }
    }
    Ok(())
}

/// Gives the tables of an older file their present names. Returns whether any was renamed.
fn rename_tables(conn: &Connection, is: &Objects) -> Result<bool> {
    let mut renamed = false;
    for (old, new) in RENAMED_TABLES.iter().filter(|(old, _)| is.contains_key(*old)) {
        conn.execute_batch(&format!("ALTER TABLE {old} RENAME TO {new}"))?;
        renamed = true;
    }
    Ok(renamed)
}

fn rebuild(conn: &Connection, name: &str, is: &Objects, fresh: &Objects) -> Result<()> {
    let (new, old) = (quoted(name), quoted(&format!("tenure_before_upgrade_{name}")));
    let given = sequence(conn, name)?;
    conn.execute_batch(&format!("ALTER TABLE {new} RENAME TO {old}; {}", fresh[name].sql))?;
    let (wanted, had) = (columns(conn, &new)?, columns(conn, &old)?);
    let renamed = RENAMED_COLUMNS.iter().filter(|(table, ..)| *table == name).map(|(_, old, new)| (*old, *new));
    let renamed: Vec<(&str, &str)> = renamed.collect();
    let (mut into, mut from, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    for column in had {
        let present = renamed.iter().find(|(old, _)| *old == column).map_or(column.as_str(), |(_, new)| *new);
        if wanted.iter().any(|wanted| wanted == present) {
            into.push(quoted(present));
            from.push(quoted(&column));
        } else {
            lost.push(column);
        }
    }
    if !lost.is_empty() {
        log::warn!("the upgrade does not keep columns of {name} that this version does not have: {}", lost.join(", "));
    }
    let (into, from) = (into.join(", "), from.join(", "));
    conn.execute_batch(&format!("INSERT INTO {new} ({into}) SELECT {from} FROM {old}; DROP TABLE {old}"))?;
    if let Some(given) = given {
        raise_sequence(conn, name, given)?;
    }
    // An index that a person has added is kept, unless it is on a column that is gone.
    for (index, object) in
        is.iter().filter(|(index, object)| object.kind == "index" && object.table == name && is_a_persons(index, fresh))
    {
        if let Err(error) = conn.execute_batch(&object.sql) {
            log::warn!("the index {index} on {name} is not tenure's and cannot be kept: {error}");
        }
    }
    Ok(())
}

/// Whether an index belongs neither to this version nor to an earlier one.
fn is_a_persons(index: &str, fresh: &Objects) -> bool {
    !fresh.contains_key(index) && !OLD_INDEXES.contains(&index)
}

/// Returns the highest id that the table has assigned, if the file counts that.
fn sequence(conn: &Connection, table: &str) -> Result<Option<i64>> {
    Ok(conn.query_row("SELECT max(seq) FROM sqlite_sequence WHERE name = ?1", [table], |row| row.get(0))?)
}

/// The columns that hold a value; generated ones are not among them.
fn columns(conn: &Connection, quoted: &str) -> Result<Vec<String>> {
    let mut info = conn.prepare(&format!("PRAGMA table_info({quoted})"))?;
    let names = info.query_map([], |row| row.get(1))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// Settings of the connection during the copy: rows with any content are copied, and views of other
/// programs are left alone.
struct Settings<'a>(&'a Connection);

impl<'a> Settings<'a> {
    fn begin(conn: &'a Connection) -> Result<Self> {
        let settings = Self(conn);
        conn.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA legacy_alter_table = ON")?;
        Ok(settings)
    }
}

impl Drop for Settings<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.execute_batch("PRAGMA ignore_check_constraints = OFF; PRAGMA legacy_alter_table = OFF") {
            log::error!("the connection keeps the settings of the upgrade: {error}");
        }
    }
}
