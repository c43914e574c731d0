//! Consequences of the end of a run: the only module that assesses a [`RunEnd`].
//!
//! | file | assesses |
//! | --- | --- |
//! | `of_job` | a job's own run: the values of its row, and the next state of the job ([`decide`]) |
//! | `of_check` | a check: its answer |
//! | `of_auxiliary` | the other auxiliary runs, where exit 0 is success and everything else is not |
//!
//! A new kind of end must be added to each of the three; the compiler requires it, as no match has
//! a wildcard for it.

mod of_auxiliary;
mod of_check;
mod of_job;
mod run_end;

pub use of_auxiliary::{Verdict, verdict};
pub use of_check::CheckAnswer;
pub use of_job::{Decision, Facts, Next, decide};
pub use run_end::{RunEnd, is_want_of_resources};
