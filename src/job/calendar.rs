//! When a schedule is due: a cron line, read in a time zone, as instants.
//!
//! The crate `croner` computes which readings of a wall clock a line names. The effect of a clock
//! change on a reading is decided here, because the people who write a line must be able to rely on
//! it:
//!
//! | | the hour is fixed (`30 2 * * *`, `0 2-4 * * *`) | the hour has a `*` (`30 * * * *`, `0 */2 * * *`) |
//! | --- | --- | --- |
//! | the clock skips the reading | once, at the first instant after the gap | not at all |
//! | the clock shows the reading twice | once, the first time | both times |
//!
//! A line with a fixed hour means a number of runs per day; a line with `*` means a number of runs
//! in real time. Several readings in one gap are one occurrence, as they have one instant.
//!
//! Time is divided into ranges between two changes of the zone's offset, in each of which a reading
//! is an instant plus a constant.
//!
//! `@every 90m` is elapsed time and reads no wall clock: its instants are a fixed distance apart,
//! in both directions from the creation of the schedule. `@reboot` is due at the instant that the
//! worker gives it.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::cron_line::{self, Line};

/// Longest cron line, in characters.
pub const CRON_CHARS_MAX: usize = 200;
/// The last second that is searched: the year 4000. (The days of a cron line repeat after 400
/// years.)
const SECOND_MAX: i64 = 64_060_588_800;

/// What a line needs to know of its schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// The creation, from which `@every` counts, in milliseconds UTC.
    pub created_at_ms: i64,
    /// Decides random values, see [`cron_line::seed`].
    pub seed: u64,
    /// When `@reboot` is due, in milliseconds UTC.
    pub booted_at_ms: Option<i64>,
}

impl Origin {
    /// The origin of a schedule that is not `@reboot`, or not due by it.
    pub fn new(name: &str, created_at_ms: i64) -> Self {
        Self { created_at_ms, seed: cron_line::seed(name, created_at_ms), booted_at_ms: None }
    }
}

/// The occurrences of a cron line in a zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    rule: Rule,
    zone: TimeZone,
}

/// What decides them; times are milliseconds UTC.
#[derive(Debug, Clone)]
enum Rule {
    Wall(Box<Wall>),
    Every { step: i64, anchor: i64 },
    Boot { at: Option<i64> },
}

/// Readings of a wall clock.
#[derive(Debug, Clone)]
struct Wall {
    cron: Cron,
    zone: TimeZone,
    hour_is_fixed: bool,
}

/// A time between two changes of the offset, in seconds.
struct Stretch {
    from: i64,
    to: i64,
    /// Added to an instant to get the reading.
    offset: i64,
    /// The offset before `from`.
    before: i64,
}

impl Stretch {
    /// Returns the readings that the change at its start skipped: from, to.
    fn gap(&self) -> Option<(i64, i64)> {
        (self.offset > self.before).then(|| (self.from + self.before, self.from + self.offset))
    }

    /// Returns the first reading that occurs for the first time in it.
    fn first_new_reading(&self) -> i64 {
        self.from.saturating_add(self.offset.max(self.before))
    }
}

/// Explains what is wrong with a cron line; the library's text is about its own parts.
fn why(line: &str, error: &str) -> String {
    let error = error.split_once(": ").map_or(error, |(_, what)| what).trim_end_matches('.');
    let fields = line.split_whitespace().count();
    match () {
        () if fields != 5 => format!("it has {fields} fields, not 5"),
        () if error.contains("illegal character") => {
            let character = error.split('\'').nth(1).unwrap_or_default().to_lowercase();
            format!("{character:?} means nothing there")
        }
        () if error.contains("out of bounds") => {
            "a number is out of range: minutes go from 0 to 59, hours from 0 to 23, days from 1 to 31, months from 1 to 12, weekdays from 0 to 7".to_owned()
        }
        () => error.to_lowercase(),
    }
}

impl Calendar {
    /// A line by itself.
    ///
    /// # Errors
    /// What is wrong with the line, with an example.
    pub fn new(cron: &str, zone: TimeZone) -> Result<Self, String> {
        Self::of(cron, zone, Origin::default())
    }

    /// The line of a schedule.
    ///
    /// # Errors
    /// What is wrong with the line, with an example.
    pub fn of(cron: &str, zone: TimeZone, origin: Origin) -> Result<Self, String> {
        const EXAMPLE: &str = "write minute, hour, day of the month, month and weekday, as in '30 3 * * 1-5', or @daily";
        let length = cron.chars().count();
        if length > CRON_CHARS_MAX {
            return Err(format!("the cron line has {length} characters; the limit is {CRON_CHARS_MAX}; {EXAMPLE}"));
        }
        let wrong = |why: String| format!("{cron:?} is not a cron line ({why}); {EXAMPLE}");
        let rule = match cron_line::read(cron, origin.seed).map_err(wrong)? {
            Line::Fields(line) => Rule::Wall(Box::new(Wall::new(&line, zone.clone()).map_err(wrong)?)),
            // A whole second, as everything that shows it.
            Line::Every(step) => Rule::Every { step, anchor: origin.created_at_ms.div_euclid(1_000).saturating_mul(1_000) },
            Line::Reboot => Rule::Boot { at: origin.booted_at_ms },
        };
        Ok(Self { rule, zone })
    }

    /// Whether it is due once in each boot of the machine.
    pub fn is_of_boots(&self) -> bool {
        matches!(self.rule, Rule::Boot { .. })
    }

    /// The first occurrence after an instant, both in milliseconds UTC. `None`: there is none any
    /// more.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        match &self.rule {
            Rule::Wall(wall) => wall.next(after_ms),
            Rule::Every { step, anchor } => {
                let since = after_ms.checked_sub(*anchor)?;
                let next = anchor.checked_add(since.div_euclid(*step).checked_add(1)?.checked_mul(*step)?)?;
                Some(next).filter(|at| *at < SECOND_MAX * 1_000)
            }
            Rule::Boot { at } => at.filter(|at| *at > after_ms),
        }
    }

    /// The last occurrence at or before an instant, both in milliseconds UTC; none before 1970.
    pub fn last(&self, up_to_ms: i64) -> Option<i64> {
        match &self.rule {
            Rule::Wall(wall) => wall.last(up_to_ms),
            Rule::Every { step, anchor } => {
                let since = up_to_ms.min(SECOND_MAX * 1_000 - 1).checked_sub(*anchor)?;
                Some(anchor + since.div_euclid(*step) * step).filter(|at| *at >= 0)
            }
            Rule::Boot { at } => at.filter(|at| *at <= up_to_ms),
        }
    }

    /// RFC 3339 with the offset that the zone has at that instant.
    pub fn text(&self, at_ms: i64) -> String {
        in_zone(at_ms, &self.zone)
    }
}

impl Wall {
    fn new(line: &str, zone: TimeZone) -> Result<Self, String> {
        // As in cron: one of the two day fields is enough if neither begins with `*`; otherwise
        // both must agree (`0 0 */2 * 1`).
        let day_fields = [2, 4].map(|at| line.split_whitespace().nth(at).unwrap_or_default());
        let both = day_fields.iter().any(|field| field.starts_with('*'));
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).dom_and_dow(both).build();
        let cron = parser.parse(line).map_err(|error| why(line, &error.to_string()))?;
        let hour_is_fixed = cron.as_str().split_whitespace().nth(1).is_some_and(|hour| !hour.contains('*'));
        Ok(Self { cron, zone, hour_is_fixed })
    }

    fn next(&self, after_ms: i64) -> Option<i64> {
        let mut at = after_ms.div_euclid(1_000) + 1;
        let mut known: Option<(i64, i64)> = None;
        while at < SECOND_MAX {
            let stretch = self.stretch(at)?;
            let begins_after_gap = at == stretch.from && self.hour_is_fixed;
            if begins_after_gap && stretch.gap().is_some_and(|(from, to)| self.reading_from(from).is_some_and(|found| found < to))
            {
                return Some(at * 1_000);
            }
            let reading =
                if self.hour_is_fixed { (at + stretch.offset).max(stretch.first_new_reading()) } else { at + stretch.offset };
            // A result for an earlier reading that lies after this one is still the next.
            let found = match known {
                Some((from, found)) if (from..=found).contains(&reading) => found,
                _ => self.reading_from(reading)?,
            };
            known = Some((reading, found));
            if found - stretch.offset < stretch.to {
                return Some((found - stretch.offset) * 1_000);
            }
            at = stretch.to;
        }
        None
    }

    fn last(&self, up_to_ms: i64) -> Option<i64> {
        let mut at = up_to_ms.div_euclid(1_000).min(SECOND_MAX);
        while at >= 0 {
            let stretch = self.stretch(at)?;
            let lowest =
                if self.hour_is_fixed { stretch.first_new_reading() } else { stretch.from.saturating_add(stretch.offset) };
            if let Some(found) = self.reading_up_to(at + stretch.offset).filter(|found| *found >= lowest) {
                return Some((found - stretch.offset) * 1_000);
            }
            if self.hour_is_fixed
                && let Some((from, to)) = stretch.gap()
                && self.reading_up_to(to - 1).is_some_and(|found| found >= from)
            {
                return Some(stretch.from * 1_000);
            }
            at = stretch.from.saturating_sub(1);
        }
        None
    }

    fn stretch(&self, at: i64) -> Option<Stretch> {
        let instant = Timestamp::from_second(at).ok()?;
        let after = Timestamp::from_second(at + 1).ok()?;
        let offset_at = |second: i64| Timestamp::from_second(second).map_or(Offset::UTC, |t| self.zone.to_offset(t)).seconds();
        let offset = i64::from(offset_at(at));
        let begin = self.zone.preceding(after).map(|t| t.timestamp().as_second()).find(|second| *second <= at);
        let end = self.zone.following(instant).map(|t| t.timestamp().as_second()).find(|second| *second > at);
        let before = begin.map_or(offset, |second| i64::from(offset_at(second - 1)));
        Some(Stretch { from: begin.unwrap_or(i64::MIN), to: end.unwrap_or(i64::MAX), offset, before })
    }

    /// Returns the first reading, at or after this one, that the line names. Readings are seconds,
    /// counted as if the clock never changed.
    fn reading_from(&self, reading: i64) -> Option<i64> {
        let found = self.cron.find_next_occurrence(&as_utc(reading)?, true).ok()?;
        Some(found.timestamp().as_second())
    }

    fn reading_up_to(&self, reading: i64) -> Option<i64> {
        let found = self.cron.find_previous_occurrence(&as_utc(reading)?, true).ok()?;
        Some(found.timestamp().as_second())
    }
}

fn as_utc(second: i64) -> Option<Zoned> {
    Timestamp::from_second(second).ok().map(|t| t.to_zoned(TimeZone::UTC))
}

/// Returns RFC 3339 with the offset of a zone at that instant, in milliseconds UTC.
pub fn in_zone(at_ms: i64, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(instant) => instant.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        // A row that was written by hand may hold any number.
        Err(_) => format!("@{at_ms}ms"),
    }
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
