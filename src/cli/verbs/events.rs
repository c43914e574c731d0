//! `tenure events`: every change of every job, for programs.

use std::io;
use std::os::fd::AsFd;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::cli::view::json;
use crate::error::{Result, exit};
use crate::job::{Position, State};
use crate::queue::Change;

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Wait for later changes
    ///
    /// Without --after it starts at the end.
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Start after the change with this id
    ///
    /// A program that starts again with the id of the last line that it has handled sees each
    /// change exactly once. 0: from the first one on.
    #[arg(long, value_name = "POSITION")]
    pub after: Option<Position>,
    /// Print changes of jobs in this queue
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = values::parse_name)]
    pub queue: Option<String>,
    /// Print changes into this state
    ///
    /// May be given several times.
    #[arg(long, value_name = "STATE")]
    pub state: Vec<State>,
    /// Print changes of jobs with this label
    #[arg(short = 'l', long, value_name = "LABEL", value_parser = values::parse_label)]
    pub label: Option<String>,
}

impl Args {
    fn wants(&self, change: &Change) -> bool {
        let is = |wanted: &Option<String>, given: Option<&str>| wanted.is_none() || wanted.as_deref() == given;
        is(&self.queue, Some(&change.queue))
            && is(&self.label, change.label.as_deref())
            && (self.state.is_empty() || change.state.is_some_and(|state| self.state.contains(&state)))
    }
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let queue = face.queue()?;
    let after = match args.after {
        Some(after) => after,
        None if args.follow => queue.newest_position()?,
        None => Position::START,
    };
    let changes = queue.changes(after);
    let mut changes = if args.follow { changes.follow() } else { changes };
    while let Some(read) = changes.read_on()? {
        let lines: String = read.iter().filter(|change| args.wants(change)).map(line).collect();
        if !lines.is_empty() {
            face::print(&lines)?;
        }
        // A reader that has gone is noticed while nothing happens, too.
        if read.is_empty() && !changes.wait(Some(io::stdout().as_fd())) {
            break;
        }
    }
    Ok(exit::OK)
}

fn line(change: &Change) -> String {
    format!("{}\n", face::versioned(json::change(change)))
}
