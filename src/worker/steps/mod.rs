//! STEPS: what happens around a job's own run, each an attempt of a kind and what its verdict
//! means.
//!
//! | file | step |
//! | --- | --- |
//! | [`workspace`], `prepare` | before: the job gets into its workspace, which is made first where it is not there |
//! | [`check`] | after exit 0: whether the job has really succeeded |
//! | [`teardown`] | after its end: what it has made outside is torn down |

pub(super) mod check;
mod prepare;
pub(super) mod teardown;
pub(super) mod workspace;
