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

/// The options that `add` and `run` share.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct JobOptions {
    /// Add it to this queue (default: `default`)
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = values::parse_name)]
    pub queue: Option<String>,
    /// Start jobs with a higher N first (default: 0)
    #[arg(short = 'o', long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// Show this name in lists; jobs can be selected by it
    #[arg(short = 'l', long, value_name = "TEXT", value_parser = values::parse_label)]
    pub label: Option<String>,
    /// Start after DURATION at the earliest, such as 10m
    #[arg(short = 'd', long, value_name = "DURATION", value_parser = units::parse_duration, conflicts_with = "at")]
    pub delay: Option<u64>,
    /// Start at TIME at the earliest, such as 03:00, '2026-12-01 03:00' or
    /// 2026-12-01T03:00[Europe/Berlin]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Fail as `expired` if it has not started by TIME, or within DURATION
    #[arg(long, value_name = "TIME|DURATION")]
    pub expires: Option<String>,
    /// Hold it until `tenure release`
    #[arg(long)]
    pub hold: bool,
    /// Run it again up to N times if it fails (default: 0)
    #[arg(short = 'r', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..1_000_000))]
    pub retries: Option<u32>,
    /// Wait FIRST before the second attempt, then longer, up to MOST (default: 10s..1h)
    #[arg(long, value_name = "FIRST..MOST", value_parser = values::parse_backoff)]
    pub backoff: Option<(u64, u64)>,
    /// Retry only after these exit codes and end reasons, such as 1,2,timeout
    #[arg(long, value_name = "LIST", value_parser = |text: &str| values::parse_retry_on(text).map(Endings))]
    pub retry_on: Option<Endings>,
    /// Never retry after these exit codes and end reasons
    #[arg(long, value_name = "LIST", value_parser = |text: &str| values::parse_retry_on(text).map(Endings))]
    pub no_retry_on: Option<Endings>,
    /// Requeue it up to N times when it exits with 75 ("not now") (default: 20)
    #[arg(long, value_name = "N")]
    pub max_deferrals: Option<u32>,
    /// Stop it after DURATION
    #[arg(short = 't', long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub timeout: Option<u64>,
    /// Wait DURATION between TERM and KILL (default: 10s)
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub grace: Option<u64>,
    /// Send this signal before the timeout, such as USR1@60s
    #[arg(long, value_name = "SIG@DURATION", value_parser = values::parse_warn)]
    pub warn: Option<Warn>,
    /// Stop it after DURATION without output
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub idle_timeout: Option<u64>,
    /// Wait until these jobs are done; fail if one ends otherwise
    #[arg(short = 'a', long, value_name = "ID", num_args = 1..)]
    pub after: Vec<Selector>,
    /// Wait until these jobs have ended in any way
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub after_any: Vec<Selector>,
    /// Wait until these jobs have ended otherwise than done
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub after_failed: Vec<Selector>,
    /// Run at most one job of this lane at once (`tenure lane set` allows more)
    #[arg(long, value_name = "KEY", value_parser = values::parse_name)]
    pub lane: Option<String>,
    /// Return the existing job if one with this key is queued or running
    #[arg(long, value_name = "KEY", value_parser = values::parse_label, conflicts_with = "array")]
    pub unique: Option<String>,
    /// With --unique: cancel the existing job and add this one
    #[arg(long, requires = "unique")]
    pub replace: bool,
    /// Run it in this directory (default: the current one)
    #[arg(short = 'w', long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Set a variable of its environment; may be given several times
    #[arg(short = 'e', long, value_name = "NAME=VALUE", value_parser = OsStringValueParser::new().try_map(values::parse_env))]
    pub env: Vec<(String, String)>,
    /// Pass this variable of the present environment; may be given several times
    #[arg(long, value_name = "NAME", value_parser = values::parse_passed_name)]
    pub pass_env: Vec<String>,
    /// As --pass-env, but keep the value in a private file until the job ends, and never show it
    #[arg(long, value_name = "NAME")]
    pub secret: Vec<String>,
    /// Read standard input from FILE, opened at the start; -: from a copy of this standard input
    /// (default: empty)
    #[arg(long, value_name = "FILE|-")]
    pub stdin: Option<OsString>,
    /// Run this shell command after exit 0; the job is done only if it exits with 0
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell)]
    pub check: Option<Argv>,
    /// Run it in the directory that all jobs of KEY share; a relative --cwd is inside it
    #[arg(long, value_name = "KEY", value_parser = values::parse_workspace)]
    pub workspace: Option<String>,
    /// Fill a missing workspace with this shell command, run in its new and empty directory
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell, requires = "workspace")]
    pub prepare: Option<Argv>,
    /// Add a job for each index (TENURE_ARRAY_INDEX), such as 0-99, or 0-99%8 for at most 8 at once
    #[arg(long, value_name = "RANGE", value_parser = values::parse_array)]
    pub array: Option<values::Array>,
    /// Limit its memory, such as 2G
    #[arg(long, value_name = "SIZE", value_parser = values::parse_memory)]
    pub memory: Option<u64>,
    /// Set its niceness, -20 to 19
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub nice: Option<i32>,
    /// Run as this user (worker of root only)
    #[arg(long, value_name = "NAME", value_parser = values::parse_label)]
    pub user: Option<String>,
    /// Drop the middle of its log above SIZE (default: 64M)
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub log_limit: Option<u64>,
}

/// The endings of one `--retry-on`.
#[derive(Debug, Clone, PartialEq)]
pub struct Endings(pub Vec<RetryOn>);
