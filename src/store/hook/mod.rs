//! Hooks: which are to run, what became of them, and the rules of the configuration.
//!
//! The trigger `job_end_has_hooks` inserts a row in the transaction that ends a job. What the
//! worker does then is in [`delivery`].

pub mod delivery;

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::job::hook::{HookEvent, HookOutcome, HookRule};
use crate::job::{HookId, JobId, Reason, RunId, State};
use crate::store::engine::text::{maybe, text};
use crate::store::job::rows;

/// Most hooks of one job that are read.
const HOOKS_MAX: i64 = 1_000;

/// A row of `hook`. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub id: HookId,
    /// The job that ended, or the last one of the task.
    pub job: JobId,
    /// It tells the end of this task.
    pub task: Option<i64>,
    /// The rule of the configuration; `None`: the hook of the job, or of its task.
    pub rule: Option<String>,
    pub event: HookEvent,
    /// JSON.
    pub command: String,
    /// The end that it tells.
    pub state: State,
    pub reason: Option<Reason>,
    /// The run that ended the job; `None`: it never ran.
    pub run: Option<RunId>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub error: Option<String>,
    pub ended_at: i64,
    /// Its run that is in progress.
    pub auxiliary: Option<RunId>,
    /// Failed attempts.
    pub attempts: u32,
    pub next_at: i64,
    pub last_error: Option<String>,
    /// `None`: it is to run.
    pub outcome: Option<HookOutcome>,
    pub closed_at: Option<i64>,
}

impl Hook {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: HookId(row.get(0)?),
            job: rows::id(row, 1)?,
            rule: maybe(row, 2)?,
            event: rows::word(row, 3, HookEvent::parse)?.unwrap_or(HookEvent::OnEnd),
            command: text(row, 4)?,
            state: rows::state(row, 5)?,
            reason: rows::word(row, 6, Reason::parse)?,
            run: row.get::<_, Option<i64>>(7)?.map(RunId),
            exit_code: rows::small(row, 8)?,
            signal: rows::small(row, 9)?,
            error: maybe(row, 10)?,
            ended_at: row.get(11)?,
            auxiliary: row.get::<_, Option<i64>>(12)?.map(RunId),
            attempts: rows::count(row, 13)?,
            next_at: row.get(14)?,
            last_error: maybe(row, 15)?,
            outcome: rows::word(row, 16, HookOutcome::parse)?,
            closed_at: row.get(17)?,
            task: row.get(18)?,
        })
    }
}

/// Returns a hook.
pub fn one(conn: &Connection, id: HookId) -> Result<Option<Hook>> {
    let mut one = conn.prepare_cached(sql!("hook.sql", "one"))?;
    Ok(one.query_row([id.0], Hook::from_row).optional()?)
}

/// Returns the hooks of a job, the newest ones, oldest first.
pub fn of_job(conn: &Connection, job: JobId) -> Result<Vec<Hook>> {
    let mut all = conn.prepare_cached(sql!("hook.sql", "of_job"))?;
    let mut found: Vec<Hook> = all.query_map([job.0, HOOKS_MAX], Hook::from_row)?.collect::<rusqlite::Result<_>>()?;
    found.reverse();
    Ok(found)
}

/// Stores the rules of the configuration, in place of those that are stored. Returns whether that
/// changed something.
pub fn set_rules(conn: &Connection, rules: &[HookRule]) -> Result<bool> {
    let wanted: BTreeSet<Vec<Option<String>>> = rules.iter().map(values).collect();
    if stored(conn)? == wanted {
        return Ok(false);
    }
    conn.execute("DELETE FROM hook_rule", [])?;
    let mut insert = conn.prepare_cached(sql!("hook.sql", "rule"))?;
    for rule in &wanted {
        insert.execute(rusqlite::params_from_iter(rule))?;
    }
    Ok(true)
}

/// Whether the stored rules are others.
pub fn has_other_rules(conn: &Connection, rules: &[HookRule]) -> Result<bool> {
    Ok(stored(conn)? != rules.iter().map(values).collect())
}

/// Returns the rules as the columns of their rows.
fn stored(conn: &Connection) -> Result<BTreeSet<Vec<Option<String>>>> {
    let mut stored = conn.prepare_cached("SELECT name, event, command, queue, label, reasons FROM hook_rule")?;
    let rows = stored.query_map(params![], |row| (0..6).map(|at| maybe(row, at)).collect())?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn values(rule: &HookRule) -> Vec<Option<String>> {
    let reasons = (!rule.reasons.is_empty()).then(|| serde_json::json!(rule.reasons).to_string());
    vec![
        Some(rule.name.clone()),
        Some(rule.event.as_str().to_owned()),
        Some(rule.command.to_json()),
        rule.queue.clone(),
        rule.label.clone(),
        reasons,
    ]
}

/// Hooks that need the attention of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Those that are to run, or run.
    pub open: i64,
    /// Those of them that have failed so often that `status` tells.
    pub failing: i64,
}

/// Counts the hooks. The cost depends on the number that it returns.
pub fn counts(conn: &Connection) -> Result<Counts> {
    let mut counts = conn.prepare_cached(sql!("hook.sql", "counts"))?;
    Ok(counts
        .query_row([crate::job::limits::HOOK_FAILURES_TOLD], |row| Ok(Counts { open: row.get(0)?, failing: row.get(1)? }))?)
}

#[cfg(test)]
#[path = "hook_tests.rs"]
mod tests;
