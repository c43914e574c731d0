//! `tenure work`: be the worker.

use super::face::Face;
use super::{values, worker_calls};
use crate::config::OnTerm;
use crate::error::{Result, exit};
use crate::units;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Jobs that run at once (default: one for each CPU)
    #[arg(long, value_name = "N")]
    pub slots: Option<usize>,
    /// Only jobs of this queue; may be given several times
    #[arg(long, value_name = "QUEUE", value_parser = values::parse_name)]
    pub queue: Vec<String>,
    /// On TERM, wait for the jobs that run instead of leaving them to themselves
    #[arg(long, conflicts_with = "on_term")]
    pub drain: bool,
    /// What TERM means for the running jobs [default: detach; end where nothing would survive the worker]
    #[arg(long, value_name = "ACTION")]
    pub on_term: Option<OnTerm>,
    /// Longest time between TERM and KILL where the runs are ended with the worker [default: 8s]
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub stop_timeout: Option<u64>,
    /// End every run of the file in order instead of working: TERM, its grace, KILL after --stop-timeout
    #[arg(long, conflicts_with_all = ["slots", "queue", "drain", "on_term", "until_idle", "until_empty"])]
    pub end_runs: bool,
    /// With --end-runs: do nothing unless the service manager is shutting down
    #[arg(long, requires = "end_runs")]
    pub at_shutdown: bool,
    /// Log no line for each start and end of a job
    #[arg(long, conflicts_with = "end_runs")]
    pub quiet: bool,
    /// End when nothing runs and nothing could be started now
    #[arg(long, conflicts_with = "until_empty")]
    pub until_idle: bool,
    /// End when nothing runs and nothing waits for its time either
    #[arg(long)]
    pub until_empty: bool,
    /// Time between two rounds of the reaper. For tests: what it does is right at any interval
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, hide = true)]
    pub tick: Option<u64>,
}

pub fn run(face: &Face, args: Args) -> Result<u8> {
    if !args.end_runs {
        return worker_calls::work(face, &args);
    }
    if !args.at_shutdown || worker_calls::machine_is_stopping() {
        worker_calls::end_runs(face)?;
    }
    Ok(exit::OK)
}
