//! The columns of a list of jobs: for a person in a table, for a script as CSV or TSV.
//!
//! A script gets the values of the documents in JSON, exactly: times as RFC 3339 UTC, durations in
//! milliseconds, and the same names. On a terminal, characters that it would obey are escaped.

use std::cmp::Ordering;
use std::time::SystemTime;

use crate::cli::parse::time::{local, ms_of, utc};
use crate::cli::view::escape::whole;
use crate::cli::view::table;
use crate::job::State;
use crate::job::pool;
use crate::queue::JobInfo;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Column {
    Id,
    Owner,
    State,
    Reason,
    Hold,
    Priority,
    Slots,
    Uses,
    Queue,
    Lane,
    Label,
    Unique,
    Since,
    CreatedAt,
    AvailableAt,
    StartedAt,
    FinishedAt,
    #[value(alias = "took_ms")]
    Took,
    Attempts,
    MaxAttempts,
    ExitCode,
    Signal,
    Error,
    Result,
    Progress,
    RunId,
    Pid,
    Task,
    ArrayIndex,
    Cwd,
    Command,
}

/// Columns of CSV and TSV if none are chosen.
const PLAIN: [Column; 10] = [
    Column::Id,
    Column::State,
    Column::Reason,
    Column::Queue,
    Column::Label,
    Column::StartedAt,
    Column::FinishedAt,
    Column::Took,
    Column::ExitCode,
    Column::Command,
];

/// What a cell holds, before it becomes text.
enum Cell {
    Text(String),
    Number(i64),
    Time(SystemTime),
    /// In milliseconds.
    Duration(i64),
    Empty,
}

impl Column {
    /// Its name, as it is given and as the documents in JSON have it.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it is aligned to the right.
    pub fn is_number(self) -> bool {
        use Column::{ArrayIndex, Attempts, ExitCode, Id, MaxAttempts, Pid, Priority, RunId, Signal, Slots, Task, Took};
        matches!(
            self,
            Id | Priority | Slots | Took | Attempts | MaxAttempts | ExitCode | Signal | RunId | Pid | Task | ArrayIndex
        )
    }

    fn cell(self, job: &JobInfo, now_ms: i64) -> Cell {
        let text = |text: &Option<String>| text.clone().map_or(Cell::Empty, Cell::Text);
        let number = |number: Option<i64>| number.map_or(Cell::Empty, Cell::Number);
        let time = |time: Option<SystemTime>| time.map_or(Cell::Empty, Cell::Time);
        match self {
            Self::Id => Cell::Number(job.id.0),
            Self::Owner => job.owner.map_or(Cell::Empty, |uid| Cell::Text(table::owner(uid))),
            Self::State => Cell::Text(job.state.to_string()),
            Self::Reason => job.reason.map_or(Cell::Empty, |reason| Cell::Text(reason.as_str().to_owned())),
            Self::Hold => job.hold.map_or(Cell::Empty, |hold| Cell::Text(hold.as_str().to_owned())),
            Self::Priority => Cell::Number(job.priority),
            Self::Slots => Cell::Number(job.slots.into()),
            Self::Uses => Cell::Text(pool::text(&job.uses)),
            Self::Queue => Cell::Text(job.queue.clone()),
            Self::Lane => text(&job.lane),
            Self::Label => text(&job.label),
            Self::Unique => text(&job.unique_key),
            Self::Since => Cell::Time(since(job)),
            Self::CreatedAt => Cell::Time(job.created_at),
            Self::AvailableAt => Cell::Time(job.available_at),
            Self::StartedAt => time(job.started_at),
            Self::FinishedAt => time(job.finished_at),
            Self::Took => job.started_at.map_or(Cell::Empty, |start| {
                Cell::Duration(job.finished_at.map_or(now_ms, ms_of).saturating_sub(ms_of(start)).max(0))
            }),
            Self::Attempts => Cell::Number(job.attempts.into()),
            Self::MaxAttempts => Cell::Number(job.max_attempts.into()),
            Self::ExitCode => number(job.exit_code.map(i64::from)),
            Self::Signal => number(job.signal.map(i64::from)),
            Self::Error => text(&job.error),
            Self::Result => text(&job.result),
            Self::Progress => Cell::Text(running_progress(job)),
            Self::RunId => number(job.run.map(|run| run.0)),
            Self::Pid => number(job.pid.map(i64::from)),
            Self::Task => number(job.task),
            Self::ArrayIndex => number(job.array_index),
            Self::Cwd => Cell::Text(job.cwd.clone()),
            Self::Command => Cell::Text(table::command(job)),
        }
    }

    /// For a person.
    pub fn shown(self, job: &JobInfo, now: &jiff::Zoned) -> String {
        let now_ms = now.timestamp().as_millisecond();
        match self.cell(job, now_ms) {
            Cell::Text(text) => text,
            Cell::Number(number) => number.to_string(),
            Cell::Time(time) => local(ms_of(time), now),
            Cell::Duration(_) => table::took(job, now_ms),
            Cell::Empty => String::new(),
        }
    }

    /// For a script.
    fn plain(self, job: &JobInfo, now_ms: i64) -> String {
        match self.cell(job, now_ms) {
            Cell::Text(text) => text,
            Cell::Number(number) | Cell::Duration(number) => number.to_string(),
            Cell::Time(time) => utc(ms_of(time)),
            Cell::Empty => String::new(),
        }
    }

    /// Compares two jobs by this column; those without a value come first.
    pub fn compare(self, a: &JobInfo, b: &JobInfo, now_ms: i64) -> Ordering {
        match (self.cell(a, now_ms), self.cell(b, now_ms)) {
            (Cell::Text(a), Cell::Text(b)) => a.cmp(&b),
            (Cell::Number(a), Cell::Number(b)) | (Cell::Duration(a), Cell::Duration(b)) => a.cmp(&b),
            (Cell::Time(a), Cell::Time(b)) => a.cmp(&b),
            (Cell::Empty, Cell::Empty) => Ordering::Equal,
            (Cell::Empty, _) => Ordering::Less,
            _ => Ordering::Greater,
        }
    }
}

/// When it ended, began or was added: its latest change that a list shows.
pub fn since(job: &JobInfo) -> SystemTime {
    job.finished_at.or(job.started_at).unwrap_or(job.created_at)
}

/// The progress of a running job.
pub fn running_progress(job: &JobInfo) -> String {
    let is_running = job.state == State::Running;
    job.stored.progress.as_deref().filter(|_| is_running).map(table::progress).unwrap_or_default()
}

/// What separates the values of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// A value with a comma, a quotation mark or an end of a line is quoted, and its quotation
    /// marks are doubled (RFC 4180).
    Comma,
    /// A tab, an end of a line and a backslash of a value are escaped with a backslash.
    Tab,
}

/// What reads a separated list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It gets each value as it is.
    Script,
    /// It gets no character that it would obey.
    Terminal,
}

/// One line of names, then one line per job.
pub fn separated(jobs: &[JobInfo], chosen: &[Column], now_ms: i64, by: Separator, reader: Reader) -> String {
    let columns = if chosen.is_empty() { &PLAIN[..] } else { chosen };
    let line = |values: Vec<String>| {
        let value = |value: &String| match (by, reader) {
            (Separator::Comma, Reader::Script) => quoted(value),
            (Separator::Comma, Reader::Terminal) => quoted(&whole(value)),
            (Separator::Tab, Reader::Script) => backslashed(value),
            (Separator::Tab, Reader::Terminal) => whole(&backslashed(value)),
        };
        let separator = if by == Separator::Comma { "," } else { "\t" };
        values.iter().map(value).collect::<Vec<_>>().join(separator) + "\n"
    };
    let head = line(columns.iter().map(|column| name_for_script(*column)).collect());
    jobs.iter().fold(head, |text, job| text + &line(columns.iter().map(|column| column.plain(job, now_ms)).collect()))
}

/// A duration says its unit.
fn name_for_script(column: Column) -> String {
    if column == Column::Took { "took_ms".into() } else { column.name() }
}

fn quoted(value: &str) -> String {
    match value.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value.to_owned(),
    }
}

fn backslashed(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

/// Chosen columns for a person, in the order in which they were given.
pub fn chosen(jobs: &[JobInfo], columns: &[Column], now: &jiff::Zoned, width: Option<usize>) -> String {
    let heads: Vec<String> = columns.iter().map(|column| column.name()).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let right: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].is_number()).collect();
    let rows: Vec<Vec<String>> = jobs.iter().map(|job| columns.iter().map(|column| column.shown(job, now)).collect()).collect();
    table::table(&heads, &right, &rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;
    use crate::cli::parse::time::here;

    fn hostile() -> JobInfo {
        let mut job = fixture::job(7, State::Failed);
        job.label = Some("a,\"b\"\t\n\x1b[2J\\".into());
        JobInfo::of(job)
    }

    /// What `--format` prints for the hostile job.
    fn printed(by: Separator, reader: Reader) -> String {
        separated(&[hostile()], &[Column::Id, Column::Label, Column::Took], 9_000, by, reader)
    }

    #[test]
    fn a_script_gets_exact_values() {
        let csv = printed(Separator::Comma, Reader::Script);
        assert_eq!(csv, "id,label,took_ms\n7,\"a,\"\"b\"\"\t\n\x1b[2J\\\",2000\n");
        let tsv = printed(Separator::Tab, Reader::Script);
        assert_eq!(tsv, "id\tlabel\ttook_ms\n7\ta,\"b\"\\t\\n\x1b[2J\\\\\t2000\n");
        assert!(tsv.lines().all(|line| line.split('\t').count() == 3), "{tsv}");
    }

    #[test]
    fn no_control_character_of_a_job_reaches_a_terminal() {
        let csv = printed(Separator::Comma, Reader::Terminal);
        assert_eq!(csv, "id,label,took_ms\n7,\"a,\"\"b\"\"\\t\\n\\x1b[2J\\\",2000\n");
        let tsv = printed(Separator::Tab, Reader::Terminal);
        assert_eq!(tsv, "id\tlabel\ttook_ms\n7\ta,\"b\"\\t\\n\\x1b[2J\\\\\t2000\n");
    }

    #[test]
    fn each_column_has_a_name_of_its_own_and_a_value_in_one_line() {
        let all: Vec<Column> = clap::ValueEnum::value_variants().to_vec();
        let names: std::collections::BTreeSet<String> = all.iter().map(|column| column.name()).collect();
        assert_eq!(names.len(), all.len());
        let text = chosen(&[hostile()], &all, &here(9_000), None);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn jobs_without_a_value_come_first() {
        let (queued, failed) = (JobInfo::of(fixture::job(9, State::Queued)), hostile());
        assert_eq!(Column::StartedAt.compare(&queued, &failed, 0), Ordering::Less);
        assert_eq!(Column::Id.compare(&queued, &failed, 0), Ordering::Greater);
        assert_eq!(Column::Took.compare(&failed, &failed, 0), Ordering::Equal);
    }
}
