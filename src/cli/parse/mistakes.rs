//! Messages for a command line that cannot be parsed: what was typed, why it is refused, and what
//! to type instead.
//!
//! clap provides the rest, except for hints that would turn an option into a command
//! (`use '-- -5'`).

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::face::{coloured, is_broken_pipe, write_bytes};
use crate::cli::logging;
use crate::cli::parse::{foreign, library_words, values};
use crate::cli::view::escape;
use crate::cli::view::escape::quote_text;
use crate::config::Colour;
use crate::error::exit;
use crate::job::nearest;
use crate::shown;

/// Prints the text of clap (help, version, what is wrong with the arguments) and returns the exit
/// code.
pub fn print(error: &clap::Error, root: &Command) -> u8 {
    if let Some(text) = own_words(error, root) {
        let text = format!("tenure: error: {}\n", escape::lines(&text));
        let _stderr_may_be_gone = io::stderr().write_all(logging::error_text(text).as_bytes());
        return exit::USAGE;
    }
    let for_people = if error.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let coloured = coloured(Colour::Auto, std::env::var_os("NO_COLOR"), for_people);
    let text = if coloured { error.render().ansi().to_string() } else { error.render().to_string() };
    // The message quotes what was typed, which may contain anything.
    let text = text.replace('\r', "\\r").replace('\t', "\\t");
    let text = if error.use_stderr() { without_wrong_tips(&library_words::arguments(&text)) } else { text };
    let (mut shown, mut safe) = (shown::Shown::default(), Vec::new());
    shown.push(text.as_bytes(), &mut safe);
    shown.finish(&mut safe);
    if !error.use_stderr() {
        return match write_bytes(&safe) {
            Err(error) if !is_broken_pipe(&error) => exit::FAILED,
            _ => exit::OK,
        };
    }
    let _stderr_may_be_gone = io::stderr().write_all(&safe);
    exit::USAGE
}

/// Describes an unknown verb or option; `None`: clap's text is good enough.
fn own_words(error: &clap::Error, root: &Command) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let path = verb_of(root, &error.render().to_string());
    match error.kind() {
        ErrorKind::InvalidSubcommand => Some(unknown_verb(root, &path, text(ContextKind::InvalidSubcommand)?)),
        ErrorKind::UnknownArgument => {
            let typed = text(ContextKind::InvalidArg)?;
            Some(if typed.starts_with('-') { unknown_option(root, &path, typed) } else { one_too_many(root, &path, typed) })
        }
        ErrorKind::ValueValidation => {
            let (argument, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
            let why = std::error::Error::source(error)?.to_string();
            let name = argument.split(' ').next().unwrap_or(argument);
            let label = match name.starts_with("[ID]") && value.starts_with(|c: char| c.is_alphabetic()) {
                // If no ID is needed, jobs can also be selected by a filter.
                true => format!("; jobs with that label: --label {}", quote_text(&values::shorten(value))),
                false => String::new(),
            };
            let name = if name.starts_with(['<', '[']) { String::new() } else { format!("{name}: ") };
            Some(format!("{name}{}{label}", plain(value, &why)))
        }
        ErrorKind::InvalidValue if text(ContextKind::InvalidValue).is_some_and(str::is_empty) => {
            let argument = text(ContextKind::InvalidArg)?.replace(['<', '>'], "");
            let name = argument.split(' ').next().unwrap_or_default();
            Some(format!("{name} has no value; write {argument}"))
        }
        ErrorKind::InvalidValue => {
            let (argument, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
            let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) else { return None };
            let (last, others) = valid.split_last()?;
            let name = argument.split(' ').next().unwrap_or(argument).replace(['<', '>', '[', ']'], "");
            Some(format!("{name}: {:?} is not known; write {} or {last}", values::shorten(value), others.join(", ")))
        }
        ErrorKind::MissingRequiredArgument => {
            let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return None };
            let missing: Vec<String> = missing.iter().map(|one| one.replace(['<', '>'], "").replace("...", "")).collect();
            let is_missing = if missing.len() == 1 { "is missing" } else { "are missing" };
            let usage = error.render().to_string();
            let usage = usage.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("tenure --help").to_owned();
            Some(format!("{} {is_missing}; write {usage}", missing.join(" and ")))
        }
        ErrorKind::InvalidUtf8 => {
            let odd = std::env::args_os().find(|word| word.to_str().is_none());
            let odd = odd.map(|word| values::shorten(&word.to_string_lossy())).unwrap_or_default();
            Some(format!("{odd:?} is not UTF-8; only the command after -- may have other bytes"))
        }
        _ => None,
    }
}

/// Returns the verbs that were understood before the mistake, from the usage line.
pub fn verb_of(root: &Command, text: &str) -> Vec<String> {
    let usage = text.lines().find_map(|line| line.trim_start().strip_prefix("Usage: tenure")).unwrap_or_default();
    let (mut path, mut at) = (Vec::new(), root);
    for word in usage.split_whitespace() {
        let Some(next) = at.find_subcommand(word) else { break };
        path.push(word.to_owned());
        at = next;
    }
    path
}

fn find<'a>(root: &'a Command, path: &[String]) -> &'a Command {
    path.iter().fold(root, |at, word| at.find_subcommand(word).unwrap_or(at))
}

/// Verbs that change nothing: the suggestion for a letter that many verbs have is one of these.
const LOOKS: &[&str] = &["ls", "status", "show", "logs", "why", "wait"];

/// Says what is wrong with the words of a verb; `None`: they are one.
pub fn unknown_path(root: &Command, words: &[String]) -> Option<String> {
    let known = (0..words.len())
        .take_while(|n| find(root, &words[..*n]).find_subcommand(&words[*n]).is_some_and(|verb| !verb.is_hide_set()))
        .count();
    let (path, typed) = (&words[..known], words.get(known)?);
    if find(root, path).has_subcommands() {
        return Some(unknown_verb(root, path, typed));
    }
    let (verb, shown) = (path.join(" "), values::shorten(typed));
    Some(format!("tenure {verb} has no verbs, and {shown:?} is one too many; its help: tenure help {verb}"))
}

fn unknown_verb(root: &Command, path: &[String], typed: &str) -> String {
    let verbs = find(root, path).get_subcommands().filter(|verb| !verb.is_hide_set());
    let names: Vec<&str> = verbs.map(Command::get_name).collect();
    let shown = values::shorten(typed);
    if path.is_empty() {
        if let Some(does) = foreign::verb(typed) {
            let does: Vec<String> = does.iter().map(|(what, how)| format!("{what}: {how}")).collect();
            return format!("there is no verb {shown:?}; {}", does.join("; "));
        }
        let is_id = typed.bytes().all(|b| b.is_ascii_digit() || b == b',');
        let meant = match nearest::nearest(typed, names) {
            Some(meant) => format!("did you mean: tenure {meant}?"),
            None if is_id && !typed.is_empty() => format!("to see that job: tenure show {shown}, tenure logs {shown}"),
            None => format!("to queue a command: tenure add -- {}", quote_text(&shown)),
        };
        return format!("there is no verb {shown:?}; {meant} (tenure --help lists the verbs)");
    }
    let verb = path.join(" ");
    let meant = foreign::nested(typed, &names).or_else(|| nearest::nearest(typed, names.iter().copied()));
    let meant = meant.map(|meant| format!("did you mean: tenure {verb} {meant}? ")).unwrap_or_default();
    format!("tenure {verb} has no verb {shown:?}; {meant}it has {}", names.join(", "))
}

fn unknown_option(root: &Command, path: &[String], typed: &str) -> String {
    let typed = typed.split('=').next().unwrap_or(typed);
    let shown = values::shorten(typed);
    let verb = path.join(" ");
    let whole = if verb.is_empty() { "tenure".to_owned() } else { format!("tenure {verb}") };
    let mut text = format!("{whole} has no option {shown:?}");
    let there = options(root, find(root, path));
    if typed.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
        text += "; write a value that begins with - after =, as in --delay=-5s";
    } else if let Some(here) = foreign::option(path.last().map_or("", String::as_str), typed, &there) {
        _ = write!(text, "; that is {here} here");
    } else if path.is_empty()
        && let Some(of) = root
            .get_subcommands()
            .filter(|verb| typed.starts_with("--") || LOOKS.contains(&verb.get_name()))
            .find(|verb| options(root, verb).iter().any(|one| one == typed))
    {
        _ = write!(text, "; an option comes after its verb: tenure {} {typed}", of.get_name());
    } else if path.is_empty() && root.get_subcommands().any(|verb| options(root, verb).iter().any(|one| one == typed)) {
        text += "; an option comes after its verb";
    } else if let Some(meant) = near_option(typed, &there) {
        _ = write!(text, "; did you mean --{meant}?");
    } else if there.iter().any(|one| one == "--") {
        text += "; options of the command come after --, as in: tenure add -- ls -l";
    }
    text + &format!(" ({whole} --help lists them)")
}

/// Returns the long option, without its dashes, that a mistyped one is near to. A person who types
/// `--all` means everything, and never the beginning of a longer word.
fn near_option<'a>(typed: &str, there: &'a [String]) -> Option<&'a str> {
    let word = typed.strip_prefix("--").filter(|word| *word != "all")?;
    nearest::nearest(word, there.iter().filter_map(|one| one.strip_prefix("--")).filter(|name| !name.is_empty()))
}

/// Describes a word after the last accepted one: usually a command without its dashes.
fn one_too_many(root: &Command, path: &[String], typed: &str) -> String {
    let (verb, shown) = (path.join(" "), values::shorten(typed));
    let command = find(root, path);
    if verb == "schedule add" && typed.contains(' ') {
        return format!(
            "the command comes after --, as in: tenure schedule add NAME '30 2 * * *' -- sh -c {}",
            quote_text(&shown)
        );
    }
    if verb == "schedule add" {
        return format!(
            "the line for the calendar is one argument, and {shown:?} is one too many; write it in quotes, as in: \
             tenure schedule add NAME '30 2 * * *' -- COMMAND"
        );
    }
    if command.get_arguments().any(clap::Arg::is_last_set) {
        let before: String = command
            .get_positionals()
            .filter(|one| !one.is_last_set() && one.is_required_set())
            .map(|one| format!(" {}", one.get_id().as_str().to_uppercase()))
            .collect();
        let has_line = command.get_arguments().any(|one| one.get_short() == Some('c'));
        let line = if has_line { "; a shell line is one argument: -c 'LINE'" } else { "" };
        return format!("the command comes after --, as in: tenure {verb}{before} -- {} ...{line}", quote_text(&shown));
    }
    format!("tenure {verb} has no place for {shown:?} (tenure {verb} --help shows what it takes)")
}

/// Rewords a library's message about a value, with the value.
fn plain(value: &str, why: &str) -> String {
    let (shown, why) = (values::shorten(value), library_words::arguments(why));
    let why = why.trim_end();
    if why.contains(&shown) { why.to_owned() } else { format!("'{shown}': {why}") }
}

/// Returns the options of a verb, short and long, including global ones; `--` if a command follows.
fn options(root: &Command, verb: &Command) -> Vec<String> {
    let of_all = root.get_arguments().filter(|one| one.is_global_set());
    let mut all = Vec::new();
    for one in verb.get_arguments().chain(of_all) {
        all.extend(one.get_long().map(|long| format!("--{long}")));
        all.extend(one.get_short().map(|short| format!("-{short}")));
        all.extend(one.is_last_set().then(|| "--".to_owned()));
    }
    all
}

/// A tip such as `to pass '-5' as a value, use '-- -5'` would queue a command, or name a job, by
/// mistake.
fn without_wrong_tips(text: &str) -> String {
    let mut out = String::new();
    let mut was_dropped = false;
    for line in text.lines() {
        let is_wrong = line.contains("tip") && line.contains("as a value");
        let is_gap = line.trim().is_empty() && was_dropped && out.ends_with("\n\n");
        if !is_wrong && !is_gap {
            out += &shorten(line);
            out.push('\n');
        }
        was_dropped = is_wrong || is_gap;
    }
    out
}

/// What was typed may be long, and the explanation follows it: a long line loses its middle.
fn shorten(line: &str) -> String {
    const HEAD_BYTES_MAX: usize = 300;
    const TAIL_BYTES_MAX: usize = 700;
    if line.len() <= HEAD_BYTES_MAX + TAIL_BYTES_MAX {
        return line.to_owned();
    }
    let (head, tail) = (line.floor_char_boundary(HEAD_BYTES_MAX), line.ceil_char_boundary(line.len() - TAIL_BYTES_MAX));
    format!("{} … {}", &line[..head], &line[tail..])
}

#[cfg(test)]
#[path = "mistakes_tests.rs"]
mod tests;
