//! The terminal: taken over, drawn on, and given back on every way out.
//!
//! Keys, signals and the file are waited for in one place, so there is no thread. The terminal is
//! given back when this value is dropped, when the program stops (Ctrl-Z, SIGTSTP), and by the hook
//! of a panic, which also runs where a panic ends the process.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, Once};

use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::emulate_default_handler;

use crate::error::{Error, Result};
use crate::run::signal;
use crate::sync::lock;

/// Alternate screen, no cursor, no wrapping at the end of a line.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J";
const LEAVE: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Largest screen that is drawn, in columns and in rows.
const COLUMNS_MAX: u16 = 1_000;
const ROWS_MAX: u16 = 500;

/// The settings of the terminal before it was taken over; `None` while it is given back.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal that is taken over.
pub struct Terminal {
    signals: SignalDelivery<UnixStream, SignalOnly>,
    shown: Buffer,
}

/// A signal that was received, by what it means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Resized,
    /// It was stopped, and is continued.
    Continued,
    Stop,
    /// End, with this number.
    End(i32),
}

/// Whether there is a terminal to draw on.
pub fn is_there() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

impl Terminal {
    /// Takes over the terminal.
    ///
    /// # Errors
    /// It cannot be set up.
    pub fn enter() -> Result<Self> {
        let what = "setting up the terminal";
        let (read, write) = UnixStream::pair().map_err(|error| Error::io(what, error))?;
        let signals = signal::not_ignored(&[SIGWINCH, SIGCONT, SIGTSTP, SIGTERM, SIGHUP, SIGINT, SIGQUIT]);
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, signals);
        let signals = signals.map_err(|error| Error::io(what, error))?;
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                next(panic);
            }));
        });
        let terminal = Self { signals, shown: Buffer::empty(Rect::ZERO) };
        take_over().map_err(|error| Error::io(what, error))?;
        Ok(terminal)
    }

    /// Becomes readable when a signal was received.
    pub fn signals(&self) -> BorrowedFd<'_> {
        self.signals.get_read().as_fd()
    }

    /// Returns the signals since the last call.
    pub fn heard(&mut self) -> Vec<Signal> {
        let meant = |signal| match signal {
            SIGWINCH => Signal::Resized,
            SIGCONT => Signal::Continued,
            SIGTSTP => Signal::Stop,
            signal => Signal::End(signal),
        };
        self.signals.pending().map(meant).collect()
    }

    /// Gives the terminal back, stops, and takes it over again when the program is continued.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn stop(&mut self) -> io::Result<()> {
        give_back();
        emulate_default_handler(SIGTSTP)?;
        self.resume()
    }

    /// Takes the terminal over again: another program may have changed it meanwhile.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn resume(&mut self) -> io::Result<()> {
        self.shown = Buffer::empty(Rect::ZERO);
        take_over()
    }

    /// Draws what has changed.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout())?;
        let area = Rect::new(0, 0, size.ws_col.min(COLUMNS_MAX), size.ws_row.min(ROWS_MAX));
        let mut next = Buffer::empty(area);
        draw(&mut next);
        let mut out = String::new();
        if self.shown.area != area {
            self.shown = Buffer::empty(area);
            out.push_str("\x1b[0m\x1b[2J");
        }
        write_cells(&self.shown.diff(&next), &mut out);
        self.shown = next;
        let mut stdout = io::stdout().lock();
        stdout.write_all(out.as_bytes())?;
        stdout.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    let now = tcgetattr(io::stdin())?;
    let mut raw = now.clone();
    raw.make_raw();
    lock(&BEFORE).get_or_insert(now);
    tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(ENTER.as_bytes())?;
    stdout.flush()
}

fn give_back() {
    let Some(before) = lock(&BEFORE).take() else { return };
    // The terminal may be gone.
    let mut stdout = io::stdout().lock();
    let _written = stdout.write_all(LEAVE.as_bytes()).and_then(|()| stdout.flush());
    let _set = tcsetattr(io::stdin(), OptionalActions::Now, &before);
}

/// Writes cells that have changed, each with its position unless it follows the one before.
fn write_cells(cells: &[(u16, u16, &Cell)], out: &mut String) {
    use std::fmt::Write as _;
    let (mut after, mut style) = (None, None);
    for (x, y, cell) in cells {
        if after != Some((*x, *y)) {
            let _text_takes_all = write!(out, "\x1b[{};{}H", y + 1, x + 1);
        }
        let now = (cell.fg, cell.bg, cell.modifier);
        if style != Some(now) {
            push_style(cell, out);
            style = Some(now);
        }
        out.push_str(cell.symbol());
        // Terminals differ in the width of what is not ASCII, so the next cell says where it is.
        after = cell.symbol().is_ascii().then_some((x + 1, *y));
    }
    if style.is_some() {
        out.push_str("\x1b[0m");
    }
}

fn push_style(cell: &Cell, out: &mut String) {
    out.push_str("\x1b[0");
    let modifiers = [(Modifier::BOLD, ";1"), (Modifier::DIM, ";2"), (Modifier::UNDERLINED, ";4"), (Modifier::REVERSED, ";7")];
    modifiers.iter().filter(|(modifier, _)| cell.modifier.contains(*modifier)).for_each(|(_, code)| out.push_str(code));
    let colour = match cell.fg {
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Blue => ";34",
        Color::Magenta => ";35",
        Color::Cyan => ";36",
        _ => "",
    };
    out.push_str(colour);
    out.push('m');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::style::Style;

    #[test]
    fn only_what_has_changed_is_written() {
        let area = Rect::new(0, 0, 6, 2);
        let (mut before, mut after) = (Buffer::empty(area), Buffer::empty(area));
        before.set_string(0, 0, "abcdef", Style::new());
        after.set_string(0, 0, "abXdef", Style::new());
        after.set_string(0, 1, "hi", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD));
        let mut out = String::new();
        write_cells(&before.diff(&after), &mut out);
        assert_eq!(out, "\x1b[1;3H\x1b[0mX\x1b[2;1H\x1b[0;1;31mhi\x1b[0m");
        out.clear();
        write_cells(&after.diff(&after.clone()), &mut out);
        assert_eq!(out, "");
    }

    #[test]
    fn no_cell_commands_the_terminal() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 1));
        buffer.set_string(0, 0, "a\x1b[2J\u{9b}31m\x07b\n", Style::new());
        let mut out = String::new();
        write_cells(&Buffer::empty(buffer.area).diff(&buffer), &mut out);
        assert_eq!(out, "\x1b[1;1H\x1b[0ma[2J31mb\x1b[0m");
    }
}
