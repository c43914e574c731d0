//! `tenure completions` and `tenure man`: made from the definition of the command line, so that
//! they cannot be out of date.

use clap::Command;
use clap_complete::Shell;

use crate::cli::face;
use crate::error::{Error, Result, exit};

/// The codes of [`exit`], for people.
const EXIT_STATUS: &str = r#".SH EXIT STATUS
.B run
and
.B wait
of one job end with the job's own code, with 128+N when signal N killed it, with 124 when its timeout (or that of the wait) ran out, with 126 and
127 when it could not be executed or found, with 1 when it ended without a code, and with 125 when tenure itself failed.
.PP
.nf
0  all is well
1  it failed
2  invalid arguments
3  there is no such job
4  the file cannot be used: missing, corrupt, foreign, newer, not permitted
5  a worker was asked for, and there is none
6  refused: the state does not allow it
.fi
"#;

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
    text.extend_from_slice(EXIT_STATUS.as_bytes());
    face::write_bytes(&text)?;
    Ok(exit::OK)
}
