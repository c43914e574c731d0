//! DOCUMENTS. What a face shows of a file, as JSON: the same for `--json`, the web and MCP.
//!
//! `picture` reads the file, its worker and the machine once; `problems` says what is wrong with
//! that, and `status` is both as a document. `shapes` has jobs and everything that is a row of a
//! list; `lease`, `pipeline`, `schedule`, `task` and `workspace` have the rest; `failure` is what a
//! program is told when its request fails.
//!
//! The formats are a contract. Deliberately absent: changing anything, and words for a terminal.

#[cfg(any(feature = "web", feature = "mcp"))]
pub(crate) mod failure;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod lease;
pub(crate) mod picture;
pub(crate) mod pipeline;
pub(crate) mod problems;
pub(crate) mod schedule;
pub(crate) mod shapes;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod workspace;
