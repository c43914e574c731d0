//! `tenure complete`, which the scripts of `tenure completions` call: the values for the word that
//! is being typed. It says nothing on stderr and changes nothing; on an error it offers
//! nothing.
//!
//! The first line says what the others are: `values`, `open` (no space follows them), `files`,
//! `directories`, or `command N`, where N is the number of the word that the command begins with.
//! For zsh a number follows, of characters of the word that are not in the values.

use std::path::PathBuf;

use clap::Command;

use crate::cli::complete::quote;
use crate::cli::complete::values::{self, Source};
use crate::cli::complete::walk::{self, Kind, Wanted};
use crate::cli::complete::words::{self, Open, Typed};
use crate::cli::face::{self, Face};
use crate::cli::global::Global;
use crate::cli::parse;
use crate::cli::view::escape;
use crate::config::Flags;
use crate::error::exit;
use crate::store::lease::WORKSPACE_PREFIX;
use crate::store::suggest::{self, Subject};

/// Longest word about a value, in characters.
const ABOUT_CHARS_MAX: usize = 60;

#[derive(Debug, clap::Args)]
pub struct Args {
    pub shell: Asking,
    /// The words of the line, up to the one that is being typed
    #[arg(last = true, value_name = "WORD")]
    pub words: Vec<std::ffi::OsString>,
}

/// The shells that ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Asking {
    Bash,
    Zsh,
    Fish,
}

pub fn run(args: &Args, mut root: Command) -> u8 {
    root.build();
    if let Some(answer) = answer(args, &root) {
        // A shell that has gone needs no completion.
        let _nobody_reads_it = face::write_bytes(answer.as_bytes());
    }
    exit::OK
}

fn answer(args: &Args, root: &Command) -> Option<String> {
    let pieces: Vec<String> = args.words.iter().cloned().map(std::ffi::OsString::into_string).collect::<Result<_, _>>().ok()?;
    let (before, typed) = match args.shell {
        Asking::Bash => words::of_bash(&pieces)?,
        Asking::Zsh | Asking::Fish => {
            let (last, before) = pieces.split_last()?;
            (before.to_vec(), Typed { text: last.clone(), kept: 0, open: Open::None })
        }
    };
    match walk::walk(root, &before, &typed.text) {
        Wanted::Nothing => None,
        Wanted::Command { from } => Some(format!("command {from}\n")),
        Wanted::Word { verb, kind: Kind::Option } => written(args.shell, "values", 0, &typed, values::options(verb)),
        Wanted::Word { verb, kind: Kind::Verb } => written(args.shell, "values", 0, &typed, values::verbs(verb, &[])),
        Wanted::Value { arg, at } => {
            let begin = if values::is_list(arg) {
                before_label(&typed.text).rfind(',').map_or(at.begin, |comma| comma + 1)
            } else {
                at.begin
            };
            let wanted = typed.text.get(begin..)?;
            let given = values::given(arg, &at, typed.text.get(at.begin..begin)?);
            let (what, found) = match values::source(arg, &at) {
                Source::Files => return Some(format!("files {}\n", typed.text[..at.begin].chars().count())),
                Source::Directories => return Some(format!("directories {}\n", typed.text[..at.begin].chars().count())),
                Source::Stored(subject) => ("values", stored(&before, subject, wanted)?),
                Source::Words(words) => ("values", words().into_iter().map(|word| (word.to_owned(), String::new())).collect()),
                Source::Variables => ("values", variables().map(|name| (name, String::new())).collect()),
                Source::Assignments => ("open", variables().map(|name| (format!("{name}="), String::new())).collect()),
                Source::Keys(keys) => ("open", keys.iter().map(|key| (format!("{key}="), String::new())).collect()),
                Source::Verbs => ("values", values::verbs(root, &at.words)),
                Source::Free => ("values", values::possible(arg)),
            };
            let found = found.into_iter().filter(|(value, _)| !given.contains(&value.as_str())).collect();
            written(args.shell, what, begin, &typed, found)
        }
    }
}

/// The variables of the shell that asks, by name.
fn variables() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let all: std::collections::BTreeSet<String> =
        names.filter(|name| quote::is_offered(name) && parse::values::parse_passed_name(name).is_ok()).collect();
    all.into_iter()
}

/// A label takes the rest of a list.
fn before_label(typed: &str) -> &str {
    typed.split('@').next().unwrap_or_default()
}

/// What the file has. It is the file of this line. Where jobs are named, `@` begins a label.
fn stored(before: &[String], subject: Subject, begin: &str) -> Option<Vec<(String, String)>> {
    if let (Subject::Jobs(_) | Subject::HeldJobs, Some(label)) = (subject, begin.strip_prefix('@')) {
        let found = stored(before, Subject::Labels, label)?;
        return Some(found.into_iter().map(|(label, about)| (format!("@{label}"), about)).collect());
    }
    let global = Global { db: named_file(before), ..Global::default() };
    let face = Face::new(&global, Flags::default()).ok()?;
    let found = suggest::values(&face.settings.db.value, subject, begin).ok()?;
    let found = found.into_iter().filter(|one| quote::is_offered(&one.value));
    // A label that is not UTF-8 is shown with these, and no option selects it by that.
    let found = found.filter(|one| subject != Subject::Labels || !one.value.contains(char::REPLACEMENT_CHARACTER));
    let found = found.filter(|one| subject != Subject::Leases || !one.value.starts_with(WORKSPACE_PREFIX));
    Some(found.map(|one| (one.value, one.about)).collect())
}

/// The file that the line names. The shell has not expanded its tilde yet.
fn named_file(before: &[String]) -> Option<PathBuf> {
    let of_pair = before.windows(2).rev().find(|pair| pair[0] == "--db").map(|pair| pair[1].as_str());
    let named = of_pair.or_else(|| before.iter().rev().find_map(|word| word.strip_prefix("--db=")))?;
    match named.strip_prefix("~/") {
        Some(below) => std::env::home_dir().map(|home| home.join(below)),
        None => Some(named.into()),
    }
}

/// The values as the shell takes them. `begin` is how much of the word is before them.
fn written(shell: Asking, what: &str, begin: usize, typed: &Typed, found: Vec<(String, String)>) -> Option<String> {
    let (head, wanted) = (typed.text.get(..begin)?, typed.text.get(begin..)?);
    let found = found.into_iter().filter(|(value, _)| value.starts_with(wanted));
    let mut answer = match shell {
        Asking::Zsh => format!("{what} {}\n", head.chars().count()),
        Asking::Bash | Asking::Fish => format!("{what}\n"),
    };
    for (value, about) in found {
        let line = match shell {
            Asking::Bash => quote::for_bash(&format!("{head}{value}"), typed),
            Asking::Zsh => Some(format!("{value}\t{}", short(&about))),
            Asking::Fish => Some(format!("{head}{value}\t{}", short(&about))),
        };
        answer.extend(line.map(|line| line + "\n"));
    }
    Some(answer)
}

fn short(about: &str) -> String {
    escape::line(about).chars().take(ABOUT_CHARS_MAX).collect()
}
