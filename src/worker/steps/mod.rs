//! STEPS: what happens around a job's own run, each an auxiliary run and its consequences.
//!
//! | file | step |
//! | --- | --- |
//! | [`workspace`], `prepare` | before: the job enters its workspace, which is prepared if needed |
//! | [`submit`] | instead: the job is given to another engine |
//! | [`fetch`] | after its end there: its output is fetched |
//! | [`check`] | after exit 0: whether the job has succeeded |
//! | [`teardown`] | after its end: its external resources are torn down |
//! | [`hook`] | after its end: its hooks tell of it |

pub(super) mod check;
pub(super) mod fetch;
pub(super) mod hook;
mod prepare;
pub(super) mod submit;
pub(super) mod teardown;
pub(super) mod workspace;
