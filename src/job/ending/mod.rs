//! What the end of a run means: the only place where a [`RunEnd`] is judged.
//!
//! | file | judges |
//! | --- | --- |
//! | `of_job` | a job's own run: what its row says, and where the job goes ([`decide`]) |
//! | `of_check` | a check: what it answers |
//! | `of_auxiliary` | the other auxiliary runs, where exit 0 is success and everything else is not |
//!
//! A new kind of end is placed in each of the three; the compiler names them, as no match has a
//! wildcard for it.

mod of_auxiliary;
mod of_check;
mod of_job;
mod run_end;

pub use of_auxiliary::{Verdict, verdict};
pub use of_check::CheckAnswer;
pub use of_job::{Decision, Facts, Next, decide};
pub use run_end::{RunEnd, is_want_of_resources};
