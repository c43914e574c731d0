//! ATTEMPT: one supervised command, from its run file to the end of its tree. The same code for a
//! job's own run and for an auxiliary run, for one that this worker has launched and for one that
//! it has adopted.
//!
//! ```text
//! command      what is to be run: argv, environment, directory, limits
//! job          a job's own run: launch and watch it, or resume it after a crash; what is certain of its end
//! hook         the launch of a hook: what it is told of the end of a job
//! submission   the launch of what gives a job's run to another engine
//! call         a question to another engine
//! program      the executables of a launcher
//! auxiliary    a command around a job: run file and guarded row, launch and watch, or resume; its row closed
//! watch        until the shim has said all (own), or the lock is free (adopted)
//! supervise    meanwhile: limits, stop requests, suspensions, what keeps the run from ending
//! observe      the run file: whose it is, whether it is locked, what it records
//! empty        ends what is left of a tree, until two rounds in a row find nothing
//! record       what the records say for the run's row
//! ```
//!
//! A thread that watches a run can leave it at any point: with [`Halt::Detached`] the run continues
//! under its shim and the next worker adopts it; with an error it keeps its row, its run file and
//! its lock, and recovery looks at it at the next tick. Deliberately absent: the consequences of an
//! end (`steps`, `job::ending`), and when to retry.

mod auxiliary;
mod call;
mod command;
mod empty;
mod environment;
mod halt;
mod handle;
mod hook;
mod job;
mod observe;
mod own_user;
mod program;
mod record;
mod stop_request;
mod submission;
mod supervise;
mod suspension;
mod watch;

pub(super) use auxiliary::{Auxiliary, Came};
pub(super) use call::{call, read_up_to};
pub(super) use command::{Command, of_resource};
pub(super) use empty::end_tree;
pub(super) use halt::Halt;
pub(super) use handle::Attempt;
pub(super) use hook::of_hook;
pub(super) use job::{Known, Over, count, resume, run};
pub(super) use program::{Verb, program};
pub(super) use record::{Ending, result_of};
pub(super) use submission::of_job as submission_of;
pub(super) use watch::wait_for;
