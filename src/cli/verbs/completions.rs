//! `tenure completions`: made from the definition of the command line, so that they cannot be out
//! of date.

use clap::Command;
use clap_complete::Shell;

use crate::cli::face;
use crate::error::{Result, exit};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

pub fn run(args: &Args, command: &mut Command) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, command, "tenure", &mut text);
    face::write_bytes(&text)?;
    Ok(exit::OK)
}
