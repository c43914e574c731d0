//! `tenure lane`: serial gates; a limited number of jobs of a lane run at once.

use clap::Subcommand;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::cli::view::{json, table};
use crate::error::{Result, exit};
use crate::host::waker;
use crate::job::limits;
use crate::store::job::counted::LaneRow;
use crate::store::{job::control, job::read};

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// List lanes
    Ls,
    /// Set how many jobs of a lane run at once
    Set {
        /// The lane
        #[arg(value_parser = values::parse_name)]
        key: String,
        /// Run up to N of its jobs at once
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=limits::LANE_LIMIT_MAX))]
        limit: i64,
    },
    /// Remove a lane and its limit; it must have no live job
    Rm {
        /// The lane
        #[arg(value_parser = values::parse_name)]
        key: String,
    },
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Ls => {
            let lanes = face.reader()?.read(read::lanes)?;
            if face.json {
                face.document(json::list("lanes", lanes.iter().map(json::lane)))?;
            } else if lanes.is_empty() {
                face::say("there are no lanes; tenure add --lane KEY -- COMMAND makes one");
            } else {
                face::print(&for_people(&lanes, face.columns))?;
            }
        }
        Verb::Rm { key } => face.editor()?.write(move |conn| control::lane_remove(conn, &key))?,
        Verb::Set { key, limit } => {
            let store = face.client()?;
            store.write(move |conn| control::lane_set(conn, &key, limit))?;
            waker::send(store.place());
        }
    }
    Ok(exit::OK)
}

/// Lanes, one a line.
pub fn for_people(lanes: &[LaneRow], columns: Option<usize>) -> String {
    let row =
        |lane: &LaneRow| vec![lane.key.clone(), lane.max_running.to_string(), lane.running.to_string(), lane.waiting.to_string()];
    let rows: Vec<_> = lanes.iter().map(row).collect();
    table::table(&["lane", "limit", "running", "waiting"], &[1, 2, 3], &rows, columns)
}
