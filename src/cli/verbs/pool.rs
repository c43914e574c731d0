//! `tenure pool`: counted things of the machine; a job that uses some starts when they are free.

use clap::Subcommand;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::view::{json, table};
use crate::error::{Result, exit};
use crate::job::pool::{SIZE_MAX, check_name};
use crate::queue::Queue;
use crate::store::job::pool::{self, PoolRow};

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// List pools
    Ls,
    /// Set how many units a pool has, and create it if it does not exist
    Set {
        /// The pool
        #[arg(value_parser = parse_name)]
        name: String,
        /// Let jobs use N units at once
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(SIZE_MAX)))]
        limit: u32,
    },
    /// Remove a pool; no live job may use it
    Rm {
        /// The pool
        #[arg(value_parser = parse_name)]
        name: String,
    },
}

fn parse_name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Ls => {
            let pools = face.reader()?.read(pool::all)?;
            if face.json {
                face.document(json::list("pools", pools.iter().map(json::pool)))?;
            } else if pools.is_empty() {
                face::say("there are no pools; tenure pool set gpu --limit 2 makes one");
            } else {
                face::print(&for_people(&pools, face.columns))?;
            }
        }
        Verb::Set { name, limit } => Queue::of(&face.client()?).set_pool(&name, limit)?,
        Verb::Rm { name } => Queue::of(&face.editor()?).remove_pool(&name)?,
    }
    Ok(exit::OK)
}

/// Pools, one a line.
pub fn for_people(pools: &[PoolRow], columns: Option<usize>) -> String {
    let row = |pool: &PoolRow| vec![pool.name.clone(), pool.size.to_string(), pool.taken.to_string(), pool.waiting.to_string()];
    let rows: Vec<_> = pools.iter().map(row).collect();
    table::table(&["pool", "limit", "taken", "waiting"], &[1, 2, 3], &rows, columns)
}
