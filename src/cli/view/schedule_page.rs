//! One schedule with everything that is known of it, for people and for scripts.

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::view::{escape, policy_shown, schedule_shown as shown, table};
use crate::clock;
use crate::document::schedule;
use crate::job::calendar::in_zone;
use crate::job::pool;
use crate::job::{Calendar, Template};
use crate::queue::JobInfo;
use crate::store::schedule::{Listed, Occurrence};
use crate::units::duration_text;

/// An occurrence that was decided, with its job as it is now. `None`: it has none, or it was
/// pruned.
pub struct Latest {
    pub occurrence: Occurrence,
    pub job: Option<JobInfo>,
}

/// What is known of a schedule.
pub struct Page<'a> {
    pub listed: &'a Listed,
    /// Or why its line or its zone cannot be read.
    pub calendar: Result<&'a Calendar, &'a String>,
    /// The next occurrences.
    pub next: &'a [i64],
    /// Newest last.
    pub latest: &'a [Latest],
    pub now: &'a Zoned,
}

impl Page<'_> {
    /// For scripts: what `ls` has, the whole template, and both lists.
    pub fn json(&self) -> Value {
        let one = &self.listed.schedule;
        let zone = clock::zone(&one.zone).unwrap_or(TimeZone::UTC);
        let mut value = schedule::schedule(self.listed);
        value["template"] = serde_json::from_str(&one.template).unwrap_or_default();
        let next =
            self.calendar.map(|calendar| self.next.iter().map(|at| schedule::occurrence_to_come(one, calendar, *at)).collect());
        value["next"] = next.unwrap_or_else(|_| Value::Array(Vec::new()));
        let latest = |latest: &Latest| {
            let mut value = schedule::occurrence(&latest.occurrence, &zone);
            value["job_state"] = json!(latest.job.as_ref().map(|job| job.state));
            value["job_reason"] = json!(latest.job.as_ref().and_then(|job| job.reason));
            value["job_exit_code"] = json!(latest.job.as_ref().and_then(|job| job.exit_code));
            value
        };
        value["latest"] = self.latest.iter().map(latest).collect();
        value
    }

    pub fn for_people(&self, columns: Option<usize>) -> String {
        let one = &self.listed.schedule;
        let zone = clock::zone(&one.zone).unwrap_or(TimeZone::UTC);
        let catch_up = match one.catch_up.as_str() {
            "all" => format!("all, the newest {}", one.catch_up_max),
            other => other.to_owned(),
        };
        let paused = one.paused.then(|| match one.paused_at {
            Some(at) => format!("since {}; tenure schedule resume {} continues it", in_zone(at, &zone), one.name),
            None => format!("tenure schedule resume {} continues it", one.name),
        });
        let mut all = vec![
            ("name", Some(one.name.clone())),
            ("cron", Some(one.cron.clone())),
            ("zone", Some(one.zone.clone())),
            ("error", one.last_error.clone().or_else(|| self.calendar.err().cloned())),
            ("paused", paused),
            ("catch up", Some(catch_up)),
            ("overlap", Some(one.overlap.clone())),
            ("jitter", u64::try_from(one.jitter_ms).ok().filter(|ms| *ms > 0).map(|ms| format!("below {}", duration_text(ms)))),
        ];
        let template = Template::from_json(&one.template);
        all.extend(template.as_ref().map_or_else(|error| vec![("template", Some(error.clone()))], template_rows));
        all.push(("created", Some(in_zone(one.created_at, &zone))));
        let mut text = table::pairs(&all);
        text += "\nnext\n";
        match self.calendar {
            Ok(calendar) if !self.next.is_empty() => {
                text += &shown::occurrences_to_come(self.next, one, calendar, self.now.timestamp().as_millisecond(), columns);
            }
            Ok(calendar) if calendar.is_of_boots() => text += "once in each boot of this machine\n",
            _ => text += "never\n",
        }
        if !self.latest.is_empty() {
            text += "\nlatest\n";
            text += &self.latest_table(&zone, columns);
        }
        text
    }

    fn latest_table(&self, zone: &TimeZone, columns: Option<usize>) -> String {
        let now_ms = self.now.timestamp().as_millisecond();
        let row = |latest: &Latest| {
            let Latest { occurrence, job } = latest;
            let ended = |job: &JobInfo| {
                let exit = job.exit_code.filter(|code| *code != 0).map(|code| format!(", exit {code}")).unwrap_or_default();
                table::state(job) + &exit
            };
            let gone = occurrence.job.map(|_| "removed".to_owned()).unwrap_or_default();
            vec![
                in_zone(occurrence.at, zone),
                shown::what(occurrence),
                occurrence.job.map(|job| job.to_string()).unwrap_or_default(),
                job.as_ref().map_or(gone, ended),
                job.as_ref().and_then(|job| job.started_at.map(|_| table::took(job, now_ms))).unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = self.latest.iter().map(row).collect();
        table::table(&["at", "what", "job", "state", "took"], &[2, 4], &rows, columns)
    }
}

/// The options of the jobs; those with their default value are omitted.
fn template_rows(template: &Template) -> Vec<(&'static str, Option<String>)> {
    let place = &template.placement;
    let env = serde_json::to_string(&place.env).unwrap_or_default();
    let unique = |key: &String| if place.replace { format!("{key}, the newest replaces") } else { key.clone() };
    let mut rows = vec![
        ("command", Some(escape::quote_whole(&template.command))),
        ("cwd", Some(place.cwd.clone())),
        ("label", place.label.clone()),
        ("queue", Some(place.queue.clone())),
        ("lane", place.lane.clone()),
        ("priority", (place.priority != 0).then(|| place.priority.to_string())),
        ("slots", (place.slots != 1).then(|| place.slots.to_string())),
        ("uses", (!place.uses.is_empty()).then(|| pool::text(&place.uses))),
        ("unique", place.unique_key.as_ref().map(unique)),
        ("attempts", (place.max_attempts != 1).then(|| place.max_attempts.to_string())),
        ("delay", template.delay_ms.map(duration_text)),
        ("expires", template.expires_in_ms.map(|ms| format!("{} after it is made", duration_text(ms)))),
        ("hold", place.user_hold.then(|| "each job is held".to_owned())),
        ("environment", Some(policy_shown::environment(&env)).filter(|env| !env.is_empty())),
    ];
    rows.extend(policy_shown::rows(&template.policy.to_json(), None));
    rows
}
