//! FACE. One file per subcommand; prints, never decides.
//!
//! ```text
//! main -> cli: parse -> Face (settings, store, output) -> one file per verb -> exit code
//! ```
//!
//! * Data goes to stdout, messages to stderr; `--json` on every command that prints data ([`json`]).
//! * Nothing that a job was named or wrote reaches a terminal as a command to it ([`escape`], [`shown`]).
//! * What can be decided without a file or a process is a pure function with its tests beside it: options to jobs
//!   ([`options`], [`lines`]), facts to obstacles ([`obstacles`]), endings to exit codes ([`code`]).
//! * Whatever needs the worker's room goes through [`worker_calls`].
//!
//! Deliberately absent: SQL, signals to processes, and any judgement about who owns what.

mod escape;
mod face;
mod lines;
mod options;
mod select;
mod shown;
mod table;
mod time;
mod values;
mod verbs;

pub use verbs::main;
