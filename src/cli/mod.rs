//! FACE. One file per subcommand; prints, never decides.
//!
//! ```text
//! main -> cli: parse -> Face (settings, store, output) -> one file per verb -> exit code
//! ```
//!
//! * Data goes to stdout, messages to stderr; `--json` on every command that prints data (`json`).
//! * Nothing that a job was named or wrote reaches a terminal as a command to it (`escape`, `shown`).
//! * What can be decided without a file or a process is a pure function with its tests beside it: options to jobs
//!   (`options`, `lines`, `pipeline_file`), facts to obstacles (`obstacles`), endings to exit codes (`code`).
//! * Whatever needs the worker's room goes through `worker_calls`.
//!
//! Deliberately absent: SQL, signals to processes, and any judgement about who owns what.

mod add;
mod attend;
mod backup;
mod cancel;
mod changes;
mod checks;
mod code;
mod completions;
mod copies;
mod crash_test;
mod doctor;
mod each;
mod ensure;
mod escape;
mod face;
mod fence;
#[cfg(test)]
mod fixture;
mod follow;
mod foreign;
mod history;
mod hold;
mod idle;
mod json;
mod lane;
mod lease;
mod library_words;
mod lines;
mod logging;
mod logs;
mod ls;
mod mistakes;
mod nested;
mod new_queues;
mod obstacles;
#[doc(hidden)] // not a part of the library; the fuzzer comes in by these two
pub mod options;
mod output;
mod path_warning;
mod pick;
mod pipeline;
#[doc(hidden)]
pub mod pipeline_file;
mod problems;
mod progress;
mod prune;
mod queue;
mod resource;
mod resource_words;
mod restore;
mod retry;
mod run;
mod run_checks;
mod run_over;
mod schedule;
mod schedule_shown;
mod secrets;
mod select;
mod set;
mod settings;
mod show;
mod shown;
mod status;
mod table;
mod task;
mod task_shown;
mod time;
mod unread;
mod values;
mod command_line;
mod wait;
mod waits;
mod why;
mod work;
mod worker_calls;
mod worker_words;
mod workspace;

pub use logging::start as start_logging;
pub use command_line::{Cli, main};
