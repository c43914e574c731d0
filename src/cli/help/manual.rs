//! Manual pages: tenure(1), and a page for each verb, such as tenure-queue-set(1).
//!
//! Name, synopsis and options are those of the definition; the rest is written here, all in the
//! macros of man(7) that groff and mandoc share.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::cli::help::{examples, groups};

/// What the program is, on its own page.
const ABOUT: &str = "\
tenure queues commands in one SQLite file and runs them as processes. The worker (tenure work) may be killed at any time: running jobs
run on, and the next worker takes them over with exit code and output complete. A job that has ended has left no process behind.
.PP
Without a command, tenure shows an overview (tenure status). Each command has a page of its own, such as tenure\\-add(1), and help:
tenure help COMMAND.
";

/// Codes of every command.
const CODES: &[(&str, &str)] = &[
    ("0", "It was done."),
    ("1", "It failed."),
    ("2", "The arguments are invalid."),
    ("3", "What was named does not exist: a job, a queue, a lane, ..."),
    ("4", "The file cannot be used: missing, corrupt, foreign, newer than this program, not permitted."),
    ("5", "A worker was asked for, and none is running."),
    ("6", "Refused: the state does not allow it."),
];

/// Verbs that end with the code of a command, and their codes beside that one.
const ENDS_WITH_COMMAND: &[&str] = &["run", "wait", "task wait", "lease run", "fence"];
const CODES_OF_COMMAND: &[(&str, &str)] = &[
    ("1", "The job ended without a code of its own."),
    ("124", "A timeout has expired: that of the job, or that of the wait."),
    ("125", "tenure itself failed."),
    ("126, 127", "The command cannot be executed, or was not found."),
    ("128+N", "Signal N killed the command."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("TENURE_DB", "The database file, unless \\-\\-db names one."),
    ("TENURE_CONFIG", "The configuration file."),
    ("TENURE_COLOR, NO_COLOR", "When to colour: TENURE_COLOR as \\-\\-color; NO_COLOR, if not empty, turns colours off."),
    ("TENURE_SLOTS, ...", "Every setting that tenure\\-config(1) shows."),
];
/// Inside a job.
const ENVIRONMENT_OF_JOB: &[(&str, &str)] =
    &[("TENURE_JOB, TENURE_RUN", "The job and the run that this is called in. The worker sets them.")];
const OF_JOB: &[&str] = &["progress", "fence", "resource add"];

const FILES: &[(&str, &str)] = &[
    ("/var/lib/tenure/tenure.db", "The database file of root."),
    ("~/.local/state/tenure/tenure.db", "The database file of any other user."),
    ("/etc/tenure/config.toml, ~/.config/tenure/config.toml", "The configuration of root, and of any other user."),
];

/// Returns the name of a page without its section, such as `tenure-queue-set`.
pub fn name(path: &[String]) -> String {
    std::iter::once("tenure").chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("-")
}

/// Returns the paths of all pages: that of the program, which is empty, and those of its verbs.
pub fn paths(root: &Command) -> Vec<Vec<String>> {
    fn below(at: &Command, path: &[String], all: &mut Vec<Vec<String>>) {
        all.push(path.to_vec());
        for verb in at.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            below(verb, &[path, &[verb.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    below(root, &[], &mut all);
    all
}

/// Returns the page of a verb. `root` has been built.
pub fn page(root: &Command, path: &[String]) -> String {
    let verb = path.iter().fold(root, |at, word| at.find_subcommand(word).unwrap_or(at));
    let (name, about) = (name(path), about(verb));
    let title = plain(&name.to_uppercase());
    let mut text = format!(".TH {title} 1 \"\" \"tenure {}\" \"tenure manual\"\n", env!("CARGO_PKG_VERSION"));
    _ = writeln!(text, ".SH NAME\n{} \\- {}", plain(&name), plain(&about));
    let usage = verb.clone().render_usage().to_string();
    _ = writeln!(text, ".SH SYNOPSIS\n.nf\n{}\n.fi", plain(usage.trim_start_matches("Usage:").trim()));
    let description = if path.is_empty() { ABOUT.to_owned() } else { format!("{}.\n", plain(&about)) };
    _ = write!(text, ".SH DESCRIPTION\n{description}");
    commands(&mut text, verb, path);
    options(&mut text, verb);
    closing(&mut text, root, verb, path);
    text
}

fn about(verb: &Command) -> String {
    verb.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Arguments and options under their headings, in the order of the help.
fn options(text: &mut String, verb: &Command) {
    let shown: Vec<&Arg> = verb.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    let mut headings: Vec<&str> = vec!["Arguments", "Options"];
    headings.extend(shown.iter().filter_map(|arg| arg.get_help_heading()));
    let mut done: Vec<&str> = Vec::new();
    for heading in headings {
        let is_here = |arg: &&&Arg| match (arg.get_help_heading(), arg.is_positional()) {
            (None, positional) => heading == if positional { "Arguments" } else { "Options" },
            (Some(own), _) => heading == own,
        };
        let mut here = shown.iter().filter(is_here).peekable();
        if done.contains(&heading) || here.peek().is_none() {
            continue;
        }
        done.push(heading);
        _ = writeln!(text, ".SH {}", plain(&heading.to_uppercase()));
        here.for_each(|arg| option(text, arg));
    }
}

fn option(text: &mut String, arg: &Arg) {
    let names = arg.get_short().map(|short| format!("\\fB\\-{short}\\fR"));
    let names: Vec<String> =
        names.into_iter().chain(arg.get_long().map(|long| format!("\\fB\\-\\-{}\\fR", plain(long)))).collect();
    let values = arg.get_value_names().filter(|_| arg.get_action().takes_values()).unwrap_or_default();
    let values: Vec<String> = values.iter().map(|value| format!("\\fI{}\\fR", plain(value))).collect();
    let many =
        if arg.get_num_args().is_some_and(|n| n.max_values() > 1) || (arg.is_positional() && is_list(arg)) { "..." } else { "" };
    let gap = if names.is_empty() || values.is_empty() { "" } else { " " };
    let words = match arg.get_id().as_str() {
        "help" => "Print help, with \\-\\-help also examples".to_owned(),
        _ => plain(&whole(arg)),
    };
    _ = writeln!(text, ".TP\n{}{gap}{}{many}\n{words}.", names.join(", "), values.join(" "));
    let possible: Vec<String> = arg.get_possible_values().iter().map(|value| plain(value.get_name())).collect();
    if !arg.is_hide_possible_values_set() && !possible.is_empty() && !values.is_empty() {
        _ = writeln!(text, "One of: {}.", possible.join(", "));
    }
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

/// The whole text of an option as sentences, without the full stop of the last one.
fn whole(arg: &Arg) -> String {
    let text = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    text.replace("\n\n", ". ").replace('`', "\"").trim_end_matches('.').to_owned()
}

/// The verbs of the program in groups, or those below a verb.
fn commands(text: &mut String, verb: &Command, path: &[String]) {
    if verb.has_subcommands() {
        *text += ".SH VERBS\n";
    }
    if path.is_empty() {
        for (heading, verbs) in groups::verbs(verb) {
            _ = writeln!(text, ".SS {}", plain(heading));
            verbs.iter().for_each(|(name, about)| command(text, &format!("tenure-{name}"), about));
        }
        return;
    }
    for below in verb.get_subcommands().filter(|below| !below.is_hide_set()) {
        command(text, &format!("{}-{}", name(path), below.get_name()), &about(below));
    }
}

fn command(text: &mut String, page: &str, about: &str) {
    _ = writeln!(text, ".TP\n\\fB{}\\fR(1)\n{}", plain(page), plain(about));
}

/// What comes after the options.
fn closing(text: &mut String, root: &Command, verb: &Command, path: &[String]) {
    *text += ".SH EXAMPLES\n";
    for (n, (what, typed)) in examples::of(path).into_iter().enumerate() {
        let gap = if n > 0 { ".PP\n" } else { "" };
        _ = writeln!(text, "{gap}{}:\n.PP\n.RS 4\n.nf\n{}\n.fi\n.RE", plain(what), plain(typed));
    }
    let words = path.join(" ");
    *text += ".SH EXIT STATUS\n";
    if path.is_empty() || ENDS_WITH_COMMAND.contains(&words.as_str()) {
        let who = if path.is_empty() {
            "tenure run, wait of one job, task wait of one task, lease run and fence end"
        } else {
            "It ends"
        };
        _ = writeln!(text, "{who} with the exit code of the command, and beside that with:");
        list(text, CODES_OF_COMMAND);
        *text += ".PP\nEvery verb ends with:\n";
    }
    list(text, CODES);
    *text += ".SH ENVIRONMENT\n";
    list(text, if OF_JOB.contains(&words.as_str()) { ENVIRONMENT_OF_JOB } else { &[] });
    list(text, ENVIRONMENT);
    if path.is_empty() {
        *text += ".SH FILES\n";
        list(text, FILES);
    }
    let pages: Vec<String> = related(root, verb, path).iter().map(|page| format!(".BR {} (1)", plain(page))).collect();
    _ = writeln!(text, ".SH SEE ALSO\n{}", pages.join(",\n"));
}

/// The pages that a reader may want next: of a verb with verbs those, of a verb below one its
/// neighbours, else the verbs of its group.
fn related(root: &Command, verb: &Command, path: &[String]) -> Vec<String> {
    let below = |at: &Command, path: &[String]| -> Vec<String> {
        let names = at.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name);
        names.map(|below| format!("{}-{below}", name(path))).collect()
    };
    let mut pages = match path {
        [] => vec!["sqlite3".to_owned(), "systemctl".to_owned(), "crontab".to_owned()],
        [first, _, ..] => {
            let neighbours = root.find_subcommand(first).map(|above| below(above, &path[..1])).unwrap_or_default();
            ["tenure".to_owned(), name(&path[..1])].into_iter().chain(neighbours).collect()
        }
        [_] if verb.has_subcommands() => std::iter::once("tenure".to_owned()).chain(below(verb, path)).collect(),
        [only] => {
            let group = groups::GROUPS.iter().find(|(_, verbs)| verbs.contains(&only.as_str()));
            let verbs = group.map(|(_, verbs)| *verbs).unwrap_or_default();
            std::iter::once("tenure".to_owned()).chain(verbs.iter().map(|verb| format!("tenure-{verb}"))).collect()
        }
    };
    let own = name(path);
    pages.retain(|page| *page != own);
    pages
}

fn list(text: &mut String, items: &[(&str, &str)]) {
    for (what, means) in items {
        _ = writeln!(text, ".TP\n.B {}\n{means}", plain(what));
    }
}

/// Returns the text so that the formatter takes no part of it as a request and prints each mark
/// as it is.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if text.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '"' => out.push_str("\\(dq"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[path = "manual_tests.rs"]
mod tests;
