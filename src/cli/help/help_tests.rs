use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

/// Every verb that is shown, with its path; the program itself first.
pub fn verbs(at: &Command, path: &[String]) -> Vec<Vec<String>> {
    let below = at.get_subcommands().filter(|verb| !verb.is_hide_set());
    let below = below.flat_map(|verb| verbs(verb, &[path, &[verb.get_name().to_owned()]].concat()));
    std::iter::once(path.to_vec()).chain(below).collect()
}

fn all() -> Vec<Vec<String>> {
    let all = verbs(&Cli::command(), &[]);
    assert!(all.len() > 60, "{}", all.len());
    all
}

/// The arguments of `tenure` in a line as a person types it: what it is piped to, or what it is put
/// into, is cut off.
fn arguments(line: &str) -> Vec<String> {
    let line = line.strip_prefix("eval \"$(").and_then(|rest| rest.strip_suffix(")\"")).unwrap_or(line);
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '\'' => (quote, word) = (!quote, Some(word.unwrap_or_default())),
            ' ' if !quote => words.extend(word.take()),
            '|' | '>' if !quote => break,
            c => word.get_or_insert_default().push(c),
        }
    }
    assert!(!quote, "{line}");
    words.extend(word);
    words
}

#[test]
fn every_verb_has_two_or_three_examples_that_parse() {
    for path in all() {
        let found = examples::of(&path);
        let verb = path.join(" ");
        assert!((2..=3).contains(&found.len()), "{verb:?} has {} examples", found.len());
        for (what, typed) in &found {
            assert!(typed.len() <= 78 && what.len() <= 74, "{typed}");
            let words = arguments(typed);
            let parsed = crate::cli::command_line::parse(words.iter().map(Into::into));
            assert!(words[0] == "tenure" && parsed.is_ok(), "{typed}: {}", parsed.unwrap_err());
        }
        assert!(path.is_empty() || found.iter().any(|(_, typed)| typed.contains(&format!("tenure {}", path[0]))), "{verb}");
    }
}

#[test]
fn examples_are_of_verbs_that_exist() {
    let all = all();
    let named = include_str!("examples.txt").lines().filter_map(|line| line.strip_prefix("== "));
    let named: Vec<Vec<String>> = named.map(|verb| verb.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(named.len(), all.len(), "each once");
    assert!(named.iter().all(|path| all.contains(path)));
    assert!(examples::of(&["nope".to_owned()]).is_empty());
}

#[test]
fn only_long_help_has_examples() {
    for path in all() {
        let short = text(Cli::command(), &path, Length::Short).to_string();
        let long = text(Cli::command(), &path, Length::Long).to_string();
        assert!(!short.contains("Examples:") && short.contains("Usage:"), "{short}");
        let (_, examples) = long.split_once("\nExamples:\n").expect("examples");
        assert_eq!(examples.lines().count(), 2 * examples::of(&path).len(), "they are its end: {long}");
        assert!(!long.contains('\x1b') && !short.contains('\x1b'), "plain text is plain");
    }
}

#[test]
fn long_help_has_the_whole_text_of_an_option() {
    let add = ["add".to_owned()];
    let (short, long) = (text(Cli::command(), &add, Length::Short), text(Cli::command(), &add, Length::Long));
    assert!(!short.to_string().contains("TENURE_ARRAY_INDEX"), "{short}");
    assert!(long.to_string().contains("TENURE_ARRAY_INDEX"), "{long}");
}

#[test]
fn every_verb_is_in_one_group() {
    let root = Cli::command();
    let mut named: Vec<&str> = groups::GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
    let mut there: Vec<&str> = root.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(named, there);
    let listed = text(Cli::command(), &[], Length::Short).to_string();
    for (heading, verbs) in groups::verbs(&root) {
        assert!(listed.contains(&format!("\n{heading}:\n")), "{listed}");
        assert!(verbs.iter().all(|(name, about)| !about.is_empty() && listed.contains(&format!("\n  {name} "))), "{listed}");
    }
}
