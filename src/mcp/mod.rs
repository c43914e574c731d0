//! FACE. The Model Context Protocol: a coding agent adds jobs, waits for them and reads their
//! output, through the standard input and output of this process.
//!
//! ```text
//! client ─ line ─▶ lines (threads `mcp-read`, `mcp-write`) ─▶ server ─▶ one task for each request
//!                                                              └─ threads `mcp-file`, at most four:
//!                                                                 tools, each a function of the file
//! ```
//!
//! * A tool is a row of a table (`tools`), and `tools.json` describes it to the client. Its answer
//!   is a document as `--json` prints it, and a short text.
//! * `allowed` is what the operator allows. Its decisions are pure; those that depend on the file
//!   are made in the transaction that adds a job.
//! * Each limit has a name (`limits`). A client that sends without reading is not read from.
//! * An answer about a job that was added is sent when the job is on disk. What happens to this
//!   process, or to its client, does not happen to the job.
//! * Nothing is printed on standard output but the protocol. What comes from a job is data: it is
//!   escaped, and cleaned of what would command a terminal.
//!
//! Deliberately absent: settings and printing (`cli`), and any decision about a job.

mod add;
mod allowed;
mod answer;
mod arguments;
mod cancel;
mod file;
mod limits;
mod lines;
mod logs;
mod read;
mod server;
mod text;
mod threads;
mod tools;
mod turns;
mod wait;

pub(crate) use allowed::{Allowed, Changes};
pub(crate) use file::Setup;
pub(crate) use limits::{JOBS_DEFAULT, TIMEOUT_MS_DEFAULT};
pub(crate) use server::serve;
