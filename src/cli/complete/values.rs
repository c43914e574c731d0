//! What an argument may be: the table of arguments and their sources, and what a source has.

use clap::{Arg, Command, ValueHint};

use crate::cli::complete::walk::At;
use crate::config::keys;
use crate::job::pipeline::TaskState;
use crate::job::{Reason, State};
use crate::store::suggest::Subject;

/// Where the values of an argument come from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// The file.
    Stored(Subject),
    /// Words that never change.
    Words(fn() -> Vec<&'static str>),
    /// Names of variables of the shell that asks.
    Variables,
    /// The same, each before its `=`.
    Assignments,
    /// Keys, each before its `=`.
    Keys(&'static [&'static str]),
    /// The verbs of the program.
    Verbs,
    /// Paths; the shell knows them.
    Files,
    Directories,
    /// What a person makes up: a number, a duration, a new name.
    Free,
}

const LIVE: Subject = Subject::Jobs(&["running", "queued"]);
const RUNNING: Subject = Subject::Jobs(&["running"]);
const QUEUED: Subject = Subject::Jobs(&["queued"]);
const ENDED: Subject = Subject::Jobs(&["failed", "cancelled"]);
const ANY: Subject = Subject::Jobs(&[]);

/// What `tenure set` changes.
const CHANGES: &[&str] = &[
    "priority",
    "queue",
    "delay",
    "at",
    "expires",
    "timeout",
    "retries",
    "label",
    "lane",
    "slots",
    "uses",
    "unique",
    "cwd",
    "env",
    "after",
    "after_any",
    "after_failed",
    "backoff",
    "retry_on",
    "no_retry_on",
    "max_deferrals",
    "check",
    "on_failure",
    "on_success",
    "on_end",
    "grace",
    "warn",
    "idle_timeout",
    "memory",
    "nice",
    "log_limit",
    "stdin",
    "workspace",
    "prepare",
    "user",
];

/// What launchers are told most often.
const LAUNCHER_OPTIONS: &[&str] = &["interval", "partition", "account", "qos", "host"];

/// Arguments by verb and name; `*` is every verb that is not named. An argument that is not here
/// has its possible values in the definition, is a path by its type, or is free.
const SOURCES: &[(&str, &str, Source)] = &[
    ("cancel", "ids", Source::Stored(LIVE)),
    ("wait", "ids", Source::Stored(LIVE)),
    ("suspend", "ids", Source::Stored(RUNNING)),
    ("resume", "ids", Source::Stored(RUNNING)),
    ("hold", "ids", Source::Stored(QUEUED)),
    ("set", "ids", Source::Stored(QUEUED)),
    ("edit", "ids", Source::Stored(QUEUED)),
    ("rerun", "ids", Source::Stored(ANY)),
    ("add", "like", Source::Stored(ANY)),
    ("release", "ids", Source::Stored(Subject::HeldJobs)),
    ("retry", "ids", Source::Stored(ENDED)),
    ("rm", "ids", Source::Stored(ENDED)),
    (
        "prune",
        "state",
        Source::Words(|| State::ALL.iter().filter(|state| state.is_terminal()).map(|state| state.as_str()).collect()),
    ),
    ("resource show", "ids", Source::Stored(Subject::Resources { live: false })),
    ("resource release", "ids", Source::Stored(Subject::Resources { live: true })),
    ("queue set", "launcher", Source::Directories),
    ("queue set", "launcher_option", Source::Keys(LAUNCHER_OPTIONS)),
    ("*", "ids", Source::Stored(ANY)),
    ("events", "after", Source::Free),
    ("*", "after", Source::Stored(ANY)),
    ("*", "after_any", Source::Stored(ANY)),
    ("*", "after_failed", Source::Stored(ANY)),
    ("resource add", "job", Source::Stored(LIVE)),
    ("resource add", "task", Source::Stored(Subject::Tasks { live: true })),
    ("task show", "tasks", Source::Stored(Subject::Tasks { live: false })),
    ("task wait", "tasks", Source::Stored(Subject::Tasks { live: true })),
    ("move", "ids", Source::Stored(QUEUED)),
    ("move", "before", Source::Stored(QUEUED)),
    ("move", "after", Source::Stored(QUEUED)),
    ("task retry", "task", Source::Stored(Subject::Tasks { live: false })),
    ("task logs", "task", Source::Stored(Subject::Tasks { live: false })),
    ("*", "task", Source::Stored(Subject::Tasks { live: true })),
    ("*", "label", Source::Stored(Subject::Labels)),
    ("*", "queue", Source::Stored(Subject::Queues)),
    ("*", "lane", Source::Stored(Subject::Lanes)),
    ("lane set", "key", Source::Stored(Subject::Lanes)),
    ("lane rm", "key", Source::Stored(Subject::Lanes)),
    ("pool set", "name", Source::Stored(Subject::Pools)),
    ("pool rm", "name", Source::Stored(Subject::Pools)),
    ("*", "workspace", Source::Stored(Subject::Workspaces)),
    ("workspace rm", "key", Source::Stored(Subject::Workspaces)),
    ("workspace ensure", "key", Source::Stored(Subject::Workspaces)),
    ("lease run", "name", Source::Stored(Subject::Leases)),
    ("lease release", "name", Source::Stored(Subject::Leases)),
    ("schedule rm", "names", Source::Stored(Subject::Schedules)),
    ("schedule pause", "name", Source::Stored(Subject::Schedules)),
    ("schedule resume", "name", Source::Stored(Subject::Schedules)),
    ("schedule next", "name", Source::Stored(Subject::Schedules)),
    ("schedule show", "name", Source::Stored(Subject::Schedules)),
    ("schedule set", "name", Source::Stored(Subject::Schedules)),
    ("schedule run", "name", Source::Stored(Subject::Schedules)),
    ("schedule history", "name", Source::Stored(Subject::Schedules)),
    ("pipeline show", "name", Source::Stored(Subject::Pipelines)),
    ("*", "pipeline", Source::Stored(Subject::Pipelines)),
    ("task ls", "state", Source::Words(|| TaskState::ALL.iter().map(|state| state.as_str()).collect())),
    ("*", "state", Source::Words(|| State::ALL.iter().map(|state| state.as_str()).collect())),
    ("*", "retry_on", Source::Words(reasons)),
    ("*", "no_retry_on", Source::Words(reasons)),
    ("set", "changes", Source::Keys(CHANGES)),
    ("config", "key", Source::Words(|| keys::KEYS.to_vec())),
    ("*", "pass_env", Source::Variables),
    ("*", "secret", Source::Variables),
    ("*", "env", Source::Assignments),
    ("help", "path", Source::Verbs),
    ("man", "path", Source::Verbs),
    ("*", "cwd", Source::Directories),
    ("man", "dir", Source::Directories),
    ("*", "stdin", Source::Files),
    ("*", "from", Source::Files),
    ("pipeline apply", "file", Source::Files),
    ("schedule import", "file", Source::Files),
    ("import pueue", "file", Source::Files),
];

fn reasons() -> Vec<&'static str> {
    Reason::ALL.iter().map(|reason| reason.as_str()).collect()
}

/// Returns the source of an argument.
pub fn source(arg: &Arg, at: &At<'_>) -> Source {
    let (verb, id) = (at.path.join(" "), arg.get_id().as_str());
    if verb == "logs" && id == "ids" && at.given.contains(&"follow") {
        return Source::Stored(LIVE);
    }
    if matches!((&*verb, id), ("task advance", "expect" | "to") | ("task retry", "from") | ("task logs", "stage")) {
        // The task may come after the option, or not be typed yet.
        let task = at.words.first().and_then(|word| word.parse().ok());
        return task.map_or(Source::Free, |task| Source::Stored(Subject::Stages { task }));
    }
    let rows = SOURCES.iter().filter(|(_, name, _)| *name == id);
    let found = rows.clone().find(|(of, ..)| *of == verb).or_else(|| rows.clone().find(|(of, ..)| *of == "*"));
    match found {
        Some((_, _, source)) => *source,
        None if arg.get_value_hint() == ValueHint::AnyPath => Source::Files,
        None => Source::Free,
    }
}

/// Whether several values stand in one word with commas between them.
pub fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "ids" | "after" | "after_any" | "after_failed" | "retry_on" | "no_retry_on")
}

/// Returns the values that were given before, which are not offered again. `list` is what stands
/// before the value in its word, up to the last comma.
pub fn given<'a>(arg: &Arg, at: &'a At<'_>, list: &'a str) -> Vec<&'a str> {
    let in_words = at.words.iter().filter(|_| arg.is_positional() && is_list(arg)).map(String::as_str);
    in_words.chain(std::iter::once(list)).flat_map(|word| word.split(',')).filter(|word| !word.is_empty()).collect()
}

/// Returns the verbs below what was named, with what each does.
pub fn verbs(root: &Command, words: &[String]) -> Vec<(String, String)> {
    let at = words.iter().try_fold(root, |at, word| at.find_subcommand(word));
    let below = at.into_iter().flat_map(Command::get_subcommands).filter(|verb| !verb.is_hide_set());
    below.map(|verb| (verb.get_name().to_owned(), about(verb.get_about()))).collect()
}

/// Returns the options of a verb, with what each does, and `--` where a command follows. The verb
/// has been built, so it has those of every verb.
pub fn options(verb: &Command) -> Vec<(String, String)> {
    let shown = verb.get_arguments().filter(|arg| !arg.is_hide_set());
    let named = |arg: &Arg| match arg.get_long() {
        _ if arg.is_last_set() => Some("--".to_owned()),
        long => long.map(|long| format!("--{long}")),
    };
    // What clap says of --help by itself speaks of a summary that is another one here.
    let what = |arg: &Arg| if arg.get_id() == "help" { "Print help".to_owned() } else { about(arg.get_help()) };
    shown.filter_map(|arg| Some((named(arg)?, what(arg)))).collect()
}

/// Returns the values that the definition has for an argument.
pub fn possible(arg: &Arg) -> Vec<(String, String)> {
    let values = arg.get_possible_values();
    values
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| (value.get_name().to_owned(), about(value.get_help())))
        .collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
