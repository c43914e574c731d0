//! The help of a verb: `-h`, `--help` and `tenure help VERB`.

use std::io::{self, IsTerminal, Write};

use clap::Command;
use clap::builder::StyledStr;
use clap::error::ErrorKind;

use crate::cli::face::{coloured, is_broken_pipe, write_bytes};
use crate::cli::help::{examples, groups};
use crate::config::Colour;
use crate::error::exit;

/// Columns of the names of verbs in a list of them.
const NAME_COLUMNS: usize = 13;

/// How much of the help is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// `-h`: one line for each option.
    Short,
    /// `--help`: the whole text of each option, and examples.
    Long,
}

/// Whether the parser stopped because help was asked for, or because it shows help where a verb is
/// missing.
pub fn is_help(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

/// Prints the help of a verb and tells the exit code.
pub fn print(root: Command, path: &[String], length: Length, colour: Colour) -> u8 {
    let text = text(root, path, length);
    let rendered = styled(&text, colour, io::stdout().is_terminal());
    match write_bytes(rendered.as_bytes()) {
        Err(error) if !is_broken_pipe(&error) => exit::FAILED,
        _ => exit::OK,
    }
}

/// Says on stderr what could have been typed, where a verb is missing.
pub fn complain(root: Command, path: &[String], colour: Colour) -> u8 {
    let text = text(root, path, Length::Short);
    let _stderr_may_be_gone = io::stderr().write_all(styled(&text, colour, io::stderr().is_terminal()).as_bytes());
    exit::USAGE
}

fn styled(text: &StyledStr, colour: Colour, is_terminal: bool) -> String {
    match coloured(colour, std::env::var_os("NO_COLOR"), is_terminal) {
        true => text.ansi().to_string(),
        false => text.to_string(),
    }
}

/// Returns the help of a verb. An unknown path is cut where it leaves the tree of verbs.
pub fn text(mut root: Command, path: &[String], length: Length) -> StyledStr {
    root.build();
    let verb = path.iter().fold(&root, |at, word| at.find_subcommand(word).unwrap_or(at)).clone();
    let verb = verb.mut_args(|arg| worded(arg, length));
    let mut text = if path.is_empty() { of_program(verb) } else { verb }.render_help().ansi().to_string();
    if length == Length::Long {
        text += &examples_text(path);
    }
    StyledStr::from(text)
}

/// The whole text of an option has a line for each of its paragraphs.
fn worded(arg: clap::Arg, length: Length) -> clap::Arg {
    match (arg.get_id().as_str(), length) {
        ("help", Length::Short) => arg.help("Print help (examples: --help)"),
        ("help", Length::Long) => arg.help("Print help (a summary: -h)"),
        (_, Length::Short) => arg,
        (_, Length::Long) => match arg.get_long_help().map(ToString::to_string) {
            Some(whole) => arg.help(whole.trim_end_matches('.').replace("\n\n", "\n")),
            None => arg,
        },
    }
}

/// The program lists its verbs in groups.
fn of_program(root: Command) -> Command {
    let mut list = String::new();
    for (heading, verbs) in groups::verbs(&root) {
        list += &format!("\n{}\n", titled(heading));
        for (name, about) in verbs {
            list += &format!("  {}{:2$}{about}\n", literal(name), "", NAME_COLUMNS.saturating_sub(name.len()));
        }
    }
    let all_of_them = root.mut_subcommands(|verb| verb.hide(true));
    all_of_them
        .override_usage("tenure [OPTIONS] [VERB]")
        .help_template(format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{list}\n{{all-args}}"))
}

fn examples_text(path: &[String]) -> String {
    let found = examples::of(path);
    // A hidden verb has none.
    let mut text = if found.is_empty() { String::new() } else { format!("\n{}\n", titled("Examples")) };
    for (what, typed) in found {
        text += &format!("  # {what}\n  {typed}\n");
    }
    text
}

/// As clap shows headings.
fn titled(heading: &str) -> String {
    format!("\x1b[1m\x1b[4m{heading}:\x1b[0m")
}

/// As clap shows what is typed as it is.
fn literal(word: &str) -> String {
    format!("\x1b[1m{word}\x1b[0m")
}

#[cfg(test)]
#[path = "help_tests.rs"]
mod tests;
