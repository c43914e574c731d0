//! From values to output for a person or a script. No text of a job reaches a terminal as a command
//! to it (`escape`).
//!
//! Pure except for `output` and `log_lines`, which write.

pub(in crate::cli) mod code;
pub(in crate::cli) mod columns;
pub(in crate::cli) mod log_lines;
pub(in crate::cli) mod output;
pub(in crate::cli) mod policy_shown;
pub(in crate::cli) mod schedule_page;
pub(in crate::cli) mod schedule_shown;
pub(in crate::cli) mod table;
pub(in crate::cli) mod task_shown;

pub(in crate::cli) use crate::document::problems;
pub(in crate::cli) use crate::document::shapes as json;
pub(in crate::cli) use crate::escape;
