//! Names and numbers that begin with a text, for the completion of a command line.
//!
//! A shell asks while a person types, of a file that may be any file, and shows no error. So the
//! file is opened in a way of its own: nothing is created, no lock is waited for longer than a
//! moment, every question is answered from an index, and all of it is given up after a while.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Params};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::connection::{self, Access};
use crate::store::engine::options::Durability;
use crate::store::engine::path;
use crate::store::engine::text::{maybe, text};
use crate::store::file::identity::{Identity, identify};

/// Most values of one answer.
pub const VALUES_MAX: usize = 200;
/// Longest wait for a lock, in milliseconds.
const BUSY_MS: u64 = 50;
/// After this time a question is given up, in milliseconds.
const ANSWER_MS: u64 = 300;
/// Steps of SQLite's machine between two looks at the time.
const STEPS: i32 = 1_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Jobs by number, those of the first state first; of no state: any job.
    Jobs(&'static [&'static str]),
    /// Queued jobs that a person holds.
    HeldJobs,
    /// Resources by number; `true`: those that are not released.
    Resources {
        live: bool,
    },
    /// Tasks by number; `true`: those that are running.
    Tasks {
        live: bool,
    },
    Labels,
    Queues,
    Lanes,
    Pools,
    Leases,
    Workspaces,
    Schedules,
    Pipelines,
    /// The stages of the pipeline of a task.
    Stages {
        task: i64,
    },
}

/// One value, with a word about it for a shell that shows such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub value: String,
    pub about: String,
}

/// Returns what begins with a text: numbers the newest first, names in their order.
///
/// # Errors
/// When the file cannot be used, or does not answer in time.
pub fn values(file: &Path, subject: Subject, begin: &str) -> Result<Vec<Suggestion>> {
    let conn = open(&path::find(file)?)?;
    if identify(&conn)? != Identity::Ours {
        return Err(Error::File("the file is not of this version".into()));
    }
    connection::snapshot(&conn, |conn| ask(conn, subject, begin))
}

/// SQLite makes the log and its index also for a reader. Without a log, the file is read as one
/// that does not change, which it is until another process opens it.
fn open(place: &Place) -> Result<Connection> {
    let how = if place.wal().exists() { "readonly_shm=1" } else { "immutable=1" };
    let mut uri = "file:".to_owned();
    for byte in place.db().as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            byte => _ = write!(uri, "%{byte:02X}"),
        }
    }
    _ = write!(uri, "?mode=ro&{how}");
    let flags = connection::flags(Access::Read) | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(uri, flags)?;
    let until = Instant::now() + Duration::from_millis(ANSWER_MS);
    conn.progress_handler(STEPS, Some(move || Instant::now() > until))?;
    connection::prepare(&conn, Access::Read, Durability::Flush)?;
    conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
    Ok(conn)
}

fn ask(conn: &Connection, subject: Subject, begin: &str) -> Result<Vec<Suggestion>> {
    match subject {
        Subject::Jobs(&[]) => numbers(conn, sql!("suggest.sql", "jobs"), None, begin),
        Subject::Jobs(states) => numbers_in(conn, sql!("suggest.sql", "jobs_in_state"), states, begin),
        Subject::HeldJobs => numbers(conn, sql!("suggest.sql", "held"), None, begin),
        Subject::Resources { live: true } => {
            numbers_in(conn, sql!("suggest.sql", "resources_in_state"), &["held", "releasing"], begin)
        }
        Subject::Resources { live: false } => numbers(conn, sql!("suggest.sql", "resources"), None, begin),
        Subject::Tasks { live: true } => numbers(conn, sql!("suggest.sql", "running_tasks"), None, begin),
        Subject::Tasks { live: false } => numbers(conn, sql!("suggest.sql", "tasks"), None, begin),
        Subject::Labels => names(conn, sql!("suggest.sql", "labels"), begin),
        Subject::Pipelines => names(conn, sql!("suggest.sql", "pipelines"), begin),
        Subject::Stages { task } => stages(conn, task, begin),
        Subject::Queues => names(conn, "SELECT name FROM queue WHERE name >= ?1 ORDER BY name LIMIT ?2", begin),
        Subject::Lanes => names(conn, "SELECT key FROM lane WHERE key >= ?1 AND of_array = 0 ORDER BY key LIMIT ?2", begin),
        Subject::Pools => names(conn, "SELECT name FROM pool WHERE name >= ?1 ORDER BY name LIMIT ?2", begin),
        Subject::Leases => names(conn, "SELECT name FROM lease WHERE name >= ?1 ORDER BY name LIMIT ?2", begin),
        Subject::Workspaces => names(conn, "SELECT key FROM workspace WHERE key >= ?1 ORDER BY key LIMIT ?2", begin),
        Subject::Schedules => names(conn, "SELECT name FROM schedule WHERE name >= ?1 ORDER BY name LIMIT ?2", begin),
    }
}

fn names(conn: &Connection, sql: &str, begin: &str) -> Result<Vec<Suggestion>> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query((begin, VALUES_MAX as i64))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let value = text(row, 0)?;
        if !value.starts_with(begin) {
            break;
        }
        found.push(Suggestion { value, about: String::new() });
    }
    Ok(found)
}

/// The description of a pipeline has a key for each stage.
fn stages(conn: &Connection, task: i64, begin: &str) -> Result<Vec<Suggestion>> {
    let spec: Option<String> = conn.prepare(sql!("suggest.sql", "stages"))?.query_row([task], |row| text(row, 0)).optional()?;
    let spec: Value = spec.and_then(|spec| serde_json::from_str(&spec).ok()).unwrap_or_default();
    let mut names: Vec<&String> = spec["stages"].as_object().into_iter().flat_map(|stages| stages.keys()).collect();
    names.sort_unstable();
    let found = names.into_iter().filter(|name| name.starts_with(begin)).take(VALUES_MAX);
    Ok(found.map(|name| Suggestion { value: name.clone(), about: String::new() }).collect())
}

fn numbers_in(conn: &Connection, sql: &str, states: &[&str], begin: &str) -> Result<Vec<Suggestion>> {
    let mut found = Vec::new();
    for state in states {
        found.extend(numbers(conn, sql, Some(state), begin)?);
    }
    found.truncate(VALUES_MAX);
    Ok(found)
}

/// The numbers that begin with these digits are a range for each count of digits.
fn numbers(conn: &Connection, sql: &str, state: Option<&str>, begin: &str) -> Result<Vec<Suggestion>> {
    let mut statement = conn.prepare(sql)?;
    let mut found = Vec::new();
    for (first, last) in ranges(begin) {
        let most = i64::try_from(VALUES_MAX - found.len()).unwrap_or(0);
        match state {
            Some(state) => read(&mut statement, (state, first, last, most), &mut found)?,
            None => read(&mut statement, (first, last, most), &mut found)?,
        }
        if found.len() >= VALUES_MAX {
            break;
        }
    }
    Ok(found)
}

fn read(statement: &mut rusqlite::Statement<'_>, params: impl Params, found: &mut Vec<Suggestion>) -> Result<()> {
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let (id, state, name): (i64, String, Option<String>) = (row.get(0)?, text(row, 1)?, maybe(row, 2)?);
        let name = name.map(|name| format!(" {name}")).unwrap_or_default();
        found.push(Suggestion { value: id.to_string(), about: format!("{state}{name}") });
    }
    Ok(())
}

/// The ranges of numbers that begin with these digits, the highest first.
fn ranges(begin: &str) -> Vec<(i64, i64)> {
    if begin.is_empty() {
        return vec![(1, i64::MAX)];
    }
    let digits = begin.bytes().all(|b| b.is_ascii_digit()) && !begin.starts_with('0');
    let Some(first) = begin.parse::<i64>().ok().filter(|_| digits) else { return Vec::new() };
    let longer = std::iter::successors(Some((first, first)), |(low, high)| {
        Some((low.checked_mul(10)?, high.checked_mul(10)?.checked_add(9)?))
    });
    let mut ranges: Vec<(i64, i64)> = longer.collect();
    ranges.reverse();
    ranges
}

#[cfg(test)]
#[path = "suggest_tests.rs"]
mod tests;
