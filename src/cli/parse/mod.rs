//! From the command line to values: options, selectors, files of jobs and pipelines, and messages
//! for mistakes.
//!
//! Pure except for `pick` (which reads the existing jobs).

pub(in crate::cli) mod crontab;
pub(in crate::cli) mod edited;
pub(in crate::cli) mod foreign;
pub(in crate::cli) mod job_options;
pub(in crate::cli) mod library_words;
pub(in crate::cli) mod like;
pub(in crate::cli) mod lines;
pub(in crate::cli) mod mistakes;
#[doc(hidden)] // not a part of the library; the fuzzer comes in by these two
pub mod options;
pub(in crate::cli) mod overlay;
pub(in crate::cli) mod pick;
#[doc(hidden)]
pub mod pipeline_file;
pub(in crate::cli) mod pueue;
pub(in crate::cli) mod row_values;
pub(in crate::cli) mod select;
pub(in crate::cli) mod time;
pub(in crate::cli) mod values;
pub(in crate::cli) mod variables;
