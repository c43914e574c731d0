//! Options of every verb.

use std::path::PathBuf;

use crate::config::Colour;

/// Options of every verb.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Global {
    /// Use this database file
    ///
    /// The default is that of TENURE_DB, or of the configuration.
    #[arg(long, global = true, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Run the worker on a file that other users may write
    ///
    /// They can then run commands as you.
    #[arg(long, global = true)]
    pub allow_shared: bool,
    /// Use the system worker of this machine
    ///
    /// It is root's. Jobs run as the user who adds them. With `work`, as root: be that worker.
    #[arg(long, global = true)]
    pub system: bool,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Set when to colour: auto, always or never
    ///
    /// auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<Colour>,
}
