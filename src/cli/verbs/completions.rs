//! `tenure completions`: the script that a shell loads. The scripts of bash, zsh and fish call
//! `tenure complete` at each TAB, so that they know the jobs and names of the file. The others are
//! generated from the definition of the command line.

use clap::Command;
use clap_complete::{Generator, generate, shells};

use crate::cli::face;
use crate::error::{Result, exit};

const BASH: &str = include_str!("../complete/scripts/bash.sh");
const ZSH: &str = include_str!("../complete/scripts/zsh.zsh");
const FISH: &str = include_str!("../complete/scripts/fish.fish");

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    pub shell: Target,
}

/// The shells that there is a script for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
    Zsh,
}

pub fn run(args: &Args, command: Command) -> Result<u8> {
    match args.shell {
        Target::Bash => face::write_bytes(BASH.as_bytes())?,
        Target::Zsh => face::write_bytes(ZSH.as_bytes())?,
        Target::Fish => face::write_bytes(FISH.as_bytes())?,
        Target::Elvish => face::write_bytes(&made(shells::Elvish, command))?,
        Target::PowerShell => face::write_bytes(&made(shells::PowerShell, command))?,
    }
    Ok(exit::OK)
}

fn made(shell: impl Generator, mut command: Command) -> Vec<u8> {
    let mut text = Vec::new();
    generate(shell, &mut command, "tenure", &mut text);
    text
}
