//! Lists of jobs: a filter, and the statement that finds the newest jobs of each state that match
//! it in an index.

use std::ops::RangeInclusive;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::Result;
use crate::job::State;
use crate::store::job::rows::{Job, job_columns};

/// Most jobs in one list, unless the filter says less.
pub const JOBS_MAX: usize = 100_000;

/// Selects jobs. An empty or `None` field does not narrow the selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Empty: the live states, or every state with `all`.
    pub states: Vec<State>,
    pub all: bool,
    pub queue: Option<String>,
    pub label: Option<String>,
    pub ids: Vec<RangeInclusive<i64>>,
    /// Jobs of this user.
    pub owner: Option<u32>,
    /// Each is in the label or in the command; ASCII letters are of any case.
    pub words: Vec<String>,
    /// Ended, else started, else added at or after this instant, in milliseconds UTC.
    pub since_ms: Option<i64>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

/// Returns the newest jobs that match the filter, newest last.
pub fn jobs(conn: &Connection, filter: &Filter) -> Result<Vec<Job>> {
    let limit = filter.limit.unwrap_or(JOBS_MAX).min(JOBS_MAX);
    let mut found = Vec::new();
    // State by state, because each has its own range of the index, and the newest of each are
    // enough.
    for state in states(filter) {
        found.extend(jobs_in(conn, filter, state, limit, |job, _| Some(job))?);
    }
    found.sort_unstable_by_key(|job: &Job| job.id);
    found.drain(..found.len().saturating_sub(limit));
    Ok(found)
}

/// Returns the jobs to list: running jobs first, however many others there are, then the rest that
/// match the filter; each newest last. Also returns whether there are more.
pub fn listing(conn: &Connection, filter: &Filter) -> Result<(Vec<Job>, bool)> {
    listing_within(conn, filter, usize::MAX, |job| job)
}

/// The same, each job as it is shown, and of each state no more than about so many bytes.
pub fn listing_within(
    conn: &Connection,
    filter: &Filter,
    bytes_max: usize,
    shown: impl Fn(Job) -> Job,
) -> Result<(Vec<Job>, bool)> {
    let mut is_cut = false;
    let limit = filter.limit.unwrap_or(JOBS_MAX).min(JOBS_MAX);
    let (mut running, mut rest) = (Vec::new(), Vec::new());
    // One more of each than is listed shows whether there are more.
    for state in states(filter) {
        let found = jobs_in(conn, filter, state, limit.saturating_add(1), |job, bytes| {
            let job = shown(job);
            *bytes = bytes.saturating_add(job.text_bytes());
            is_cut |= *bytes > bytes_max;
            (*bytes <= bytes_max).then_some(job)
        })?;
        if state == State::Running { running.extend(found) } else { rest.extend(found) }
    }
    let more = is_cut || running.len() + rest.len() > limit;
    let newest = |jobs: &mut Vec<Job>, most: usize| {
        jobs.sort_unstable_by_key(|job| job.id);
        jobs.drain(..jobs.len().saturating_sub(most));
    };
    newest(&mut running, limit);
    newest(&mut rest, limit - running.len());
    running.append(&mut rest);
    Ok((running, more))
}

pub(super) fn states(filter: &Filter) -> Vec<State> {
    if !filter.states.is_empty() {
        let mut states = filter.states.clone();
        states.sort_unstable();
        states.dedup();
        return states;
    }
    // A caller that names a job means it in any state.
    if filter.all || !filter.ids.is_empty() { State::ALL.to_vec() } else { vec![State::Queued, State::Running] }
}

/// The condition of [`Filter::since_ms`].
const SINCE_LIVE: &str = " AND coalesce(job.started_at, job.created_at) >= ?";
const SINCE_ENDED: &str = " AND job.finished_at >= ?";

/// Reads jobs, the newest first, until `keep` takes no more; it may count bytes.
pub(super) fn jobs_in(
    conn: &Connection,
    filter: &Filter,
    state: State,
    limit: usize,
    mut keep: impl FnMut(Job, &mut usize) -> Option<Job>,
) -> Result<Vec<Job>> {
    let by_time = match filter.since_ms {
        Some(since_ms) if state.is_terminal() => are_few(conn, since_ms)?,
        _ => false,
    };
    let (sql, values) = statement_of(filter, state, limit, by_time);
    let mut jobs = conn.prepare(&sql)?;
    let mut rows = jobs.query(params_from_iter(values))?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let Some(job) = keep(Job::from_row(row)?, &mut bytes) else { break };
        found.push(job);
    }
    Ok(found)
}

/// Most jobs that are sorted to find the newest.
const SORTED_MAX: i64 = 100_000;

/// Whether few jobs have ended since an instant.
pub(super) fn are_few(conn: &Connection, since_ms: i64) -> Result<bool> {
    let mut ended = conn.prepare_cached(sql!("read.sql", "ended_many"))?;
    Ok(!ended.exists((since_ms, SORTED_MAX))?)
}

/// Returns the statement that finds the newest jobs in a state, and its values. `by_time`: among
/// those that ended lately.
fn statement_of(filter: &Filter, state: State, limit: usize, by_time: bool) -> (String, Vec<Value>) {
    // The time leads to few jobs, and they are sorted: a term with + is found by no index. Or it
    // leads to so many that the newest which match are found sooner by number.
    let plus = if by_time { "+" } else { "" };
    let mut sql = concat!("SELECT ", job_columns!(), " FROM job WHERE ").to_owned();
    sql.push_str(&format!("{plus}job.state = '{}'", state.as_str()));
    if state != State::Done {
        // The indexes on the state and on the queue have these conditions.
        sql.push_str(" AND job.state <> 'done'");
        if filter.queue.is_some() && state != State::Running {
            sql.push_str(" AND job.state <> 'running'");
        }
    }
    let mut values = Vec::new();
    let owner = filter.owner.map(|uid| Value::from(i64::from(uid)));
    let text = |text: &Option<String>| text.clone().map(Value::from);
    for (column, wanted) in [("queue", text(&filter.queue)), ("label", text(&filter.label)), ("owner", owner)] {
        if let Some(wanted) = wanted {
            sql.push_str(&format!(" AND {plus}job.{column} = ?"));
            values.push(wanted);
        }
    }
    if !filter.ids.is_empty() {
        let ranges = vec!["job.id BETWEEN ? AND ?"; filter.ids.len()].join(" OR ");
        sql.push_str(&format!(" AND ({ranges})"));
        values.extend(filter.ids.iter().flat_map(|range| [Value::from(*range.start()), Value::from(*range.end())]));
    }
    for word in &filter.words {
        sql.push_str(r" AND (job.label LIKE ? ESCAPE '\' OR job.command LIKE ? ESCAPE '\')");
        // The command is JSON.
        let json = serde_json::Value::from(word.as_str()).to_string();
        let in_json = Value::from(like(&json[1..json.len() - 1]));
        values.extend([Value::from(like(word)), in_json]);
    }
    if let Some(since_ms) = filter.since_ms {
        sql.push_str(if state.is_terminal() { SINCE_ENDED } else { SINCE_LIVE });
        values.push(Value::from(since_ms));
    }
    sql.push_str(&format!(" ORDER BY {plus}job.id DESC LIMIT {limit}"));
    (sql, values)
}

/// Returns the pattern of a text that contains this one.
fn like(text: &str) -> String {
    format!("%{}%", text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_"))
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
