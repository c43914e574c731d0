//! From the command line to values: selectors that look at the file, files of pipelines and of
//! other programs, and messages for mistakes. What other faces read too is in [`crate::parse`].
//!
//! Pure except for `pick` (which reads the existing jobs).

pub(in crate::cli) mod crontab;
pub(in crate::cli) mod edited;
pub(in crate::cli) mod foreign;
pub(in crate::cli) mod mistakes;
pub(in crate::cli) mod overlay;
pub(in crate::cli) mod pick;
#[doc(hidden)] // not a part of the library; the fuzzer comes in here
pub mod pipeline_file;
pub(in crate::cli) mod pueue;

pub(in crate::cli) use crate::parse::{
    job_options, library_words, like, lines, options, row_values, select, time, values, variables,
};
