//! `tenure help`: the help of a verb, as `--help` after it prints it.

use clap::Command;

use crate::cli::face;
use crate::cli::help::page::{self, Length};
use crate::cli::parse::mistakes;
use crate::config::Colour;
use crate::error::exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The verb, such as `add` or `queue set`
    #[arg(value_name = "VERB")]
    pub path: Vec<String>,
}

pub fn run(args: &Args, root: Command, colour: Colour) -> u8 {
    match mistakes::unknown_path(&root, &args.path) {
        None => page::print(root, &args.path, Length::Long, colour),
        Some(mistake) => {
            face::complain(&mistake);
            exit::USAGE
        }
    }
}
