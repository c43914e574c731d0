//! The context of every verb: the settings, the file, and output that is safe for a terminal.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::cli::global::Global;
use crate::cli::logging;
use crate::cli::view::escape;
use crate::clock::Clock;
use crate::config::{self, Around, Colour, Flags, Settings};
pub use crate::document::shapes::versioned;
use crate::error::{Error, Result};
use crate::host::lock::Holder;
use crate::place::Place;
use crate::queue::Queue;
use crate::store::{Options, Role, Store};

/// One invocation.
pub struct Face {
    pub settings: Settings,
    /// Data is printed as JSON.
    pub json: bool,
    /// Data is coloured.
    pub colour: bool,
    /// Width of the terminal that data is printed on.
    pub columns: Option<usize>,
    pub clock: Clock,
}

impl Face {
    /// Reads the settings.
    ///
    /// # Errors
    /// They are invalid.
    pub fn new(global: &Global, flags: Flags) -> Result<Self> {
        let flags = Flags {
            db: global.db.clone(),
            color: global.color,
            allow_shared: global.allow_shared,
            system: global.system,
            ..flags
        };
        let env = |name: &str| std::env::var_os(name);
        let around = Around { env: &env, is_root: rustix::process::geteuid().is_root() };
        let settings = Settings::resolve(&flags, &around, config::read_file(&around)?)?;
        let colour = coloured(settings.color.value, std::env::var_os("NO_COLOR"), io::stdout().is_terminal());
        Ok(Self { settings, json: global.json, colour, columns: columns(), clock: Clock::System })
    }

    /// Opens the file for reading. It must exist.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn reader(&self) -> Result<Store> {
        self.open(Role::Reader)
    }

    /// Opens the queue for reading. Its file must exist.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn queue(&self) -> Result<Queue> {
        Ok(Queue::of(&self.reader()?))
    }

    /// Opens the file for writing; creates it on first use.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn client(&self) -> Result<Store> {
        self.open(Role::Client)
    }

    /// Opens the file for a program that is about to be its worker: it may be of an earlier
    /// version.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn before_worker(&self) -> Result<Store> {
        Store::open(&self.settings.db.value, Options { allow_older: true, ..self.options(Role::Client) })
    }

    /// Opens the file to change it. It must exist.
    ///
    /// # Errors
    /// It does not exist, or cannot be used.
    pub fn editor(&self) -> Result<Store> {
        drop(self.reader()?);
        self.client()
    }

    fn open(&self, role: Role) -> Result<Store> {
        Store::open(&self.settings.db.value, self.options(role))
    }

    /// Returns how the file is opened.
    pub fn options(&self, role: Role) -> Options {
        let durability = match self.settings.durability.value {
            config::Durability::Flush => crate::store::Durability::Flush,
            config::Durability::Full => crate::store::Durability::Full,
        };
        let allow_shared = self.settings.allow_shared.value;
        Options { durability, allow_shared, clock: self.clock.clone(), ..Options::new(role) }
    }

    /// Milliseconds UTC.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The present instant in the local time zone.
    pub fn now(&self) -> jiff::Zoned {
        crate::cli::parse::time::here(self.now_ms())
    }

    /// Prints a value on its own line.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn print_line(&self, value: &Value) -> Result<()> {
        print(&format!("{value}\n"))
    }

    /// Prints one document, with its `schema`, on its own line.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn document(&self, value: Value) -> Result<()> {
        print(&format!("{}\n", versioned(value)))
    }
}

fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Whether text is coloured, for a terminal or not.
pub fn coloured(choice: Colour, no_color: Option<OsString>, is_terminal: bool) -> bool {
    match choice {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => is_terminal && no_color.is_none_or(|value| value.is_empty()),
    }
}

/// Writes data to stdout.
///
/// # Errors
/// The reader has gone; see [`is_broken_pipe`].
pub fn print(text: &str) -> Result<()> {
    write_bytes(escape::json(text).as_bytes())
}

/// Writes bytes to stdout as they are.
///
/// # Errors
/// The reader has gone.
pub fn write_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| Error::io("writing to stdout", e))
}

/// Prints a message for a person on stderr.
pub fn say(message: &str) {
    // If stderr is gone too, nothing can be reported.
    let _stderr_may_be_gone = writeln!(io::stderr(), "tenure: {}", escape::lines(message));
}

/// Prints an error on stderr.
pub fn complain(message: &str) {
    let text = format!("tenure: error: {}\n", escape::lines(message));
    let _stderr_may_be_gone = io::stderr().write_all(logging::error_text(text).as_bytes());
}

/// Whether the reader of the output has gone: not an error, but the end.
pub fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// Refuses if the command needs a worker and there is none.
///
/// # Errors
/// There is no worker.
pub fn need_worker(place: &Place) -> Result<()> {
    match Holder::read(place)? {
        Some(_) => Ok(()),
        None => Err(Error::NoWorker("there is no worker, and --need-worker asks for one; start it: tenure work".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_unless_a_setting_differs() {
        assert!(coloured(Colour::Auto, None, true));
        assert!(!coloured(Colour::Auto, None, false));
        assert!(!coloured(Colour::Auto, Some("1".into()), true));
        assert!(coloured(Colour::Auto, Some("".into()), true));
        assert!(coloured(Colour::Always, Some("1".into()), false));
        assert!(!coloured(Colour::Never, None, true));
    }
}
