//! PURE. What a job is and what may happen to it.
//!
//! This room knows no SQL, no clock, no thread and no operating system: time and chance are
//! arguments. Every decision about a job is made here by a function from values to a value, so that
//! it can be enumerated, fuzzed and mutated without a file or a process:
//!
//! * [`state`]: the five states and the legal moves between them,
//! * [`hold`]: why a queued job does not start,
//! * [`ending`]: consequences of a run's end for its job ([`ending::decide`]),
//! * [`check`]: whether a job may be added,
//! * [`people`]: what several users of one worker may do,
//! * [`names`]: the rules for names and other texts,
//! * [`placement`] and [`policy`]: the parts that a job to add and a template have in common,
//! * [`pool`]: counted things of the machine,
//! * [`template`]: the description of later jobs,
//! * [`launcher`]: what another engine says of the runs that it was given,
//! * [`chore`]: what a worker does for ended jobs until it succeeds,
//! * [`hook`]: what tells of the end of a job,
//! * [`document`]: a job for programs,
//! * [`resource`]: how an external resource is torn down, and when that counts as done,
//! * [`cron_line`]: what a cron line says; [`calendar`]: when it is due, also across clock changes;
//!   [`schedule`]: what becomes of those occurrences,
//! * [`pipeline`]: stages, and what follows the end of each,
//! * [`position`]: how far a reader has read the changes of all jobs,
//! * [`retry`]: which ends are retried, and after how long,
//! * [`shell_line`]: whether a command was meant for a shell,
//! * [`workspace`]: the names of a workspace and its directories,
//! * [`nearest`]: suggestions for mistyped names,
//! * [`verdict`]: what recovery must do with a run that has lost its worker,
//! * [`worker_limits`]: the ranges of a worker's settings.
//!
//! Deliberately absent: reading a clock, drawing a random number, logging.

pub mod advice;
pub mod argv;
pub mod calendar;
pub mod check;
pub mod chore;
pub mod cron_line;
pub mod document;
pub mod ending;
pub mod hold;
pub mod hook;
pub mod id;
pub mod launcher;
pub mod limits;
pub mod names;
pub mod nearest;
pub mod people;
pub mod pipeline;
pub mod placement;
pub mod policy;
pub mod policy_rules;
pub mod pool;
pub mod position;
pub mod reason;
pub mod resource;
pub mod retry;
pub mod schedule;
pub mod shell_line;
pub mod spec;
pub mod state;
pub mod template;
pub mod verdict;
pub mod worker_limits;
pub mod workspace;

pub use advice::Advice;
pub use argv::{Argv, ArgvError};
pub use calendar::Calendar;
pub use ending::{Decision, Facts, Next, RunEnd};
pub use hold::Hold;
pub use id::{HookId, JobId, Nonce, ResourceId, RunId, RunKey};
pub use pipeline::{Pipeline, TaskState};
pub use placement::Placement;
pub use policy::Policy;
pub use position::Position;
pub use reason::{Cause, Exit, Outcome, Reason, RunKind};
pub use resource::{ReleasedBy, ResourceState};
pub use schedule::{CatchUp, Overlap};
pub use spec::{Need, NewJob};
pub use state::{Move, State};
pub use template::Template;
pub use workspace::Workspace;
