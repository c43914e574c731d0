//! The options of a job: those of `add`, `run` and `schedule add`, which are the keys of a line of
//! `add --from` and of a stage too.
//!
//! An option is described once, in the table below: a new one needs no other place to be read from
//! a command line, a line of a file, or a stage.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::Value;

use crate::job::limits::ATTEMPTS_MAX;
use crate::job::policy::{RetryOn, Warn};
use crate::job::pool;
use crate::job::worker_limits::SLOTS_MAX;
use crate::job::{Argv, Need};
use crate::parse::row_values::*;
use crate::parse::select::Selector;
use crate::parse::values;
use crate::parse::variables::{Variables, WHERE};
use crate::units;

/// Headings of the options in the help.
const PLACE: &str = "Queue, lane and name";
const START: &str = "When it starts";
const RETRY: &str = "Success and retries";
const LIMITS: &str = "Limits";
const TELL: &str = "Who is told of its end";
/// Also the heading of the options of `add` that add many jobs.
pub const MANY: &str = "Many jobs";

/// Declares the options, each in one place: its name, type and text on the command line, and after
/// the `=` how the value of that key of a line sets it.
macro_rules! job_options {
    (
        $($(#[$about:meta])* $option:ident: $type:ty = $set:expr,)*
        @group {
            $(#[$of_group:meta])* $group:ident: $group_type:ty = { $($member:ident: $set_member:expr,)* }
        }
        $($(#[$about_more:meta])* $more:ident: $type_more:ty = $set_more:expr,)*
    ) => {
        /// The options that `add` and `run` share. A second paragraph is for long help and the
        /// manual.
        #[derive(Debug, Clone, Default, PartialEq, clap::Args)]
        pub struct JobOptions {
            $($(#[$about])* pub $option: $type,)*
            $(#[$of_group])* pub $group: $group_type,
            $($(#[$about_more])* pub $more: $type_more,)*
        }

        impl JobOptions {
            /// Returns the names of the options that were given.
            pub fn given(&self) -> Vec<&'static str> {
                let none = Self::default();
                let mut given = Vec::new();
                $(if self.$option != none.$option { given.push(stringify!($option)); })*
                $(if self.$group.$member != none.$group.$member { given.push(stringify!($member)); })*
                $(if self.$more != none.$more { given.push(stringify!($more)); })*
                given
            }
        }

        /// The keys of a line, and how each sets its option.
        pub const KEYS: &[(&str, Set)] = &[
            $((stringify!($option), |o, value, refs| ($set)(&mut o.$option, value, refs)),)*
            $((stringify!($member), |o, value, refs| ($set_member)(&mut o.$group.$member, value, refs)),)*
            $((stringify!($more), |o, value, refs| ($set_more)(&mut o.$more, value, refs)),)*
        ];
    };
}

/// Sets an option to the value of a key; names of other lines go to the last argument.
pub type Set = fn(&mut JobOptions, &Value, &mut Refs) -> Done;

job_options! {
    /// Add it to this queue (default: `default`)
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = values::parse_name, help_heading = PLACE)]
    queue: Option<String> = text(values::parse_name),
    /// Start jobs with a higher N first (default: 0)
    #[arg(short = 'o', long, value_name = "N", allow_negative_numbers = true, help_heading = PLACE)]
    priority: Option<i64> = whole,
    /// Show this name in lists; jobs can be selected by it
    #[arg(short = 'l', long, value_name = "TEXT", value_parser = values::parse_label, help_heading = PLACE)]
    label: Option<String> = text(values::parse_label),
    /// Run at most one job of this lane at once
    ///
    /// `tenure lane set` allows more.
    #[arg(long, value_name = "KEY", value_parser = values::parse_name, help_heading = PLACE)]
    lane: Option<String> = text(values::parse_name),
    /// Take N slots while it runs (default: 1)
    ///
    /// Of the worker, and of its queue if that has slots of its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SLOTS_MAX as i64), help_heading = PLACE)]
    slots: Option<u32> = slots,
    /// Start when N of a pool are free, such as gpu=1
    ///
    /// The job has them until its run has ended, and finds their numbers in TENURE_POOL_GPU. May be
    /// given several times; the job gets all or nothing. See tenure pool.
    #[arg(long = "use", alias = "uses", value_name = "NAME=N", value_parser = pool::parse_use, help_heading = PLACE)]
    uses: Vec<(String, u32)> = uses,
    /// Return the live job with this key, if there is one
    ///
    /// A job is live while it is queued or running.
    #[arg(long, value_name = "KEY", value_parser = values::parse_label, conflicts_with = "array", help_heading = PLACE)]
    unique: Option<String> = text(values::parse_label),
    /// With --unique: cancel that job and add this one
    #[arg(long, requires = "unique", help_heading = PLACE)]
    replace: bool = flag,
    /// Start after DURATION, such as 10m, or later
    #[arg(short = 'd', long, value_name = "DURATION", value_parser = units::parse_duration, conflicts_with = "at", help_heading = START)]
    delay: Option<u64> = text(units::parse_duration),
    /// Start at TIME, such as 03:00, or later
    ///
    /// Also '2026-12-01 03:00', or 2026-12-01T03:00[Europe/Berlin].
    #[arg(long, value_name = "TIME", help_heading = START)]
    at: Option<String> = path,
    /// Fail as `expired` if not started by then
    #[arg(long, value_name = "TIME|DURATION", help_heading = START)]
    expires: Option<String> = path,
    /// Hold it until `tenure release`
    #[arg(long, help_heading = START)]
    hold: bool = flag,
    /// Start when these jobs are done
    ///
    /// The job fails if one of them ends otherwise. ID is 7, 3-9, 1,4,8, last, `12[3]` or @label.
    #[arg(short = 'a', long, value_name = "ID", num_args = 1.., help_heading = START)]
    after: Vec<Selector> = jobs(Need::Done),
    /// Start when these jobs have ended in any way
    #[arg(long, value_name = "ID", num_args = 1.., help_heading = START)]
    after_any: Vec<Selector> = jobs(Need::Any),
    /// Start if these jobs end otherwise than done
    #[arg(long, value_name = "ID", num_args = 1.., help_heading = START)]
    after_failed: Vec<Selector> = jobs(Need::Failed),
    /// Retry it up to N times (default: 0)
    ///
    /// That is after a failure, a timeout, or a run that is lost.
    #[arg(short = 'r', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..i64::from(ATTEMPTS_MAX)), help_heading = RETRY)]
    retries: Option<u32> = retries,
    /// Wait so long between attempts (default: 10s..1h)
    ///
    /// FIRST before the second attempt, then longer, up to MOST.
    #[arg(long, value_name = "FIRST..MOST", value_parser = values::parse_backoff, help_heading = RETRY)]
    backoff: Option<(u64, u64)> = text(values::parse_backoff),
    /// Retry only after these, such as 1,2,timeout
    ///
    /// LIST has exit codes and end reasons.
    #[arg(long, value_name = "LIST", value_parser = |text: &str| values::parse_retry_on(text).map(Endings), help_heading = RETRY)]
    retry_on: Option<Endings> = endings,
    /// Never retry after these
    #[arg(long, value_name = "LIST", value_parser = |text: &str| values::parse_retry_on(text).map(Endings), help_heading = RETRY)]
    no_retry_on: Option<Endings> = endings,
    /// Requeue it up to N times if it exits with 75
    ///
    /// 75 means "not now" and uses no attempt (default: 20).
    #[arg(long, value_name = "N", help_heading = RETRY)]
    max_deferrals: Option<u32> = count,
    /// Run this shell command after exit 0
    ///
    /// The job is done only if the command exits with 0 too.
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, help_heading = RETRY)]
    check: Option<Argv> = command,
    /// Run this shell command if the job fails
    ///
    /// That is when it is not tried again. The command finds what happened in TENURE_REASON,
    /// TENURE_LOG and more, and the job as JSON on its standard input.
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, help_heading = TELL)]
    on_failure: Option<Argv> = command,
    /// Run this shell command when the job is done
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, help_heading = TELL)]
    on_success: Option<Argv> = command,
    /// Run this shell command when the job has ended
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, help_heading = TELL)]
    on_end: Option<Argv> = command,
    /// Stop it after DURATION
    #[arg(short = 't', long, value_name = "DURATION", value_parser = units::parse_duration, help_heading = LIMITS)]
    timeout: Option<u64> = text(units::parse_duration),
    /// Send KILL so long after TERM (default: 10s)
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, help_heading = LIMITS)]
    grace: Option<u64> = text(units::parse_duration),
    /// Send a signal first, such as USR1@60s
    ///
    /// USR1@60s: 60 seconds before the timeout.
    #[arg(long, value_name = "SIG@DURATION", value_parser = values::parse_warn, help_heading = LIMITS)]
    warn: Option<Warn> = text(values::parse_warn),
    /// Stop it after DURATION without output
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, help_heading = LIMITS)]
    idle_timeout: Option<u64> = text(units::parse_duration),
    /// Limit its memory, such as 2G
    #[arg(long, value_name = "SIZE", value_parser = values::parse_memory, help_heading = LIMITS)]
    memory: Option<u64> = memory,
    /// Set its niceness, -20 to 19
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..=19), help_heading = LIMITS)]
    nice: Option<i32> = whole,
    /// Limit its log to SIZE (default: 64M)
    ///
    /// The middle of a longer log is dropped.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, help_heading = LIMITS)]
    log_limit: Option<u64> = size,
    /// Run it in this directory (default: the current one)
    #[arg(short = 'w', long, value_name = "DIR", help_heading = WHERE)]
    cwd: Option<PathBuf> = path,
    @group {
        #[command(flatten)]
        variables: Variables = {
            env: variables,
            pass_env: names,
        }
    }
    /// As --pass-env, with a value that is never shown
    ///
    /// The value is kept in a private file until no live job needs it.
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    secret: Vec<String> = names,
    /// Read standard input from FILE (default: empty)
    ///
    /// FILE is opened when the job starts. With -, the job gets a copy of this standard input.
    #[arg(long, value_name = "FILE|-", help_heading = WHERE)]
    stdin: Option<OsString> = stdin,
    /// Run it in the directory that jobs of KEY share
    ///
    /// A relative --cwd is inside that directory.
    #[arg(long, value_name = "KEY", value_parser = values::parse_workspace, help_heading = WHERE)]
    workspace: Option<String> = text(values::parse_workspace),
    /// Fill a missing workspace with this shell command
    ///
    /// The command runs in the new and empty directory.
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, requires = "workspace", help_heading = WHERE)]
    prepare: Option<Argv> = command,
    /// Run as this user (worker of root only)
    #[arg(long, value_name = "NAME", value_parser = values::parse_label, help_heading = WHERE)]
    user: Option<String> = text(values::parse_label),
    /// Add a job for each index, such as 0-99
    ///
    /// The job finds its index in TENURE_ARRAY_INDEX. 0-99%8 runs 8 of them at once at most.
    #[arg(long, value_name = "RANGE", value_parser = values::parse_array, help_heading = MANY)]
    array: Option<values::Array> = text(values::parse_array),
    /// With --array: cancel the queued rest when one fails
    ///
    /// Jobs that are running continue. A job that is tried again has not failed yet.
    #[arg(long, requires = "array", help_heading = MANY)]
    stop_on_failure: bool = flag,
}

/// The endings of one `--retry-on`.
#[derive(Debug, Clone, PartialEq)]
pub struct Endings(pub Vec<RetryOn>);

impl From<Vec<RetryOn>> for Endings {
    fn from(all: Vec<RetryOn>) -> Self {
        Self(all)
    }
}
