//! Draws the state. Pure: a state gives the cells of a screen.
//!
//! Every text of a job is escaped before it becomes a cell, and a cell holds no control character.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};

use crate::cli::parse::time;
use crate::cli::parse::time::ms_of;
use crate::cli::top::layout;
use crate::cli::top::state::{Asking, Pane, Panel, State};
use crate::cli::view::escape;
use crate::cli::view::table::{self, held_text};
use crate::job;
use crate::queue::JobInfo;
use crate::queue::why::worker_words;

/// Cells of a bar of progress.
const BAR_CELLS: usize = 5;
/// From these widths on a job has its queue, and more of what it says of its progress.
const QUEUE_COLUMNS: u16 = 90;
const PROGRESS_COLUMNS: u16 = 120;

const HELP: [&str; 16] = [
    "↑ ↓ j k     select a row            PgUp PgDn Home End",
    "Tab         next list               Shift-Tab the one before",
    "Enter       log or reasons large, and back",
    "l           log of the job          w  why it waits or ended",
    "",
    "c           cancel the job, with its whole process tree",
    "h           hold it                 u  release it",
    "r           put it back into the queue",
    "p           pause or resume the queue",
    "",
    "/           show only jobs with this in id, queue, label,",
    "            command or state; Esc shows all",
    "Ctrl-L      draw anew               Ctrl-Z  stop",
    "q Ctrl-C    quit; jobs continue",
    "",
    "any key closes this",
];

/// Draws everything. `coloured`: with colours. False: the terminal is too small.
pub fn draw(state: &State, coloured: bool, buffer: &mut Buffer) -> bool {
    let area = buffer.area;
    let mut pen = Pen { buffer, coloured };
    let Some(places) = layout::places(area, state.queues().len(), state.is_large) else {
        pen.text(area, 0, &layout::too_small(), Style::new());
        return false;
    };
    header(&mut pen, state, places.header);
    jobs(&mut pen, state, places.jobs);
    queues(&mut pen, state, places.queues);
    ended(&mut pen, state, places.ended);
    pane(&mut pen, state, places.pane);
    footer(&mut pen, state, places.footer);
    if state.help {
        help(&mut pen, area);
    }
    true
}

/// Writes texts into cells.
struct Pen<'a> {
    buffer: &'a mut Buffer,
    coloured: bool,
}

impl Pen<'_> {
    fn style(&self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    /// Writes a text into a row of a part, cut at its end.
    fn text(&mut self, part: Rect, row: u16, text: &str, style: Style) {
        self.at(part, row, 0, text, style);
    }

    fn at(&mut self, part: Rect, row: u16, column: u16, text: &str, style: Style) {
        if row >= part.height || column >= part.width {
            return;
        }
        let safe = escape::line(text);
        let room = usize::from(part.width - column);
        let (end, _) = self.buffer.set_stringn(part.x + column, part.y + row, &safe, room, style);
        // The last cell says that there is more.
        if usize::from(end - part.x - column) >= room - room.min(1) && text_width(&safe) > room {
            self.buffer.set_stringn(part.right() - 1, part.y + row, "…", 1, style);
        }
    }

    /// A rule with a title.
    fn title(&mut self, part: Rect, title: &str, is_focused: bool) {
        if part.height == 0 {
            return;
        }
        let style = if is_focused { Style::new().add_modifier(Modifier::BOLD) } else { Style::new().add_modifier(Modifier::DIM) };
        let rule = "─".repeat(usize::from(part.width));
        self.text(part, 0, &rule, style);
        let mark = if is_focused { '▶' } else { '─' };
        let title = cut(&escape::line(title), usize::from(part.width).saturating_sub(4));
        self.text(part, 0, &format!("{mark} {title} "), style);
    }

    fn mark(&mut self, part: Rect, row: u16, is_focused: bool) {
        let modifier = if is_focused { Modifier::REVERSED } else { Modifier::UNDERLINED };
        let row = Rect { y: part.y + row, height: 1, ..part };
        self.buffer.set_style(row, Style::new().add_modifier(modifier));
    }
}

fn text_width(text: &str) -> usize {
    ratatui_core::text::Line::raw(text).width()
}

/// Cuts a text at so many cells.
fn cut(text: &str, cells: usize) -> String {
    if text_width(text) <= cells {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if text_width(&out) + text_width(c.encode_utf8(&mut [0; 4])) + 1 > cells {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// A text in so many cells.
fn cell(text: &str, cells: usize) -> String {
    let text = cut(&escape::line(text), cells);
    let pad = cells.saturating_sub(text_width(&text));
    text + &" ".repeat(pad)
}

fn header(pen: &mut Pen<'_>, state: &State, part: Rect) {
    let picture = &state.snapshot.picture;
    let counts = &picture.counts;
    let worker = match &picture.worker {
        None => "no worker".to_owned(),
        Some(worker) if worker.holder.pid == 0 => "a worker is starting".to_owned(),
        Some(worker) => format!(
            "{} of {} slots busy  worker {} ({}) since {}{}",
            counts.slots_taken,
            worker.slots(),
            worker.holder.named(),
            worker.holder.kind,
            time::local(worker.holder.since_ms, &state.snapshot.now),
            worker_words::state(worker)
        ),
    };
    let colour = if picture.worker.is_some() { Color::Green } else { Color::Red };
    let style = pen.style(colour).add_modifier(Modifier::BOLD);
    pen.text(part, 0, &format!("tenure  {worker}"), style);
    let jobs = format!(
        "{} running, {} ready{}; {} done, {} failed, {} cancelled",
        counts.running,
        picture.ready(),
        held_text(counts),
        counts.done,
        counts.failed,
        counts.cancelled
    );
    pen.text(part, 1, &jobs, Style::new());
    if let Some(first) = state.snapshot.problems.first() {
        let more = state.snapshot.problems.len() - 1;
        let more = if more > 0 { format!(" (and {more} more: tenure status)") } else { String::new() };
        let remedy = first.remedy.as_ref().map(|remedy| format!(": {remedy}")).unwrap_or_default();
        let style = pen.style(Color::Red);
        pen.text(part, 2, &format!("problem: {}{remedy}{more}", first.text), style);
    }
}

/// The first row of a list that is shown so that the selected one is visible.
fn first_row(selected: usize, rows: usize, all: usize) -> usize {
    if rows == 0 { 0 } else { selected.saturating_sub(rows / 2).min(all.saturating_sub(rows)) }
}

fn jobs(pen: &mut Pen<'_>, state: &State, part: Rect) {
    let all = state.jobs();
    let is_focused = state.panel == Panel::Jobs;
    let more = if state.snapshot.more { "+" } else { "" };
    let filter = if state.filter.is_empty() { String::new() } else { format!(" with {:?}", state.filter) };
    pen.title(part, &format!("Jobs {}{more}{filter}", all.len()), is_focused);
    let bold = Style::new().add_modifier(Modifier::DIM);
    let progress = if part.width >= PROGRESS_COLUMNS { 30 } else { 16 };
    let queue = |name: &str| if part.width >= QUEUE_COLUMNS { format!("{} ", cell(name, 10)) } else { String::new() };
    let head = format!(
        "{:>6} {} {:>8} {} {}{} COMMAND",
        "ID",
        cell("STATE", 15),
        "AGE",
        cell("PROGRESS", progress),
        queue("QUEUE"),
        cell("LABEL", 12)
    );
    pen.text(part, 1, &head, bold);
    let rows = usize::from(part.height.saturating_sub(2));
    if all.is_empty() && rows > 0 {
        let none = if state.filter.is_empty() { "no live jobs" } else { "no live job matches; Esc shows all" };
        pen.text(part, 2, &format!("       {none}"), bold);
    }
    let first = first_row(state.job.at, rows, all.len());
    for (n, job) in all.iter().skip(first).take(rows).enumerate() {
        let row = n as u16 + 2;
        let text = format!(
            "{:>6} {} {:>8} {} {}{} {}",
            job.id.to_string(),
            cell(&table::state(job), 15),
            cut(&age(job, state.snapshot.picture.now_ms), 8),
            cell(&progress_text(job), progress),
            queue(&job.queue),
            cell(job.label.as_deref().unwrap_or_default(), 12),
            table::command(job)
        );
        pen.text(part, row, &text, Style::new());
        let style = pen.style(colour_of(job.state));
        pen.at(Rect { width: 22, ..part }, row, 7, &cell(&table::state(job), 15), style);
        if state.job.name == Some(job.id) {
            pen.mark(part, row, is_focused);
        }
    }
}

/// How long it has run, or waited since it was added.
fn age(job: &JobInfo, now_ms: i64) -> String {
    let since = job.started_at.filter(|_| job.state == job::State::Running).unwrap_or(job.created_at);
    time::between(ms_of(since), now_ms)
}

fn progress_text(job: &JobInfo) -> String {
    let Some(progress) = job.progress.as_ref().filter(|_| job.state == job::State::Running) else { return String::new() };
    let text = progress.text.clone().unwrap_or_default();
    match progress.percent {
        Some(percent) => {
            let full = ((percent.clamp(0.0, 100.0) / 100.0) * BAR_CELLS as f64).round() as usize;
            format!("{}{} {percent:>3.0}% {text}", "█".repeat(full), "░".repeat(BAR_CELLS - full))
        }
        None => text,
    }
}

fn colour_of(state: job::State) -> Color {
    match state {
        job::State::Queued => Color::Yellow,
        job::State::Running => Color::Blue,
        job::State::Done => Color::Green,
        job::State::Failed => Color::Red,
        job::State::Cancelled => Color::Magenta,
    }
}

fn queues(pen: &mut Pen<'_>, state: &State, part: Rect) {
    let all = state.queues();
    let is_focused = state.panel == Panel::Queues;
    pen.title(part, &format!("Queues {}", all.len()), is_focused);
    let dim = Style::new().add_modifier(Modifier::DIM);
    pen.text(part, 1, &format!("{} {:>8} {:>8} {:>8} {:>8}", cell("QUEUE", 24), "SLOTS", "RUNNING", "READY", "HELD"), dim);
    let rows = usize::from(part.height.saturating_sub(2));
    let first = first_row(state.queue.at, rows, all.len());
    for (n, queue) in all.iter().skip(first).take(rows).enumerate() {
        let row = n as u16 + 2;
        let slots = queue.slots.map_or_else(|| "-".to_owned(), |slots| slots.to_string());
        let paused = if queue.paused { "  paused" } else { "" };
        let text =
            format!("{} {slots:>8} {:>8} {:>8} {:>8}{paused}", cell(&queue.name, 24), queue.running, queue.ready, queue.waiting);
        let style = if queue.paused { pen.style(Color::Yellow) } else { Style::new() };
        pen.text(part, row, &text, style);
        if state.queue.name.as_ref() == Some(&queue.name) && is_focused {
            pen.mark(part, row, true);
        }
    }
}

fn ended(pen: &mut Pen<'_>, state: &State, part: Rect) {
    let all = state.ended();
    let is_focused = state.panel == Panel::Ended;
    pen.title(part, "Ended", is_focused);
    let rows = usize::from(part.height.saturating_sub(1));
    let first = first_row(state.ended.at, rows, all.len());
    for (n, job) in all.iter().skip(first).take(rows).enumerate() {
        let row = n as u16 + 1;
        let ago = job.finished_at.map(|at| time::between(ms_of(at), state.snapshot.picture.now_ms)).unwrap_or_default();
        let why = job.error.clone().filter(|_| job.state != job::State::Done).unwrap_or_else(|| table::command(job));
        let label = cell(job.label.as_deref().unwrap_or_default(), 14);
        let text = format!("{:>6} {} {:>8} {label} {why}", job.id.to_string(), cell(&table::state(job), 20), cut(&ago, 8));
        pen.text(part, row, &text, Style::new());
        let style = pen.style(colour_of(job.state));
        pen.at(Rect { width: 27, ..part }, row, 7, &cell(&table::state(job), 20), style);
        if is_focused && state.ended.name == Some(job.id) {
            pen.mark(part, row, true);
        }
    }
}

fn pane(pen: &mut Pen<'_>, state: &State, part: Rect) {
    let what = match state.pane {
        Pane::Log => "Log",
        Pane::Why => "Why",
    };
    let of = state.selected().map(|job| format!(" of job {}: {}", job.id, table::command(job))).unwrap_or_default();
    pen.title(part, &format!("{what}{of}"), state.is_large);
    let rows = usize::from(part.height.saturating_sub(1));
    let end = state.lines.len().saturating_sub(state.scrolled).max(rows.min(state.lines.len()));
    let first = match state.pane {
        Pane::Log => end.saturating_sub(rows),
        Pane::Why => state.lines.len().min(end).saturating_sub(rows.max(state.lines.len())),
    };
    for (n, line) in state.lines[first..end].iter().take(rows).enumerate() {
        pen.text(part, n as u16 + 1, line, Style::new());
    }
}

fn footer(pen: &mut Pen<'_>, state: &State, part: Rect) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let keys = "↑↓ Tab Enter  l log  w why  c cancel  h hold  u release  r retry  p pause  / ? q";
    match (&state.asking, &state.message) {
        (Asking::Cancel(id), _) => {
            pen.text(part, 0, &format!("cancel job {id} with its whole process tree? y: yes, any other key: no"), bold);
        }
        (Asking::Filter, _) => {
            pen.text(part, 0, &format!("show jobs with: {}▏  Enter keeps it, Esc shows all", state.filter), bold)
        }
        (Asking::Nothing, Some(message)) => pen.text(part, 0, message, bold),
        (Asking::Nothing, None) => pen.text(part, 0, keys, Style::new().add_modifier(Modifier::DIM)),
    }
}

fn help(pen: &mut Pen<'_>, area: Rect) {
    let width = area.width.min(64);
    let height = area.height.min(HELP.len() as u16 + 2);
    let part = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    for row in 0..height {
        pen.text(part, row, &" ".repeat(usize::from(width)), Style::new().add_modifier(Modifier::REVERSED));
    }
    for (row, line) in HELP.iter().enumerate() {
        let text = format!("  {line}");
        pen.text(
            Rect { height: height.saturating_sub(1), ..part },
            row as u16 + 1,
            &text,
            Style::new().add_modifier(Modifier::REVERSED),
        );
    }
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
