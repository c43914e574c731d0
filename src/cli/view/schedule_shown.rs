//! Schedules and their occurrences, for people.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cli::parse::time;
use crate::cli::view::{escape, table};
use crate::job::calendar::in_zone;
use crate::job::{Calendar, Template};
use crate::store::schedule::{Listed, Occurrence, Schedule};

/// Schedules, one a line. Occurrences stand in the schedule's own zone, with its offset then;
/// columns that no schedule fills are left out.
pub fn for_people(listed: &[Listed], columns: Option<usize>) -> String {
    const HEADS: [&str; 9] = ["name", "cron", "zone", "next", "command", "last", "job", "last skipped", "error"];
    /// So many of them are always there.
    const ALWAYS: usize = 5;
    let row = |listed: &Listed| {
        let one = &listed.schedule;
        let zone = crate::clock::zone(&one.zone).unwrap_or(TimeZone::UTC);
        let next = match one.shown_next() {
            _ if one.paused => "paused".to_owned(),
            Some(at) => time::in_zone(at, &zone),
            None if one.boot_id.is_some() => "at boot".to_owned(),
            None if one.last_error.is_some() => "?".to_owned(),
            None => "never".to_owned(),
        };
        let skipped = |occurrence: &Occurrence| {
            format!("{} ({}), {}", how_many(occurrence), why(occurrence), time::in_zone(occurrence.last_at, &zone))
        };
        [
            one.name.clone(),
            one.cron.clone(),
            one.zone.clone(),
            next,
            command(&one.template),
            listed.fired.as_ref().map(|occurrence| time::in_zone(occurrence.at, &zone)).unwrap_or_default(),
            listed.fired.as_ref().and_then(|occurrence| occurrence.job).map(|job| job.to_string()).unwrap_or_default(),
            listed.skipped.as_ref().map(skipped).unwrap_or_default(),
            one.last_error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = listed.iter().map(row).collect();
    let kept: Vec<usize> = (0..HEADS.len()).filter(|at| *at < ALWAYS || rows.iter().any(|row| !row[*at].is_empty())).collect();
    let heads: Vec<&str> = kept.iter().map(|at| HEADS[*at]).collect();
    let right: Vec<usize> = kept.iter().position(|at| HEADS[*at] == "job").into_iter().collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| kept.iter().map(|at| row[*at].clone()).collect()).collect();
    table::table(&heads, &right, &rows, columns)
}

/// What a schedule runs; of a template that a client has bent, what is there.
fn command(template: &str) -> String {
    match Template::from_json(template) {
        Ok(template) => escape::quote_whole(&template.command),
        Err(_) => {
            let value: Value = serde_json::from_str(template).unwrap_or_default();
            value.get("command").map_or_else(|| "?".to_owned(), Value::to_string)
        }
    }
}

/// Occurrences to come, one a line.
pub fn occurrences_to_come(
    occurrences: &[i64],
    schedule: &Schedule,
    calendar: &Calendar,
    now_ms: i64,
    columns: Option<usize>,
) -> String {
    let row = |at: &i64| {
        let mut row = vec![calendar.text(*at), time::utc(*at), time::between(now_ms, *at)];
        if schedule.jitter_ms > 0 {
            row.push(calendar.text(schedule.starts_at(*at)));
        }
        row
    };
    let rows: Vec<_> = occurrences.iter().map(row).collect();
    let heads: &[&str] = if schedule.jitter_ms > 0 { &["at", "utc", "in", "starts"] } else { &["at", "utc", "in"] };
    if rows.is_empty() { String::new() } else { table::table(heads, &[2], &rows, columns) }
}

/// Occurrences that were decided, one a line.
pub fn occurrences_for_people(occurrences: &[Occurrence], zone: &TimeZone, columns: Option<usize>) -> String {
    let row = |occurrence: &Occurrence| {
        let until = if occurrence.last_at == occurrence.at { String::new() } else { in_zone(occurrence.last_at, zone) };
        vec![
            in_zone(occurrence.at, zone),
            until,
            how_many(occurrence),
            if occurrence.fired { fired(occurrence) } else { format!("skipped ({})", why(occurrence)) },
            occurrence.job.map(|job| job.to_string()).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = occurrences.iter().map(row).collect();
    table::table(&["at", "until", "occurrences", "what", "job"], &[2, 4], &rows, columns)
}

/// What became of an occurrence, or of several.
pub fn what(occurrence: &Occurrence) -> String {
    match occurrence.fired {
        true => fired(occurrence),
        false if occurrence.n == Some(1) => format!("skipped ({})", why(occurrence)),
        false => format!("{} skipped ({})", how_many(occurrence), why(occurrence)),
    }
}

fn fired(occurrence: &Occurrence) -> String {
    if occurrence.by_hand { "by hand".to_owned() } else { "fired".to_owned() }
}

fn how_many(occurrence: &Occurrence) -> String {
    occurrence.n.map_or_else(|| format!("more than {}", crate::job::schedule::COUNTED_MAX), |n| n.to_string())
}

fn why(occurrence: &Occurrence) -> &str {
    occurrence.reason.as_deref().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Listed {
        let schedule = Schedule {
            id: 1,
            name: "a\x1b[2J".into(),
            cron: "0 * * * *\n".into(),
            zone: "Nowhere\u{9b}".into(),
            catch_up: "latest".into(),
            catch_up_max: 100,
            paused: false,
            paused_at: None,
            resumed_at: None,
            template: "no json".into(),
            decided_until: 0,
            next_at: Some(i64::MAX),
            pruned_until: 0,
            created_at: 0,
            last_error: Some("\x1b]0;x\x07".into()),
            overlap: "\x1b".into(),
            jitter_ms: i64::MAX,
            boot_id: None,
        };
        let skipped = Occurrence {
            at: 0,
            last_at: i64::MAX,
            n: None,
            fired: false,
            reason: Some("missed".into()),
            job: None,
            decided_at: 0,
            by_hand: false,
        };
        Listed { schedule, fired: None, skipped: Some(skipped) }
    }

    #[test]
    fn a_schedule_of_a_hostile_hand_is_shown_in_printable_lines() {
        let text = for_people(&[listed()], None);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n') && text.lines().count() == 2, "{text:?}");
        assert!(text.contains("more than 1000 (missed)"), "{text}");
        assert!(!occurrences_for_people(&[listed().skipped.unwrap()], &TimeZone::UTC, None).contains('\x1b'));
    }

    #[test]
    fn a_schedule_says_what_comes_next() {
        let next = |change: fn(&mut Schedule)| {
            let mut one = listed();
            (one.schedule.name, one.schedule.next_at, one.schedule.last_error) = ("s".into(), None, None);
            change(&mut one.schedule);
            for_people(&[one], None)
        };
        assert!(next(|_| ()).contains("never"));
        assert!(next(|s| s.paused = true).contains("paused"));
        assert!(next(|s| s.last_error = Some("no zone".into())).contains("no zone"));
    }
}
