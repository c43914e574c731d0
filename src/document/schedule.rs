//! Schedules and their occurrences.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::clock::{rfc3339 as utc, zone};
use crate::job::Calendar;
use crate::job::calendar::in_zone;
use crate::store::schedule::{Listed, Occurrence, Schedule};

/// A schedule for scripts.
pub fn schedule(listed: &Listed) -> Value {
    let one = &listed.schedule;
    let here = zone(&one.zone).unwrap_or(TimeZone::UTC);
    let template: Value = serde_json::from_str(&one.template).unwrap_or_default();
    json!({
        "id": one.id,
        "name": one.name,
        "cron": one.cron,
        "zone": one.zone,
        "catch_up": one.catch_up,
        "catch_up_max": one.catch_up_max,
        "overlap": one.overlap,
        "jitter_ms": one.jitter_ms,
        "paused": one.paused,
        "paused_at": one.paused_at.filter(|_| one.paused).map(utc),
        "next_at": one.shown_next().map(utc),
        "last_at": listed.fired.as_ref().map(|occurrence| utc(occurrence.at)),
        "last_job": listed.fired.as_ref().and_then(|occurrence| occurrence.job),
        "skipped": listed.skipped.as_ref().map(|skipped| occurrence(skipped, &here)),
        "error": one.last_error,
        "command": template.get("command"),
        "queue": template.get("queue"),
        "created_at": utc(one.created_at),
    })
}

/// Returns a decided occurrence, for scripts. `n` is null if there were more than are counted.
pub fn occurrence(occurrence: &Occurrence, zone: &TimeZone) -> Value {
    json!({
        "at": in_zone(occurrence.at, zone),
        "utc": utc(occurrence.at),
        "until": in_zone(occurrence.last_at, zone),
        "until_utc": utc(occurrence.last_at),
        "n": occurrence.n,
        "state": if occurrence.fired { "fired" } else { "skipped" },
        "reason": occurrence.reason,
        "job": occurrence.job,
        "by_hand": occurrence.by_hand,
        "decided_at": utc(occurrence.decided_at),
    })
}

/// An occurrence to come, for scripts.
pub fn occurrence_to_come(schedule: &Schedule, calendar: &Calendar, at: i64) -> Value {
    json!({"at": calendar.text(at), "utc": utc(at), "starts_at": utc(schedule.starts_at(at))})
}

/// Returns at most `n` occurrences after an instant.
pub fn next_after(calendar: &Calendar, now_ms: i64, n: usize) -> Vec<i64> {
    std::iter::successors(calendar.next(now_ms), |at| calendar.next(*at)).take(n).collect()
}
