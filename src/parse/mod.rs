//! From texts to jobs: the options of a job, on a command line and as keys of a JSON object, and
//! the values that they take.
//!
//! ```text
//! values, time, select, variables, row_values     one value
//!   └─ job_options ── options, like                all options of a job, and the job
//!        └─ lines ── objects                       a JSON object with the keys of `add --from`, many of them
//! ```
//!
//! Pure: the current time, the environment and the jobs that a selector names are arguments
//! ([`options::Surroundings`]). Deliberately absent: adding, and what only the command line reads
//! (`cli::parse`).

pub(crate) mod job_options;
pub(crate) mod library_words;
pub(crate) mod like;
pub(crate) mod lines;
#[cfg(any(feature = "web", feature = "mcp"))]
pub(crate) mod objects;
#[doc(hidden)] // not a part of the library; the fuzzer comes in here
pub mod options;
pub(crate) mod row_values;
pub(crate) mod select;
pub(crate) mod time;
pub(crate) mod values;
pub(crate) mod variables;
