//! `tenure completions` and `tenure man`: made from the definition of the command line, so that they can not be out of date.

use clap::Command;
use clap_complete::Shell;

use super::face;
use crate::error::{Error, Result, exit};

#[derive(Debug, clap::Args)]
pub struct Args {
    pub shell: Shell,
}

pub fn run(args: &Args, command: &mut Command) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, command, "tenure", &mut text);
    face::write_bytes(&text)?;
    Ok(exit::OK)
}

/// One page with all verbs.
pub fn man(command: &Command) -> Result<u8> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text).map_err(|e| Error::io("making the manual page", e))?;
    let mut command = command.clone();
    command.build();
    for verb in command.get_subcommands() {
        let man = clap_mangen::Man::new(verb.clone());
        man.render_synopsis_section(&mut text)
            .and_then(|()| man.render_description_section(&mut text))
            .and_then(|()| man.render_options_section(&mut text))
            .map_err(|e| Error::io("making the manual page", e))?;
    }
    face::write_bytes(&text)?;
    Ok(exit::OK)
}
