//! Schedules as people request them: added, changed, listed, paused, removed; and what became of
//! their occurrences. [`crate::store::schedule::plan`] turns occurrences into jobs.

pub mod plan;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::job::calendar::Origin;
use crate::job::limits::NAME_CHARS_MAX;
use crate::job::schedule::{CATCH_UP_MAX, COUNTED_MAX, CatchUp, JITTER_MS_MAX, Overlap, delay_ms};
use crate::job::{Calendar, JobId, Template, names, nearest};
use crate::store::engine::text::{maybe, text};

/// Most schedules in one list.
pub const SCHEDULES_MAX: usize = 10_000;
/// Most occurrences in one list: the newest.
pub const SLOTS_MAX: usize = 10_000;

/// A schedule to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    pub name: String,
    pub cron: String,
    /// Name of the time zone in which the line is read.
    pub zone: String,
    pub catch_up: CatchUp,
    /// Most missed occurrences that `all` fires.
    pub catch_up_max: i64,
    pub overlap: Overlap,
    /// Each job starts so much later at most, in milliseconds.
    pub jitter_ms: i64,
    /// The present boot of the machine.
    pub boot_id: String,
    pub template: Template,
}

impl NewSchedule {
    /// Checks it and returns when it is due; `created_at_ms` is its creation in milliseconds UTC.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn calendar(&self, created_at_ms: i64) -> Result<Calendar> {
        if !(1..=CATCH_UP_MAX).contains(&self.catch_up_max) {
            return Err(Error::Invalid(format!("the number of missed occurrences to catch up is 1 to {CATCH_UP_MAX}")));
        }
        let zone = crate::clock::zone(&self.zone).map_err(Error::Invalid)?;
        if !(0..=JITTER_MS_MAX).contains(&self.jitter_ms) {
            return Err(Error::Invalid("the jitter is 0 to 24h".into()));
        }
        Calendar::of(&self.cron, zone, Origin::new(&self.name, created_at_ms)).map_err(Error::Invalid)
    }
}

/// A row of `schedule`. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub id: i64,
    pub name: String,
    pub cron: String,
    pub zone: String,
    /// One of [`CatchUp`], unless a client has altered the row.
    pub catch_up: String,
    pub catch_up_max: i64,
    pub paused: bool,
    pub paused_at: Option<i64>,
    pub resumed_at: Option<i64>,
    /// JSON, see [`Template::from_json`].
    pub template: String,
    pub decided_until: i64,
    pub next_at: Option<i64>,
    pub pruned_until: i64,
    pub created_at: i64,
    pub last_error: Option<String>,
    /// One of [`Overlap`], unless a client has altered the row.
    pub overlap: String,
    pub jitter_ms: i64,
    /// Of `@reboot`: the boot for which it is decided.
    pub boot_id: Option<String>,
}

impl Schedule {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: text(row, 1)?,
            cron: text(row, 2)?,
            zone: text(row, 3)?,
            catch_up: text(row, 4)?,
            catch_up_max: row.get(5)?,
            paused: row.get(6)?,
            paused_at: row.get(7)?,
            resumed_at: row.get(8)?,
            template: text(row, 9)?,
            decided_until: row.get(10)?,
            next_at: row.get(11)?,
            pruned_until: row.get(12)?,
            created_at: row.get(13)?,
            last_error: maybe(row, 14)?,
            overlap: text(row, 15)?,
            jitter_ms: row.get(16)?,
            boot_id: maybe(row, 17)?,
        })
    }

    /// Returns when it is due.
    ///
    /// # Errors
    /// Says what cannot be read.
    pub fn calendar(&self) -> Result<Calendar, String> {
        Calendar::of(&self.cron, crate::clock::zone(&self.zone)?, self.origin())
    }

    fn origin(&self) -> Origin {
        Origin { booted_at_ms: self.next_at, ..Origin::new(&self.name, self.created_at) }
    }

    /// When the job of an occurrence may start, in milliseconds UTC.
    pub fn starts_at(&self, at: i64) -> i64 {
        at.saturating_add(delay_ms(self.origin().seed, at, self.jitter_ms))
    }

    /// The next occurrence, unless it is paused.
    pub fn shown_next(&self) -> Option<i64> {
        self.next_at.filter(|_| !self.paused)
    }
}

/// A row of `occurrence`. Times are milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    pub at: i64,
    /// The last of the occurrences that the row covers; `at` itself for a fired one.
    pub last_at: i64,
    /// How many occurrences the row covers; `None`: more than were counted.
    pub n: Option<i64>,
    pub fired: bool,
    /// Why it was skipped.
    pub reason: Option<String>,
    pub job: Option<JobId>,
    pub decided_at: i64,
    /// A person asked for its job.
    pub by_hand: bool,
}

impl Occurrence {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            at: row.get(0)?,
            last_at: row.get(1)?,
            n: Some(row.get(2)?).filter(|n| *n <= COUNTED_MAX),
            fired: text(row, 3)? == "fired",
            reason: maybe(row, 4)?,
            job: row.get::<_, Option<i64>>(5)?.map(JobId),
            decided_at: row.get(6)?,
            by_hand: row.get(7)?,
        })
    }
}

/// A schedule with its newest fired and its newest skipped occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub schedule: Schedule,
    pub fired: Option<Occurrence>,
    pub skipped: Option<Occurrence>,
}

/// The number of schedules, and the next occurrence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub count: i64,
    pub paused: i64,
    /// The next occurrence of those that are not paused: instant in milliseconds UTC, and name.
    pub next: Option<(i64, String)>,
    /// Names and errors of those whose last occurrence could not become a job.
    pub errors: Vec<(String, String)>,
}

/// Adds a schedule; its first occurrence is the first one after now. Returns its id.
///
/// # Errors
/// [`Error::Invalid`] for invalid arguments, [`Error::Refused`] where the name is taken.
pub fn add(conn: &Connection, new: &NewSchedule, now_ms: i64) -> Result<i64> {
    check_name(&new.name).map_err(Error::Invalid)?;
    let now_ms = now_ms.max(0);
    let calendar = new.calendar(now_ms)?;
    if find(conn, &new.name)?.is_some() {
        return Err(Error::Refused(format!(
            "there is a schedule {:?} already; tenure schedule rm {} removes it",
            new.name, new.name
        )));
    }
    conn.prepare_cached(sql!("schedule.sql", "add"))?.execute(params![
        new.name,
        new.cron.trim(),
        new.zone,
        new.catch_up.as_str(),
        new.catch_up_max,
        new.template.to_json(),
        now_ms,
        calendar.next(now_ms),
        new.overlap.as_str(),
        new.jitter_ms,
        calendar.is_of_boots().then_some(&new.boot_id),
    ])?;
    Ok(conn.last_insert_rowid())
}

/// Changes a schedule in place: `change` makes the new one of the present row, in the transaction.
/// With another line or zone it continues from now, after the occurrences that are due by the old
/// one are decided. Returns its row, and the jobs that were made.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`] for invalid arguments, and those of `change`.
pub fn set(
    conn: &Connection,
    name: &str,
    now_ms: i64,
    change: impl Fn(&Schedule) -> Result<NewSchedule>,
) -> Result<(Schedule, plan::Planned)> {
    let before = existing(conn, name)?;
    let after = change(&before)?;
    let calendar = after.calendar(before.created_at)?;
    let is_moved = (after.cron.trim(), &after.zone) != (&before.cron, &before.zone);
    let (planned, from) = match is_moved {
        true => (plan::decide_old_line(conn, &before, now_ms)?, now_ms.max(before.pruned_until).max(0)),
        false => (plan::Planned::default(), before.decided_until),
    };
    conn.prepare_cached(sql!("schedule.sql", "set"))?.execute(params![
        before.id,
        after.cron.trim(),
        after.zone,
        after.catch_up.as_str(),
        after.catch_up_max,
        after.template.to_json(),
        from,
        calendar.next(from),
        after.overlap.as_str(),
        after.jitter_ms,
        calendar.is_of_boots().then_some(before.boot_id.as_ref().unwrap_or(&after.boot_id)),
    ])?;
    Ok((existing(conn, name)?, planned))
}

/// Checks the name of a schedule.
///
/// # Errors
/// Says why it is invalid, with an example.
pub fn check_name(name: &str) -> Result<(), String> {
    names::plain(name).map_err(|why| format!("the name of a schedule: {why}; choose one such as nightly-backup"))
}

/// Returns the schedule of that name; `None`: it does not exist.
pub fn find(conn: &Connection, name: &str) -> Result<Option<Schedule>> {
    let mut find = conn.prepare_cached(sql_of!(sql!("schedule.sql", "columns"), " WHERE name = ?1"))?;
    Ok(find.query_row([name], Schedule::from_row).optional()?)
}

/// # Errors
/// [`Error::NotFound`].
pub fn existing(conn: &Connection, name: &str) -> Result<Schedule> {
    let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    if let Some(found) = find(conn, name)? {
        return Ok(found);
    }
    let names: Vec<String> = all(conn)?.into_iter().map(|one| one.name).collect();
    let meant = nearest::question(name, names.iter().map(String::as_str));
    Err(Error::NotFound(format!("there is no schedule {shown:?}; tenure schedule ls shows what there is{meant}")))
}

/// Every schedule, by name.
pub fn all(conn: &Connection) -> Result<Vec<Schedule>> {
    let mut all = conn.prepare_cached(sql_of!(sql!("schedule.sql", "columns"), " ORDER BY name LIMIT ?1"))?;
    let rows = all.query_map([SCHEDULES_MAX as i64], Schedule::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns every schedule, by name, with its latest occurrences.
pub fn list(conn: &Connection) -> Result<Vec<Listed>> {
    all(conn)?.into_iter().map(|schedule| listed(conn, schedule)).collect()
}

/// Returns a schedule with its latest occurrences.
pub fn listed(conn: &Connection, schedule: Schedule) -> Result<Listed> {
    let mut newest = conn.prepare_cached(sql!("schedule.sql", "newest"))?;
    let mut newest = |state: &str| newest.query_row((schedule.id, state), Occurrence::from_row).optional();
    let (fired, skipped) = (newest("fired")?, newest("skipped")?);
    Ok(Listed { fired, skipped, schedule })
}

/// The newest occurrences of a schedule, newest last.
pub fn occurrences(conn: &Connection, schedule: i64, limit: usize) -> Result<Vec<Occurrence>> {
    let limit = i64::try_from(limit.min(SLOTS_MAX)).unwrap_or(i64::MAX);
    let mut occurrences = conn.prepare_cached(sql!("schedule.sql", "occurrences"))?;
    let mut occurrences: Vec<Occurrence> =
        occurrences.query_map((schedule, limit), Occurrence::from_row)?.collect::<rusqlite::Result<_>>()?;
    occurrences.reverse();
    Ok(occurrences)
}

/// For `status`.
pub fn summary(conn: &Connection) -> Result<Summary> {
    let mut counts = conn.prepare_cached("SELECT count(*), count(*) FILTER (WHERE paused) FROM schedule")?;
    let (count, paused) = counts.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut next = conn.prepare_cached(
        "SELECT next_at, name FROM schedule WHERE paused = 0 AND next_at IS NOT NULL ORDER BY next_at, name LIMIT 1",
    )?;
    let next = next.query_row([], |row| Ok((row.get(0)?, text(row, 1)?))).optional()?;
    let mut errors =
        conn.prepare_cached("SELECT name, last_error FROM schedule WHERE last_error IS NOT NULL ORDER BY name LIMIT 100")?;
    let errors = errors.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(Summary { count, paused, next, errors })
}

/// Pauses or resumes a schedule. False: it already was in that state.
///
/// # Errors
/// [`Error::NotFound`].
pub fn pause(conn: &Connection, name: &str, paused: bool, now_ms: i64) -> Result<bool> {
    let schedule = existing(conn, name)?;
    let sql = if paused { sql!("schedule.sql", "pause") } else { sql!("schedule.sql", "resume") };
    Ok(conn.prepare_cached(sql)?.execute((schedule.id, now_ms))? > 0)
}

/// Removes a schedule with its occurrences. Its jobs stay.
///
/// # Errors
/// [`Error::NotFound`].
pub fn remove(conn: &Connection, name: &str) -> Result<()> {
    let schedule = existing(conn, name)?;
    conn.prepare_cached("DELETE FROM occurrence WHERE schedule_id = ?1")?.execute([schedule.id])?;
    conn.prepare_cached("DELETE FROM schedule WHERE id = ?1")?.execute([schedule.id])?;
    Ok(())
}

/// Continues every schedule from now: earlier occurrences belong to another life of the file.
pub fn start_from_now(conn: &Connection, now_ms: i64) -> Result<()> {
    for schedule in all(conn)? {
        let from = now_ms.max(schedule.pruned_until).max(0);
        plan::set_next(conn, &schedule, from)?;
    }
    // Whether this boot was seen by the file before is not known.
    conn.execute("UPDATE schedule SET boot_id = '' WHERE boot_id IS NOT NULL", [])?;
    Ok(())
}

/// Makes each `@reboot` due once in each boot of the machine, however often a worker starts in it:
/// the boot is recorded with the instant at which the occurrence is due. Returns their number.
pub fn boot(conn: &Connection, boot_id: &str, now_ms: i64) -> Result<usize> {
    let mut any = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM schedule WHERE boot_id IS NOT NULL)")?;
    // Nothing is written for other schedules, or if it cannot be told which boot this is.
    if boot_id.is_empty() || !any.query_row([], |row| row.get::<_, bool>(0))? {
        return Ok(0);
    }
    conn.prepare_cached("UPDATE schedule SET boot_id = ?1 WHERE boot_id = ''")?.execute([boot_id])?;
    Ok(conn.prepare_cached(sql!("schedule.sql", "boot"))?.execute((boot_id, now_ms.max(1)))?)
}

/// Computes the next occurrence of each schedule again: the rules of its time zone or its row may
/// have changed. Returns the number of those that changed.
pub fn recompute_next(conn: &Connection) -> Result<usize> {
    let mut changed = 0;
    for schedule in all(conn)? {
        let next = schedule.calendar().map(|calendar| calendar.next(schedule.decided_until));
        if next != Ok(schedule.next_at) && !(next.is_err() && schedule.last_error.is_some() && schedule.next_at.is_none()) {
            plan::set_next(conn, &schedule, schedule.decided_until)?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// Schedules after ?2, at most ?3. Then: it has an occurrence that [`prune`] would remove.
pub(super) const WITH_OLD_OCCURRENCES: &str = sql_of!(
    "SELECT id, EXISTS (SELECT 1 FROM occurrence WHERE occurrence.schedule_id = schedule.id AND ",
    sql!("schedule.sql", "is_old"),
    ") FROM schedule WHERE id > ?2 ORDER BY id LIMIT ?3"
);
pub(super) const REMOVE_OLD_OCCURRENCES: &str = sql_of!(
    "DELETE FROM occurrence WHERE (schedule_id, at) IN (SELECT occurrence.schedule_id, occurrence.at",
    " FROM schedule CROSS JOIN occurrence ON occurrence.schedule_id = schedule.id WHERE ",
    sql!("schedule.sql", "is_old"),
    " LIMIT ?2)"
);

/// Removes at most `limit` occurrences from before an instant, in milliseconds UTC; the newest
/// fired one of each schedule stays. The schedule remembers that the removed ones are decided.
/// Returns the number of rows.
pub fn prune(conn: &Connection, before_ms: i64, limit: usize) -> Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(sql!("schedule.sql", "prune"))?.execute([before_ms])?;
    Ok(conn.prepare_cached(REMOVE_OLD_OCCURRENCES)?.execute((before_ms, limit))?)
}
