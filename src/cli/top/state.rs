//! What is shown, and what a key does. Pure: a key and a state give a state and a command.

use crate::cli::top::keys::Key;
use crate::cli::view::{escape, table};
use crate::document::picture::Picture;
use crate::job::{Advice, JobId};
use crate::queue::JobInfo;
use crate::store::job::counted::QueueRow;

/// Longest filter, in characters.
const FILTER_CHARS_MAX: usize = 100;
/// Rows that a page key moves by.
const PAGE_ROWS: usize = 10;

/// What was read of the file.
pub struct Snapshot {
    pub now: jiff::Zoned,
    pub picture: Picture,
    pub problems: Vec<Advice>,
    /// Live jobs, as `ls` lists them.
    pub jobs: Vec<JobInfo>,
    /// There are more than are listed.
    pub more: bool,
    /// The latest ends, newest first.
    pub ended: Vec<JobInfo>,
}

/// A list that the arrows move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    Jobs,
    Ended,
    Queues,
}

/// What is shown of the selected job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    Log,
    Why,
}

/// What the next key answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asking {
    Nothing,
    /// Whether this job is to be cancelled.
    Cancel(JobId),
    /// The text of the filter.
    Filter,
}

/// What a key asks for, beyond what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Quit,
    /// Stop like any program at Ctrl-Z.
    Stop,
    /// Draw everything anew.
    Redraw,
    Cancel(JobId),
    Hold(JobId),
    Release(JobId),
    Retry(JobId),
    Pause(String),
    Resume(String),
}

/// A selected row: its name, and where it was when it was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected<T> {
    pub name: Option<T>,
    pub at: usize,
}

impl<T: PartialEq + Clone> Selected<T> {
    const NONE: Self = Self { name: None, at: 0 };

    /// Follows the row in a new list. `stays`: the row is elsewhere now, and still selected.
    fn follow(&mut self, names: &[T], stays: impl Fn(&T) -> bool) {
        if let Some(name) = &self.name {
            match names.iter().position(|one| one == name) {
                Some(at) => return self.at = at,
                None if stays(name) => return,
                None => {}
            }
        }
        self.at = self.at.min(names.len().saturating_sub(1));
        self.name = names.get(self.at).cloned();
    }

    fn move_to(&mut self, names: &[T], at: usize) {
        self.at = at.min(names.len().saturating_sub(1));
        self.name = names.get(self.at).cloned();
    }
}

/// Everything that is shown.
pub struct State {
    pub snapshot: Snapshot,
    pub panel: Panel,
    pub pane: Pane,
    pub job: Selected<JobId>,
    pub ended: Selected<JobId>,
    pub queue: Selected<String>,
    pub asking: Asking,
    /// Only jobs that have this in their number, queue, label or command.
    pub filter: String,
    pub help: bool,
    /// The pane fills the screen.
    pub is_large: bool,
    /// Lines of the pane.
    pub lines: Vec<String>,
    /// Lines between the end of the pane and what is shown.
    pub scrolled: usize,
    /// The result of the last command.
    pub message: Option<String>,
}

impl State {
    pub fn new(snapshot: Snapshot) -> Self {
        let mut state = Self {
            snapshot,
            panel: Panel::Jobs,
            pane: Pane::Log,
            job: Selected::NONE,
            ended: Selected::NONE,
            queue: Selected::NONE,
            asking: Asking::Nothing,
            filter: String::new(),
            help: false,
            is_large: false,
            lines: Vec::new(),
            scrolled: 0,
            message: None,
        };
        state.follow();
        state
    }

    /// Shows what was read later.
    pub fn update(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
        self.follow();
    }

    /// Lets the ages grow. Returns whether one can have changed.
    pub fn tick(&mut self, now: jiff::Zoned) -> bool {
        let is_later = now.timestamp().as_second() != self.snapshot.now.timestamp().as_second();
        if is_later {
            self.snapshot.picture.now_ms = now.timestamp().as_millisecond();
            self.snapshot.now = now;
        }
        is_later
    }

    /// The jobs of a list that the filter lets through.
    pub fn jobs(&self) -> Vec<&JobInfo> {
        self.snapshot.jobs.iter().filter(|job| self.wants(job)).collect()
    }

    pub fn ended(&self) -> Vec<&JobInfo> {
        self.snapshot.ended.iter().filter(|job| self.wants(job)).collect()
    }

    /// Queues and lanes without jobs and settings are as they are in `status`.
    pub fn queues(&self) -> &[QueueRow] {
        &self.snapshot.picture.queues
    }

    /// The job whose log is shown and that the keys are about.
    pub fn selected(&self) -> Option<&JobInfo> {
        let id = match self.panel {
            Panel::Jobs => self.job.name,
            Panel::Ended => self.ended.name,
            Panel::Queues => self.job.name.or(self.ended.name),
        }?;
        self.snapshot.jobs.iter().chain(&self.snapshot.ended).find(|job| job.id == id)
    }

    fn wants(&self, job: &JobInfo) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let wanted = self.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        has(&job.id.to_string())
            || has(&job.queue)
            || job.label.as_deref().is_some_and(has)
            || has(&table::command(job))
            || has(&table::state(job))
    }

    fn ids(jobs: &[&JobInfo]) -> Vec<JobId> {
        jobs.iter().map(|job| job.id).collect()
    }

    fn follow(&mut self) {
        let (jobs, ended) = (Self::ids(&self.jobs()), Self::ids(&self.ended()));
        let queues: Vec<String> = self.queues().iter().map(|queue| queue.name.clone()).collect();
        // A job that ends keeps its pane until another one is selected.
        self.job.follow(&jobs, |id| ended.contains(id));
        self.ended.follow(&ended, |id| jobs.contains(id));
        self.queue.follow(&queues, |_| false);
        if self.panel == Panel::Jobs && jobs.is_empty() && self.job.name.is_none() && !ended.is_empty() {
            self.panel = Panel::Ended;
        }
        if let Asking::Cancel(id) = self.asking
            && !jobs.contains(&id)
        {
            self.asking = Asking::Nothing;
        }
    }

    /// Does what a key means.
    pub fn key(&mut self, key: Key) -> Option<Command> {
        self.message = None;
        match (std::mem::replace(&mut self.asking, Asking::Nothing), key) {
            (_, Key::Ctrl('c')) => Some(Command::Quit),
            (asking, Key::Ctrl('z')) => {
                self.asking = asking;
                Some(Command::Stop)
            }
            (asking, Key::Ctrl('l')) => {
                self.asking = asking;
                Some(Command::Redraw)
            }
            (Asking::Cancel(id), Key::Char('y' | 'Y')) => Some(Command::Cancel(id)),
            (Asking::Cancel(id), _) => {
                self.message = Some(format!("job {id} is not cancelled"));
                None
            }
            (Asking::Filter, key) => {
                self.type_filter(key);
                None
            }
            (Asking::Nothing, _) if self.help => {
                self.help = false;
                None
            }
            (Asking::Nothing, key) => self.plain(key),
        }
    }

    fn type_filter(&mut self, key: Key) {
        self.asking = Asking::Filter;
        match key {
            Key::Enter => self.asking = Asking::Nothing,
            Key::Escape => {
                self.filter.clear();
                self.asking = Asking::Nothing;
            }
            Key::Backspace => _ = self.filter.pop(),
            Key::Ctrl('u') => self.filter.clear(),
            Key::Char(c) if !escape::is_unsafe(c) && self.filter.chars().count() < FILTER_CHARS_MAX => self.filter.push(c),
            _ => {}
        }
        self.follow();
    }

    fn plain(&mut self, key: Key) -> Option<Command> {
        match key {
            Key::Char('q') => return Some(Command::Quit),
            Key::Char('?') => self.help = true,
            Key::Char('/') => self.asking = Asking::Filter,
            Key::Escape if self.is_large => self.is_large = false,
            Key::Escape => self.filter.clear(),
            Key::Up | Key::Char('k') => self.step(-1),
            Key::Down | Key::Char('j') => self.step(1),
            Key::PageUp => self.step(-(PAGE_ROWS as isize)),
            Key::PageDown => self.step(PAGE_ROWS as isize),
            Key::Home | Key::Char('g') => self.step(isize::MIN),
            Key::End | Key::Char('G') => self.step(isize::MAX),
            Key::Tab => self.turn(1),
            Key::BackTab => self.turn(2),
            Key::Char('w') => self.show(Pane::Why),
            Key::Char('l') => self.show(Pane::Log),
            Key::Enter => self.is_large = !self.is_large,
            Key::Char('c') => match self.selected() {
                Some(job) if !job.has_ended() => self.asking = Asking::Cancel(job.id),
                Some(job) => self.message = Some(format!("job {} has ended", job.id)),
                None => self.message = Some("no job is selected".to_owned()),
            },
            Key::Char('h') => return self.of_job(Command::Hold),
            Key::Char('u') => return self.of_job(Command::Release),
            Key::Char('r') => return self.of_job(Command::Retry),
            Key::Char('p') => return self.pause(),
            _ => {}
        }
        self.follow();
        None
    }

    fn of_job(&mut self, command: fn(JobId) -> Command) -> Option<Command> {
        let id = self.selected().map(|job| job.id);
        if id.is_none() {
            self.message = Some("no job is selected".to_owned());
        }
        id.map(command)
    }

    /// The queue of the selected job, or the selected queue.
    fn pause(&mut self) -> Option<Command> {
        let name = match self.panel {
            Panel::Queues => self.queue.name.clone(),
            _ => self.selected().map(|job| job.queue.clone()),
        };
        let queue = name.and_then(|name| self.queues().iter().find(|queue| queue.name == name));
        let command = queue.map(|queue| match queue.paused {
            true => Command::Resume(queue.name.clone()),
            false => Command::Pause(queue.name.clone()),
        });
        if command.is_none() {
            self.message = Some("no queue is selected".to_owned());
        }
        command
    }

    fn show(&mut self, pane: Pane) {
        (self.pane, self.scrolled) = (pane, 0);
    }

    fn step(&mut self, rows: isize) {
        if self.is_large {
            let most = self.lines.len();
            self.scrolled = self.scrolled.saturating_add_signed(rows.saturating_neg()).min(most);
            return;
        }
        let (jobs, ended) = (Self::ids(&self.jobs()), Self::ids(&self.ended()));
        let queues: Vec<String> = self.queues().iter().map(|queue| queue.name.clone()).collect();
        match self.panel {
            Panel::Jobs => self.job.move_to(&jobs, self.job.at.saturating_add_signed(rows)),
            Panel::Ended => self.ended.move_to(&ended, self.ended.at.saturating_add_signed(rows)),
            Panel::Queues => self.queue.move_to(&queues, self.queue.at.saturating_add_signed(rows)),
        }
        self.scrolled = 0;
    }

    fn turn(&mut self, by: usize) {
        const PANELS: [Panel; 3] = [Panel::Jobs, Panel::Ended, Panel::Queues];
        let at = PANELS.iter().position(|panel| *panel == self.panel).unwrap_or(0);
        self.panel = PANELS[(at + by) % PANELS.len()];
        self.scrolled = 0;
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(in crate::cli::top) mod tests;
