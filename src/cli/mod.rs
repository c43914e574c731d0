//! FACE. One file per subcommand; prints, never decides.
//!
//! `command_line` defines the verbs and sends each to its file in `verbs`, which gets a
//! `face::Face`: the settings, the file, and a way to print. `parse` turns text into values, `view`
//! turns values into text and JSON, `watch` waits for what a person waits for, `warn` is said when
//! a job is added, `doctor` looks for faults, `help` makes help and manual pages from the
//! definition of the verbs, and `complete` finds what a shell may offer.
//!
//! ```text
//! main -> cli: parse -> Face (settings, store, output) -> one file per verb -> exit code
//! ```
//!
//! * Data goes to stdout, messages to stderr; `--json` on every command that prints data (`json`).
//! * Nothing that a job was named or wrote reaches a terminal as a command to it (`escape`,
//!   `shown`).
//! * What can be decided without a file or a process is a pure function with its tests beside it:
//!   options to jobs (`options`, `lines`, `pipeline_file`), endings to exit codes (`code`).
//! * What a job may be asked is asked through the facade (`queue`); what any process may ask of
//!   machine and worker, of `host`.
//!
//! Deliberately absent: SQL, signals to processes, and any decision about who owns what.

mod command_line;
mod complete;
mod copies;
mod doctor;
mod face;
#[cfg(test)]
mod fixture;
mod global;
mod help;
mod leases;
mod logging;
#[doc(hidden)] // not a part of the library; the fuzzer comes in here
pub mod parse;
mod picture;
mod report;
mod stop;
mod verbs;
mod view;
mod warn;
mod watch;
mod worker_options;

pub use command_line::{Cli, main};
pub use logging::start as start_logging;
#[doc(hidden)]
pub use parse::{options, pipeline_file};
