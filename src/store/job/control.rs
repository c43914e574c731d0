//! What a person requests: cancel, hold, release, set, and the settings of queues and lanes.
//!
//! Each refusal says why and what to do instead.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Error, Result};
use crate::job::{JobId, Policy, Reason, RunId, State, check, names, nearest};
use crate::store::engine::text::Key;
use crate::store::job::cancel;
use crate::store::job::ended;
use crate::store::job::launched;
use crate::store::job::read;
use crate::store::job::read::existing;
use crate::store::job::retry;
use crate::store::job::retry::WayBack;
use crate::store::job::rows::Job;
use crate::store::pipeline::advance;

pub use crate::store::job::cancel::{Cancelled, open_cancels};

/// Cancels a job: a queued job ends immediately; for a running one the request is recorded.
///
/// # Errors
/// [`Error::NotFound`].
pub fn cancel(conn: &Connection, id: JobId, why: Option<&str>, now_ms: i64) -> Result<Cancelled> {
    cancel::cancel(conn, id, why, now_ms, advance::job_ended)
}

/// Keeps a queued job from starting until it is released. False: it was held already.
pub fn hold(conn: &Connection, id: JobId) -> Result<bool> {
    queued(conn, id, "held")?;
    let mut hold = conn.prepare_cached("UPDATE job SET user_hold = 1 WHERE id = ?1 AND state = 'queued' AND user_hold = 0")?;
    Ok(hold.execute([id.0])? > 0)
}

/// Releases a person's hold on a queued job. Other holds stay. False: no person held it.
pub fn release(conn: &Connection, id: JobId) -> Result<bool> {
    queued(conn, id, "released")?;
    let mut release = conn.prepare_cached("UPDATE job SET user_hold = 0 WHERE id = ?1 AND state = 'queued' AND user_hold = 1")?;
    Ok(release.execute([id.0])? > 0)
}

/// Changes of a queued job; `None` leaves a value as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub priority: Option<i64>,
    pub queue: Option<String>,
    pub label: Option<Option<String>>,
    /// Does not start before this instant, in milliseconds UTC; 0 = immediately.
    pub available_at: Option<i64>,
    /// In milliseconds UTC.
    pub expires_at: Option<Option<i64>>,
    pub timeout_ms: Option<Option<u64>>,
    pub max_attempts: Option<u32>,
}

/// Result of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// It was waiting for another attempt and has none left: it has ended as its latest run did.
    pub ended: bool,
    /// Names of files in `secrets/` that no live job needs now.
    pub freed: Vec<String>,
}

/// Changes a queued job. A job that has no attempts left after the change ends.
///
/// # Errors
/// [`Error::Refused`] when it is not queued any more, [`Error::Invalid`] for invalid arguments.
pub fn set(conn: &Connection, id: JobId, change: &Change, now_ms: i64) -> Result<Changed> {
    let job = queued(conn, id, "changed")?;
    if let Some(queue) = &change.queue {
        make_queue(conn, queue)?;
    }
    if change.available_at.is_some_and(|at| at < 0) || change.expires_at.flatten().is_some_and(|at| at < 0) {
        return Err(Error::Invalid("a time before 1970 is not allowed".into()));
    }
    change.max_attempts.map_or(Ok(()), check::attempts).map_err(|why| Error::Invalid(format!("retries: {why}")))?;
    let policy = change.timeout_ms.map(|timeout_ms| with_timeout(&job, timeout_ms)).transpose()?;
    conn.prepare_cached(sql!("control.sql", "set"))?.execute(params![
        id.0,
        change.priority,
        change.queue,
        change.label.is_some(),
        change.label.as_ref().and_then(Option::as_deref),
        change.available_at,
        change.expires_at.is_some(),
        change.expires_at.flatten(),
        change.max_attempts,
        policy,
    ])?;
    match change.max_attempts {
        Some(most) => end_if_no_attempt_is_left(conn, &job, most, now_ms),
        None => Ok(Changed::default()),
    }
}

/// Ends a job that was waiting for another attempt, if the new number of attempts allows none.
pub(in crate::store) fn end_if_no_attempt_is_left(conn: &Connection, job: &Job, most: u32, now_ms: i64) -> Result<Changed> {
    if job.attempts == 0 || most > job.attempts { Ok(Changed::default()) } else { end_without_attempts(conn, job, now_ms) }
}

/// Ends a queued job as its latest run did.
fn end_without_attempts(conn: &Connection, job: &Job, now_ms: i64) -> Result<Changed> {
    conn.prepare_cached(sql!("control.sql", "latest_end"))?.execute([job.id.0])?;
    let reason = job.last_reason.unwrap_or(Reason::Lost);
    let error = job.error.clone().unwrap_or_else(|| "no attempt is left".to_owned());
    let mut out = advance::aftermath();
    let ended = ended::end_queued(conn, job.id, reason, &error, now_ms, &mut out)?;
    Ok(Changed { ended, freed: out.freed })
}

fn with_timeout(job: &Job, timeout_ms: Option<u64>) -> Result<String> {
    let mut policy = job.policy().map_err(Error::Refused)?;
    policy.timeout_ms = timeout_ms;
    policy.check_ranges().map_err(Error::Invalid)?;
    Ok(Policy::to_json(&policy))
}

/// Settings of a queue. `None` leaves one as it is, an inner `None` removes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueSettings {
    pub slots: Option<Option<i64>>,
    pub max_runtime_ms: Option<Option<u64>>,
    pub pauses_on_failure: Option<bool>,
    /// What gives its jobs to another engine.
    pub launcher: Option<Option<String>>,
    /// What that is told with each job, by name; an inner `None` removes one.
    pub launcher_options: BTreeMap<String, Option<String>>,
}

/// Changes the settings of a queue, which is created if needed.
pub fn queue_set(conn: &Connection, name: &str, to: &QueueSettings) -> Result<()> {
    let QueueSettings { slots, max_runtime_ms, pauses_on_failure, launcher, launcher_options } = to;
    let name = &queue_key(conn, name)?;
    if slots.flatten().is_some_and(|slots| slots < 0) {
        return Err(Error::Invalid("slots are not negative; to stop a queue, pause it".into()));
    }
    if max_runtime_ms.flatten() == Some(0) {
        return Err(Error::Invalid("a max-runtime of 0 would stop every job at once; to stop a queue, pause it".into()));
    }
    launched::set_slots_and_launcher(conn, name, *slots, launcher.as_ref().map(Option::as_deref), launcher_options)?;
    if let Some(max_runtime_ms) = *max_runtime_ms {
        let ms = max_runtime_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        conn.execute("UPDATE queue SET max_runtime_ms = ?2 WHERE name = ?1", (name, ms))?;
    }
    if let Some(pauses) = pauses_on_failure {
        let word = if *pauses { "pause" } else { "none" };
        conn.execute("UPDATE queue SET on_failure = ?2 WHERE name = ?1", (name, word))?;
    }
    Ok(())
}

/// Pauses the claims of a queue, which is created if needed, or resumes them. Running jobs
/// continue. A queue that does not exist is not paused: its row goes with its last job.
pub fn queue_pause(conn: &Connection, name: &str, paused: bool) -> Result<()> {
    let name = &if paused {
        queue_key(conn, name)?
    } else {
        check_name(name, "a queue's name")?;
        let Some(key) = shown_as(conn, "SELECT name FROM queue", name)? else { return Ok(()) };
        key
    };
    conn.execute("UPDATE queue SET paused = ?2 WHERE name = ?1", (name, paused))?;
    Ok(())
}

/// Pauses the claims of all queues, also of those that are made later, or ends that pause: each
/// queue is as it was then. False: it was so already.
pub fn pause_all(conn: &Connection, paused: bool, now_ms: i64) -> Result<bool> {
    let changed = match paused {
        true => conn.execute("INSERT INTO pause (at) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM pause)", [now_ms.max(0)])?,
        false => conn.execute("DELETE FROM pause", [])?,
    };
    Ok(changed > 0)
}

/// Sets how many jobs of a lane may run at once; the lane is created if needed. Running jobs
/// continue.
pub fn lane_set(conn: &Connection, key: &str, max_running: i64) -> Result<()> {
    check_name(key, "a lane's key")?;
    if max_running < 1 {
        return Err(Error::Invalid("max_running of a lane is at least 1; to stop its jobs, hold them".into()));
    }
    let key = match shown_as(conn, "SELECT key FROM lane", key)? {
        Some(key) => key,
        None => {
            conn.execute("INSERT OR IGNORE INTO lane (key) VALUES (?1)", [key])?;
            Key::of(key)
        }
    };
    conn.execute("UPDATE lane SET max_running = ?2 WHERE key = ?1", (key, max_running))?;
    Ok(())
}

/// Deletes a queue with its settings. The next job that names it creates it again.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] while live jobs are in it.
pub fn queue_remove(conn: &Connection, name: &str) -> Result<()> {
    let key = known_queue(conn, name)?;
    refuse_if_in_use(conn, sql!("control.sql", "live_in_queue"), &key, "queue")?;
    conn.execute("DELETE FROM tally WHERE queue = ?1 AND n = 0", [&key])?;
    conn.execute("DELETE FROM queue WHERE name = ?1", [&key])?;
    Ok(())
}

fn known_queue(conn: &Connection, name: &str) -> Result<Key> {
    if let Some(key) = shown_as(conn, "SELECT name FROM queue", name)? {
        return Ok(key);
    }
    let meant = question(name, read::queues(conn)?.into_iter().map(|queue| queue.name));
    Err(Error::NotFound(format!("there is no queue {name:?}; tenure queue ls lists them{meant}")))
}

/// Suggests the name that was most likely meant.
fn question(word: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    nearest::question(word, names.iter().map(String::as_str))
}

/// Deletes a lane with its limit. The next job that names it creates it again.
///
/// # Errors
/// As [`queue_remove`].
pub fn lane_remove(conn: &Connection, key: &str) -> Result<()> {
    let found = shown_as(conn, "SELECT key FROM lane", key)?;
    let Some(key) = found else {
        let meant = question(key, read::lanes(conn)?.into_iter().map(|lane| lane.key));
        return Err(Error::NotFound(format!("there is no lane {key:?}; tenure lane ls lists them{meant}")));
    };
    refuse_if_in_use(
        conn,
        "SELECT count(*) FROM job WHERE lane = ?1 AND state IN ('queued', 'running') AND state <> 'done'",
        &key,
        "lane",
    )?;
    conn.execute("DELETE FROM lane WHERE key = ?1", [&key])?;
    Ok(())
}

fn refuse_if_in_use(conn: &Connection, count: &str, key: &Key, what: &str) -> Result<()> {
    match conn.query_row(count, [key], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        n => Err(Error::Refused(format!(
            "{what} {:?} has {n} live {}; wait for them, or end them with tenure cancel",
            key.shown(),
            if n == 1 { "job" } else { "jobs" }
        ))),
    }
}

/// Returns the queue of that name, which is created if needed.
fn queue_key(conn: &Connection, name: &str) -> Result<Key> {
    if let Some(key) = shown_as(conn, "SELECT name FROM queue", name)? {
        return Ok(key);
    }
    make_queue(conn, name)?;
    Ok(Key::of(name))
}

/// Returns the name in the file that is shown as this text: the text itself, or a name with bytes
/// that are not UTF-8, which a person cannot type.
fn shown_as(conn: &Connection, names: &str, text: &str) -> Result<Option<Key>> {
    let mut all = conn.prepare(names)?;
    if !text.contains(char::REPLACEMENT_CHARACTER) {
        let column = if names.contains("lane") { "key" } else { "name" };
        let mut same = conn.prepare_cached(&format!("{names} WHERE {column} = ?1"))?;
        return Ok(same.query_row([text], |row| row.get(0)).optional()?);
    }
    let all: Vec<Key> = all.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let exact = all.iter().find(|key| key.is(text)).cloned();
    Ok(exact.or_else(|| all.into_iter().find(|key| key.shown() == text)))
}

/// Records the progress of a run. False: the run no longer owns the job.
pub fn progress(
    conn: &Connection,
    job: JobId,
    run: RunId,
    percent: Option<f64>,
    text: Option<&str>,
    now_ms: i64,
) -> Result<bool> {
    let json = serde_json::json!({ "percent": percent, "text": text, "at": now_ms }).to_string();
    let mut note = conn.prepare_cached("UPDATE job SET progress = ?3 WHERE id = ?1 AND state = 'running' AND run_id = ?2")?;
    Ok(note.execute((job.0, run.0, json))? > 0)
}

pub(in crate::store) fn make_queue(conn: &Connection, name: &str) -> Result<()> {
    check_name(name, "a queue's name")?;
    conn.prepare_cached("INSERT OR IGNORE INTO queue (name) VALUES (?1)")?.execute([name])?;
    Ok(())
}

fn check_name(name: &str, what: &str) -> Result<()> {
    names::name(name).map_err(|why| Error::Invalid(format!("{what}: {why}")))
}

pub(in crate::store) fn queued(conn: &Connection, id: JobId, what: &str) -> Result<Job> {
    let job = existing(conn, id)?;
    match job.state {
        State::Queued => Ok(job),
        State::Running => {
            let may_stop = what == "held" && !job.cancel_open;
            let stops = if may_stop { format!("tenure suspend {id} stops it for a while, ") } else { String::new() };
            Err(Error::Refused(format!(
                "job {id} is running, only a queued job can be {what}; {stops}tenure cancel {id} ends it"
            )))
        }
        state => {
            let remedy = match (state, retry::way_back(conn, &job)?) {
                (State::Done, _) => "to run it once more, add it again with tenure add".to_owned(),
                (_, WayBack::Retry) => format!("tenure retry {id} returns it to the queue"),
                (_, WayBack::With { command, .. }) => format!("{command} returns it to the queue"),
                (_, WayBack::Refused(why)) => why,
            };
            Err(Error::Refused(format!("job {id} has ended ({state}), only a queued job can be {what}; {remedy}")))
        }
    }
}
