//! `tenure top`: waits for keys, signals and changes of the file, and draws.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::face::Face;
use crate::cli::top::keys::Key;
use crate::cli::top::state::{Command, Pane, State};
use crate::cli::top::terminal::{Signal, Terminal};
use crate::cli::top::{draw, keys, read, terminal};
use crate::cli::verbs::queue::change;
use crate::error::{Error, Result, exit};
use crate::job;
use crate::queue::changes::{Changes, Heard};
use crate::queue::{Cancelled, Queue};
use crate::store::job::control;

/// Shortest interval between two reads of the file.
const READ: Duration = Duration::from_millis(250);
/// Interval at which the file is read without a change: the machine and the worker change too.
const READ_ANYHOW: Duration = Duration::from_secs(5);
/// Interval at which it is checked whether an age has changed.
const TICK: Duration = Duration::from_secs(1);
/// Interval at which the log of a running job is looked at.
const LOG: Duration = Duration::from_millis(250);
/// How long the rest of a key may take.
const KEY_REST: Duration = Duration::from_millis(30);

pub fn run(face: &Face) -> Result<u8> {
    const INSTEAD: &str = "use tenure status, or tenure events -f for a program";
    if face.json {
        return Err(Error::Invalid(format!("top draws on a terminal and prints no JSON; {INSTEAD}")));
    }
    if !terminal::is_there() {
        return Err(Error::Invalid(format!("top needs a terminal for its keys and its screen; {INSTEAD}")));
    }
    let queue = face.queue()?;
    let state = State::new(read::snapshot(face, &queue)?);
    let terminal = Terminal::enter()?;
    let mut top = Top { face, queue, state, terminal, pane: read::PaneReader::default(), typed: Vec::new(), is_drawn: false };
    let ended = top.until_quit();
    // Before a message is printed.
    drop(top);
    ended
}

struct Top<'a> {
    face: &'a Face,
    queue: Queue,
    state: State,
    terminal: Terminal,
    pane: read::PaneReader,
    /// The beginning of a key.
    typed: Vec<u8>,
    /// False: the terminal is too small.
    is_drawn: bool,
}

/// What a key or a signal leads to.
enum Next {
    End(u8),
    /// Read the file now: a command has changed it.
    Read,
    Draw,
}

impl Top<'_> {
    fn until_quit(&mut self) -> Result<u8> {
        let mut changes = Changes::default();
        let (mut read_at, mut is_new, mut pane_is_new, mut must_draw) = (Instant::now(), false, true, true);
        loop {
            if !is_new && changes.poll(&self.queue.store)? {
                changes.stir();
                is_new = true;
            }
            if is_new && read_at.elapsed() >= READ || read_at.elapsed() >= READ_ANYHOW {
                self.state.update(read::snapshot(self.face, &self.queue)?);
                (read_at, is_new, pane_is_new, must_draw) = (Instant::now(), false, true, true);
            }
            must_draw |= self.read_pane(pane_is_new)? | self.state.tick(self.face.now());
            pane_is_new = false;
            if must_draw && self.draw().is_err() {
                // The terminal has gone.
                return Ok(exit::FAILED);
            }
            must_draw = false;
            if !self.wait(&mut changes, is_new.then(|| READ.saturating_sub(read_at.elapsed()))) {
                continue;
            }
            match self.hear()? {
                Some(Next::End(code)) => return Ok(code),
                Some(Next::Read) => (is_new, read_at, must_draw) = (true, read_at.checked_sub(READ).unwrap_or(read_at), true),
                Some(Next::Draw) => must_draw = true,
                None => {}
            }
        }
    }

    /// Waits for a key, a signal, a change of the file, or the time to look at something else.
    /// `until_read`: a change of the file is known, and is read then. Returns whether there is a
    /// key or a signal.
    fn wait(&self, changes: &mut Changes, until_read: Option<Duration>) -> bool {
        let stdin = io::stdin();
        let others = [(stdin.as_fd(), PollFlags::IN), (self.terminal.signals(), PollFlags::IN)];
        match until_read {
            Some(until_read) => is_ready(&others, until_read),
            None => {
                let wait = if self.log_grows() { LOG } else { TICK };
                changes.wait(&self.queue.store, &others, wait) == Heard::Other
            }
        }
    }

    fn log_grows(&self) -> bool {
        self.state.pane == Pane::Log && self.state.selected().is_some_and(|job| job.state == job::State::Running)
    }

    /// Reads the pane of the selected job. `is_new`: the file has changed. Returns whether it
    /// differs.
    fn read_pane(&mut self, is_new: bool) -> Result<bool> {
        let of = self.state.selected().map(|job| (job.id, self.state.pane));
        let lines = self.pane.lines(self.face, &self.queue, of, is_new)?;
        let is_read = lines.is_some();
        if let Some(lines) = lines {
            self.state.lines = lines;
        }
        Ok(is_read)
    }

    fn draw(&mut self) -> io::Result<()> {
        let (state, coloured) = (&self.state, self.face.colour);
        let is_drawn = &mut self.is_drawn;
        self.terminal.draw(|buffer| *is_drawn = draw::draw(state, coloured, buffer))
    }

    fn hear(&mut self) -> Result<Option<Next>> {
        let mut next = None;
        for signal in self.terminal.heard() {
            next = Some(match signal {
                Signal::End(number) => return Ok(Some(Next::End(u8::try_from(128 + number).unwrap_or(exit::FAILED)))),
                Signal::Stop => self.stop(),
                Signal::Continued => self.taken_again(),
                Signal::Resized => Next::Draw,
            });
        }
        for key in self.keys() {
            let Some(key) = key else { return Ok(Some(Next::End(exit::FAILED))) };
            // A key that acts on what is not shown would act blindly.
            if !self.is_drawn && !matches!(key, Key::Char('q') | Key::Ctrl(_)) {
                continue;
            }
            next = match self.state.key(key) {
                Some(Command::Quit) => return Ok(Some(Next::End(exit::OK))),
                Some(Command::Stop) => Some(self.stop()),
                Some(Command::Redraw) => Some(self.taken_again()),
                Some(command) => {
                    self.state.message = Some(self.act(command).unwrap_or_else(|error| error.to_string()));
                    Some(Next::Read)
                }
                None if matches!(next, Some(Next::Read)) => next,
                None => Some(Next::Draw),
            };
        }
        Ok(next)
    }

    fn stop(&mut self) -> Next {
        if self.terminal.stop().is_ok() { Next::Draw } else { Next::End(exit::FAILED) }
    }

    fn taken_again(&mut self) -> Next {
        if self.terminal.resume().is_ok() { Next::Draw } else { Next::End(exit::FAILED) }
    }

    /// Returns the keys that were typed; `None` at the end: the terminal has gone.
    fn keys(&mut self) -> Vec<Option<Key>> {
        let stdin = io::stdin();
        let input = [(stdin.as_fd(), PollFlags::IN)];
        let mut all = Vec::new();
        let mut wait = Duration::ZERO;
        while is_ready(&input, wait) {
            let mut bytes = [0u8; 1_024];
            match rustix::io::read(&stdin, &mut bytes) {
                Ok(0) => return vec![None],
                Ok(n) => self.typed.extend(&bytes[..n]),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(_) => return vec![None],
            }
            all.extend(keys::take(&mut self.typed, false).into_iter().map(Some));
            // The rest of a key comes at once.
            wait = if self.typed.is_empty() { break } else { KEY_REST };
        }
        all.extend(keys::take(&mut self.typed, true).into_iter().map(Some));
        all
    }

    /// Does what a key asks for, and says what came of it.
    fn act(&self, command: Command) -> Result<String> {
        // Not opened before, so that reading needs no permission to write.
        let queue = Queue::of(&self.face.editor()?);
        Ok(match command {
            Command::Cancel(id) => match queue.cancel(id)? {
                Cancelled::Asked => format!("job {id} is being stopped, with its whole process tree"),
                Cancelled::AlreadyEnded => format!("job {id} had ended before"),
                _ => format!("job {id} is cancelled"),
            },
            Command::Hold(id) => {
                queue.hold(id)?;
                format!("job {id} is held; u releases it")
            }
            Command::Release(id) => {
                queue.release(id)?;
                format!("job {id} is released")
            }
            Command::Retry(id) => {
                queue.retry(id)?;
                format!("job {id} is queued again")
            }
            Command::Pause(name) => {
                let said = format!("queue {name} is paused; p resumes it");
                change(self.face, move |conn| control::queue_pause(conn, &name, true))?;
                said
            }
            Command::Resume(name) => {
                let said = format!("queue {name} is resumed");
                change(self.face, move |conn| control::queue_pause(conn, &name, false))?;
                said
            }
            Command::Quit | Command::Stop | Command::Redraw => String::new(),
        })
    }
}

/// Waits until one of these is ready.
fn is_ready(others: &[(BorrowedFd<'_>, PollFlags)], at_most: Duration) -> bool {
    let mut fds: Vec<PollFd<'_>> = others.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    let timeout = Timespec::try_from(at_most).ok();
    poll(&mut fds, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}
