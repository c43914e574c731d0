//! The options of a job: those of `add`, `run` and `schedule add`, which are the keys of a line of
//! `add --from` too.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::cli::parse::select::Selector;
use crate::cli::parse::values;
use crate::job::Argv;
use crate::job::policy::{RetryOn, Warn};
use crate::units;

/// Headings of the options in the help.
const PLACE: &str = "Queue, lane and name";
const START: &str = "When it starts";
const RETRY: &str = "Success and retries";
const LIMITS: &str = "Limits";
const WHERE: &str = "Where and with what it runs";
/// Also the heading of the options of `add` that add many jobs.
pub const MANY: &str = "Many jobs";

/// The options that `add` and `run` share. A second paragraph is for long help and the manual.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct JobOptions {
    /// Add it to this queue (default: `default`)
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = values::parse_name, help_heading = PLACE)]
    pub queue: Option<String>,
    /// Start jobs with a higher N first (default: 0)
    #[arg(short = 'o', long, value_name = "N", allow_negative_numbers = true, help_heading = PLACE)]
    pub priority: Option<i64>,
    /// Show this name in lists; jobs can be selected by it
    #[arg(short = 'l', long, value_name = "TEXT", value_parser = values::parse_label, help_heading = PLACE)]
    pub label: Option<String>,
    /// Run at most one job of this lane at once
    ///
    /// `tenure lane set` allows more.
    #[arg(long, value_name = "KEY", value_parser = values::parse_name, help_heading = PLACE)]
    pub lane: Option<String>,
    /// Return the live job with this key, if there is one
    ///
    /// A job is live while it is queued or running.
    #[arg(long, value_name = "KEY", value_parser = values::parse_label, conflicts_with = "array", help_heading = PLACE)]
    pub unique: Option<String>,
    /// With --unique: cancel that job and add this one
    #[arg(long, requires = "unique", help_heading = PLACE)]
    pub replace: bool,
    /// Start after DURATION, such as 10m, or later
    #[arg(short = 'd', long, value_name = "DURATION", value_parser = units::parse_duration, conflicts_with = "at", help_heading = START)]
    pub delay: Option<u64>,
    /// Start at TIME, such as 03:00, or later
    ///
    /// Also '2026-12-01 03:00', or 2026-12-01T03:00[Europe/Berlin].
    #[arg(long, value_name = "TIME", help_heading = START)]
    pub at: Option<String>,
    /// Fail as `expired` if not started by then
    #[arg(long, value_name = "TIME|DURATION", help_heading = START)]
    pub expires: Option<String>,
    /// Hold it until `tenure release`
    #[arg(long, help_heading = START)]
    pub hold: bool,
    /// Start when these jobs are done
    ///
    /// The job fails if one of them ends otherwise. ID is 7, 3-9, 1,4,8 or last.
    #[arg(short = 'a', long, value_name = "ID", num_args = 1.., help_heading = START)]
    pub after: Vec<Selector>,
    /// Start when these jobs have ended in any way
    #[arg(long, value_name = "ID", num_args = 1.., help_heading = START)]
    pub after_any: Vec<Selector>,
    /// Start if these jobs end otherwise than done
    #[arg(long, value_name = "ID", num_args = 1.., help_heading = START)]
    pub after_failed: Vec<Selector>,
    /// Retry it up to N times (default: 0)
    ///
    /// That is after a failure, a timeout, or a run that is lost.
    #[arg(short = 'r', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..1_000_000), help_heading = RETRY)]
    pub retries: Option<u32>,
    /// Wait so long between attempts (default: 10s..1h)
    ///
    /// FIRST before the second attempt, then longer, up to MOST.
    #[arg(long, value_name = "FIRST..MOST", value_parser = values::parse_backoff, help_heading = RETRY)]
    pub backoff: Option<(u64, u64)>,
    /// Retry only after these, such as 1,2,timeout
    ///
    /// LIST has exit codes and end reasons.
    #[arg(long, value_name = "LIST", value_parser = |text: &str| values::parse_retry_on(text).map(Endings), help_heading = RETRY)]
    pub retry_on: Option<Endings>,
    /// Never retry after these
    #[arg(long, value_name = "LIST", value_parser = |text: &str| values::parse_retry_on(text).map(Endings), help_heading = RETRY)]
    pub no_retry_on: Option<Endings>,
    /// Requeue it up to N times if it exits with 75
    ///
    /// 75 means "not now" and uses no attempt (default: 20).
    #[arg(long, value_name = "N", help_heading = RETRY)]
    pub max_deferrals: Option<u32>,
    /// Run this shell command after exit 0
    ///
    /// The job is done only if the command exits with 0 too.
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, help_heading = RETRY)]
    pub check: Option<Argv>,
    /// Stop it after DURATION
    #[arg(short = 't', long, value_name = "DURATION", value_parser = units::parse_duration, help_heading = LIMITS)]
    pub timeout: Option<u64>,
    /// Send KILL so long after TERM (default: 10s)
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, help_heading = LIMITS)]
    pub grace: Option<u64>,
    /// Send a signal first, such as USR1@60s
    ///
    /// USR1@60s: 60 seconds before the timeout.
    #[arg(long, value_name = "SIG@DURATION", value_parser = values::parse_warn, help_heading = LIMITS)]
    pub warn: Option<Warn>,
    /// Stop it after DURATION without output
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, help_heading = LIMITS)]
    pub idle_timeout: Option<u64>,
    /// Limit its memory, such as 2G
    #[arg(long, value_name = "SIZE", value_parser = values::parse_memory, help_heading = LIMITS)]
    pub memory: Option<u64>,
    /// Set its niceness, -20 to 19
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..=19), help_heading = LIMITS)]
    pub nice: Option<i32>,
    /// Limit its log to SIZE (default: 64M)
    ///
    /// The middle of a longer log is dropped.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, help_heading = LIMITS)]
    pub log_limit: Option<u64>,
    /// Run it in this directory (default: the current one)
    #[arg(short = 'w', long, value_name = "DIR", help_heading = WHERE)]
    pub cwd: Option<PathBuf>,
    /// Set a variable; may be given several times
    #[arg(short = 'e', long, value_name = "NAME=VALUE", value_parser = OsStringValueParser::new().try_map(values::parse_env), help_heading = WHERE)]
    pub env: Vec<(String, String)>,
    /// Pass this variable of the present environment
    ///
    /// May be given several times.
    #[arg(long, value_name = "NAME", value_parser = values::parse_passed_name, help_heading = WHERE)]
    pub pass_env: Vec<String>,
    /// As --pass-env, with a value that is never shown
    ///
    /// The value is kept in a private file until the job ends.
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    pub secret: Vec<String>,
    /// Read standard input from FILE (default: empty)
    ///
    /// FILE is opened when the job starts. With -, the job gets a copy of this standard input.
    #[arg(long, value_name = "FILE|-", help_heading = WHERE)]
    pub stdin: Option<OsString>,
    /// Run it in the directory that jobs of KEY share
    ///
    /// A relative --cwd is inside that directory.
    #[arg(long, value_name = "KEY", value_parser = values::parse_workspace, help_heading = WHERE)]
    pub workspace: Option<String>,
    /// Fill a missing workspace with this shell command
    ///
    /// The command runs in the new and empty directory.
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, requires = "workspace", help_heading = WHERE)]
    pub prepare: Option<Argv>,
    /// Run as this user (worker of root only)
    #[arg(long, value_name = "NAME", value_parser = values::parse_label, help_heading = WHERE)]
    pub user: Option<String>,
    /// Add a job for each index, such as 0-99
    ///
    /// The job finds its index in TENURE_ARRAY_INDEX. 0-99%8 runs 8 of them at once at most.
    #[arg(long, value_name = "RANGE", value_parser = values::parse_array, help_heading = MANY)]
    pub array: Option<values::Array>,
}

/// The endings of one `--retry-on`.
#[derive(Debug, Clone, PartialEq)]
pub struct Endings(pub Vec<RetryOn>);
