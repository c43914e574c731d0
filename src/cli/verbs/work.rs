//! `tenure work`: be the worker.

use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::cli::worker_calls;
use crate::config::OnTerm;
use crate::error::{Result, exit};
use crate::units;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Run up to N jobs at once (default: one for each CPU)
    #[arg(long, value_name = "N")]
    pub slots: Option<usize>,
    /// Run only jobs of this queue; may be given several times
    #[arg(long, value_name = "QUEUE", value_parser = values::parse_name)]
    pub queue: Vec<String>,
    /// On TERM, wait for the running jobs instead of detaching from them
    #[arg(long, conflicts_with = "on_term")]
    pub drain: bool,
    /// Set what TERM does to the running jobs [default: detach; end where nothing would survive the worker]
    #[arg(long, value_name = "ACTION")]
    pub on_term: Option<OnTerm>,
    /// Wait at most DURATION between TERM and KILL where the runs end with the worker [default: 8s]
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub stop_timeout: Option<u64>,
    /// End every run of the file instead of working: TERM, its grace, KILL after --stop-timeout
    #[arg(long, conflicts_with_all = ["slots", "queue", "drain", "on_term", "until_idle", "until_empty"])]
    pub end_runs: bool,
    /// With --end-runs: do nothing unless the service manager is shutting down
    #[arg(long, requires = "end_runs")]
    pub at_shutdown: bool,
    /// Do not log the start and the end of each job
    #[arg(long, conflicts_with = "end_runs")]
    pub quiet: bool,
    /// Exit when no job runs and none could start now
    #[arg(long, conflicts_with = "until_empty")]
    pub until_idle: bool,
    /// Exit when no job runs and none waits for its time
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
