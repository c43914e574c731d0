//! The jobs of users who do not own the file: how many each has, and what they may wait for.

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::job::{JobId, NewJob, RunId, State};
use crate::store::job::rows;

/// Most runs, and most events, of a job that its user may still run or change again.
pub const ROWS_MAX: i64 = 1_000;

/// Returns the owner of a job; the inner `None` is the owner of the file.
///
/// # Errors
/// [`Error::NotFound`].
pub fn owner(conn: &Connection, id: JobId) -> Result<Option<u32>> {
    let mut owner = conn.prepare_cached(sql!("owned.sql", "owner"))?;
    let found: Option<Option<i64>> = owner.query_row([id.0], |row| row.get(0)).optional()?;
    let found = found.ok_or_else(|| Error::NotFound(format!("there is no job {id}")))?;
    Ok(found.map(|uid| u32::try_from(uid).unwrap_or(u32::MAX)))
}

/// Refuses jobs that would be more than their user may have: `queued` in the queue, `kept` in the
/// file.
///
/// # Errors
/// [`Error::Refused`], with the numbers and the remedy.
pub fn refuse_more(conn: &Connection, uid: u32, new: usize, queued: u32, kept: u32) -> Result<()> {
    let count = |sql: &str| -> Result<i64> { Ok(conn.prepare_cached(sql)?.query_row([uid], |row| row.get(0))?) };
    let new = i64::try_from(new).unwrap_or(i64::MAX);
    let of_queued = count(sql!("owned.sql", "queued"))?;
    if of_queued.saturating_add(new) > i64::from(queued) {
        return Err(Error::Refused(format!(
            "{of_queued} of your jobs are queued, and with {new} more that would be above {queued}, the limit of each user; wait for some, or cancel them"
        )));
    }
    let of_kept = count(sql!("owned.sql", "kept"))?;
    if of_kept.saturating_add(new) > i64::from(kept) {
        return Err(Error::Refused(format!(
            "{of_kept} of your jobs are recorded, and with {new} more that would be above {kept}, the limit of each user; remove ended ones: tenure --system rm ID..."
        )));
    }
    Ok(())
}

/// Refuses dependencies on jobs that are not the user's: an end of another user's job would be
/// known by what follows it.
///
/// # Errors
/// [`Error::NotFound`], the same for a job that does not exist.
pub fn refuse_dependencies_of_others(conn: &Connection, uid: u32, jobs: &[NewJob]) -> Result<()> {
    for (id, _) in jobs.iter().flat_map(|job| &job.after) {
        let is_own = match owner(conn, *id) {
            Ok(owner) => owner == Some(uid),
            Err(Error::NotFound(_)) => false,
            Err(error) => return Err(error),
        };
        if !is_own {
            return Err(Error::NotFound(format!("you have no job {id} to wait for; tenure --system ls -a lists the jobs")));
        }
    }
    Ok(())
}

/// Refuses to change a job again that has been run or changed so often: each time adds rows, which
/// stay until the job is removed.
///
/// # Errors
/// [`Error::Refused`], with the remedy.
pub fn refuse_endless(conn: &Connection, id: JobId) -> Result<()> {
    let often: bool = conn.prepare_cached(sql!("owned.sql", "often"))?.query_row((id.0, ROWS_MAX), |row| row.get(0))?;
    if often {
        return Err(Error::Refused(format!(
            "job {id} has been run or changed {ROWS_MAX} times; add it again, and remove this one"
        )));
    }
    Ok(())
}

/// Makes a lane with this limit, unless it exists.
pub fn make_lane(conn: &Connection, key: &str, limit: u32) -> Result<()> {
    conn.prepare_cached(sql!("owned.sql", "lane"))?.execute((key, limit.max(1)))?;
    Ok(())
}

/// Returns what another user sees of a job: its number, owner, queue, label, state and times. They
/// are copied one by one, so that a new column is not among them.
pub fn outline(job: rows::Job) -> rows::Job {
    let rows::Job { id, owner, queue, label, state, created_at, started_at, finished_at, cancel_open, .. } = job;
    rows::Job {
        id,
        owner,
        queue,
        label,
        // As its owner sees it: a queued job that is being cancelled never starts.
        state: if cancel_open && state == State::Queued { State::Cancelled } else { state },
        created_at,
        started_at,
        finished_at,
        command: "null".into(),
        hold: None,
        reason: None,
        lane: None,
        priority: 0,
        cwd: String::new(),
        available_at: 0,
        run_id: None,
        pid: None,
        attempts: 0,
        max_attempts: 1,
        expires_at: None,
        unique_key: None,
        array_index: None,
        env: "{}".into(),
        policy: "{}".into(),
        deferrals: 0,
        failed_starts: 0,
        last_reason: None,
        exit_code: None,
        signal: None,
        error: None,
        progress: None,
        result: None,
        user_hold: false,
        task_id: None,
        task_hold: false,
        unmet: 0,
        broken: 0,
        due_seen: 0,
        lane_pass: false,
        stops_array: false,
        slots: 1,
        uses: None,
        suspension: None,
        cancel_open: false,
        unreadable: None,
    }
}

/// Counts the jobs of a user by state.
pub fn counts(conn: &Connection, uid: u32) -> Result<Vec<(State, i64)>> {
    let mut counts = conn.prepare_cached(sql!("owned.sql", "counts"))?;
    let rows = counts.query_map([uid], |row| Ok((rows::state(row, 0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns runs of the jobs of a user, at most so many; their logs are there until the jobs are
/// removed.
pub fn runs(conn: &Connection, uid: u32, most: usize) -> Result<Vec<RunId>> {
    let mut runs = conn.prepare_cached(sql!("owned.sql", "runs"))?;
    let rows = runs.query_map((uid, i64::try_from(most).unwrap_or(i64::MAX)), |row| row.get(0).map(RunId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Argv, Need};
    use crate::store::fixture;
    use crate::store::job::enqueue;

    fn of(owner: Option<u32>) -> NewJob {
        NewJob { owner, ..NewJob::new(Argv::from_strs(&["true"]).unwrap()) }
    }

    #[test]
    fn each_user_is_counted_alone() {
        let conn = fixture::fresh();
        let jobs = [of(None), of(Some(7)), of(Some(7)), of(Some(8))];
        let added = enqueue::add(&conn, &jobs, 1).unwrap();
        assert_eq!(added.iter().map(|one| owner(&conn, one.id).unwrap()).collect::<Vec<_>>(), [None, Some(7), Some(7), Some(8)]);
        assert!(refuse_more(&conn, 7, 1, 3, 3).is_ok());
        assert!(matches!(refuse_more(&conn, 7, 1, 2, 9), Err(Error::Refused(_))));
        assert!(matches!(refuse_more(&conn, 7, 1, 9, 2), Err(Error::Refused(_))));
        assert!(refuse_more(&conn, 8, 1, 2, 2).is_ok());
        assert_eq!(counts(&conn, 7).unwrap(), [(State::Queued, 2)]);
        assert_eq!(counts(&conn, 9).unwrap(), []);
    }

    #[test]
    fn a_job_of_another_user_is_as_one_that_is_not_there() {
        let conn = fixture::fresh();
        enqueue::add(&conn, &[of(None), of(Some(7)), of(Some(8))], 1).unwrap();
        let told = |id: i64| {
            let job = NewJob { after: vec![(JobId(id), Need::Done)], ..of(Some(7)) };
            refuse_dependencies_of_others(&conn, 7, &[job]).map_err(|error| error.to_string().replace(&format!(" {id} "), " N "))
        };
        assert!(told(2).is_ok());
        let (of_root, of_other, of_no_user) = (told(1).unwrap_err(), told(3).unwrap_err(), told(99).unwrap_err());
        assert!(of_root == of_other && of_other == of_no_user, "{of_root} {of_other} {of_no_user}");
    }

    #[test]
    fn the_owner_of_a_job_never_changes() {
        let conn = fixture::fresh();
        enqueue::add(&conn, &[of(Some(7))], 1).unwrap();
        for owner in ["8", "NULL"] {
            let changed = conn.execute(&format!("UPDATE job SET owner = {owner}"), []);
            assert!(changed.unwrap_err().to_string().contains("does not change"), "also for tenure");
        }
        assert!(conn.execute("INSERT INTO job (command, owner) VALUES ('[\"x\"]', 0)", []).is_err());
    }

    /// They must not read the jobs of all users.
    #[test]
    fn the_jobs_of_a_user_are_found_by_their_index() {
        let conn = fixture::fresh();
        for name in ["queued", "kept", "counts", "runs"] {
            let sql = match name {
                "queued" => sql!("owned.sql", "queued"),
                "kept" => sql!("owned.sql", "kept"),
                "counts" => sql!("owned.sql", "counts"),
                _ => sql!("owned.sql", "runs"),
            };
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let given = [7, 9].into_iter().take(plan.parameter_count());
            let steps: Vec<String> =
                plan.query_map(rusqlite::params_from_iter(given), |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            assert!(steps[0].contains("job_of_owner (owner=?"), "{name}: {steps:?}");
            assert!(steps.iter().all(|step| !step.contains("SCAN") && !step.contains("TEMP")), "{name}: {steps:?}");
        }
    }
}
