//! FACE. One file per subcommand; prints, never decides.
//!
//! `command_line` defines the verbs and sends each to its file in `verbs`, which gets a
//! `face::Face`: the settings, the file, and a way to print. `parse` turns text into values, `view`
//! turns values into text and JSON, `watch` waits at a terminal, `warn` checks a job before it is
//! added, `top` draws on a terminal, `doctor` finds problems, `help` makes help and manual pages
//! from the definition of the verbs, and `complete` finds the candidates for a shell's completion.
//!
//! ```text
//! main -> cli: parse -> Face (settings, store, output) -> one file per verb -> exit code
//! ```
//!
//! * Data goes to stdout, messages to stderr; `--json` on every command that prints data (`json`).
//! * No text of a job reaches a terminal as a command to it (`escape`, `shown`).
//! * Decisions that need neither a file nor a process are pure functions with their tests beside
//!   them: options to jobs (`options`, `lines`, `pipeline_file`), ends to exit codes (`code`).
//! * With `--system`, a user who is not root asks the system worker, in the same words (`system`).
//! * Jobs are handled through the facade (`queue`), machine and worker through `host`.
//!
//! Deliberately absent: SQL, signals to processes, and any decision about who owns what.

mod adding;
mod command_line;
mod complete;
mod copies;
mod copying;
mod doctor;
mod face;
#[cfg(test)]
mod fixture;
mod global;
mod help;
mod importing;
mod leases;
#[cfg(test)]
mod line_keys_tests;
mod logging;
#[cfg(test)]
mod other_queues_tests;
#[doc(hidden)] // not a part of the library; the fuzzer comes in here
pub mod parse;
mod pueue;
mod refs;
mod report;
mod stop;
mod system;
mod top;
mod verbs;
mod view;
mod warn;
mod watch;
mod worker_options;

#[doc(hidden)]
pub use crate::parse::options;
pub use command_line::{Cli, main};
pub use logging::start as start_logging;
#[doc(hidden)]
pub use parse::pipeline_file;
