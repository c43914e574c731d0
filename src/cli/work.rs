//! `tenure work`: be the worker.

use super::face::Face;
use super::{values, worker_calls};
use crate::error::Result;
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
    #[arg(long)]
    pub drain: bool,
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
    worker_calls::work(face, &args)
}
