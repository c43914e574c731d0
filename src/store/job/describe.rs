//! The description of a job that is in the file, and changes of a queued one.

use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::job::{JobId, NewJob, Placement, check};
use crate::store::job::control::{self, Changed};
use crate::store::job::insert;
use crate::store::job::read::{self, existing};
use crate::store::job::rows::Job;

/// Returns the description of a job, as it could be added again.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] if another program wrote something that is not a job.
pub fn of(conn: &Connection, id: JobId) -> Result<NewJob> {
    let row = existing(conn, id)?;
    let after = read::dependencies(conn, id)?.into_iter().map(|one| (one.on, one.need)).collect();
    describe(&row, after).map_err(|why| Error::Refused(format!("job {id} cannot be described: {why}")))
}

fn describe(row: &Job, after: Vec<(JobId, crate::job::Need)>) -> Result<NewJob, String> {
    if let Some(fault) = &row.unreadable {
        return Err(fault.clone());
    }
    let env = serde_json::from_str(&row.env).map_err(|_| "env: it is not a JSON object of strings".to_owned())?;
    Ok(NewJob {
        command: row.argv().map_err(|e| e.to_string())?,
        placement: Placement {
            queue: row.queue.clone(),
            lane: row.lane.clone(),
            priority: row.priority,
            slots: row.slots,
            uses: row.uses(),
            label: row.label.clone(),
            cwd: row.cwd.clone(),
            max_attempts: row.max_attempts,
            unique_key: row.unique_key.clone(),
            replace: false,
            env,
            user_hold: row.user_hold,
        },
        policy: row.policy()?,
        lane_limit: None,
        available_at: row.available_at,
        expires_at: row.expires_at,
        array_index: row.array_index,
        stop_group: None,
        after,
        task: row.task_id,
        task_hold: row.task_hold,
        owner: row.owner,
    })
}

/// Gives a queued job another description; the gate is its state. What makes it this job stays: its
/// number, its attempts, its task, its array index. It records which parts have changed. A job that
/// has no attempts left after the change ends.
///
/// # Errors
/// [`Error::Refused`] when it is not queued any more, when `was` is not its description any more,
/// or when another live job has the unique key; [`Error::Invalid`] for invalid arguments.
pub fn change(conn: &Connection, id: JobId, was: &NewJob, wanted: &NewJob, now_ms: i64) -> Result<Changed> {
    let job = control::queued(conn, id, "changed")?;
    if of(conn, id)? != *was {
        return Err(Error::Refused(format!("job {id} was changed meanwhile; look at it again: tenure show {id}")));
    }
    check::of_row(wanted).map_err(|refusal| Error::Invalid(refusal.to_string()))?;
    let parts = parts(was, wanted);
    if parts.is_empty() {
        return Ok(Changed::default());
    }
    refuse_taken_key(conn, id, was, wanted)?;
    let placement = &wanted.placement;
    control::make_queue(conn, &placement.queue)?;
    insert::check_pools(conn, &placement.uses)?;
    let changed = conn.prepare_cached(sql!("describe.sql", "change"))?.execute(params![
        id.0,
        wanted.command.to_json(),
        placement.queue,
        placement.lane,
        placement.priority,
        placement.label,
        placement.cwd,
        wanted.available_at,
        placement.max_attempts,
        wanted.expires_at,
        placement.unique_key,
        serde_json::json!(placement.env).to_string(),
        wanted.policy.to_json(),
        placement.user_hold,
        placement.slots,
        insert::uses_json(&placement.uses),
    ])?;
    if changed == 0 {
        return Err(Error::Refused(format!("job {id} is not queued any more; tenure show {id}")));
    }
    if was.after != wanted.after {
        replace_dependencies(conn, id, wanted)?;
    }
    conn.prepare_cached(sql!("describe.sql", "event"))?.execute((id.0, parts.join(", ")))?;
    control::end_if_no_attempt_is_left(conn, &job, placement.max_attempts, now_ms)
}

/// Checks that a job can be changed.
///
/// # Errors
/// [`Error::Refused`] if it is not queued, with the remedy.
pub fn changeable(conn: &Connection, id: JobId) -> Result<()> {
    control::queued(conn, id, "changed").map(drop)
}

fn refuse_taken_key(conn: &Connection, id: JobId, was: &NewJob, wanted: &NewJob) -> Result<()> {
    let Some(key) = wanted.placement.unique_key.as_ref().filter(|key| was.placement.unique_key.as_ref() != Some(*key)) else {
        return Ok(());
    };
    let mut live = conn.prepare_cached(sql!("describe.sql", "key"))?;
    let other = live.query_map((key, id.0), |row| row.get::<_, i64>(0))?.next().transpose()?;
    match other {
        Some(other) => Err(Error::Refused(format!("job {other} is live and has the unique key {key:?}; tenure show {other}"))),
        None => Ok(()),
    }
}

fn replace_dependencies(conn: &Connection, id: JobId, wanted: &NewJob) -> Result<()> {
    if let Some((other, _)) = wanted.after.iter().find(|(other, _)| other.0 >= id.0) {
        return Err(Error::Invalid(format!("job {id} cannot wait for job {other}: a job waits only for jobs added before it")));
    }
    conn.prepare_cached("DELETE FROM dependency WHERE job_id = ?1")?.execute([id.0])?;
    conn.prepare_cached("UPDATE job SET unmet = 0, broken = 0 WHERE id = ?1 AND (unmet, broken) IS NOT (0, 0)")?
        .execute([id.0])?;
    for (on, need) in &wanted.after {
        existing(conn, *on)?;
        conn.prepare_cached("INSERT INTO dependency (job_id, on_job, need) VALUES (?1, ?2, ?3)")?.execute((
            id.0,
            on.0,
            need.as_str(),
        ))?;
    }
    Ok(())
}

/// Returns the names of the parts that differ.
fn parts(was: &NewJob, is: &NewJob) -> Vec<&'static str> {
    let (a, b) = (&was.placement, &is.placement);
    let all = [
        ("command", was.command != is.command),
        ("queue", a.queue != b.queue),
        ("lane", a.lane != b.lane),
        ("priority", a.priority != b.priority),
        ("slots", a.slots != b.slots),
        ("use", a.uses != b.uses),
        ("label", a.label != b.label),
        ("cwd", a.cwd != b.cwd),
        ("retries", a.max_attempts != b.max_attempts),
        ("unique", a.unique_key != b.unique_key),
        ("env", a.env != b.env),
        ("hold", a.user_hold != b.user_hold),
        ("start", was.available_at != is.available_at),
        ("expires", was.expires_at != is.expires_at),
        ("after", was.after != is.after),
        ("policy", was.policy != is.policy),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Records that a job was made like another one.
pub fn made_like(conn: &Connection, new: JobId, other: JobId) -> Result<()> {
    conn.prepare_cached("INSERT INTO event (job_id, kind, detail) VALUES (?1, 'copied', ?2)")?
        .execute((new.0, format!("job {other}")))?;
    Ok(())
}
