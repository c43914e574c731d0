//! `tenure mcp`: serves a coding agent over standard input and output.

use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::cli::worker_options;
use crate::error::{Result, exit};
use crate::mcp::{self, Allowed, Changes, JOBS_DEFAULT, Setup, TIMEOUT_MS_DEFAULT};
use crate::store::Role;
use crate::units;

/// The queue of agents unless another one is named.
const QUEUE: &str = "agents";

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Work with this queue alone (default: agents)
    ///
    /// Jobs are added to it, and only its jobs are shown and cancelled. With --read-only, every
    /// queue is shown unless one is named.
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = values::parse_name)]
    pub queue: Option<String>,
    /// Only show jobs; add and cancel none
    ///
    /// Without --queue, the variables of jobs are not shown.
    #[arg(long, conflicts_with_all = ["max_jobs", "max_timeout"])]
    pub read_only: bool,
    /// Allow N live jobs in the queue (default: 100)
    ///
    /// An addition with which there would be more is refused.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_jobs: Option<u64>,
    /// Allow timeouts up to DURATION (default: 1h)
    ///
    /// A job that names none gets this one.
    #[arg(long, value_name = "DURATION", value_parser = parse_most)]
    pub max_timeout: Option<u64>,
}

fn parse_most(text: &str) -> Result<u64, String> {
    match units::parse_duration(text)? {
        0 => Err("no job ends in no time; give a longer duration, such as 10m".into()),
        ms => Ok(ms),
    }
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    mcp::serve(Setup {
        db: face.settings.db.value.clone(),
        options: face.options(Role::Reader),
        floors: worker_options::floors(&face.settings),
        allowed: allowed(args),
    })?;
    Ok(exit::OK)
}

fn allowed(args: &Args) -> Allowed {
    match args.read_only {
        true => Allowed::Reads(args.queue.clone()),
        false => Allowed::Changes(Changes {
            queue: args.queue.clone().unwrap_or_else(|| QUEUE.into()),
            jobs_max: args.max_jobs.unwrap_or(JOBS_DEFAULT),
            timeout_ms_max: args.max_timeout.unwrap_or(TIMEOUT_MS_DEFAULT),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_options_a_server_is_confined() {
        let none = Args { queue: None, read_only: false, max_jobs: None, max_timeout: None };
        let Allowed::Changes(changes) = allowed(&none) else { panic!("it may add") };
        assert_eq!((changes.queue.as_str(), changes.jobs_max, changes.timeout_ms_max), ("agents", 100, 3_600_000));
        assert_eq!(allowed(&Args { read_only: true, ..none.clone() }), Allowed::Reads(None));
        let named = Args { read_only: true, queue: Some("mail".into()), ..none };
        assert_eq!(allowed(&named), Allowed::Reads(Some("mail".into())));
    }
}
