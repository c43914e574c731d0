//! Output for people: tables without borders, and lines `name value`.
//!
//! Every cell passes through [`crate::cli::view::escape`]; colour is added afterwards, so that
//! widths are correct.

use std::os::unix::ffi::OsStrExt;

use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::cli::parse::time;
use crate::cli::parse::time::ms_of;
use crate::cli::view::escape::{line, quote_arguments, whole};
use crate::host::users::{self, User};
use crate::job::{Hold, State};
use crate::queue::{JobInfo, Suspension};
use crate::store::job::read::Counts;

pub use crate::units::count;

/// Longest cell of a table on a terminal, in characters: a part of its width, within these limits.
const CELL_CHARS_MIN: usize = 20;
const CELL_CHARS_MAX: usize = 80;
/// A narrower terminal has no room for all columns of a list of jobs.
const NARROW_COLUMNS: usize = 100;
/// A terminal of this width has room for the lanes too.
const WIDE_COLUMNS: usize = 120;

/// A table from its heads and rows. Columns named in `right` are aligned to the right.
///
/// On a terminal, `columns` wide, a cell and a line are cut. In a pipe (`None`) each cell is whole.
pub fn table(heads: &[&str], right: &[usize], rows: &[Vec<String>], columns: Option<usize>) -> String {
    let cells_max = columns.map(|columns| (columns / 3).clamp(CELL_CHARS_MIN, CELL_CHARS_MAX));
    let last = heads.len().saturating_sub(1);
    // The last column is not padded, so that one long command does not lengthen every line.
    let ends: Vec<String> = std::iter::once(heads.last().map(|head| head.to_uppercase()).unwrap_or_default())
        .chain(rows.iter().map(|row| row.get(last).map(|cell| shown(cell, columns)).unwrap_or_default()))
        .collect();
    let is_padded = right.contains(&last);
    let kept = if is_padded { heads.len() } else { last };
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads.iter().take(kept).map(|head| head.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().take(kept).map(|cell| shown(cell, cells_max)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = if kept == 0 { vec![String::new(); ends.len()] } else { table.lines().collect() };
    let end = |at: usize| if is_padded { "" } else { ends.get(at).map_or("", String::as_str) };
    let text: String = lines.iter().enumerate().map(|(at, line)| format!("{}\n", [line, end(at)].concat().trim_end())).collect();
    fit(&text, columns)
}

/// Returns a cell as one printable line, shortened if requested.
fn shown(cell: &str, chars_max: Option<usize>) -> String {
    match chars_max {
        Some(most) => cut(&line(cell), most),
        None => whole(cell),
    }
}

/// Cuts each line at the width of the terminal, so that a job has one line there too. In a pipe
/// (`None`) nothing is cut.
pub fn fit(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    text.lines().map(|line| format!("{}\n", fit_line(line, columns))).collect()
}

fn fit_line(line: &str, columns: usize) -> String {
    // Wide characters begin here, roughly; a wrong guess only cuts earlier.
    let width = |c: char| if c >= '\u{1100}' { 2 } else { 1 };
    if line.chars().map(width).sum::<usize>() <= columns {
        return line.to_owned();
    }
    let mut used = 1; // the mark of the cut
    let kept = line.chars().take_while(|c| {
        used += width(*c);
        used <= columns
    });
    kept.chain(['…']).collect()
}

/// Returns lines of `name value`; those without a value are omitted.
pub fn pairs(pairs: &[(&str, Option<String>)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let shown = pairs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    shown.map(|(name, value)| format!("{name:width$}  {}\n", whole(value))).collect()
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Returns the command as a person would type it, without a limit.
pub fn command(job: &JobInfo) -> String {
    if job.command.is_empty() {
        job.stored.command.clone()
    } else {
        quote_arguments(job.command.iter().map(|one| one.as_bytes()))
    }
}

/// Returns the state, with the hold or the reason.
pub fn state(job: &JobInfo) -> String {
    let state = job.state;
    let because = match state {
        State::Queued => job.hold.map(held),
        State::Running if job.is_cancelling => Some("cancelling"),
        State::Running if job.suspension.is_some() => job.suspension.map(Suspension::word),
        State::Running if job.is_stopped => Some("stopped"),
        State::Failed => job.stored.reason.map(|reason| reason.as_str()),
        _ => None,
    };
    because.map_or_else(|| state.to_string(), |because| format!("{state} ({because})"))
}

/// Returns a hold, for a list.
fn held(hold: Hold) -> &'static str {
    match hold {
        Hold::User => "held",
        Hold::Task => "task held",
        hold => hold.as_str(),
    }
}

/// Like [`state`]; for a job that waits for its time, with that time.
fn state_in_list(job: &JobInfo, now: &jiff::Zoned) -> String {
    if job.state != State::Queued || job.hold != Some(Hold::Time) {
        return state(job);
    }
    let what = if job.attempts > 0 || job.deferrals > 0 { "again" } else { "starts" };
    format!("{} ({what} {})", State::Queued, time::short(ms_of(job.available_at), now))
}

/// Returns the name of a user, or the number of one without a name.
pub fn owner(uid: u32) -> String {
    owner_among(&users::all(), uid)
}

fn owner_among(names: &[User], uid: u32) -> String {
    names.iter().find(|user| user.uid == uid).map_or_else(|| uid.to_string(), |user| user.name.clone())
}

/// Returns how long it has run.
pub fn took(job: &JobInfo, now_ms: i64) -> String {
    job.started_at.map(|start| time::between(ms_of(start), job.finished_at.map_or(now_ms, ms_of))).unwrap_or_default()
}

/// Returns jobs, one per line; on a narrow terminal without the column `since`. The columns of
/// priority and progress are present if a job has any, that of the owner if there are several; on
/// a terminal that is wide enough, those of array index and lane as well.
pub fn jobs(jobs: &[JobInfo], now: &jiff::Zoned, coloured: bool, columns: Option<usize>) -> String {
    let now_ms = now.timestamp().as_millisecond();
    let progress = |job: &JobInfo| {
        let is_running = job.state == State::Running;
        job.stored.progress.as_deref().filter(|_| is_running).map(progress).unwrap_or_default()
    };
    let have_priority = jobs.iter().any(|job| job.priority != 0);
    let have_progress = jobs.iter().any(|job| !progress(job).is_empty());
    // So that the command, the last column, is visible on a terminal.
    let is_narrow = columns.is_some_and(|columns| columns < NARROW_COLUMNS);
    let name = |text: &str| columns.map_or_else(|| text.to_owned(), |columns| cut(&line(text), columns / 6));
    let have_index = jobs.iter().any(|job| job.array_index.is_some());
    let have_lane = jobs.iter().any(|job| job.lane.is_some());
    let is_wide = columns.is_none_or(|columns| columns >= WIDE_COLUMNS);
    let have_owners = jobs.iter().any(|job| job.owner != jobs[0].owner);
    let names = if have_owners { users::all() } else { Vec::new() };
    let heads = ["id", "index", "owner", "state", "prio", "queue", "lane", "label", "since", "took", "progress", "command"];
    let is_shown = |head: &&str| match *head {
        "index" => have_index && !is_narrow,
        "lane" => have_lane && is_wide,
        "owner" => have_owners,
        "prio" => have_priority,
        "progress" => have_progress,
        "since" => !is_narrow,
        _ => true,
    };
    let row = |job: &JobInfo| {
        let since = job.finished_at.or(job.started_at).unwrap_or(job.created_at);
        let cells = [
            job.id.to_string(),
            job.array_index.map(|index| index.to_string()).unwrap_or_default(),
            name(&job.owner.map_or_else(|| "root".to_owned(), |uid| owner_among(&names, uid))),
            state_in_list(job, now),
            if job.priority == 0 { String::new() } else { job.priority.to_string() },
            name(&job.queue),
            name(job.lane.as_deref().unwrap_or_default()),
            name(job.label.as_deref().unwrap_or_default()),
            time::local(ms_of(since), now),
            took(job, now_ms),
            progress(job),
            command(job),
        ];
        heads.iter().zip(cells).filter(|(head, _)| is_shown(head)).map(|(_, cell)| cell).collect::<Vec<_>>()
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    let heads: Vec<&str> = heads.into_iter().filter(is_shown).collect();
    let right: Vec<usize> = (0..heads.len()).filter(|at| ["id", "index", "prio", "took"].contains(&heads[*at])).collect();
    let text = table(&heads, &right, &rows, columns);
    if coloured { paint_lines(&text, jobs) } else { text }
}

/// The state is the first word of a line after the id, so its first occurrence is the right one.
fn paint_lines(text: &str, jobs: &[JobInfo]) -> String {
    let mut lines = text.lines();
    let head = lines.next().map(|head| format!("\x1b[1m{head}\x1b[0m\n")).unwrap_or_default();
    let body = lines.zip(jobs).map(|(line, job)| {
        let state = job.state;
        format!("{}\n", line.replacen(state.as_str(), &paint(state), 1))
    });
    head + &body.collect::<String>()
}

/// Returns a state in its colour.
pub fn paint(state: State) -> String {
    let colour = match state {
        State::Queued => 33,
        State::Running => 34,
        State::Done => 32,
        State::Failed => 31,
        State::Cancelled => 35,
    };
    format!("\x1b[{colour}m{state}\x1b[0m")
}

/// `40% phase`.
pub fn progress(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let percent = value.get("percent").and_then(serde_json::Value::as_f64).map(|p| format!("{p:.0}%"));
    let phase = value.get("text").and_then(|t| t.as_str()).map(str::to_owned);
    percent.into_iter().chain(phase).collect::<Vec<_>>().join(" ")
}

/// Returns the first few, and how many more.
pub fn named(all: &[String]) -> String {
    let mut shown = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > NAMED_MAX {
        shown += &format!(" and {} more", all.len() - NAMED_MAX);
    }
    shown
}

/// Most items of one kind that are named.
pub const NAMED_MAX: usize = 10;

pub fn held_text(counts: &Counts) -> String {
    let held: Vec<String> = counts.held.iter().filter(|(_, n)| *n > 0).map(|(hold, n)| format!("{n} by {hold}")).collect();
    if held.is_empty() { String::new() } else { format!(", held: {}", held.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;
    use crate::cli::parse::time::here;
    use crate::job::Reason;

    #[test]
    fn a_hostile_job_is_one_printable_line() {
        let mut job = fixture::job(7, State::Queued);
        job.label = Some("a\x1b[2J\n\u{202e}b".into());
        job.queue = "q\u{9b}".into();
        job.command = r#"["echo","\u001b]0;x\u0007", {"hex":"ff"}]"#.into();
        let text = jobs(&[JobInfo::of(job.clone())], &here(2_000), false, None);
        assert_eq!(text.lines().count(), 2);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains(r"$'\xff'"), "{text}");
        job.command = "no json \x1b".into();
        assert!(!jobs(&[JobInfo::of(job.clone())], &here(2_000), false, None).contains('\x1b'));
    }

    #[test]
    fn a_state_says_what_it_waits_for_or_why_it_ended() {
        let mut job = fixture::job(7, State::Queued);
        assert_eq!(state(&JobInfo::of(job.clone())), "queued");
        job.hold = Some(Hold::Lane);
        assert_eq!(state(&JobInfo::of(job.clone())), "queued (lane)");
        job.cancel_open = true;
        assert_eq!(state(&JobInfo::of(job.clone())), "cancelled");
        let mut job = fixture::job(7, State::Failed);
        job.reason = Some(Reason::Timeout);
        assert_eq!(state(&JobInfo::of(job.clone())), "failed (timeout)");
        assert_eq!(took(&JobInfo::of(job.clone()), 9_000), "2s");
        assert!(jobs(&[JobInfo::of(job.clone())], &here(9_000), true, None).contains("\x1b[31mfailed\x1b[0m (timeout)"));
    }

    #[test]
    fn the_command_is_seen_on_a_narrow_terminal() {
        let mut job = fixture::job(7, State::Running);
        (job.label, job.queue) = (Some("l".repeat(200)), "q".repeat(200));
        for columns in [80, 100, 140] {
            let text = jobs(&[JobInfo::of(job.clone())], &here(9_000), false, Some(columns));
            assert!(text.contains("echo hi") && text.lines().all(|line| line.chars().count() <= columns), "{text}");
            assert_eq!(text.contains("SINCE"), columns >= NARROW_COLUMNS, "{text}");
        }
        (job.array_index, job.lane) = (Some(12), Some("lane".repeat(50)));
        for columns in [80, 100, 140] {
            let text = jobs(&[JobInfo::of(job.clone())], &here(9_000), true, Some(columns));
            assert_eq!(text.contains("INDEX"), columns >= NARROW_COLUMNS, "{text}");
            assert_eq!(text.contains("LANE"), columns >= WIDE_COLUMNS, "{text}");
            assert!(text.contains("\x1b[34mrunning") && text.contains("echo hi"), "{text}");
        }
    }

    #[test]
    fn a_line_ends_where_the_terminal_does() {
        assert_eq!(fit("abcdef\nabc\n", Some(4)), "abc…\nabc\n");
        assert_eq!(fit("🚀🚀🚀\n", Some(5)), "🚀🚀…\n");
        assert_eq!(fit("abcdef\n", Some(6)), "abcdef\n");
        assert_eq!(fit("abcdef\n", Some(1)), "…\n");
        assert_eq!(fit("abcdef\n", None), "abcdef\n");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(1, "job", "runs", "run"), "1 job runs");
        assert_eq!(count(2, "job", "runs", "run"), "2 jobs run");
        assert_eq!(count(0, "job of it", "runs", "run"), "0 jobs of it run");
        assert_eq!(count(1, "ready job", "waits", "wait"), "1 ready job waits");
        assert_eq!(count(3, "slot", "", ""), "3 slots");
    }

    #[test]
    fn long_cells_are_cut_and_pairs_without_a_value_left_out() {
        let rows = [vec!["x".repeat(10_000), "y".repeat(10_000)]];
        let text = table(&["a", "b"], &[], &rows, None);
        assert_eq!(text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>(), rows[0]);
        let text = table(&["a", "b"], &[], &rows, Some(100));
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains(&format!("{}…  yyy", "x".repeat(33))), "{text}");
        assert_eq!(
            pairs(&[("id", Some("7".into())), ("lane", None), ("label", Some("a\nb".into()))]),
            "id     7\nlabel  a\\nb\n"
        );
    }
}
